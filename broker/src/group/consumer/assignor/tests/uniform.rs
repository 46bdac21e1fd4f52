use super::{Group, sorted, topic};
use crate::group::consumer::assignor::Assignor;

fn uniform(topics: &str) -> Group {
    Group::new(Assignor::Uniform, topics)
}

#[test]
fn everybody_gets_as_much_and_something_of_each_topic() {
    let group = uniform("t 4, u 3")
        .member("a", "t u", "")
        .member("b", "t u", "");
    group.check("a: t 0 2, u 0 2; b: t 1 3, u 1");
}

#[test]
fn who_joins_takes_no_more_than_balance_demands() {
    let group = uniform("t 7")
        .member("a", "t", "t 0 1 2 3")
        .member("b", "t", "t 4 5 6");
    group
        .member("c", "t", "")
        .check("a: t 0 1; b: t 4 5 6; c: t 2 3");
}

#[test]
fn what_a_leaver_had_is_all_that_moves() {
    let group = uniform("t 7")
        .member("a", "t", "t 0 1")
        .member("c", "t", "t 5 6");
    group.check("a: t 0 1 2 4; c: t 3 5 6");
}

#[test]
fn what_is_no_more_wanted_or_is_no_more_there_is_dropped() {
    let group = uniform("t 2, u 2")
        .member("a", "t", "t 0 7, u 0 1, v 3")
        .member("b", "t u w", "t 1 -1");
    group.check("a: t 0 1; b: u 0 1");
}

#[test]
fn a_partition_that_two_had_stays_with_one() {
    let group = uniform("t 2")
        .member("b", "t", "t 0")
        .member("a", "t", "t 0");
    group.check("b: t 1; a: t 0");
}

#[test]
fn empty_topics_and_members_without_topics_get_nothing() {
    let group = uniform("t 0, u 1")
        .member("a", "t", "")
        .member("b", "u t", "")
        .member("c", "", "");
    group.check("a:; b: u 0; c:");
    assert!(uniform("t 3").assign().is_empty());
}

#[test]
fn differing_subscriptions_are_balanced_as_far_as_they_permit() {
    let group = uniform("t 6, u 2")
        .member("a", "t", "")
        .member("b", "t u", "")
        .member("c", "u", "");
    group.check("a: t 0 2 4; b: t 1 3 5; c: u 0 1");
}

/// a and c want nothing in common; b stands between them.
#[test]
fn a_partition_is_pulled_through_a_third_member() {
    let group = uniform("t 5, u 3")
        .member("a", "t", "t 0 1 2 3")
        .member("b", "t u", "t 4, u 0 1")
        .member("c", "u", "u 2");
    group.check("a: t 0 1 2; b: t 3 4, u 0; c: u 1 2");
}

#[test]
fn long_chains_are_found() {
    let mut group = uniform("t0 3, t1 2, t2 2, t3 2, t4 0").member("m0", "t0", "t0 0 1 2");
    for at in 0..4 {
        let (mine, next) = (format!("t{at}"), format!("t{}", at + 1));
        let had = if at == 3 {
            "t3 1".into()
        } else {
            format!("{next} 0 1")
        };
        group = group.member(&format!("m{}", at + 1), &format!("{mine} {next}"), &had);
    }
    let group = group.settled();
    assert_eq!(group.loads(), [2, 2, 2, 2, 1]);
}

#[test]
fn among_those_who_have_the_least_the_right_rack_comes_first() {
    let group = Group::in_racks(Assignor::Uniform, [topic("t", &["y"]), topic("u", &["x"])]);
    let group = group
        .member("a", "t", "")
        .rack("x")
        .member("b", "t u", "")
        .rack("y")
        .member("c", "u", "")
        .rack("x");
    group.check("a:; b: t 0; c: u 0");
}

/// Levelled pool by pool, one more than this moves.
#[test]
fn what_moved_out_for_nothing_comes_back() {
    let before = uniform("t 11, u 13, v 3, w 11, x 3")
        .member("a", "u v w x", "u 0 2 4 5 6 7 8 9 10 11 12, v 0 1 2")
        .member("b", "w x", "w 0 1 2 3 4 5 6 7 8 9 10, x 1 2")
        .member("c", "t u x", "t 0 1 2 3 4 5 6 7 8 9 10, u 1 3, x 0")
        .member("d", "t u v w x", "");
    let after = before.clone().settled();
    assert_eq!(sorted(after.loads()), [10, 10, 10, 11]);
    assert_eq!(after.moved_from(&before), 10);
}

#[test]
fn a_member_gets_what_its_rack_holds() {
    let group = Group::in_racks(Assignor::Uniform, [topic("t", &["y", "y", "x", "x"])]);
    let group = group
        .member("a", "t", "")
        .rack("x")
        .member("b", "t", "")
        .rack("y");
    group.check("a: t 2 3; b: t 0 1");
}

#[test]
fn a_better_rack_is_worth_a_move() {
    let group = Group::in_racks(Assignor::Uniform, [topic("t", &["y", "xy", "x", "xz"])]);
    let group = group
        .member("a", "t", "t 0 1")
        .rack("x")
        .member("b", "t", "t 2 3")
        .rack("y");
    group.check("a: t 2 3; b: t 0 1");
}

#[test]
fn a_rack_that_is_no_better_is_not_worth_a_move() {
    let group = Group::in_racks(Assignor::Uniform, [topic("t", &["xy", "xy", "z", "z"])]);
    let group = group
        .member("a", "t", "t 1 2")
        .rack("x")
        .member("b", "t", "t 0 3")
        .rack("y");
    group.check("a: t 1 2; b: t 0 3");
}

#[test]
fn balance_is_worth_more_than_racks() {
    let group = Group::in_racks(Assignor::Uniform, [topic("t", &["x", "x", "x", "x"])]);
    let group = group
        .member("a", "t", "t 0 1 2 3")
        .rack("x")
        .member("b", "t", "")
        .rack("y");
    group.check("a: t 0 1; b: t 2 3");
}

#[test]
fn the_odd_partition_goes_where_it_is_held() {
    let group = Group::in_racks(Assignor::Uniform, [topic("t", &["z"])]);
    let group = group
        .member("a", "t", "t 0")
        .rack("x")
        .member("b", "t", "")
        .rack("y")
        .member("c", "t", "")
        .rack("z");
    group.check("a:; b:; c: t 0");
}

#[test]
fn of_what_must_go_a_member_keeps_what_its_rack_holds() {
    let group = Group::in_racks(Assignor::Uniform, [topic("t", &["y", "x", "y", "x"])]);
    let group = group
        .member("a", "t", "t 0 1 2 3")
        .rack("x")
        .member("b", "t", "");
    group.check("a: t 1 3; b: t 0 2");
}
