//! The `.properties` format. The expectations are what `java.util.Properties` of JDK 17 made of the same text.

use expect_test::{Expect, expect};
use millrace_wire::properties::{Error, Properties};
use proptest::prelude::*;
use std::fmt::Write as _;

#[track_caller]
fn check(text: &str, expected: Expect) {
    let shown = match Properties::parse(text) {
        Ok(properties) => properties.iter().fold(String::new(), |mut shown, entry| {
            let (line, name, value) = (entry.line, &entry.name, &entry.value);
            writeln!(shown, "{line}: {name:?} = {value:?}").expect("a string takes any text");
            shown
        }),
        Err(error) => error.to_string(),
    };
    expected.assert_eq(&shown);
}

#[test]
fn names_end_at_equals_colon_or_blank() {
    check(
        "a=1\nb:2\nc 3\n d = 4 \ne\t:\t5\nf  6\ng==7\nh\nk =\n=l",
        expect![[r#"
            1: "a" = "1"
            2: "b" = "2"
            3: "c" = "3"
            4: "d" = "4 "
            5: "e" = "5"
            6: "f" = "6"
            7: "g" = "=7"
            8: "h" = ""
            9: "k" = ""
            10: "" = "l"
        "#]],
    );
}

#[test]
fn comments_and_blank_lines_are_passed_over() {
    check(
        "# a=1\n! b=2\n\n  \t\n  # c\\\nd=4 # no comment\r\ne=5\rf=6",
        expect![[r##"
            6: "d" = "4 # no comment"
            7: "e" = "5"
            8: "f" = "6"
        "##]],
    );
}

#[test]
fn a_backslash_at_the_end_joins_lines() {
    check(
        "a=1,\\\n   2,\\\n\t3\nb=x\\\\\nc=y\\\n# not a comment\nd=z\\",
        expect![[r##"
            1: "a" = "1,2,3"
            4: "b" = "x\\"
            5: "c" = "y# not a comment"
            7: "d" = "z"
        "##]],
    );
}

#[test]
fn a_lone_backslash_at_the_end_is_no_entry() {
    check(
        "a=1\n\\\n",
        expect![[r#"
        1: "a" = "1"
    "#]],
    );
}

#[test]
fn escapes_are_taken_out() {
    check(
        r"a\ b\=c\:d=\t\n\r\f\q\#\u0041\u00e9\ud83d\ude00",
        expect![[r##"
            1: "a b=c:d" = "\t\n\r\u{c}q#Aé😀"
        "##]],
    );
}

#[test]
fn the_last_of_duplicates_wins() {
    check(
        "a=1\nb=2\na=3",
        expect![[r#"
            2: "b" = "2"
            3: "a" = "3"
        "#]],
    );
}

#[test]
fn a_broken_escape_is_named_with_its_line() {
    check(
        "a=1\nb=\\u12",
        expect![[r"line 2: \u must be followed by four hexadecimal digits, as in \u00e9"]],
    );
    check(
        "a=\\ud83d!",
        expect![[r"line 1: \ud83d is one half of a surrogate pair; write both halves"]],
    );
    check(
        "a=\\u+123",
        expect![[r"line 1: \u must be followed by four hexadecimal digits, as in \u00e9"]],
    );
}

#[test]
fn a_lossy_reader_replaces_broken_escapes() {
    let read = |text: &str| Properties::parse_lossy(text).get("a").map(str::to_owned);
    assert_eq!(read("a=x\\u12yz").as_deref(), Some("x\u{fffd}12yz"));
    assert_eq!(read("a=\\ud83d!").as_deref(), Some("\u{fffd}!"));
    assert_eq!(read("a=\\ud83d\\ude00").as_deref(), Some("😀"));
}

#[test]
fn what_is_set_wins_and_stands_last() {
    let mut properties = Properties::parse("a=1\n\nb=2").expect("well formed");
    properties.set("a", "3");
    let listed: Vec<_> = properties
        .iter()
        .map(|e| (e.name.as_str(), e.line))
        .collect();
    assert_eq!(listed, [("b", 3), ("a", 4)]);
    assert_eq!(properties.get("a"), Some("3"));
}

#[test]
fn bytes_that_are_no_utf8_are_latin1() {
    let properties = Properties::parse_bytes(b"a=\xe9").expect("any byte is a character");
    assert_eq!(properties.get("a"), Some("é"));
    let properties = Properties::parse_bytes("a=é".as_bytes()).expect("it is UTF-8");
    assert_eq!(properties.get("a"), Some("é"));
}

#[test]
fn a_file_without_end_is_refused() {
    let text = "a".repeat((1 << 20) + 1);
    assert_eq!(
        Properties::parse(&text),
        Err(Error::TooLarge {
            bytes: (1 << 20) + 1
        })
    );
}

proptest! {
    #[test]
    fn what_is_written_reads_back(pairs in prop::collection::vec((".{0,12}", ".{0,20}"), 0..8)) {
        let properties: Properties = pairs.into_iter().collect();
        prop_assert_eq!(Properties::parse(&properties.to_text()), Ok(properties));
    }

    #[test]
    fn any_text_is_read_or_refused_and_reads_back(text in r"[ab =:\\\n\r\t\x0c#!u0-9d\u{e9}]{0,60}") {
        let lossy = Properties::parse_lossy(&text);
        if let Ok(properties) = Properties::parse(&text) {
            prop_assert_eq!(&lossy, &properties);
            let again = Properties::parse(&properties.to_text()).expect("what was written is well formed");
            let pairs = |p: &Properties| -> Vec<_> {
                p.iter().map(|e| (e.name.clone(), e.value.clone())).collect()
            };
            prop_assert_eq!(pairs(&again), pairs(&properties));
        }
    }
}
