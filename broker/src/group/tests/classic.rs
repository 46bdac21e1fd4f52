//! Classic groups.

use super::play::check;
use expect_test::expect;

#[test]
fn members_that_start_together_get_one_generation() {
    check(
        "
        join g a range,sticky
        advance 2000
        join g b sticky,range
        join g c range
        advance 1000
        advance 3000
        sync g a 1 a=0 b=1 c=2
        sync g b 1
        sync g c 1
        heartbeat g b 1
        ",
        expect![[r#"
            > join g a range,sticky
            > advance 2000
            > join g b sticky,range
            > join g c range
            > advance 1000
            > advance 3000
              a joins: a is in generation 1 range leader a [a a:range, b b:range, c c:range]
              b joins: b is in generation 1 range leader a []
              c joins: c is in generation 1 range leader a []
            > sync g a 1 a=0 b=1 c=2
              + group g generation 1 range leader a [a=0 b=1 c=2]
              a syncs: does "0"
            > sync g b 1
              b syncs: does "1"
            > sync g c 1
              c syncs: does "2"
            > heartbeat g b 1
              ok
        "#]],
    );
}

#[test]
fn a_follower_that_syncs_first_waits_for_the_leader() {
    check(
        "
        join g a range
        join g b range
        advance 3000
        advance 3000
        sync g b 1
        sync g a 1 a=0 b=1
        ",
        expect![[r#"
            > join g a range
            > join g b range
            > advance 3000
            > advance 3000
              a joins: a is in generation 1 range leader a [a a:range, b b:range]
              b joins: b is in generation 1 range leader a []
            > sync g b 1
            > sync g a 1 a=0 b=1
              + group g generation 1 range leader a [a=0 b=1]
              a syncs: does "0"
              b syncs: does "1"
        "#]],
    );
}

#[test]
fn a_new_member_makes_everybody_join_again() {
    check(
        "
        join g a range
        advance 3000
        sync g a 1 a=all
        join g b range
        heartbeat g a 1
        join g a range id=a
        heartbeat g a 1
        sync g a 2 a=0 b=1
        sync g b 2
        ",
        expect![[r#"
            > join g a range
            > advance 3000
              a joins: a is in generation 1 range leader a [a a:range]
            > sync g a 1 a=all
              + group g generation 1 range leader a [a=all]
              a syncs: does "all"
            > join g b range
            > heartbeat g a 1
              RebalanceInProgress
            > join g a range id=a
              a joins: a is in generation 2 range leader a [a a:range, b b:range]
              b joins: b is in generation 2 range leader a []
            > heartbeat g a 1
              IllegalGeneration
            > sync g a 2 a=0 b=1
              + group g generation 2 range leader a [a=0 b=1]
              a syncs: does "0"
            > sync g b 2
              b syncs: does "1"
        "#]],
    );
}

#[test]
fn a_client_that_can_return_gets_its_id_first() {
    check(
        "
        join g a range v=4
        join g a range v=4 id=a
        join g b range v=4
        advance 3000
        advance 3000
        advance 3000
        advance 1000
        ",
        expect![[r#"
            > join g a range v=4
              a joins: MemberIdRequired, id "a"
            > join g a range v=4 id=a
            > join g b range v=4
              b joins: MemberIdRequired, id "b"
            > advance 3000
              a joins: a is in generation 1 range leader a [a a:range]
            > advance 3000
            > advance 3000
            > advance 1000
        "#]],
    );
}

#[test]
fn a_silent_member_is_removed_and_the_others_are_told() {
    check(
        "
        join g a range
        join g b range
        advance 3000
        advance 3000
        sync g a 1 a=0 b=1
        sync g b 1
        advance 9000
        heartbeat g a 1
        advance 1000
        heartbeat g a 1
        heartbeat g b 1
        join g a range id=a
        sync g a 2 a=all
        ",
        expect![[r#"
            > join g a range
            > join g b range
            > advance 3000
            > advance 3000
              a joins: a is in generation 1 range leader a [a a:range, b b:range]
              b joins: b is in generation 1 range leader a []
            > sync g a 1 a=0 b=1
              + group g generation 1 range leader a [a=0 b=1]
              a syncs: does "0"
            > sync g b 1
              b syncs: does "1"
            > advance 9000
            > heartbeat g a 1
              ok
            > advance 1000
            > heartbeat g a 1
              RebalanceInProgress
            > heartbeat g b 1
              UnknownMemberId
            > join g a range id=a
              a joins: a is in generation 2 range leader a [a a:range]
            > sync g a 2 a=all
              + group g generation 2 range leader a [a=all]
              a syncs: does "all"
        "#]],
    );
}

#[test]
fn who_does_not_join_again_in_time_is_left_behind() {
    check(
        "
        join g a range rebalance=20000 session=100000
        join g b range rebalance=20000 session=100000
        advance 3000
        advance 3000
        sync g a 1 a=0 b=1
        sync g b 1
        join g a range id=a rebalance=20000 session=100000
        advance 20000
        heartbeat g b 1
        ",
        expect![[r#"
            > join g a range rebalance=20000 session=100000
            > join g b range rebalance=20000 session=100000
            > advance 3000
            > advance 3000
              a joins: a is in generation 1 range leader a [a a:range, b b:range]
              b joins: b is in generation 1 range leader a []
            > sync g a 1 a=0 b=1
              + group g generation 1 range leader a [a=0 b=1]
              a syncs: does "0"
            > sync g b 1
              b syncs: does "1"
            > join g a range id=a rebalance=20000 session=100000
            > advance 20000
              a joins: a is in generation 2 range leader a [a a:range]
            > heartbeat g b 1
              UnknownMemberId
        "#]],
    );
}

#[test]
fn who_never_asks_for_its_assignment_is_removed() {
    check(
        "
        join g a range rebalance=20000 session=100000
        join g b range rebalance=20000 session=100000
        advance 3000
        advance 3000
        sync g a 1 a=0 b=1
        advance 20000
        heartbeat g b 1
        heartbeat g a 1
        ",
        expect![[r#"
            > join g a range rebalance=20000 session=100000
            > join g b range rebalance=20000 session=100000
            > advance 3000
            > advance 3000
              a joins: a is in generation 1 range leader a [a a:range, b b:range]
              b joins: b is in generation 1 range leader a []
            > sync g a 1 a=0 b=1
              + group g generation 1 range leader a [a=0 b=1]
              a syncs: does "0"
            > advance 20000
            > heartbeat g b 1
              UnknownMemberId
            > heartbeat g a 1
              RebalanceInProgress
        "#]],
    );
}

#[test]
fn the_last_member_leaves_an_empty_group() {
    check(
        "
        join g a range
        advance 3000
        sync g a 1 a=all
        leave g a
        leave g a
        heartbeat g a 1
        delete g
        delete g
        ",
        expect![[r#"
            > join g a range
            > advance 3000
              a joins: a is in generation 1 range leader a [a a:range]
            > sync g a 1 a=all
              + group g generation 1 range leader a [a=all]
              a syncs: does "all"
            > leave g a
              ok
              + group g generation 2 - leader - []
            > leave g a
              UnknownMemberId
            > heartbeat g a 1
              UnknownMemberId
            > delete g
              ok
              + group g is gone
            > delete g
              GroupIdNotFound
        "#]],
    );
}

#[test]
fn a_static_member_that_is_back_does_not_disturb_the_others() {
    check(
        "
        join g a range instance=i
        join g b range
        advance 3000
        advance 3000
        sync g a 1 instance=i a=0 b=1
        sync g b 1
        join g a2 range instance=i v=9
        heartbeat g a 1 instance=i
        sync g a 1 instance=i
        heartbeat g b 1
        ",
        expect![[r#"
            > join g a range instance=i
            > join g b range
            > advance 3000
            > advance 3000
              a joins: a is in generation 1 range leader a [a a:range, b b:range]
              b joins: b is in generation 1 range leader a []
            > sync g a 1 instance=i a=0 b=1
              + group g generation 1 range leader a [a=0 b=1]
              a syncs: does "0"
            > sync g b 1
              b syncs: does "1"
            > join g a2 range instance=i v=9
              + group g generation 1 range leader a2 [a2=0 b=1]
              a2 joins: a2 is in generation 1 range leader a2, assigns nothing [a2 a2:range, b b:range]
            > heartbeat g a 1 instance=i
              FencedInstanceId
            > sync g a 1 instance=i
              a syncs: FencedInstanceId
            > heartbeat g b 1
              ok
        "#]],
    );
}

#[test]
fn a_static_leader_that_says_the_same_skips_the_assignment() {
    check(
        "
        join g a range instance=i
        advance 3000
        sync g a 1 instance=i a=all
        join g a range instance=i v=9
        join g a range instance=i v=5
        ",
        expect![[r#"
            > join g a range instance=i
            > advance 3000
              a joins: a is in generation 1 range leader a [a a:range]
            > sync g a 1 instance=i a=all
              + group g generation 1 range leader a [a=all]
              a syncs: does "all"
            > join g a range instance=i v=9
              + group g generation 1 range leader a [a=all]
              a joins: a is in generation 1 range leader a, assigns nothing [a a:range]
            > join g a range instance=i v=5
              + group g generation 1 range leader a [a=all]
              a joins: a is in generation 1 range leader a []
        "#]],
    );
}

#[test]
fn a_static_member_leaves_by_the_name_of_its_instance() {
    check(
        "
        join g a range instance=i
        advance 3000
        sync g a 1 a=all instance=i
        leave g instance=other
        leave g instance=i
        ",
        expect![[r#"
            > join g a range instance=i
            > advance 3000
              a joins: a is in generation 1 range leader a [a a:range]
            > sync g a 1 a=all instance=i
              + group g generation 1 range leader a [a=all]
              a syncs: does "all"
            > leave g instance=other
              UnknownMemberId
            > leave g instance=i
              ok
              + group g generation 2 - leader - []
        "#]],
    );
}

#[test]
fn the_protocol_that_all_can_do_and_most_like_is_chosen() {
    check(
        "
        join g a range,sticky
        join g b sticky,range
        join g c sticky,range,other
        advance 3000
        advance 3000
        ",
        expect![[r#"
            > join g a range,sticky
            > join g b sticky,range
            > join g c sticky,range,other
            > advance 3000
            > advance 3000
              a joins: a is in generation 1 sticky leader a [a a:sticky, b b:sticky, c c:sticky]
              b joins: b is in generation 1 sticky leader a []
              c joins: c is in generation 1 sticky leader a []
        "#]],
    );
}

#[test]
fn who_shares_no_protocol_is_refused() {
    check(
        "
        join g a range
        advance 3000
        sync g a 1 a=all
        join g b sticky
        join g b range type=connect
        ",
        expect![[r#"
            > join g a range
            > advance 3000
              a joins: a is in generation 1 range leader a [a a:range]
            > sync g a 1 a=all
              + group g generation 1 range leader a [a=all]
              a syncs: does "all"
            > join g b sticky
              b joins: InconsistentGroupProtocol, id ""
            > join g b range type=connect
              b joins: InconsistentGroupProtocol, id ""
        "#]],
    );
}

#[test]
fn a_full_group_takes_nobody() {
    check(
        "
        join g a range
        join g b range
        join g c range
        join g d range
        advance 3000
        advance 3000
        ",
        expect![[r#"
            > join g a range
            > join g b range
            > join g c range
            > join g d range
              d joins: GroupMaxSizeReached, id ""
            > advance 3000
            > advance 3000
              a joins: a is in generation 1 range leader a [a a:range, b b:range, c c:range]
              b joins: b is in generation 1 range leader a []
              c joins: c is in generation 1 range leader a []
        "#]],
    );
}

#[test]
fn what_is_not_a_members_to_ask_is_refused() {
    check(
        "
        join g a range session=5999
        join g a range id=a
        sync g a 1
        heartbeat g a 1
        join g a range
        advance 3000
        sync g b 1
        sync g a 2
        heartbeat g a 2
        join g x range id=x
        ",
        expect![[r#"
            > join g a range session=5999
              a joins: InvalidSessionTimeout, id ""
            > join g a range id=a
              a joins: UnknownMemberId, id "a"
            > sync g a 1
              a syncs: UnknownMemberId
            > heartbeat g a 1
              UnknownMemberId
            > join g a range
            > advance 3000
              a joins: a is in generation 1 range leader a [a a:range]
            > sync g b 1
              b syncs: UnknownMemberId
            > sync g a 2
              a syncs: IllegalGeneration
            > heartbeat g a 2
              IllegalGeneration
            > join g x range id=x
              x joins: UnknownMemberId, id "x"
        "#]],
    );
}

#[test]
fn a_rebalance_in_the_middle_of_another_refuses_who_waits() {
    check(
        "
        join g a range
        join g b range
        advance 3000
        advance 3000
        sync g b 1
        join g c range
        sync g a 1 a=0 b=1
        join g a range id=a
        join g b range id=b
        sync g c 2
        sync g b 2
        sync g a 2 a=0 b=1 c=2
        ",
        expect![[r#"
            > join g a range
            > join g b range
            > advance 3000
            > advance 3000
              a joins: a is in generation 1 range leader a [a a:range, b b:range]
              b joins: b is in generation 1 range leader a []
            > sync g b 1
            > join g c range
              b syncs: RebalanceInProgress
            > sync g a 1 a=0 b=1
              a syncs: RebalanceInProgress
            > join g a range id=a
            > join g b range id=b
              a joins: a is in generation 2 range leader a [a a:range, b b:range, c c:range]
              b joins: b is in generation 2 range leader a []
              c joins: c is in generation 2 range leader a []
            > sync g c 2
            > sync g b 2
            > sync g a 2 a=0 b=1 c=2
              + group g generation 2 range leader a [a=0 b=1 c=2]
              a syncs: does "0"
              b syncs: does "1"
              c syncs: does "2"
        "#]],
    );
}

#[test]
fn a_request_that_is_repeated_answers_the_first_one() {
    check(
        "
        join g a range
        advance 3000
        sync g a 1 a=all
        join g b range
        join g a range id=a
        join g b range id=b
        sync g b 2
        sync g b 2
        sync g a 2 a=0 b=1
        sync g b 2
        ",
        expect![[r#"
            > join g a range
            > advance 3000
              a joins: a is in generation 1 range leader a [a a:range]
            > sync g a 1 a=all
              + group g generation 1 range leader a [a=all]
              a syncs: does "all"
            > join g b range
            > join g a range id=a
              a joins: a is in generation 2 range leader a [a a:range, b b:range]
              b joins: b is in generation 2 range leader a []
            > join g b range id=b
              b joins: b is in generation 2 range leader a []
            > sync g b 2
            > sync g b 2
              b syncs: RebalanceInProgress
            > sync g a 2 a=0 b=1
              + group g generation 2 range leader a [a=0 b=1]
              a syncs: does "0"
              b syncs: does "1"
            > sync g b 2
              b syncs: does "1"
        "#]],
    );
}
