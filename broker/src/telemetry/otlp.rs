//! Metrics as clients push them: OpenTelemetry's protocol (OTLP 1), a `MetricsData` in protobuf.
//!
//! It is walked in place: whatever a payload claims, nothing is allocated for it but the attributes of one point at a time.

use std::borrow::Cow;

/// What the attributes of a point may take, written out; a point with more is [`Sample`]d without them.
const MAX_ATTRIBUTES_BYTES: usize = 300;

const DELTA: u64 = 1;

#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("not OTLP metrics")]
pub struct Malformed;

#[derive(Clone, Debug, PartialEq)]
pub struct Sample<'a> {
    pub metric: Cow<'a, str>,
    /// `name=value` in the order of the client, with commas between them; `None` when they are too long.
    pub attributes: Option<String>,
    pub value: Value,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    Gauge(f64),
    /// Since the client began.
    Total(f64),
    /// Since its last push.
    Delta(f64),
}

/// Tells every point of a payload. After an error some may have been told.
pub fn walk<'a>(payload: &'a [u8], tell: &mut dyn FnMut(Sample<'a>)) -> Result<(), Malformed> {
    each(payload, 1, &mut |resource| {
        each(resource, 2, &mut |scope| {
            each(scope, 2, &mut |metric| one(metric, tell))
        })
    })
}

fn one<'a>(metric: &'a [u8], tell: &mut dyn FnMut(Sample<'a>)) -> Result<(), Malformed> {
    let mut name = "";
    for field in Fields(metric) {
        if let (1, Field::Bytes(bytes)) = field? {
            name = std::str::from_utf8(bytes).map_err(|_| Malformed)?;
        }
    }
    for field in Fields(metric) {
        match field? {
            (5, Field::Bytes(gauge)) => numbers(gauge, name, tell)?,
            (7, Field::Bytes(sum)) => numbers_of_sum(sum, name, tell)?,
            (9, Field::Bytes(histogram)) => counts(histogram, name, tell)?,
            _ => {}
        }
    }
    Ok(())
}

fn numbers<'a>(
    gauge: &'a [u8],
    name: &'a str,
    tell: &mut dyn FnMut(Sample<'a>),
) -> Result<(), Malformed> {
    each(gauge, 1, &mut |point| {
        if let Some(number) = number(point)? {
            tell(sample(name.into(), point, 7, Value::Gauge(number))?);
        }
        Ok(())
    })
}

fn numbers_of_sum<'a>(
    sum: &'a [u8],
    name: &'a str,
    tell: &mut dyn FnMut(Sample<'a>),
) -> Result<(), Malformed> {
    let is_delta = varint_of(sum, 2)? == DELTA;
    let is_monotonic = varint_of(sum, 3)? != 0;
    each(sum, 1, &mut |point| {
        if let Some(number) = number(point)? {
            let value = match (is_monotonic, is_delta) {
                (false, _) => Value::Gauge(number),
                (true, true) => Value::Delta(number),
                (true, false) => Value::Total(number),
            };
            tell(sample(name.into(), point, 7, value)?);
        }
        Ok(())
    })
}

/// Of a histogram its count and its sum.
fn counts<'a>(
    histogram: &'a [u8],
    name: &'a str,
    tell: &mut dyn FnMut(Sample<'a>),
) -> Result<(), Malformed> {
    let is_delta = varint_of(histogram, 2)? == DELTA;
    let value = |number| match is_delta {
        true => Value::Delta(number),
        false => Value::Total(number),
    };
    each(histogram, 1, &mut |point| {
        for field in Fields(point) {
            let (suffix, number) = match field? {
                (4, Field::Fixed64(count)) => ("count", count as f64),
                (5, Field::Fixed64(sum)) => ("sum", f64::from_bits(sum)),
                _ => continue,
            };
            let name = Cow::Owned(format!("{name}.{suffix}"));
            tell(sample(name, point, 9, value(number))?);
        }
        Ok(())
    })
}

fn number(point: &[u8]) -> Result<Option<f64>, Malformed> {
    let mut number = None;
    for field in Fields(point) {
        match field? {
            (4, Field::Fixed64(bits)) => number = Some(f64::from_bits(bits)),
            (6, Field::Fixed64(whole)) => number = Some(whole.cast_signed() as f64),
            _ => {}
        }
    }
    Ok(number)
}

fn sample<'a>(
    metric: Cow<'a, str>,
    point: &[u8],
    attributes: u64,
    value: Value,
) -> Result<Sample<'a>, Malformed> {
    let mut text = Some(String::new());
    each(point, attributes, &mut |pair| {
        let (key, value) = attribute(pair)?;
        if let Some(so_far) = &mut text {
            let separator = if so_far.is_empty() { "" } else { "," };
            match so_far.len() + key.len() + value.len() + 2 <= MAX_ATTRIBUTES_BYTES {
                true => so_far.extend([separator, key, "=", &value]),
                false => text = None,
            }
        }
        Ok(())
    })?;
    Ok(Sample {
        metric,
        attributes: text,
        value,
    })
}

/// Values that are lists or bytes are left out.
fn attribute(pair: &[u8]) -> Result<(&str, Cow<'_, str>), Malformed> {
    let text = |bytes| std::str::from_utf8(bytes).map_err(|_| Malformed);
    let (mut key, mut shown) = ("", Cow::Borrowed(""));
    for field in Fields(pair) {
        match field? {
            (1, Field::Bytes(bytes)) => key = text(bytes)?,
            (2, Field::Bytes(any)) => {
                for field in Fields(any) {
                    shown = match field? {
                        (1, Field::Bytes(bytes)) => text(bytes)?.into(),
                        (2, Field::Varint(flag)) => (flag != 0).to_string().into(),
                        (3, Field::Varint(whole)) => whole.cast_signed().to_string().into(),
                        (4, Field::Fixed64(bits)) => f64::from_bits(bits).to_string().into(),
                        _ => shown,
                    };
                }
            }
            _ => {}
        }
    }
    Ok((key, shown))
}

fn varint_of(message: &[u8], wanted: u64) -> Result<u64, Malformed> {
    let mut found = 0;
    for field in Fields(message) {
        if let (number, Field::Varint(value)) = field?
            && number == wanted
        {
            found = value;
        }
    }
    Ok(found)
}

/// The messages that one field of `message` holds.
fn each<'a>(
    message: &'a [u8],
    wanted: u64,
    visit: &mut dyn FnMut(&'a [u8]) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    for field in Fields(message) {
        if let (number, Field::Bytes(bytes)) = field?
            && number == wanted
        {
            visit(bytes)?;
        }
    }
    Ok(())
}

enum Field<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32,
}

/// The fields of a message in their order.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn next_field(&mut self) -> Result<(u64, Field<'a>), Malformed> {
        let key = self.varint()?;
        let number = key >> 3;
        if number == 0 {
            return Err(Malformed);
        }
        let field = match key & 7 {
            0 => Field::Varint(self.varint()?),
            1 => {
                let bytes: [u8; 8] = self.take(8)?.try_into().map_err(|_| Malformed)?;
                Field::Fixed64(u64::from_le_bytes(bytes))
            }
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| Malformed)?;
                Field::Bytes(self.take(length)?)
            }
            5 => {
                self.take(4)?;
                Field::Fixed32
            }
            _ => return Err(Malformed),
        };
        Ok((number, field))
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Malformed)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Field<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.next_field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn field(number: u8, data: &[u8]) -> Vec<u8> {
        let length = u8::try_from(data.len()).expect("short");
        assert!(length < 128);
        [&[number << 3 | 2, length], data].concat()
    }

    fn payload(name: &str, kind: u8, data: &[u8]) -> Vec<u8> {
        let metric = [field(1, name.as_bytes()), field(kind, data)].concat();
        field(1, &field(2, &field(2, &metric)))
    }

    fn samples(payload: &[u8]) -> Result<Vec<String>, Malformed> {
        let mut told = Vec::new();
        walk(payload, &mut |sample: Sample<'_>| {
            let attributes = sample.attributes.unwrap_or_default();
            told.push(format!(
                "{}{{{attributes}}} {:?}",
                sample.metric, sample.value
            ));
        })?;
        Ok(told)
    }

    fn point(value: f64, attributes: &[(&str, &str)]) -> Vec<u8> {
        let mut point = vec![4 << 3 | 1];
        point.extend(value.to_le_bytes());
        for (key, value) in attributes {
            let any = field(1, value.as_bytes());
            point.extend(field(
                7,
                &[field(1, key.as_bytes()), field(2, &any)].concat(),
            ));
        }
        point
    }

    #[test]
    fn gauges_sums_and_histograms_are_told() {
        let of = [("a", "x"), ("b", "y")];
        let gauge = payload("g", 5, &field(1, &point(1.5, &of)));
        assert_eq!(samples(&gauge).unwrap(), ["g{a=x,b=y} Gauge(1.5)"]);
        let sum =
            |flags: &[u8]| payload("s", 7, &[&field(1, &point(2.0, &[]))[..], flags].concat());
        let delta = sum(&[0x10, 1, 0x18, 1]);
        assert_eq!(samples(&delta).unwrap(), ["s{} Delta(2.0)"]);
        let total = sum(&[0x10, 2, 0x18, 1]);
        assert_eq!(samples(&total).unwrap(), ["s{} Total(2.0)"]);
        assert_eq!(samples(&sum(&[0x10, 2])).unwrap(), ["s{} Gauge(2.0)"]);
        let mut whole = vec![6 << 3 | 1];
        whole.extend((-3i64).to_le_bytes());
        let gauge = payload("g", 5, &field(1, &whole));
        assert_eq!(samples(&gauge).unwrap(), ["g{} Gauge(-3.0)"]);
        let mut counted = vec![4 << 3 | 1];
        counted.extend(7u64.to_le_bytes());
        counted.push(5 << 3 | 1);
        counted.extend(2.5f64.to_le_bytes());
        let histogram = payload("h", 9, &[&field(1, &counted)[..], &[0x10, 2]].concat());
        assert_eq!(
            samples(&histogram).unwrap(),
            ["h.count{} Total(7.0)", "h.sum{} Total(2.5)"]
        );
        assert_eq!(samples(&[]), Ok(Vec::new()));
    }

    #[test]
    fn what_ends_early_is_malformed() {
        let good = payload("g", 5, &field(1, &point(1.5, &[("a", "x")])));
        for length in 1..good.len() {
            assert_eq!(samples(&good[..length]), Err(Malformed), "{length}");
        }
        assert_eq!(samples(&[0xff; 4]), Err(Malformed));
        assert_eq!(samples(&payload("g", 5, &[0x0b])), Err(Malformed));
    }

    proptest! {
        #[test]
        fn anything_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = samples(&bytes);
            let _ = samples(&[&[0x0a, 100, 0x12, 98, 0x12, 96][..], &bytes].concat());
        }
    }
}
