//! The settings that Kafka's tools are given, in files and as options, and how their values are read.

use crate::Error;
use crate::wire::properties as format;
use std::fs::File;
use std::path::Path;
use std::str::FromStr;

/// Entries in their order; of a name given twice the last counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties(format::Properties);

impl Properties {
    pub fn parse(text: &str) -> Properties {
        Properties(format::Properties::parse_lossy(text))
    }

    pub fn read(path: &Path) -> Result<Properties, Error> {
        let unreadable =
            |reason: String| Error::Invalid(format!("cannot read {}: {reason}", path.display()));
        let bytes = File::open(path)
            .and_then(format::read_bounded)
            .map_err(|error| unreadable(error.to_string()))?;
        match format::Properties::parse_bytes_lossy(&bytes) {
            Ok(properties) => Ok(Properties(properties)),
            Err(error) => Err(unreadable(error.to_string())),
        }
    }

    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.set(name, value);
    }

    /// `name=value`, as options give it. Without `=` it is an error; with nothing after it the value is empty.
    pub fn set_pair(&mut self, pair: &str) -> Result<(), Error> {
        let Some((name, value)) = pair.split_once('=') else {
            return Err(Error::Invalid(format!(
                "\"{pair}\" is no setting: write name=value"
            )));
        };
        self.set(name.trim(), value);
        Ok(())
    }

    pub fn extend(&mut self, other: Properties) {
        for (name, value) in other.iter() {
            self.set(name, value);
        }
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name)
    }

    pub fn number<T: FromStr>(&self, name: &str) -> Result<Option<T>, Error> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        match text.trim().parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(Error::Invalid(format!(
                "{name}={text} is no number in its range"
            ))),
        }
    }

    pub fn boolean(&self, name: &str) -> Result<Option<bool>, Error> {
        match self.get(name).map(|text| text.trim().to_ascii_lowercase()) {
            None => Ok(None),
            Some(text) if text == "true" => Ok(Some(true)),
            Some(text) if text == "false" => Ok(Some(false)),
            Some(text) => Err(Error::Invalid(format!(
                "{name}={text}: write true or false"
            ))),
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let entries = self.0.iter();
        entries.map(|entry| (entry.name.as_str(), entry.value.as_str()))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_a_broken_escape_is_read_all_the_same() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), b"a=1\n\\u12=x\nb=\xe9\n").expect("written");
        let properties = Properties::read(file.path()).expect("it is read");
        assert_eq!(properties.get("a"), Some("1"));
        assert_eq!(properties.get("b"), Some("\u{e9}"));
    }

    #[test]
    fn numbers_and_booleans_say_what_is_wrong_with_them() {
        let properties = Properties::parse("n=12x\nb=yes\n");
        let number = properties.number::<i32>("n").expect_err("no number");
        assert_eq!(number.to_string(), "n=12x is no number in its range");
        let boolean = properties.boolean("b").expect_err("no boolean");
        assert_eq!(boolean.to_string(), "b=yes: write true or false");
        assert_eq!(properties.number::<i32>("absent").expect("absent"), None);
    }
}
