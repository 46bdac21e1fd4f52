//! Two columns: the options and what they mean, within eighty characters.

use super::{Opt, Spec, Takes};

const LEFT: usize = 39;
const RIGHT: usize = 39;

impl Spec {
    pub fn help(&self) -> String {
        let mut options: Vec<&Opt> = self.all().collect();
        options.sort_by_key(|option| option.name);
        let mut text = row("Option", "Description");
        text.push_str(&row("------", "-----------"));
        for option in options {
            let left = match option.takes {
                Takes::Nothing => format!("--{}", option.name),
                Takes::Value(what) => format!("--{} <{what}>", option.name),
                Takes::MaybeValue(what) => format!("--{} [{what}]", option.name),
            };
            let left = wrap(&left, LEFT);
            let right = wrap(option.about, RIGHT);
            for line in 0..left.len().max(right.len()) {
                let cell = |lines: &[String]| lines.get(line).cloned().unwrap_or_default();
                text.push_str(&row(&cell(&left), &cell(&right)));
            }
        }
        text.truncate(text.trim_end().len());
        text
    }
}

fn row(left: &str, right: &str) -> String {
    format!("{left:LEFT$}  {right}").trim_end().to_owned() + "\n"
}

/// At blanks; lines after the first are set in by two.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for paragraph in text.split('\n') {
        let mut line = String::new();
        for word in paragraph.split(' ') {
            if !line.trim().is_empty() && line.len() + 1 + word.len() > width {
                lines.push(std::mem::replace(&mut line, "  ".to_owned()));
                line.push_str(word);
                continue;
            }
            if !line.is_empty() && !line.ends_with(' ') {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::super::{flag, value};
    use super::*;
    use expect_test::expect;

    #[test]
    fn help_is_sorted_and_stays_within_eighty_columns() {
        const SPEC: Spec = Spec {
            about: "",
            options: &[
                value(
                    "topic",
                    "String: a name that is rather long",
                    "The topic to create, alter, describe or delete.",
                ),
                flag("list", "List all."),
            ],
        };
        let help = SPEC.help();
        assert!(help.lines().all(|line| line.len() <= 80), "{help}");
        expect![[r#"
            Option                                   Description
            ------                                   -----------
            --help                                   Print usage information.
            --list                                   List all.
            --topic <String: a name that is rather   The topic to create, alter, describe or
              long>                                    delete.
            --version                                Display the version of these tools."#]]
        .assert_eq(&help);
    }
}
