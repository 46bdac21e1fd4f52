use super::{Group, topic};
use crate::group::consumer::assignor::Assignor;

fn range(topics: &str) -> Group {
    Group::new(Assignor::Range, topics)
}

#[test]
fn everybody_gets_a_run_and_the_first_ones_one_more() {
    let group = range("t 8")
        .member("b", "t", "")
        .member("c", "t", "")
        .member("a", "t", "");
    group.check("b: t 3 4 5; c: t 6 7; a: t 0 1 2");
}

#[test]
fn topics_alike_are_laid_out_alike() {
    let group = range("t 5, u 5, v 2")
        .member("a", "t u v", "")
        .member("b", "t u v", "");
    group.check("a: t 0 1 2, u 0 1 2, v 0; b: t 3 4, u 3 4, v 1");
}

#[test]
fn a_new_topic_is_laid_out_as_the_others_are() {
    let group = range("t 4, u 4")
        .member("a", "t u", "t 2 3")
        .member("b", "t u", "t 0 1");
    group.check("a: t 2 3, u 2 3; b: t 0 1, u 0 1");
}

#[test]
fn topics_with_other_subscribers_are_shared_by_those() {
    let group = range("t 4, u 4")
        .member("a", "t", "")
        .member("b", "t u", "");
    group.check("a: t 0 1; b: t 2 3, u 0 1 2 3");
}

#[test]
fn static_members_come_first_and_by_their_instances() {
    let group = range("t 3")
        .member("a", "t", "")
        .member("b", "t", "")
        .instance("z")
        .member("c", "t", "")
        .instance("y");
    group.check("a: t 2; b: t 1; c: t 0");
}

#[test]
fn a_static_member_comes_back_to_its_place() {
    let before = range("t 6")
        .member("a", "t", "")
        .instance("1")
        .member("b", "t", "")
        .instance("2")
        .member("c", "t", "");
    let group = before.clone().settled();
    let back = group
        .clone()
        .without("a")
        .member("z", "t", "")
        .instance("1");
    back.check("b: t 2 3; c: t 4 5; z: t 0 1");
    let back = group.without("b").member("z", "t", "").instance("2");
    back.check("a: t 0 1; c: t 4 5; z: t 2 3");
}

#[test]
fn who_replaces_somebody_gets_what_that_one_had() {
    let group = range("t 7")
        .member("b", "t", "")
        .member("c", "t", "")
        .member("d", "t", "")
        .settled();
    let group = group.without("c").member("a", "t", "");
    group.check("b: t 0 1 2; d: t 5 6; a: t 3 4");
}

#[test]
fn who_joins_pushes_the_middle_apart() {
    let group = range("t 12")
        .member("b", "t", "")
        .member("c", "t", "")
        .settled();
    group
        .member("a", "t", "")
        .check("b: t 0 1 2 3; c: t 8 9 10 11; a: t 4 5 6 7");
}

#[test]
fn who_has_one_more_keeps_it() {
    let group = range("t 5")
        .member("a", "t", "t 0 1")
        .member("b", "t", "t 2 3 4");
    group.check("a: t 0 1; b: t 2 3 4");
}

#[test]
fn more_members_than_partitions_leave_some_with_nothing() {
    let group = range("t 2")
        .member("a", "t", "")
        .member("b", "t", "t 0")
        .member("c", "t", "t 1");
    group.check("a:; b: t 0; c: t 1");
}

#[test]
fn what_is_no_more_wanted_or_is_no_more_there_is_dropped() {
    let group = range("t 2, u 1, w 0")
        .member("a", "t w", "t 1 5, u 0")
        .member("b", "u w", "t 0, v 1");
    group.check("a: t 0 1; b: u 0");
}

#[test]
fn newcomers_get_runs_that_their_racks_hold() {
    let replicas = ["y", "y", "x", "x"];
    let group = Group::in_racks(
        Assignor::Range,
        [topic("t", &replicas), topic("u", &replicas)],
    );
    let group = group
        .member("a", "t u", "")
        .rack("x")
        .member("b", "t u", "")
        .rack("y");
    group.check("a: t 2 3, u 2 3; b: t 0 1, u 0 1");
}

#[test]
fn runs_move_if_that_matches_more_than_half_of_what_moves() {
    let members = |racks: [&str; 4]| {
        let group = Group::in_racks(Assignor::Range, [topic("t", &racks)]);
        let group = group.member("a", "t", "t 0 1").rack("x");
        group.member("b", "t", "t 2 3").rack("y")
    };
    members(["xy", "y", "x", "xy"]).check("a: t 0 1; b: t 2 3");
    members(["y", "y", "x", "y"]).check("a: t 0 1; b: t 2 3");
    members(["y", "y", "x", "xy"]).check("a: t 2 3; b: t 0 1");
}
