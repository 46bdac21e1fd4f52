//! Values: from text and back, with Kafka's rules and Kafka's words for what is wrong.

use super::setting::{Setting, Valid};
use std::fmt;

/// Kafka's types of settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Boolean,
    Int,
    Short,
    Long,
    Double,
    String,
    List,
    Class,
    Password,
}

impl Kind {
    /// The number that DescribeConfigs gives it.
    pub fn id(self) -> i8 {
        match self {
            Kind::Boolean => 1,
            Kind::String => 2,
            Kind::Int => 3,
            Kind::Short => 4,
            Kind::Long => 5,
            Kind::Double => 6,
            Kind::List => 7,
            Kind::Class => 8,
            Kind::Password => 9,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Kind::Boolean => "BOOLEAN",
            Kind::Int => "INT",
            Kind::Short => "SHORT",
            Kind::Long => "LONG",
            Kind::Double => "DOUBLE",
            Kind::String => "STRING",
            Kind::List => "LIST",
            Kind::Class => "CLASS",
            Kind::Password => "PASSWORD",
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Boolean(bool),
    /// Int, Short and Long; within the bounds of its kind.
    Number(i64),
    Double(f64),
    /// String, Class and Password.
    Text(String),
    List(Vec<String>),
}

impl fmt::Display for Value {
    /// As Kafka writes it back.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Boolean(value) => write!(f, "{value}"),
            Value::Number(value) => write!(f, "{value}"),
            Value::Double(value) => f.write_str(&java_double(*value)),
            Value::Text(value) => f.write_str(value),
            Value::List(items) => f.write_str(&items.join(",")),
        }
    }
}

/// Java turns to an exponent outside of 10^-3 to 10^7.
fn java_double(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude == 0.0 || (1e-3..1e7).contains(&magnitude) {
        return format!("{value:?}");
    }
    let text = format!("{value:E}");
    match text.split_once('E') {
        Some((mantissa, exponent)) if !mantissa.contains('.') => format!("{mantissa}.0E{exponent}"),
        _ => text,
    }
}

/// What is wrong with a value. The words are Kafka's: clients show and compare them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    #[error("Invalid value {value} for configuration {name}: {reason}")]
    Value {
        name: &'static str,
        value: String,
        reason: String,
    },
    #[error("Configuration '{name}' values must not be empty.")]
    EmptyItem { name: &'static str },
}

impl Setting {
    pub fn parse(&self, text: &str) -> Result<Value, Invalid> {
        let text = text.trim();
        let value = self
            .typed(text)
            .map_err(|reason| self.invalid(text, reason))?;
        self.check(&value, text)?;
        Ok(value)
    }

    /// The default, already parsed. Each row's default is checked by a test.
    pub fn default_value(&self) -> Option<Value> {
        let text = self.default?;
        self.typed(text).ok()
    }

    fn typed(&self, text: &str) -> Result<Value, String> {
        let number = |min: i64, max: i64| match text.parse::<i64>() {
            Ok(value) if (min..=max).contains(&value) => Ok(Value::Number(value)),
            _ => Err(format!("Not a number of type {}", self.kind.name())),
        };
        match self.kind {
            Kind::Boolean if text.eq_ignore_ascii_case("true") => Ok(Value::Boolean(true)),
            Kind::Boolean if text.eq_ignore_ascii_case("false") => Ok(Value::Boolean(false)),
            Kind::Boolean => Err("Expected value to be either true or false".to_owned()),
            Kind::Int => number(i32::MIN.into(), i32::MAX.into()),
            Kind::Short => number(i16::MIN.into(), i16::MAX.into()),
            Kind::Long => number(i64::MIN, i64::MAX),
            Kind::Double => match text.parse::<f64>() {
                Ok(value) if value.is_finite() => Ok(Value::Double(value)),
                _ => Err("Not a number of type DOUBLE".to_owned()),
            },
            Kind::String | Kind::Class | Kind::Password => Ok(Value::Text(text.to_owned())),
            Kind::List if text.is_empty() => Ok(Value::List(Vec::new())),
            Kind::List => {
                let mut items: Vec<String> = Vec::new();
                for item in text.split(',').map(str::trim) {
                    // Kafka keeps the first of duplicates, too.
                    if !items.iter().any(|other| other == item) {
                        items.push(item.to_owned());
                    }
                }
                Ok(Value::List(items))
            }
        }
    }

    fn check(&self, value: &Value, text: &str) -> Result<(), Invalid> {
        let refuse = |reason: String| Err(self.invalid(text, reason));
        match (self.valid, value) {
            (_, Value::List(items)) if items.iter().any(String::is_empty) => {
                Err(Invalid::EmptyItem { name: self.name })
            }
            (Valid::AtLeast(min), Value::Number(n)) if *n < min => refuse(at_least(min)),
            (Valid::Between(min, _), Value::Number(n)) if *n < min => refuse(at_least(min)),
            (Valid::Between(_, max), Value::Number(n)) if *n > max => refuse(at_most(max)),
            (Valid::BetweenOr(min, max, or), Value::Number(n))
                if *n != or && !(min..=max).contains(n) =>
            {
                refuse(format!(
                    "Value must be between {min} and {max} or equal to {or}"
                ))
            }
            (Valid::Within(min, _), Value::Double(n)) if *n < min => refuse(at_least(min)),
            (Valid::Within(_, max), Value::Double(n)) if *n > max => refuse(at_most(max)),
            (Valid::OneOf(options), Value::Text(text)) if !options.contains(&text.as_str()) => {
                refuse(one_of(options))
            }
            (Valid::OneOfAnyCase(options), Value::Text(text))
                if !options.iter().any(|o| o.eq_ignore_ascii_case(text)) =>
            {
                refuse(format!(
                    "String must be one of (case insensitive): {}",
                    options.join(", ")
                ))
            }
            (Valid::Items(options), Value::List(items)) => {
                match items.iter().find(|item| !options.contains(&item.as_str())) {
                    Some(item) => Err(self.invalid(item, one_of(options))),
                    None => Ok(()),
                }
            }
            (Valid::NonEmpty, Value::Text(text)) if text.is_empty() => {
                refuse("String must be non-empty".to_owned())
            }
            (Valid::Replicas, Value::List(items)) if !are_replicas(items) => {
                let text = format!("[{}]", items.join(", "));
                Err(self.invalid(
                    &text,
                    format!(
                        "{} must be the literal '*' or a list of replicas in the following format: \
                         [partitionId]:[brokerId],[partitionId]:[brokerId],...",
                        self.name
                    ),
                ))
            }
            _ => Ok(()),
        }
    }

    fn invalid(&self, text: &str, reason: String) -> Invalid {
        let value = if self.is_sensitive() {
            "[hidden]".to_owned()
        } else {
            text.to_owned()
        };
        Invalid::Value {
            name: self.name,
            value,
            reason,
        }
    }
}

fn at_least(min: impl fmt::Display) -> String {
    format!("Value must be at least {min}")
}

fn at_most(max: impl fmt::Display) -> String {
    format!("Value must be no more than {max}")
}

fn one_of(options: &[&str]) -> String {
    format!("String must be one of: {}", options.join(", "))
}

fn are_replicas(items: &[String]) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let is_pair = |item: &String| {
        let pair = item.split_once(':');
        pair.is_some_and(|(partition, broker)| is_number(partition) && is_number(broker))
    };
    items.iter().all(is_pair) || (items.len() == 1 && items[0] == "*")
}
