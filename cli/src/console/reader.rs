//! From lines to records, as Kafka's `LineMessageReader` reads them.

use crate::failure::Failure;
use bytes::Bytes;
use millrace_client::Error;
use millrace_client::producer::ProducerRecord;
use millrace_client::properties::Properties;
use std::sync::Arc;

#[derive(Clone, Debug)]
pub struct LineReader {
    topic: Arc<str>,
    parse_key: bool,
    key_separator: String,
    parse_headers: bool,
    headers_delimiter: String,
    headers_separator: String,
    headers_key_separator: String,
    ignore_error: bool,
    null_marker: Option<String>,
    line: u64,
}

impl LineReader {
    pub fn new(topic: &str, properties: &Properties) -> Result<LineReader, Failure> {
        let flag = |name: &str| {
            let value = properties.get(name).unwrap_or("false");
            value.trim().eq_ignore_ascii_case("true")
        };
        let text = |name: &str, default: &str| properties.get(name).unwrap_or(default).to_owned();
        let reader = LineReader {
            topic: Arc::from(topic),
            parse_key: flag("parse.key"),
            key_separator: text("key.separator", "\t"),
            parse_headers: flag("parse.headers"),
            headers_delimiter: text("headers.delimiter", "\t"),
            headers_separator: text("headers.separator", ","),
            headers_key_separator: text("headers.key.separator", ":"),
            ignore_error: flag("ignore.error"),
            null_marker: properties.get("null.marker").map(str::to_owned),
            line: 0,
        };
        let marker = reader.null_marker.as_deref();
        let clash = |name: &str, separator: &str| -> Result<(), Failure> {
            match marker == Some(separator) {
                true => Err(Failure::plain(format!(
                    "null.marker and {name} may not be equal"
                ))),
                false => Ok(()),
            }
        };
        if reader.headers_delimiter == reader.headers_separator {
            return Err(Failure::plain(
                "headers.delimiter and headers.separator may not be equal",
            ));
        }
        if reader.headers_delimiter == reader.headers_key_separator {
            return Err(Failure::plain(
                "headers.delimiter and headers.key.separator may not be equal",
            ));
        }
        if reader.headers_separator == reader.headers_key_separator {
            return Err(Failure::plain(
                "headers.separator and headers.key.separator may not be equal",
            ));
        }
        clash("key.separator", &reader.key_separator)?;
        clash("headers.separator", &reader.headers_separator)?;
        clash("headers.delimiter", &reader.headers_delimiter)?;
        clash("headers.key.separator", &reader.headers_key_separator)?;
        Ok(reader)
    }

    pub fn read(&mut self, line: &str) -> Result<ProducerRecord, Error> {
        self.line += 1;
        let mut rest = line;
        let mut record = ProducerRecord {
            topic: Arc::clone(&self.topic),
            ..ProducerRecord::default()
        };
        if self.parse_headers {
            let (headers, after) =
                self.split(rest, &self.headers_delimiter, "headers.delimiter")?;
            rest = after;
            if let Some(headers) = headers.filter(|headers| !self.is_null(headers)) {
                let headers = headers
                    .split(&*self.headers_separator)
                    .map(|header| self.header(header));
                let headers: Vec<(Bytes, Option<Bytes>)> = headers.collect::<Result<_, _>>()?;
                record.headers = headers.into_iter().collect();
            }
        }
        if self.parse_key {
            let (key, after) = self.split(rest, &self.key_separator, "key.separator")?;
            rest = after;
            record.key = key.and_then(|key| self.bytes(key));
        }
        record.value = self.bytes(rest);
        Ok(record)
    }

    /// With `ignore.error` a part that is missing is none, and the line is what remains.
    fn split<'a>(
        &self,
        text: &'a str,
        separator: &str,
        name: &str,
    ) -> Result<(Option<&'a str>, &'a str), Error> {
        match text.split_once(separator) {
            Some((part, rest)) => Ok((Some(part), rest)),
            None if self.ignore_error => Ok((None, text)),
            None => Err(Error::Invalid(format!(
                "No {} found on line number {}: '{text}'",
                name.replace("key.separator", "key separator")
                    .replace("headers.delimiter", "headers delimiter"),
                self.line
            ))),
        }
    }

    fn header(&self, header: &str) -> Result<(Bytes, Option<Bytes>), Error> {
        let (key, value) = match header.split_once(&*self.headers_key_separator) {
            Some((key, value)) => (key, self.bytes(value)),
            None if self.ignore_error => (header, None),
            None => {
                return Err(Error::Invalid(format!(
                    "No header key separator found in pair '{header}' on line number {}",
                    self.line
                )));
            }
        };
        if self.is_null(key) {
            return Err(Error::Invalid(format!(
                "Header keys should not be equal to the null marker '{key}' as they can't be null"
            )));
        }
        Ok((Bytes::copy_from_slice(key.as_bytes()), value))
    }

    fn is_null(&self, text: &str) -> bool {
        self.null_marker.as_deref() == Some(text)
    }

    fn bytes(&self, text: &str) -> Option<Bytes> {
        (!self.is_null(text)).then(|| Bytes::copy_from_slice(text.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(properties: &str, line: &str) -> Result<ProducerRecord, String> {
        let properties = Properties::parse(properties);
        let mut reader = LineReader::new("t", &properties).expect("a reader");
        reader.read(line).map_err(|error| error.to_string())
    }

    fn check(
        properties: &str,
        line: &str,
        headers: &[(&str, Option<&str>)],
        key: Option<&str>,
        value: Option<&str>,
    ) {
        let record = read(properties, line).expect("a record");
        let text =
            |bytes: Option<Bytes>| bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let found: Vec<(String, Option<String>)> = record
            .headers
            .iter()
            .map(|(key, value)| (String::from_utf8_lossy(&key).into_owned(), text(value)))
            .collect();
        let found: Vec<(&str, Option<&str>)> = found
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_deref()))
            .collect();
        assert_eq!(found, headers);
        assert_eq!(text(record.key).as_deref(), key);
        assert_eq!(text(record.value).as_deref(), value);
    }

    #[test]
    fn a_line_is_headers_key_and_value_as_far_as_they_are_asked_for() {
        check("", "k\tv", &[], None, Some("k\tv"));
        check("parse.key=true", "k\tv\tw", &[], Some("k"), Some("v\tw"));
        check(
            "parse.key=true\nkey.separator=::",
            "k::v",
            &[],
            Some("k"),
            Some("v"),
        );
        check(
            "parse.key=true\nparse.headers=true",
            "a:1,a:2\tk\tv",
            &[("a", Some("1")), ("a", Some("2"))],
            Some("k"),
            Some("v"),
        );
    }

    #[test]
    fn the_null_marker_stands_for_none() {
        let properties = "parse.key=true\nparse.headers=true\nnull.marker=N";
        check(properties, "N\tN\tN", &[], None, None);
        check(
            properties,
            "a:N\tk\tv",
            &[("a", None)],
            Some("k"),
            Some("v"),
        );
    }

    #[test]
    fn a_missing_separator_is_refused_unless_errors_are_ignored() {
        assert_eq!(
            read("parse.key=true", "v").expect_err("refused"),
            "No key separator found on line number 1: 'v'"
        );
        check(
            "parse.key=true\nignore.error=true",
            "v",
            &[],
            None,
            Some("v"),
        );
    }

    #[test]
    fn separators_must_differ() {
        let refused = LineReader::new("t", &Properties::parse("headers.delimiter=,"));
        assert_eq!(
            refused.expect_err("refused").stderr,
            "headers.delimiter and headers.separator may not be equal"
        );
    }
}
