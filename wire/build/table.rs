//! Reads the table of messages. Its notation is explained at its head.

/// From the first version to the last, both included; `last` is `i16::MAX` when the table says `3+`. Empty when last < first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions {
    pub first: i16,
    pub last: i16,
}

impl Versions {
    pub const NONE: Versions = Versions { first: 0, last: -1 };

    pub fn parse(text: &str) -> Result<Versions, String> {
        let number = |text: &str| {
            text.parse()
                .map_err(|_| format!("{text:?} is not a version"))
        };
        if text == "none" {
            return Ok(Versions::NONE);
        }
        if let Some(first) = text.strip_suffix('+') {
            let (first, last) = (number(first)?, i16::MAX);
            return Ok(Versions { first, last });
        }
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (first, last) = (number(first)?, number(last)?);
        Ok(Versions { first, last })
    }

    pub fn intersect(self, other: Versions) -> Versions {
        let first = self.first.max(other.first);
        let last = self.last.min(other.last);
        if last < first {
            Versions::NONE
        } else {
            Versions { first, last }
        }
    }
}

pub struct Api {
    pub key: i16,
    pub name: String,
    pub stable: Versions,
    pub request: Message,
    pub response: Message,
}

#[derive(Default)]
pub struct Message {
    pub name: String,
    pub versions: Option<Versions>,
    pub flexible: Option<Versions>,
    pub fields: Vec<Field>,
    /// Structures by name: those used once, too.
    pub structs: Vec<Struct>,
}

impl Message {
    pub fn versions(&self) -> Versions {
        self.versions.unwrap_or(Versions::NONE)
    }

    pub fn flexible(&self) -> Versions {
        self.flexible.unwrap_or(Versions::NONE)
    }
}

pub struct Struct {
    pub name: String,
    pub fields: Vec<Field>,
}

#[derive(Clone)]
pub struct Field {
    pub name: String,
    /// Without the `[]` of an array.
    pub item: String,
    pub is_array: bool,
    pub versions: Versions,
    pub null: Versions,
    pub tag: Option<u32>,
    pub default: Option<String>,
    pub is_ignorable: bool,
    pub entity: Option<String>,
}

/// How a table calls its pairs of messages, and how their names end.
pub struct Notation {
    pub pair: &'static str,
    pub request: (&'static str, &'static str),
    pub response: (&'static str, &'static str),
}

pub const APIS: Notation = Notation {
    pair: "api",
    request: ("request", "Request"),
    response: ("response", "Response"),
};

/// The key of a record stands where an api has its request, the value where it has its response.
pub const RECORDS: Notation = Notation {
    pair: "record",
    request: ("key", "Key"),
    response: ("value", "Value"),
};

pub fn parse(text: &str, notation: &Notation) -> Result<Vec<Api>, String> {
    let lines: Vec<Line> = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.starts_with('#') && !line.trim().is_empty())
        .map(|(at, line)| Line {
            number: at + 1,
            depth: (line.len() - line.trim_start().len()) / 2,
            words: line.split_whitespace().collect(),
        })
        .collect();
    let mut apis: Vec<Api> = Vec::new();
    let mut rest = &lines[..];
    while let Some((line, after)) = rest.split_first() {
        rest = after;
        let pair = notation.pair;
        let [word, key, name, stable] = line.words[..] else {
            return Err(line.error(&format!("not `{pair} KEY NAME VERSIONS`")));
        };
        if word != pair {
            return Err(line.error(&format!("not `{pair}`")));
        }
        let mut message = |(kind, suffix): (&str, &str)| {
            let Some((line, after)) = rest.split_first() else {
                return Err(format!("{pair} {name} has no {kind}"));
            };
            let [word, versions, flexible] = line.words[..] else {
                return Err(line.error("not `KIND VERSIONS flexible=VERSIONS`"));
            };
            let flexible = flexible.strip_prefix("flexible=");
            if word != kind || flexible.is_none() {
                return Err(line.error(&format!("not a {kind}")));
            }
            let mut message = Message {
                name: format!("{name}{suffix}"),
                versions: Some(line.located(Versions::parse(versions))?),
                flexible: Some(line.located(Versions::parse(flexible.unwrap_or_default()))?),
                ..Message::default()
            };
            rest = after;
            message.fields = fields(&mut rest, 1, &mut message.structs)?;
            Ok(message)
        };
        let request = message(notation.request)?;
        let response = message(notation.response)?;
        apis.push(Api {
            key: line.located(key.parse().map_err(|_| "not a key".to_string()))?,
            name: name.to_string(),
            stable: line.located(Versions::parse(stable))?,
            request,
            response,
        });
    }
    Ok(apis)
}

struct Line<'a> {
    number: usize,
    depth: usize,
    words: Vec<&'a str>,
}

impl Line<'_> {
    fn error(&self, what: &str) -> String {
        format!("line {}: {what}", self.number)
    }

    fn located<T>(&self, result: Result<T, String>) -> Result<T, String> {
        result.map_err(|what| self.error(&what))
    }
}

/// The lines of this depth from the front of `rest`, with what is indented below them.
fn fields(
    rest: &mut &[Line],
    depth: usize,
    structs: &mut Vec<Struct>,
) -> Result<Vec<Field>, String> {
    let mut fields = Vec::new();
    while let Some((line, after)) = rest.split_first() {
        if line.depth != depth {
            break;
        }
        *rest = after;
        if let ["struct", name] = line.words[..] {
            let inner = self::fields(rest, depth + 1, structs)?;
            structs.push(Struct {
                name: name.to_string(),
                fields: inner,
            });
            continue;
        }
        let field = line.located(field(&line.words))?;
        let inner = self::fields(rest, depth + 1, structs)?;
        if !inner.is_empty() {
            structs.push(Struct {
                name: field.item.clone(),
                fields: inner,
            });
        }
        fields.push(field);
    }
    Ok(fields)
}

fn field(words: &[&str]) -> Result<Field, String> {
    let [name, kind, versions, rest @ ..] = words else {
        return Err("not `FIELD TYPE VERSIONS`".to_string());
    };
    let mut field = Field {
        name: name.to_string(),
        item: kind.trim_start_matches("[]").to_string(),
        is_array: kind.starts_with("[]"),
        versions: Versions::parse(versions)?,
        null: Versions::NONE,
        tag: None,
        default: None,
        is_ignorable: false,
        entity: None,
    };
    for word in rest {
        match word.split_once('=') {
            Some(("null", versions)) => {
                field.null = Versions::parse(versions)?.intersect(field.versions)
            }
            Some(("tag", tag)) => {
                let (number, tagged) = tag.split_once(':').ok_or("a tag without versions")?;
                // A field that is tagged only in some of its versions needs more than is here.
                if Versions::parse(tagged)? != field.versions {
                    return Err("its tagged versions are not its versions".to_string());
                }
                field.tag = Some(number.parse().map_err(|_| "not a tag")?);
            }
            Some(("default", value)) => field.default = Some(value.to_string()),
            Some(("entity", entity)) => field.entity = Some(entity.to_string()),
            None if *word == "ignorable" => field.is_ignorable = true,
            _ => return Err(format!("{word:?} is not known")),
        }
    }
    Ok(field)
}
