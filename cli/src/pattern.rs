//! Java's regular expressions for topics, as Kafka's tools take them: a comma separates alternatives.

use crate::failure::Failure;
use regex::Regex;

/// Matches the whole name.
#[derive(Clone, Debug)]
pub struct Included(Regex);

impl Included {
    pub fn parse(text: &str) -> Result<Included, Failure> {
        let trimmed = text.trim().replace(',', "|").replace(' ', "");
        let bare = trimmed.trim_matches(|c| c == '"' || c == '\'');
        let anchored = format!("^(?:{bare})$");
        let regex = Regex::new(&anchored)
            .map_err(|_| Failure::plain(format!("{bare} is an invalid regex.")))?;
        Ok(Included(regex))
    }

    pub fn matches(&self, topic: &str) -> bool {
        self.0.is_match(topic)
    }
}

/// Kafka's internal topics, for brokers that do not say.
pub fn is_internal(topic: &str) -> bool {
    matches!(
        topic,
        "__consumer_offsets" | "__transaction_state" | "__share_group_state"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_name_must_match_one_of_the_alternatives() {
        let check = |pattern: &str, topic: &str, expected: bool| {
            let included = Included::parse(pattern).expect("a pattern");
            assert_eq!(included.matches(topic), expected, "{pattern} on {topic}");
        };
        check("a", "a", true);
        check("a", "ab", false);
        check("a, b", "b", true);
        check("'t.*'", "topic", true);
        check("a|b", "ab", false);
        assert!(Included::parse("(").is_err());
    }
}
