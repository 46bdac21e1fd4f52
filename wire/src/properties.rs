//! Java's `.properties` format, as `java.util.Properties` reads it, with the line of each entry kept for errors.
//!
//! The broker reads its settings with [`Properties::parse`], which refuses what Java would refuse or mangle. Tools that are
//! handed somebody else's file take what can be understood of it, with [`Properties::parse_lossy`].

use std::borrow::Cow;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::io::{self, Read};

/// A file beyond this is no settings file.
pub const MAX_BYTES: usize = 1 << 20;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("line {line}: \\u must be followed by four hexadecimal digits, as in \\u00e9")]
    BadEscape { line: usize },
    #[error("line {line}: \\u{unit:04x} is one half of a surrogate pair; write both halves")]
    LoneSurrogate { line: usize, unit: u16 },
    #[error("{bytes} bytes are too many for a settings file; {MAX_BYTES} are allowed")]
    TooLarge { bytes: usize },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub name: String,
    pub value: String,
    /// Where the entry starts; the first line is 1.
    pub line: usize,
}

/// Entries in the order of the file, one a name: of duplicates the last wins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties {
    entries: Vec<Entry>,
}

impl Properties {
    pub fn parse(text: &str) -> Result<Properties, Error> {
        if text.len() > MAX_BYTES {
            return Err(Error::TooLarge { bytes: text.len() });
        }
        Properties::collect(text, Err)
    }

    /// With U+FFFD in the place of each escape that [`Properties::parse`] refuses.
    pub fn parse_lossy(text: &str) -> Properties {
        let replaced = |_| Ok::<_, Infallible>(char::REPLACEMENT_CHARACTER);
        let Ok(properties) = Properties::collect(text, replaced);
        properties
    }

    /// The entries of `text`, with what `bad` makes of escapes that spell no character.
    fn collect<E>(text: &str, bad: impl Fn(Error) -> Result<char, E>) -> Result<Properties, E> {
        let mut positions = std::collections::HashMap::new();
        let mut entries: Vec<Option<Entry>> = Vec::new();
        for logical in LogicalLines::new(text) {
            let entry = entry(&logical.text, logical.line, &bad)?;
            if let Some(earlier) = positions.insert(entry.name.clone(), entries.len()) {
                let earlier: usize = earlier;
                entries[earlier] = None;
            }
            entries.push(Some(entry));
        }
        Ok(Properties {
            entries: entries.into_iter().flatten().collect(),
        })
    }

    /// UTF-8, or else ISO 8859-1, which is all that Java's reader knows of bytes.
    pub fn parse_bytes(bytes: &[u8]) -> Result<Properties, Error> {
        Properties::parse(&text_of(bytes)?)
    }

    /// The same, as [`Properties::parse_lossy`] reads it.
    pub fn parse_bytes_lossy(bytes: &[u8]) -> Result<Properties, Error> {
        Ok(Properties::parse_lossy(&text_of(bytes)?))
    }

    /// As if written behind the last one: of duplicates the last wins.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        let name = name.into();
        self.entries.retain(|entry| entry.name != name);
        let line = self.entries.last().map_or(1, |last| last.line + 1);
        let value = value.into();
        self.entries.push(Entry { name, value, line });
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.entries.iter().find(|entry| entry.name == name);
        found.map(|entry| entry.value.as_str())
    }

    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Text that [`Properties::parse`] reads back as these entries.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for entry in &self.entries {
            escape(&entry.name, true, &mut text);
            text.push('=');
            escape(&entry.value, false, &mut text);
            text.push('\n');
        }
        text
    }
}

impl FromIterator<(String, String)> for Properties {
    /// Lines are numbered as [`Properties::to_text`] writes them.
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Properties {
        let mut entries: Vec<Entry> = Vec::new();
        for (name, value) in pairs {
            entries.retain(|entry| entry.name != name);
            entries.push(Entry {
                name,
                value,
                line: 0,
            });
        }
        for (at, entry) in entries.iter_mut().enumerate() {
            entry.line = at + 1;
        }
        Properties { entries }
    }
}

/// All of `source`, or, of what is too much for a settings file, enough to be refused by [`Properties::parse_bytes`].
pub fn read_bounded(source: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Latin-1 grows to twice its size at most.
fn text_of(bytes: &[u8]) -> Result<Cow<'_, str>, Error> {
    if bytes.len() > MAX_BYTES {
        return Err(Error::TooLarge { bytes: bytes.len() });
    }
    Ok(match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => bytes.iter().map(|byte| char::from(*byte)).collect(),
    })
}

fn escape(text: &str, is_name: bool, into: &mut String) {
    let mut leading = true;
    for c in text.chars() {
        match c {
            ' ' if is_name || leading => into.push_str("\\ "),
            '\t' => into.push_str("\\t"),
            '\n' => into.push_str("\\n"),
            '\r' => into.push_str("\\r"),
            '\x0c' => into.push_str("\\f"),
            '=' | ':' | '#' | '!' | '\\' => {
                into.push('\\');
                into.push(c);
            }
            ' '..='~' => into.push(c),
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(into, "\\u{unit:04x}").expect("a string takes any text");
                }
            }
        }
        leading = false;
    }
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\x0c')
}

struct Logical {
    text: String,
    line: usize,
}

/// Natural lines put together where a backslash ends one; blank lines and comments are left out.
struct LogicalLines<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> LogicalLines<'a> {
    fn new(text: &'a str) -> LogicalLines<'a> {
        LogicalLines {
            rest: text,
            line: 0,
        }
    }

    /// The next natural line without its end; `\n`, `\r` and `\r\n` end one.
    fn natural(&mut self) -> Option<&'a str> {
        if self.rest.is_empty() {
            return None;
        }
        self.line += 1;
        let (line, rest) = match self.rest.find(['\n', '\r']) {
            None => (self.rest, ""),
            Some(at) => {
                let width = if self.rest[at..].starts_with("\r\n") {
                    2
                } else {
                    1
                };
                (&self.rest[..at], &self.rest[at + width..])
            }
        };
        self.rest = rest;
        Some(line)
    }
}

impl Iterator for LogicalLines<'_> {
    type Item = Logical;

    fn next(&mut self) -> Option<Logical> {
        let mut text = String::new();
        let mut first_line = None;
        while let Some(line) = self.natural() {
            let line = line.trim_start_matches(is_blank);
            // Java asks this of every natural line as long as nothing was read, even behind a continuation.
            if text.is_empty() && (line.is_empty() || line.starts_with(['#', '!'])) {
                first_line = None;
                continue;
            }
            let first_line = *first_line.get_or_insert(self.line);
            let backslashes = line.len() - line.trim_end_matches('\\').len();
            if backslashes % 2 == 0 {
                text.push_str(line);
                return Some(Logical {
                    text,
                    line: first_line,
                });
            }
            text.push_str(&line[..line.len() - 1]);
        }
        first_line
            .filter(|_| !text.is_empty())
            .map(|line| Logical { text, line })
    }
}

/// A logical line: the name ends at the first unescaped `=`, `:` or blank.
fn entry<E>(
    logical: &str,
    line: usize,
    bad: &impl Fn(Error) -> Result<char, E>,
) -> Result<Entry, E> {
    let mut escaped = false;
    let end = logical.find(|c: char| {
        let ends = !escaped && (c == '=' || c == ':' || is_blank(c));
        escaped = c == '\\' && !escaped;
        ends
    });
    let (name, rest) = logical.split_at(end.unwrap_or(logical.len()));
    let rest = rest.trim_start_matches(is_blank);
    let value = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    Ok(Entry {
        name: unescape(name, line, bad)?,
        value: unescape(value.trim_start_matches(is_blank), line, bad)?,
        line,
    })
}

fn unescape<E>(
    text: &str,
    line: usize,
    bad: &impl Fn(Error) -> Result<char, E>,
) -> Result<String, E> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let Some(c) = rest.chars().next() else { break };
        if c == 'u' {
            let (character, length) = match unicode(&rest[1..], line) {
                Ok(spelt) => spelt,
                // What else stands there is text.
                Err(error @ Error::LoneSurrogate { .. }) => (bad(error)?, 4),
                Err(error) => (bad(error)?, 0),
            };
            out.push(character);
            rest = &rest[1 + length..];
            continue;
        }
        out.push(match c {
            't' => '\t',
            'n' => '\n',
            'r' => '\r',
            'f' => '\x0c',
            other => other,
        });
        rest = &rest[c.len_utf8()..];
    }
    out.push_str(rest);
    Ok(out)
}

/// What follows `\u`: the character and how many bytes of `text` spell it.
fn unicode(text: &str, line: usize) -> Result<(char, usize), Error> {
    let first = unit(text).ok_or(Error::BadEscape { line })?;
    if let Some(c) = char::from_u32(u32::from(first)) {
        return Ok((c, 4));
    }
    let second = match text[4..].strip_prefix("\\u") {
        Some(low) => unit(low).ok_or(Error::BadEscape { line })?,
        None => return Err(Error::LoneSurrogate { line, unit: first }),
    };
    match char::decode_utf16([first, second]).next() {
        Some(Ok(c)) => Ok((c, 10)),
        _ => Err(Error::LoneSurrogate { line, unit: first }),
    }
}

fn unit(text: &str) -> Option<u16> {
    let digits = text.get(..4)?;
    let all_digits = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !all_digits {
        return None;
    }
    u16::from_str_radix(digits, 16).ok()
}
