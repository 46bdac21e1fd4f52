//! Offsets: who may commit them, and when they expire.

use super::play::check;
use expect_test::expect;

#[test]
fn offsets_may_be_kept_by_who_is_in_no_group() {
    check(
        "
        commit g - -1 t/0=5 t/1=6
        commit g - 3 t/0=5
        commit h x 3 t/0=5
        delete g
        ",
        expect![[r#"
            > commit g - -1 t/0=5 t/1=6
              ok ok
              + offset of g t/0 is 5
              + offset of g t/1 is 6
            > commit g - 3 t/0=5
              UnknownMemberId
            > commit h x 3 t/0=5
              IllegalGeneration
            > delete g
              ok
              + offset of g t/0 is gone
              + offset of g t/1 is gone
              + group g is gone
        "#]],
    );
}

#[test]
fn members_commit_in_their_generation_only() {
    check(
        "
        join g a range
        advance 3000
        commit g a 1 t/0=1
        sync g a 1 a=all
        commit g a 1 t/0=1
        commit g a 0 t/0=2
        commit g b 1 t/0=2
        commit g - -1 t/0=2
        ",
        expect![[r#"
            > join g a range
            > advance 3000
              a joins: a is in generation 1 range leader a [a a:range]
            > commit g a 1 t/0=1
              RebalanceInProgress
            > sync g a 1 a=all
              + group g generation 1 range leader a [a=all]
              a syncs: does "all"
            > commit g a 1 t/0=1
              ok
              + offset of g t/0 is 1
            > commit g a 0 t/0=2
              IllegalGeneration
            > commit g b 1 t/0=2
              UnknownMemberId
            > commit g - -1 t/0=2
              UnknownMemberId
        "#]],
    );
}

#[test]
fn what_a_client_writes_beside_an_offset_is_bounded() {
    check(
        "
        commit g - -1 t/0=5 meta=8
        commit g - -1 t/0=5 meta=9
        ",
        expect![[r#"
            > commit g - -1 t/0=5 meta=8
              ok
              + offset of g t/0 is 5
            > commit g - -1 t/0=5 meta=9
              OffsetMetadataTooLarge
        "#]],
    );
}

#[test]
fn a_commit_keeps_its_member_alive() {
    check(
        "
        join g a range
        advance 3000
        sync g a 1 a=all
        advance 9999
        commit g a 1 t/0=1
        advance 9999
        heartbeat g a 1
        ",
        expect![[r#"
            > join g a range
            > advance 3000
              a joins: a is in generation 1 range leader a [a a:range]
            > sync g a 1 a=all
              + group g generation 1 range leader a [a=all]
              a syncs: does "all"
            > advance 9999
            > commit g a 1 t/0=1
              ok
              + offset of g t/0 is 1
            > advance 9999
            > heartbeat g a 1
              ok
        "#]],
    );
}

#[test]
fn offsets_expire_after_their_group_is_empty() {
    check(
        "
        join g a range
        advance 3000
        sync g a 1 a=all
        commit g a 1 t/0=1
        leave g a
        advance 999999
        expire
        advance 1
        expire
        ",
        expect![[r#"
            > join g a range
            > advance 3000
              a joins: a is in generation 1 range leader a [a a:range]
            > sync g a 1 a=all
              + group g generation 1 range leader a [a=all]
              a syncs: does "all"
            > commit g a 1 t/0=1
              ok
              + offset of g t/0 is 1
            > leave g a
              ok
              + group g generation 2 - leader - []
            > advance 999999
            > expire
            > advance 1
            > expire
              + offset of g t/0 is gone
              + group g is gone
        "#]],
    );
}

#[test]
fn offsets_of_who_is_in_no_group_expire_one_by_one() {
    check(
        "
        commit g - -1 t/0=1
        advance 10
        commit g - -1 t/1=1
        advance 999990
        expire
        advance 10
        expire
        ",
        expect![[r#"
            > commit g - -1 t/0=1
              ok
              + offset of g t/0 is 1
            > advance 10
            > commit g - -1 t/1=1
              ok
              + offset of g t/1 is 1
            > advance 999990
            > expire
              + offset of g t/0 is gone
            > advance 10
            > expire
              + offset of g t/1 is gone
              + group g is gone
        "#]],
    );
}

#[test]
fn a_client_may_say_how_long_its_offset_is_kept() {
    check(
        "
        commit g - -1 t/0=1 keep=50
        advance 49
        expire
        advance 1
        expire
        ",
        expect![[r#"
            > commit g - -1 t/0=1 keep=50
              ok
              + offset of g t/0 is 1
            > advance 49
            > expire
            > advance 1
            > expire
              + offset of g t/0 is gone
              + group g is gone
        "#]],
    );
}

#[test]
fn offsets_are_deleted_where_nobody_reads() {
    check(
        "
        commit g - -1 t/0=1 t/1=2
        forget g t/0=0 t/7=0
        join g a range
        advance 3000
        sync g a 1 a=all
        forget g t/1=0
        forget other t/1=0
        ",
        expect![[r#"
            > commit g - -1 t/0=1 t/1=2
              ok ok
              + offset of g t/0 is 1
              + offset of g t/1 is 2
            > forget g t/0=0 t/7=0
              ok ok
              + offset of g t/0 is gone
            > join g a range
            > advance 3000
              a joins: a is in generation 1 range leader a [a a:range]
            > sync g a 1 a=all
              + group g generation 1 range leader a [a=all]
              a syncs: does "all"
            > forget g t/1=0
              GroupSubscribedToTopic
            > forget other t/1=0
              GroupIdNotFound
        "#]],
    );
}
