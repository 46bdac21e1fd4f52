//! Java's `.properties` format, for the files that Kafka's tools are given.

use crate::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::str::FromStr;

/// A file beyond this is no file of settings.
const MAX_BYTES: u64 = 1 << 20;

/// Entries in their order; of a name given twice the last counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties {
    entries: Vec<(String, String)>,
}

impl Properties {
    pub fn parse(text: &str) -> Properties {
        let mut properties = Properties::default();
        for line in logical_lines(text) {
            let (name, value) = split_entry(&line);
            properties.set(unescape(name), unescape(value));
        }
        properties
    }

    pub fn read(path: &Path) -> Result<Properties, Error> {
        let unreadable =
            |reason: String| Error::Invalid(format!("cannot read {}: {reason}", path.display()));
        let bytes = std::fs::metadata(path)
            .map_err(|error| unreadable(error.to_string()))?
            .len();
        if bytes > MAX_BYTES {
            return Err(unreadable(format!(
                "it has {bytes} bytes, {MAX_BYTES} are allowed"
            )));
        }
        let bytes = std::fs::read(path).map_err(|error| unreadable(error.to_string()))?;
        let text = match String::from_utf8(bytes) {
            Ok(text) => text,
            // All that Java's reader knows of bytes is ISO 8859-1.
            Err(error) => error.into_bytes().into_iter().map(char::from).collect(),
        };
        Ok(Properties::parse(&text))
    }

    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        let name = name.into();
        self.entries.retain(|(known, _)| *known != name);
        self.entries.push((name, value.into()));
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
        for (name, value) in other.entries {
            self.set(name, value);
        }
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        let entry = self.entries.iter().find(|(known, _)| known == name);
        entry.map(|(_, value)| value.as_str())
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
        self.entries
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// As a file that [`Properties::parse`] and Java read back.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for (name, value) in &self.entries {
            escape(&mut text, name, true);
            text.push('=');
            escape(&mut text, value, false);
            text.push('\n');
        }
        text
    }
}

/// Lines without comments and blank ones, joined where they end with a backslash that is not itself escaped.
fn logical_lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut continues = false;
    for line in text.split(['\n', '\r']) {
        let line = line.trim_start_matches([' ', '\t', '\u{c}']);
        if !continues && (line.is_empty() || line.starts_with(['#', '!'])) {
            continue;
        }
        let backslashes = line.len() - line.trim_end_matches('\\').len();
        let (body, ends_open) = match backslashes % 2 {
            0 => (line, false),
            _ => (&line[..line.len() - 1], true),
        };
        match lines.last_mut() {
            Some(last) if continues => last.push_str(body),
            _ => lines.push(body.to_owned()),
        }
        continues = ends_open;
    }
    lines
}

/// The name ends at the first `=`, `:` or blank that is not escaped; blanks around the separator belong to neither.
fn split_entry(line: &str) -> (&str, &str) {
    let is_blank = |c: char| matches!(c, ' ' | '\t' | '\u{c}');
    let mut is_escaped = false;
    let mut end = line.len();
    for (at, c) in line.char_indices() {
        if !is_escaped && (is_blank(c) || matches!(c, '=' | ':')) {
            end = at;
            break;
        }
        is_escaped = c == '\\' && !is_escaped;
    }
    let (name, rest) = line.split_at(end);
    let rest = rest.trim_start_matches(is_blank);
    let value = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (name, value.trim_start_matches(is_blank))
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('f') => out.push('\u{c}'),
            Some('u') => {
                let digits: String = chars.by_ref().take(4).collect();
                let unit = u32::from_str_radix(&digits, 16).ok();
                out.push(
                    unit.and_then(char::from_u32)
                        .unwrap_or(char::REPLACEMENT_CHARACTER),
                );
            }
            Some(other) => out.push(other),
            None => {}
        }
    }
    out
}

fn escape(out: &mut String, text: &str, is_name: bool) {
    for (at, c) in text.chars().enumerate() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{c}' => out.push_str("\\f"),
            '\\' => out.push_str("\\\\"),
            ' ' if is_name || at == 0 => out.push_str("\\ "),
            '=' | ':' | '#' | '!' if is_name => {
                out.push('\\');
                out.push(c);
            }
            ' '..='~' => out.push(c),
            // Beyond the basic plane a Java reader would want surrogates; those are written as they are.
            c if u32::from(c) <= 0xffff => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entries(text: &str) -> Vec<(String, String)> {
        Properties::parse(text).entries
    }

    fn check(text: &str, name: &str, value: &str) {
        assert_eq!(
            entries(text),
            [(name.to_owned(), value.to_owned())],
            "{text:?}"
        );
    }

    #[test]
    fn entries_are_read_as_java_reads_them() {
        check("a=b", "a", "b");
        check("  a  =  b ", "a", "b ");
        check("a : b", "a", "b");
        check("a b c", "a", "b c");
        check("a=b=c", "a", "b=c");
        check("a\\=b=c", "a=b", "c");
        check("a=1\\\n   2", "a", "12");
        check("a=\\u00e9\\t", "a", "é\t");
        check("# x\n! y\n\na=", "a", "");
        check("a=1\r\na=2\r\n", "a", "2");
        check("a=c:\\\\dir\\\\", "a", "c:\\dir\\");
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

    proptest! {
        #[test]
        fn what_is_written_is_read_back(name in "[a-z =:#!\\\\\u{e9}]{1,12}", value in "\\PC{0,20}") {
            let mut properties = Properties::default();
            properties.set(name.clone(), value.clone());
            prop_assert_eq!(Properties::parse(&properties.to_text()), properties);
        }

        #[test]
        fn no_text_panics(text in "[a\\\\u=: \n#]{0,40}") {
            Properties::parse(&text);
        }
    }
}
