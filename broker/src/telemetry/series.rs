//! What clients have pushed, as it is shown on `/metrics`: bounded, whatever they push.

use super::otlp::{Sample, Value};
use std::collections::{BTreeMap, HashMap};
use uuid::Uuid;

/// Of all clients together. A series that comes when there are so many is dropped and counted; what is there goes on.
pub const MAX_SERIES: usize = 10_000;
/// Of one client, so that one does not take the room of all.
pub const MAX_SERIES_OF_CLIENT: usize = 1_000;
/// A longer name is dropped and counted.
const MAX_NAME_BYTES: usize = 200;
/// As much of a client's id as is shown.
const MAX_CLIENT_ID_CHARACTERS: usize = 100;

#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    pub metric: String,
    pub client_id: String,
    pub instance: Uuid,
    pub attributes: String,
    pub is_counter: bool,
    pub value: f64,
}

#[derive(Debug, Default)]
pub struct Store {
    clients: HashMap<Uuid, OfClient>,
    count: usize,
    pub dropped: u64,
}

#[derive(Debug)]
struct OfClient {
    client_id: String,
    /// By name and attributes.
    series: BTreeMap<(String, String), (bool, f64)>,
}

impl Store {
    pub fn put(&mut self, instance: Uuid, client_id: &str, sample: Sample<'_>) {
        let of_client = self.clients.entry(instance).or_insert_with(|| OfClient {
            client_id: client_id.chars().take(MAX_CLIENT_ID_CHARACTERS).collect(),
            series: BTreeMap::new(),
        });
        let Some(attributes) = sample.attributes else {
            self.dropped += 1;
            return;
        };
        if sample.metric.len() > MAX_NAME_BYTES {
            self.dropped += 1;
            return;
        }
        let key = (sample.metric.into_owned(), attributes);
        let is_full = self.count >= MAX_SERIES || of_client.series.len() >= MAX_SERIES_OF_CLIENT;
        let before = of_client.series.get(&key).copied();
        if before.is_none() && is_full {
            self.dropped += 1;
            return;
        }
        let before_value = before.map_or(0.0, |(_, value)| value);
        let (is_counter, value) = match sample.value {
            Value::Gauge(value) => (false, value),
            Value::Total(value) => (true, value),
            Value::Delta(value) => (true, before_value + value),
        };
        // A counter neither falls nor is it anything but a number.
        if is_counter && (!value.is_finite() || value < 0.0) {
            self.dropped += 1;
            return;
        }
        if of_client.series.insert(key, (is_counter, value)).is_none() {
            self.count += 1;
        }
    }

    pub fn forget(&mut self, instance: &Uuid) {
        if let Some(of_client) = self.clients.remove(instance) {
            self.count -= of_client.series.len();
        }
    }

    pub fn all(&self) -> Vec<Series> {
        let of_one = |(instance, of_client): (&Uuid, &OfClient)| {
            let (instance, client_id) = (*instance, of_client.client_id.clone());
            let series = of_client.series.clone().into_iter();
            series
                .map(move |((metric, attributes), (is_counter, value))| Series {
                    metric,
                    client_id: client_id.clone(),
                    instance,
                    attributes,
                    is_counter,
                    value,
                })
                .collect::<Vec<_>>()
        };
        self.clients.iter().flat_map(of_one).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(metric: &str, value: Value) -> Sample<'_> {
        Sample {
            metric: metric.into(),
            attributes: Some(String::new()),
            value,
        }
    }

    #[test]
    fn deltas_add_up_and_totals_and_gauges_replace() {
        let mut store = Store::default();
        let id = Uuid::from_u128(1);
        for value in [2.0, 3.0, -9.0, f64::NAN] {
            store.put(id, "c", sample("delta", Value::Delta(value)));
            store.put(id, "c", sample("total", Value::Total(value)));
            store.put(id, "c", sample("gauge", Value::Gauge(value.min(1.0))));
        }
        let all = store.all();
        let values: Vec<f64> = all.iter().map(|series| series.value).collect();
        assert_eq!(values, [5.0, 1.0, 3.0], "{all:?}");
        assert_eq!(store.dropped, 4);
        store.forget(&id);
        assert_eq!((store.all(), store.count), (Vec::new(), 0));
    }

    #[test]
    fn there_are_no_more_series_than_there_is_room_for() {
        let mut store = Store::default();
        for client in 0..12 {
            for metric in 0..1_100 {
                let name = format!("m{metric}");
                store.put(
                    Uuid::from_u128(client),
                    "c",
                    sample(&name, Value::Gauge(1.0)),
                );
            }
        }
        assert_eq!(store.all().len(), MAX_SERIES);
        assert_eq!(store.dropped, 12 * 1_100 - MAX_SERIES as u64);
        let long = "m".repeat(MAX_NAME_BYTES + 1);
        store.forget(&Uuid::from_u128(0));
        store.put(Uuid::from_u128(0), "c", sample(&long, Value::Gauge(1.0)));
        assert_eq!(store.all().len(), MAX_SERIES - MAX_SERIES_OF_CLIENT);
    }
}
