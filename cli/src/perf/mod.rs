//! The performance tools, with the lines that people's scripts read.

pub mod consumer;
pub mod end_to_end;
pub mod producer;
mod stats;

const MIB: f64 = 1024.0 * 1024.0;

/// `--name a b` becomes `--name a --name b`, for options that take many values.
fn spread(args: &[String], names: &[&str]) -> Vec<String> {
    let mut spread = Vec::new();
    let mut current: Option<&String> = None;
    let mut values = 0;
    for arg in args {
        if arg.starts_with("--") {
            current = names
                .iter()
                .any(|name| arg.strip_prefix("--") == Some(name))
                .then_some(arg);
            values = 0;
            spread.push(arg.clone());
            continue;
        }
        if let Some(name) = current.filter(|_| values > 0) {
            spread.push(name.clone());
        }
        values += 1;
        spread.push(arg.clone());
    }
    spread
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_with_many_values_are_repeated() {
        let words = |line: &str| {
            line.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let spread = spread(&words("--a 1 --props x=1 y=2 z=3 --b 2"), &["props"]);
        assert_eq!(
            spread,
            words("--a 1 --props x=1 --props y=2 --props z=3 --b 2")
        );
    }
}
