//! What Apache Kafka's own classes wrote (`wire/tests/golden/`), as seeds.

const MESSAGES: &str = include_str!("../../../wire/tests/golden/messages.txt");
const BATCHES: &str = include_str!("../../../wire/tests/golden/java.txt");

/// The words of each line; `Messages.java` says what they are. No line has fewer than four.
pub fn messages() -> impl Iterator<Item = Vec<&'static str>> {
    MESSAGES
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>())
        .filter(|words| words.len() >= 4)
}

pub fn batches() -> impl Iterator<Item = Vec<u8>> {
    BATCHES
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(_, hex)| bytes(hex))
}

/// Of hexadecimal digits; `-` stands for none.
pub fn bytes(hex: &str) -> Vec<u8> {
    let hex = hex.trim_matches('-');
    let digits = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal");
    (0..hex.len()).step_by(2).map(digits).collect()
}

pub fn number(text: &str) -> u8 {
    text.parse().expect("a number of a byte")
}
