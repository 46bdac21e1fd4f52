//! What a setting is: a row of the tables.

use super::value::Kind;
use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Setting {
    /// Kafka's own, or one that starts with `millrace.`.
    pub name: &'static str,
    pub kind: Kind,
    /// As it would be written; `None` where Kafka has null or demands a value.
    pub default: Option<&'static str>,
    pub valid: Valid,
    pub importance: Importance,
    pub scope: Scope,
    pub served: Served,
    /// A topic's or a group's setting's defaults among the broker's settings, first the one that wins.
    pub synonyms: &'static [Synonym],
    pub doc: &'static str,
}

/// Which values of its kind a setting takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Valid {
    Any,
    AtLeast(i64),
    Between(i64, i64),
    BetweenOr(i64, i64, i64),
    /// Bounds of a floating-point number.
    Within(f64, f64),
    OneOf(&'static [&'static str]),
    OneOfAnyCase(&'static [&'static str]),
    /// Each item of a list.
    Items(&'static [&'static str]),
    NonEmpty,
    /// `*`, or `partition:broker,partition:broker,...`
    Replicas,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Importance {
    High,
    Medium,
    Low,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Of a broker, read when it starts.
    ReadOnly,
    /// As `ReadOnly`, and Kafka lists it nowhere.
    Internal,
    /// Of a broker, and may be changed while it runs.
    PerBroker,
    /// The same, and all brokers may be given one value at once.
    ClusterWide,
    /// As `ClusterWide`, and only while it runs.
    DynamicOnly,
    Topic,
    Group,
}

impl Scope {
    pub fn is_dynamic(self) -> bool {
        matches!(
            self,
            Scope::PerBroker | Scope::ClusterWide | Scope::DynamicOnly
        )
    }

    /// Kafka lists it whether it is set or not.
    pub fn is_listed(self) -> bool {
        !matches!(self, Scope::Internal | Scope::DynamicOnly)
    }
}

/// What comes of a setting here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Served {
    Served,
    /// Taken with a warning: why it has no effect.
    Accepted(&'static str),
    /// A value other than the default is an error: why, and what to use.
    Refused(&'static str),
}

/// A broker's setting that a topic's or a group's falls back to, and by what its number is multiplied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Synonym {
    pub name: &'static str,
    pub factor: i64,
}

impl Setting {
    /// Its value is shown to nobody.
    pub fn is_sensitive(&self) -> bool {
        self.kind == Kind::Password
    }

    /// The environment variable that sets it: `num.partitions` is `MILLRACE_NUM_PARTITIONS`. The product's own settings
    /// carry the prefix already.
    pub fn variable(&self) -> String {
        let name = self.name.strip_prefix("millrace.").unwrap_or(self.name);
        format!("MILLRACE_{}", name.replace('.', "_").to_uppercase())
    }
}

impl fmt::Display for Valid {
    /// In Kafka's notation, as in `[1,...]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Valid::Any => f.write_str("any"),
            Valid::AtLeast(min) => write!(f, "[{min},...]"),
            Valid::Between(min, max) => write!(f, "[{min},...,{max}]"),
            Valid::BetweenOr(min, max, or) => write!(f, "[{min},...,{max}] or {or}"),
            Valid::Within(min, max) => write!(f, "[{min},...,{max}]"),
            Valid::OneOf(options) | Valid::Items(options) => write!(f, "[{}]", options.join(", ")),
            Valid::OneOfAnyCase(options) => {
                write!(f, "(case insensitive) [{}]", options.join(", "))
            }
            Valid::NonEmpty => f.write_str("non-empty string"),
            Valid::Replicas => f.write_str("* or partition:broker,partition:broker,..."),
        }
    }
}
