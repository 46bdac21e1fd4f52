//! Consumer groups (KIP-848).

use super::play::check;
use expect_test::expect;

#[test]
fn who_is_alone_reads_everything() {
    check(
        "
        topics t=3
        beat g a 0 topics=t
        beat g a 2
        members g
        ",
        expect![[r#"
            > topics t=3
            > beat g a 0 topics=t
              a is in epoch 2, reads [t/0,1,2]
              + member a said
              + group g epoch 2
              + target of a: Some(3)
              + target of epoch Some(2)
              + place of a: epoch 2 after 0, state 0, reads 3, gives back 0
            > beat g a 2
              a is in epoch 2
            > members g
              Stable 2/2 uniform (a 2: [t/0,1,2])
        "#]],
    );
}

#[test]
fn partitions_go_from_one_to_the_other_only_when_they_were_given_back() {
    check(
        "
        topics t=4
        beat g a 0 topics=t
        advance 1000
        beat g b 0 topics=t
        members g
        beat g b 3
        beat g a 2
        beat g b 3
        beat g a 2 owns=t/0,t/1,t/2,t/3
        beat g a 2 owns=t/0,t/1
        beat g b 3
        members g
        ",
        expect![[r#"
            > topics t=4
            > beat g a 0 topics=t
              a is in epoch 2, reads [t/0,1,2,3]
              + member a said
              + group g epoch 2
              + target of a: Some(4)
              + target of epoch Some(2)
              + place of a: epoch 2 after 0, state 0, reads 4, gives back 0
            > advance 1000
            > beat g b 0 topics=t
              b is in epoch 3, reads [], again in 500 ms
              + member b said
              + group g epoch 3
              + target of a: Some(2)
              + target of b: Some(2)
              + target of epoch Some(3)
              + place of b: epoch 3 after 0, state 2, reads 0, gives back 0
            > members g
              Reconciling 3/3 uniform (a 2: [t/0,1,2,3] of [t/0,1]; b 3: [] of [t/2,3])
            > beat g b 3
              b is in epoch 3, again in 500 ms
            > beat g a 2
              a is in epoch 2, reads [t/0,1]
              + place of a: epoch 2 after 2, state 1, reads 2, gives back 2
            > beat g b 3
              b is in epoch 3, again in 500 ms
            > beat g a 2 owns=t/0,t/1,t/2,t/3
              a is in epoch 2
            > beat g a 2 owns=t/0,t/1
              a is in epoch 3
              + place of a: epoch 3 after 2, state 0, reads 2, gives back 0
            > beat g b 3
              b is in epoch 3, reads [t/2,3]
              + place of b: epoch 3 after 3, state 0, reads 2, gives back 0
            > members g
              Stable 3/3 uniform (a 3: [t/0,1]; b 3: [t/2,3])
        "#]],
    );
}

#[test]
fn a_decision_that_was_just_taken_stands_for_a_while() {
    check(
        "
        topics t=2
        beat g a 0 topics=t
        advance 300
        beat g b 0 topics=t
        advance 701
        beat g b 2
        members g
        ",
        expect![[r#"
            > topics t=2
            > beat g a 0 topics=t
              a is in epoch 2, reads [t/0,1]
              + member a said
              + group g epoch 2
              + target of a: Some(2)
              + target of epoch Some(2)
              + place of a: epoch 2 after 0, state 0, reads 2, gives back 0
            > advance 300
            > beat g b 0 topics=t
              b is in epoch 2, reads [], again in 701 ms
              + member b said
              + group g epoch 3
              + place of b: epoch 2 after 0, state 0, reads 0, gives back 0
            > advance 701
            > beat g b 2
              b is in epoch 3, again in 500 ms
              + target of a: Some(1)
              + target of b: Some(1)
              + target of epoch Some(3)
              + place of b: epoch 3 after 2, state 2, reads 0, gives back 0
            > members g
              Reconciling 3/3 uniform (a 2: [t/0,1] of [t/0]; b 3: [] of [t/1])
        "#]],
    );
}

#[test]
fn who_does_not_give_back_in_time_is_taken_out() {
    check(
        "
        topics t=2
        beat g a 0 topics=t rebalance=2000
        advance 1000
        beat g b 0 topics=t
        beat g a 2
        advance 1999
        members g
        advance 1
        members g
        beat g b 3
        beat g a 2
        ",
        expect![[r#"
            > topics t=2
            > beat g a 0 topics=t rebalance=2000
              a is in epoch 2, reads [t/0,1]
              + member a said
              + group g epoch 2
              + target of a: Some(2)
              + target of epoch Some(2)
              + place of a: epoch 2 after 0, state 0, reads 2, gives back 0
            > advance 1000
            > beat g b 0 topics=t
              b is in epoch 3, reads [], again in 500 ms
              + member b said
              + group g epoch 3
              + target of a: Some(1)
              + target of b: Some(1)
              + target of epoch Some(3)
              + place of b: epoch 3 after 0, state 2, reads 0, gives back 0
            > beat g a 2
              a is in epoch 2, reads [t/0]
              + place of a: epoch 2 after 2, state 1, reads 1, gives back 1
            > advance 1999
            > members g
              Reconciling 3/3 uniform (a 2: [t/0,1] of [t/0]; b 3: [] of [t/1])
            > advance 1
              + place of a is gone
              + target of a: None
              + member a is gone
              + group g epoch 4
            > members g
              Assigning 3/4 uniform (b 3: [] of [t/1])
            > beat g b 3
              b is in epoch 4, reads [t/0,1]
              + target of b: Some(2)
              + target of epoch Some(4)
              + place of b: epoch 4 after 3, state 0, reads 2, gives back 0
            > beat g a 2
              UnknownMemberId: Member a is not a member of group g.
        "#]],
    );
}

#[test]
fn who_is_silent_is_taken_out() {
    check(
        "
        topics t=2
        beat g a 0 topics=t
        advance 44999
        members g
        advance 1
        members g
        beat g a 2
        ",
        expect![[r#"
            > topics t=2
            > beat g a 0 topics=t
              a is in epoch 2, reads [t/0,1]
              + member a said
              + group g epoch 2
              + target of a: Some(2)
              + target of epoch Some(2)
              + place of a: epoch 2 after 0, state 0, reads 2, gives back 0
            > advance 44999
            > members g
              Stable 2/2 uniform (a 2: [t/0,1])
            > advance 1
              + place of a is gone
              + target of a: None
              + member a is gone
              + group g epoch 3
            > members g
              Empty 2/3 uniform ()
            > beat g a 2
              UnknownMemberId: Member a is not a member of group g.
        "#]],
    );
}

#[test]
fn an_answer_that_was_lost_is_given_again() {
    check(
        "
        topics t=2
        beat g a 0 topics=t
        beat g a 0 topics=t
        topics t=3
        advance 1000
        beat g a 2
        beat g a 2 owns=t/0,t/1
        beat g a 2
        beat g a 4
        beat g a 3 topics=t owns=t/0 rebalance=60000
        ",
        expect![[r#"
            > topics t=2
            > beat g a 0 topics=t
              a is in epoch 2, reads [t/0,1]
              + member a said
              + group g epoch 2
              + target of a: Some(2)
              + target of epoch Some(2)
              + place of a: epoch 2 after 0, state 0, reads 2, gives back 0
            > beat g a 0 topics=t
              a is in epoch 2, reads [t/0,1]
            > topics t=3
            > advance 1000
            > beat g a 2
              a is in epoch 3, reads [t/0,1,2]
              + group g epoch 3
              + target of a: Some(3)
              + target of epoch Some(3)
              + place of a: epoch 3 after 2, state 0, reads 3, gives back 0
            > beat g a 2 owns=t/0,t/1
              a is in epoch 3
            > beat g a 2
              FencedMemberEpoch: The consumer group member has a smaller member epoch (2) than the one known by the group coordinator (3). The member must abandon all its partitions and rejoin.
            > beat g a 4
              FencedMemberEpoch: The consumer group member has a greater member epoch (4) than the one known by the group coordinator (3). The member must abandon all its partitions and rejoin.
            > beat g a 3 topics=t owns=t/0 rebalance=60000
              a is in epoch 3, reads [t/0,1,2]
        "#]],
    );
}

#[test]
fn an_instance_that_comes_back_has_what_it_had() {
    check(
        "
        topics t=2
        beat g a 0 topics=t instance=i
        advance 1000
        beat g b 0 topics=t instance=j
        beat g a 2
        beat g a 2 owns=t/0
        beat g x 0 topics=t instance=i
        quit g a -2 instance=i
        members g
        advance 1000
        beat g x 0 topics=t instance=i
        beat g a 3 instance=i
        beat g x 3 instance=i
        quit g a -1 instance=i
        members g
        quit g x -1 instance=i
        members g
        ",
        expect![[r#"
            > topics t=2
            > beat g a 0 topics=t instance=i
              a is in epoch 2, reads [t/0,1]
              + member a said
              + group g epoch 2
              + target of a: Some(2)
              + target of epoch Some(2)
              + place of a: epoch 2 after 0, state 0, reads 2, gives back 0
            > advance 1000
            > beat g b 0 topics=t instance=j
              b is in epoch 3, reads [], again in 500 ms
              + member b said
              + group g epoch 3
              + target of a: Some(1)
              + target of b: Some(1)
              + target of epoch Some(3)
              + place of b: epoch 3 after 0, state 2, reads 0, gives back 0
            > beat g a 2
              a is in epoch 2, reads [t/0]
              + place of a: epoch 2 after 2, state 1, reads 1, gives back 1
            > beat g a 2 owns=t/0
              a is in epoch 3
              + place of a: epoch 3 after 2, state 0, reads 1, gives back 0
            > beat g x 0 topics=t instance=i
              UnreleasedInstanceId: Static member x with instance id i cannot join the group because the instance id is owned by a member.
            > quit g a -2 instance=i
              a is in epoch -2
              + place of a: epoch -2 after 3, state 0, reads 1, gives back 0
            > members g
              Reconciling 3/3 uniform (a -2: [t/0]; b 3: [] of [t/1])
            > advance 1000
            > beat g x 0 topics=t instance=i
              x is in epoch 3, reads [t/0]
              + place of a is gone
              + target of a: None
              + member a is gone
              + member x said
              + target of x: Some(1)
              + place of x: epoch 0 after 0, state 0, reads 0, gives back 0
              + place of x: epoch 3 after 0, state 0, reads 1, gives back 0
            > beat g a 3 instance=i
              FencedInstanceId: Static member a with instance id i was fenced by member x.
            > beat g x 3 instance=i
              x is in epoch 3
            > quit g a -1 instance=i
              FencedInstanceId: Static member a with instance id i was fenced by member x.
            > members g
              Reconciling 3/3 uniform (b 3: [] of [t/1]; x 3: [t/0])
            > quit g x -1 instance=i
              x is in epoch -1
              + place of x is gone
              + target of x: None
              + member x is gone
              + group g epoch 4
            > members g
              Assigning 3/4 uniform (b 3: [] of [t/1])
        "#]],
    );
}

#[test]
fn an_instance_that_stays_away_loses_what_it_had() {
    check(
        "
        topics t=2
        beat g a 0 topics=t instance=i
        quit g a -2 instance=i
        advance 45000
        members g
        ",
        expect![[r#"
            > topics t=2
            > beat g a 0 topics=t instance=i
              a is in epoch 2, reads [t/0,1]
              + member a said
              + group g epoch 2
              + target of a: Some(2)
              + target of epoch Some(2)
              + place of a: epoch 2 after 0, state 0, reads 2, gives back 0
            > quit g a -2 instance=i
              a is in epoch -2
              + place of a: epoch -2 after 2, state 0, reads 2, gives back 0
            > advance 45000
              + place of a is gone
              + target of a: None
              + member a is gone
              + group g epoch 3
            > members g
              Empty 2/3 uniform ()
        "#]],
    );
}

#[test]
fn topics_are_found_by_a_pattern_when_they_come() {
    check(
        "
        topics logs-a=1 other=1
        beat g a 0 pattern=logs-.*
        topics logs-a=1 logs-b=1 other=1
        advance 1000
        beat g a 2
        topics logs-b=1 other=1
        advance 1000
        beat g a 3
        beat g a 3 owns=-
        beat g a 4 pattern= topics=other
        ",
        expect![[r#"
            > topics logs-a=1 other=1
            > beat g a 0 pattern=logs-.*
              a is in epoch 2, reads [logs-a/0]
              + member a said
              + pattern logs-.* Some("logs-a")
              + group g epoch 2
              + target of a: Some(1)
              + target of epoch Some(2)
              + place of a: epoch 2 after 0, state 0, reads 1, gives back 0
            > topics logs-a=1 logs-b=1 other=1
            > advance 1000
            > beat g a 2
              a is in epoch 3, reads [logs-a/0 logs-b/0]
              + pattern logs-.* Some("logs-a,logs-b")
              + group g epoch 3
              + target of a: Some(2)
              + target of epoch Some(3)
              + place of a: epoch 3 after 2, state 0, reads 2, gives back 0
            > topics logs-b=1 other=1
            > advance 1000
            > beat g a 3
              a is in epoch 3, reads [logs-b/0]
              + pattern logs-.* Some("logs-b")
              + group g epoch 4
              + target of a: Some(1)
              + target of epoch Some(4)
              + place of a: epoch 3 after 3, state 1, reads 1, gives back 1
            > beat g a 3 owns=-
              a is in epoch 4
              + place of a: epoch 4 after 3, state 0, reads 1, gives back 0
            > beat g a 4 pattern= topics=other
              a is in epoch 4, reads [], again in 1001 ms
              + member a said
              + pattern logs-.* None
              + group g epoch 5
              + place of a: epoch 4 after 4, state 1, reads 0, gives back 1
        "#]],
    );
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    check(
        "
        topics t=1
        beat g a 0 pattern=( 
        beat g a 0 topics=t assignor=sticky
        beat g a 2
        quit g a -1
        beat g a 0 topics=t
        beat g b 2
        beat g b 2 instance=i
        commit g a 0 t/0=5
        join g c range
        ",
        expect![[r#"
            > topics t=1
            > beat g a 0 pattern=(
              InvalidRegularExpression: SubscribedTopicRegex `(` is not a valid regular expression: regex parse error:
                (
                ^
            error: unclosed group
            > beat g a 0 topics=t assignor=sticky
              UnsupportedAssignor: ServerAssignor sticky is not supported. Supported assignors: uniform, range.
            > beat g a 2
              GroupIdNotFound: Group g not found.
            > quit g a -1
              GroupIdNotFound: Group g not found.
            > beat g a 0 topics=t
              a is in epoch 2, reads [t/0]
              + member a said
              + group g epoch 2
              + target of a: Some(1)
              + target of epoch Some(2)
              + place of a: epoch 2 after 0, state 0, reads 1, gives back 0
            > beat g b 2
              UnknownMemberId: Member b is not a member of group g.
            > beat g b 2 instance=i
              UnknownMemberId: Instance id i is unknown.
            > commit g a 0 t/0=5
              UnsupportedVersion
            > join g c range
              c joins: InconsistentGroupProtocol, id ""
        "#]],
    );
}

#[test]
fn members_commit_in_their_epoch_or_what_they_had_before() {
    check(
        "
        topics t=2
        beat g a 0 topics=t
        commit g a 2 v=9 t/0=5
        commit g a 2 v=8 t/0=5
        commit g a 3 v=9 t/0=5
        commit g b 2 v=9 t/0=5
        commit g - -1 v=9 t/0=5
        topics t=3
        advance 1000
        beat g a 2
        commit g a 2 v=9 t/0=6 t/2=1
        forget g t/0=0
        quit g a -1
        commit g - -1 v=9 t/0=7
        forget g t/0=0
        delete g
        ",
        expect![[r#"
            > topics t=2
            > beat g a 0 topics=t
              a is in epoch 2, reads [t/0,1]
              + member a said
              + group g epoch 2
              + target of a: Some(2)
              + target of epoch Some(2)
              + place of a: epoch 2 after 0, state 0, reads 2, gives back 0
            > commit g a 2 v=9 t/0=5
              ok
              + offset of g t/0 is 5
            > commit g a 2 v=8 t/0=5
              UnsupportedVersion
            > commit g a 3 v=9 t/0=5
              StaleMemberEpoch
            > commit g b 2 v=9 t/0=5
              UnknownMemberId
            > commit g - -1 v=9 t/0=5
              UnknownMemberId
            > topics t=3
            > advance 1000
            > beat g a 2
              a is in epoch 3, reads [t/0,1,2]
              + group g epoch 3
              + target of a: Some(3)
              + target of epoch Some(3)
              + place of a: epoch 3 after 2, state 0, reads 3, gives back 0
            > commit g a 2 v=9 t/0=6 t/2=1
              ok StaleMemberEpoch
              + offset of g t/0 is 6
            > forget g t/0=0
              GroupSubscribedToTopic
            > quit g a -1
              a is in epoch -1
              + place of a is gone
              + target of a: None
              + member a is gone
              + group g epoch 4
            > commit g - -1 v=9 t/0=7
              ok
              + offset of g t/0 is 7
            > forget g t/0=0
              ok
              + offset of g t/0 is gone
            > delete g
              ok
              + target of epoch None
              + group g is gone
        "#]],
    );
}

#[test]
fn a_group_that_nobody_is_in_may_change_its_protocol() {
    check(
        "
        topics t=1
        commit g - -1 t/0=5
        beat g a 0 topics=t
        quit g a -1
        join g c range
        advance 3000
        beat g a 0 topics=t
        ",
        expect![[r#"
            > topics t=1
            > commit g - -1 t/0=5
              ok
              + offset of g t/0 is 5
            > beat g a 0 topics=t
              a is in epoch 2, reads [t/0]
              + group g is gone
              + member a said
              + group g epoch 2
              + target of a: Some(1)
              + target of epoch Some(2)
              + place of a: epoch 2 after 0, state 0, reads 1, gives back 0
            > quit g a -1
              a is in epoch -1
              + place of a is gone
              + target of a: None
              + member a is gone
              + group g epoch 3
            > join g c range
              + target of epoch None
              + group g is gone
            > advance 3000
              c joins: c is in generation 1 range leader c [c c:range]
            > beat g a 0 topics=t
              GroupIdNotFound: Cannot upgrade classic group g to consumer group because a group member's subscription is cut short.
        "#]],
    );
}

#[test]
fn the_assignor_that_most_wish_for_is_taken() {
    check(
        "
        topics t=4
        beat g a 0 topics=t
        members g
        advance 1000
        beat g a 2 assignor=range
        members g
        ",
        expect![[r#"
            > topics t=4
            > beat g a 0 topics=t
              a is in epoch 2, reads [t/0,1,2,3]
              + member a said
              + group g epoch 2
              + target of a: Some(4)
              + target of epoch Some(2)
              + place of a: epoch 2 after 0, state 0, reads 4, gives back 0
            > members g
              Stable 2/2 uniform (a 2: [t/0,1,2,3])
            > advance 1000
            > beat g a 2 assignor=range
              a is in epoch 3
              + member a said
              + group g epoch 3
              + target of epoch Some(3)
              + place of a: epoch 3 after 2, state 0, reads 4, gives back 0
            > members g
              Stable 3/3 range (a 3: [t/0,1,2,3])
        "#]],
    );
}
