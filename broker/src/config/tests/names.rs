//! Topic names. The words are Kafka's.

use crate::config::topic_name::{check_collision, collision_key};
use crate::config::{nearest::nearest, table, topic_name};
use expect_test::{Expect, expect};

#[track_caller]
fn check(name: &str, expected: Expect) {
    let shown =
        topic_name::check(name).map_or_else(|error| error.to_string(), |()| "ok".to_owned());
    expected.assert_eq(&shown);
}

#[test]
fn legal_names_are_taken() {
    check("quickstart-events", expect!["ok"]);
    check("__consumer_offsets", expect!["ok"]);
    check("a.b_C-9", expect!["ok"]);
    check("...", expect!["ok"]);
    check(&"a".repeat(249), expect!["ok"]);
}

#[test]
fn illegal_names_are_refused_in_kafka_s_words() {
    check(
        "",
        expect!["Topic name is invalid: the empty string is not allowed"],
    );
    check(".", expect!["Topic name is invalid: '.' is not allowed"]);
    check("..", expect!["Topic name is invalid: '..' is not allowed"]);
    check(
        "a b",
        expect![
            "Topic name is invalid: 'a b' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
        ],
    );
    check(
        "ä",
        expect![
            "Topic name is invalid: 'ä' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
        ],
    );
    let long = "a".repeat(250);
    let error = topic_name::check(&long).expect_err("it is too long");
    assert_eq!(
        error.to_string(),
        format!(
            "Topic name is invalid: the length of '{long}' is longer than the max allowed length 249"
        )
    );
}

#[test]
fn a_dot_and_an_underscore_collide() {
    assert_eq!(collision_key("a.b_c"), "a_b_c");
    assert_eq!(check_collision("a.b", "a.b"), Ok(()));
    assert_eq!(check_collision("a.b", "a-b"), Ok(()));
    let error = check_collision("a.b", "a_b").expect_err("they differ in a dot only");
    assert_eq!(
        error.to_string(),
        "Topic 'a.b' collides with existing topic: a_b"
    );
}

#[test]
fn a_slip_of_the_pen_finds_its_name() {
    let near = |name: &str| nearest(name, table::broker_settings().map(|row| row.name));
    assert_eq!(near("num.partition")[0], "num.partitions");
    assert_eq!(near("log.retnetion.ms")[0], "log.retention.ms");
    assert_eq!(near("LISTENERS"), Vec::<&str>::new());
    assert_eq!(near("frobnicate.the.whole.thing"), Vec::<&str>::new());
    assert_eq!(near(&"x".repeat(100_000)), Vec::<&str>::new());
}
