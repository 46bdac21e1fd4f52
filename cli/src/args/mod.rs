//! Options as Kafka's tools take them, with the messages of the library that Kafka uses for them: people's scripts know them.
//!
//! `--name value` and `--name=value`; an option may be given again; no abbreviations. What belongs to no option is refused: Kafka
//! ignores it, and `--delete --topic a b` would seem to have deleted both.

mod help;

use crate::failure::Failure;
use std::collections::BTreeMap;
use std::str::FromStr;

#[derive(Clone, Copy, Debug)]
pub enum Takes {
    Nothing,
    /// What the value stands for, as help shows it: `String: topic`.
    Value(&'static str),
    /// The value may be left out.
    MaybeValue(&'static str),
}

#[derive(Clone, Copy, Debug)]
pub struct Opt {
    pub name: &'static str,
    pub takes: Takes,
    pub about: &'static str,
}

pub const fn flag(name: &'static str, about: &'static str) -> Opt {
    Opt {
        name,
        takes: Takes::Nothing,
        about,
    }
}

pub const fn value(name: &'static str, what: &'static str, about: &'static str) -> Opt {
    Opt {
        name,
        takes: Takes::Value(what),
        about,
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Spec {
    pub about: &'static str,
    pub options: &'static [Opt],
}

const HELP: Opt = flag("help", "Print usage information.");
const VERSION: Opt = flag("version", "Display the version of these tools.");

#[derive(Clone, Debug)]
pub struct Args {
    spec: Spec,
    given: BTreeMap<&'static str, Vec<Option<String>>>,
}

impl Spec {
    fn all(&self) -> impl Iterator<Item = &'static Opt> {
        self.options.iter().chain([&HELP, &VERSION])
    }

    /// `--help` and `--version` end here, in the failure that prints them.
    pub fn parse(&self, args: &[String]) -> Result<Args, Failure> {
        let (words, parsed) = self.split(args)?;
        match words.first() {
            Some(word) => Err(Failure::plain(format!("{word} belongs to no option"))),
            None => Ok(parsed),
        }
    }

    /// The same of a tool that is told what to do by one word, which may stand before or behind options.
    pub fn parse_command(
        &self,
        args: &[String],
        commands: &[&'static str],
    ) -> Result<(Option<&'static str>, Args), Failure> {
        let (words, parsed) = self.split(args)?;
        let Some(word) = words.first() else {
            return Ok((None, parsed));
        };
        let Some(command) = commands.iter().find(|command| *command == word) else {
            let choices = commands.join("','");
            return Err(Failure::plain(format!(
                "invalid choice: '{word}' (choose from '{choices}')"
            )));
        };
        match words.get(1) {
            Some(word) => Err(Failure::plain(format!("unrecognized arguments: '{word}'"))),
            None => Ok((Some(command), parsed)),
        }
    }

    /// What belongs to no option, and the options.
    fn split<'a>(&self, args: &'a [String]) -> Result<(Vec<&'a str>, Args), Failure> {
        let mut words = Vec::new();
        let mut given: BTreeMap<&'static str, Vec<Option<String>>> = BTreeMap::new();
        let mut tokens = args.iter().peekable();
        while let Some(token) = tokens.next() {
            let Some(option) = token
                .strip_prefix("--")
                .or_else(|| token.strip_prefix('-').filter(|rest| !rest.is_empty()))
            else {
                words.push(token.as_str());
                continue;
            };
            let (name, attached) = match option.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (option, None),
            };
            let Some(known) = self.all().find(|known| known.name == name) else {
                return Err(Failure::plain(format!("{name} is not a recognized option")));
            };
            let value = match (known.takes, attached) {
                (Takes::Nothing, None) => None,
                (Takes::Nothing, Some(_)) => {
                    return Err(Failure::plain(format!("Option {name} takes no argument")));
                }
                (Takes::Value(_) | Takes::MaybeValue(_), Some(value)) => Some(value),
                (Takes::Value(_), None) => match tokens.next() {
                    Some(value) => Some(value.clone()),
                    None => {
                        return Err(Failure::plain(format!(
                            "Option {name} requires an argument"
                        )));
                    }
                },
                (Takes::MaybeValue(_), None) => {
                    tokens.next_if(|next| !next.starts_with('-')).cloned()
                }
            };
            given.entry(known.name).or_default().push(value);
        }
        let args = Args { spec: *self, given };
        if args.has("help") {
            return Err(Failure::plain(format!("{}\n{}", self.about, self.help())));
        }
        if args.has("version") {
            return Err(Failure::version());
        }
        Ok((words, args))
    }

    /// What is wrong with the options as a whole, and which there are.
    pub fn usage(&self, message: impl AsRef<str>) -> Failure {
        Failure::plain(format!("{}\n{}", message.as_ref(), self.help()))
    }
}

impl Args {
    pub fn has(&self, name: &str) -> bool {
        self.given.contains_key(name)
    }

    pub fn usage(&self, message: impl AsRef<str>) -> Failure {
        self.spec.usage(message)
    }

    /// The only value of an option.
    pub fn value(&self, name: &str) -> Result<Option<&str>, Failure> {
        match self.given.get(name).map(Vec::as_slice) {
            None | Some([]) => Ok(None),
            Some([value]) => Ok(value.as_deref()),
            Some(_) => Err(Failure::plain(format!(
                "Found multiple arguments for option {name}, but you asked for only one"
            ))),
        }
    }

    pub fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.given
            .get(name)
            .into_iter()
            .flatten()
            .filter_map(|value| value.as_deref())
    }

    pub fn number<T: FromStr>(&self, name: &str) -> Result<Option<T>, Failure> {
        let Some(text) = self.value(name)? else {
            return Ok(None);
        };
        match text.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(Failure::plain(format!(
                "Cannot parse argument '{text}' of option {name}"
            ))),
        }
    }

    pub fn require(&self, names: &[&str]) -> Result<(), Failure> {
        match names.iter().find(|name| !self.has(name)) {
            Some(missing) => Err(self.usage(format!("Missing required argument \"[{missing}]\""))),
            None => Ok(()),
        }
    }

    /// `name` must not stand beside any of `others`.
    pub fn forbid(&self, name: &str, others: &[&str]) -> Result<(), Failure> {
        if !self.has(name) {
            return Ok(());
        }
        match others.iter().find(|other| self.has(other)) {
            Some(other) => Err(self.usage(format!(
                "Option \"[{name}]\" can't be used with option \"[{other}]\""
            ))),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPEC: Spec = Spec {
        about: "This tool helps.",
        options: &[
            flag("list", "List all."),
            value("topic", "String: topic", "The topic."),
            Opt {
                name: "codec",
                takes: Takes::MaybeValue("String: codec"),
                about: "The codec.",
            },
        ],
    };

    fn parse(line: &str) -> Result<Args, Failure> {
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        SPEC.parse(&args)
    }

    #[test]
    fn options_take_values_after_a_blank_or_an_equals_sign() {
        let args = parse("--topic a --list").expect("options");
        assert_eq!(args.value("topic").expect("one"), Some("a"));
        assert!(args.has("list"));
        let args = parse("--topic=a=b").expect("options");
        assert_eq!(args.value("topic").expect("one"), Some("a=b"));
        let args = parse("--codec --list").expect("options");
        assert!(args.has("codec") && args.has("list"));
        assert_eq!(args.value("codec").expect("one"), None);
    }

    #[test]
    fn a_command_stands_anywhere_among_the_options() {
        let check = |line: &str| {
            let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            let parsed = SPEC.parse_command(&args, &["start", "stop"]);
            parsed.map(|(command, _)| command).map_err(|f| f.stderr)
        };
        assert_eq!(check("--topic a start --list"), Ok(Some("start")));
        assert_eq!(check("stop --topic start"), Ok(Some("stop")));
        assert_eq!(check("--list"), Ok(None));
        assert_eq!(
            check("go"),
            Err("invalid choice: 'go' (choose from 'start','stop')".to_owned())
        );
        assert_eq!(
            check("start stop"),
            Err("unrecognized arguments: 'stop'".to_owned())
        );
    }

    fn refused(line: &str) -> String {
        parse(line).expect_err("refused").stderr
    }

    #[test]
    fn mistakes_are_named_as_kafkas_library_names_them() {
        assert_eq!(refused("--topic a b"), "b belongs to no option");
        assert_eq!(refused("--foo"), "foo is not a recognized option");
        assert_eq!(refused("--topic"), "Option topic requires an argument");
        let twice = parse("--topic a --topic b")
            .expect("options")
            .value("topic")
            .expect_err("twice");
        assert_eq!(
            twice.stderr,
            "Found multiple arguments for option topic, but you asked for only one"
        );
        let number = parse("--topic a")
            .expect("options")
            .number::<i32>("topic")
            .expect_err("none");
        assert_eq!(number.stderr, "Cannot parse argument 'a' of option topic");
        let missing = parse("--list")
            .expect("options")
            .require(&["list", "topic"])
            .expect_err("missing");
        assert!(
            missing
                .stderr
                .starts_with("Missing required argument \"[topic]\"\nOption ")
        );
        let both = parse("--list --topic a")
            .expect("options")
            .forbid("topic", &["list"])
            .expect_err("both");
        assert!(
            both.stderr
                .starts_with("Option \"[topic]\" can't be used with option \"[list]\"\n")
        );
    }
}
