//! Groups that go over from one protocol to the other while they are in use.

use super::play::check;
use expect_test::expect;

#[test]
fn a_classic_group_goes_over_one_member_after_the_other_and_back() {
    check(
        "
        topics t=4
        join g a range wants=t
        join g b range wants=t
        advance 3000
        advance 3000
        sync g a 1 a=t/0,1 b=t/2,3
        sync g b 1
        beat g c 0 topics=t
        members g
        heartbeat g a 1
        heartbeat g b 1
        join g a range id=a wants=t owns=t/0,t/1
        sync g a 1
        join g a range id=a wants=t owns=t/0
        sync g a 2
        join g b range id=b wants=t
        sync g b 2
        beat g c 2
        members g
        commit g a 2 t/0=5
        leave g a
        beat g c 2
        beat g c 3
        leave g b
        beat g c 3
        members g
        join g d range v=4 wants=t
        join g d range v=4 id=d wants=t
        quit g c -1
        heartbeat g d 5
        join g d range id=d wants=t
        sync g d 6 d=t/0,1,2,3
        ",
        expect![[r#"
            > topics t=4
            > join g a range wants=t
            > join g b range wants=t
            > advance 3000
            > advance 3000
              a joins: a is in generation 1 range leader a [a t, b t]
              b joins: b is in generation 1 range leader a []
            > sync g a 1 a=t/0,1 b=t/2,3
              + group g generation 1 range leader a [a=t/0,1 b=t/2,3]
              a syncs: does "t/0,1"
            > sync g b 1
              b syncs: does "t/2,3"
            > beat g c 0 topics=t
              c is in epoch 2, reads [], again in 500 ms
              + group g is gone
              + member a said
              + member b said
              + group g epoch 1
              + target of a: Some(2)
              + target of b: Some(2)
              + target of epoch Some(1)
              + place of a: epoch 1 after 1, state 0, reads 2, gives back 0
              + place of b: epoch 1 after 1, state 0, reads 2, gives back 0
              + member c said
              + group g epoch 2
              + target of a: Some(1)
              + target of c: Some(1)
              + target of epoch Some(2)
              + place of c: epoch 2 after 0, state 2, reads 0, gives back 0
            > members g
              Reconciling 2/2 uniform (a 1: [t/0,1] of [t/0]; b 1: [t/2,3]; c 2: [] of [t/1])
            > heartbeat g a 1
              RebalanceInProgress
            > heartbeat g b 1
              RebalanceInProgress
            > join g a range id=a wants=t owns=t/0,t/1
              + member a said
              + place of a: epoch 1 after 1, state 1, reads 1, gives back 1
              a joins: a is in generation 1 range leader - []
            > sync g a 1
              a syncs: does "t/0"
            > join g a range id=a wants=t owns=t/0
              + member a said
              + place of a: epoch 2 after 1, state 0, reads 1, gives back 0
              a joins: a is in generation 2 range leader - []
            > sync g a 2
              a syncs: does "t/0"
            > join g b range id=b wants=t
              + member b said
              + place of b: epoch 2 after 1, state 0, reads 2, gives back 0
              b joins: b is in generation 2 range leader - []
            > sync g b 2
              b syncs: does "t/2,3"
            > beat g c 2
              c is in epoch 2, reads [t/1]
              + place of c: epoch 2 after 2, state 0, reads 1, gives back 0
            > members g
              Stable 2/2 uniform (a 2: [t/0]; b 2: [t/2,3]; c 2: [t/1])
            > commit g a 2 t/0=5
              ok
              + offset of g t/0 is 5
            > leave g a
              ok
              + place of a is gone
              + target of a: None
              + member a is gone
              + group g epoch 3
            > beat g c 2
              c is in epoch 2, again in 1001 ms
            > beat g c 3
              FencedMemberEpoch: The consumer group member has a greater member epoch (3) than the one known by the group coordinator (2). The member must abandon all its partitions and rejoin.
            > leave g b
              ok
              + place of b is gone
              + target of b: None
              + member b is gone
              + group g epoch 4
            > beat g c 3
              FencedMemberEpoch: The consumer group member has a greater member epoch (3) than the one known by the group coordinator (2). The member must abandon all its partitions and rejoin.
            > members g
              Assigning 2/4 uniform (c 2: [t/1])
            > join g d range v=4 wants=t
              d joins: MemberIdRequired, id "d"
            > join g d range v=4 id=d wants=t
              + member d said
              + group g epoch 5
              + place of d: epoch 2 after 0, state 0, reads 0, gives back 0
              d joins: d is in generation 2 range leader - []
            > quit g c -1
              c is in epoch -1
              + place of c is gone
              + target of c: None
              + member c is gone
              + place of d is gone
              + target of epoch None
              + member d is gone
              + group g is gone
              + group g generation 5 range leader d [d=]
            > heartbeat g d 5
              RebalanceInProgress
            > join g d range id=d wants=t
              d joins: d is in generation 6 range leader d [d t]
            > sync g d 6 d=t/0,1,2,3
              + group g generation 6 range leader d [d=t/0,1,2,3]
              d syncs: does "t/0,1,2,3"
        "#]],
    );
}

#[test]
fn who_cannot_go_over_is_told_why() {
    check(
        "
        topics t=1
        join g a range type=connect
        advance 3000
        beat g b 0 topics=t
        join h a range
        advance 3000
        beat h b 0 topics=t
        beat i a 0 topics=t
        join i b range type=connect
        join i b range
        ",
        expect![[r#"
            > topics t=1
            > join g a range type=connect
            > advance 3000
              a joins: a is in generation 1 range leader a [a a:range]
            > beat g b 0 topics=t
              GroupIdNotFound: Cannot upgrade classic group g to consumer group because the group does not use the consumer embedded protocol.
            > join h a range
            > advance 3000
              a joins: a is in generation 1 range leader a [a a:range]
            > beat h b 0 topics=t
              GroupIdNotFound: Cannot upgrade classic group h to consumer group because a group member's subscription is cut short.
            > beat i a 0 topics=t
              a is in epoch 2, reads [t/0]
              + member a said
              + group i epoch 2
              + target of a: Some(1)
              + target of epoch Some(2)
              + place of a: epoch 2 after 0, state 0, reads 1, gives back 0
            > join i b range type=connect
              b joins: InconsistentGroupProtocol, id ""
            > join i b range
              b joins: InconsistentGroupProtocol, id ""
        "#]],
    );
}

#[test]
fn a_member_that_is_called_and_does_not_come_is_taken_out() {
    check(
        "
        topics t=2
        beat g c 0 topics=t
        advance 1000
        join g a range wants=t rebalance=5000
        sync g a 3
        beat g c 2
        beat g c 2 owns=t/1
        heartbeat g a 3
        advance 5000
        members g
        ",
        expect![[r#"
            > topics t=2
            > beat g c 0 topics=t
              c is in epoch 2, reads [t/0,1]
              + member c said
              + group g epoch 2
              + target of c: Some(2)
              + target of epoch Some(2)
              + place of c: epoch 2 after 0, state 0, reads 2, gives back 0
            > advance 1000
            > join g a range wants=t rebalance=5000
              + member a said
              + group g epoch 3
              + target of a: Some(1)
              + target of c: Some(1)
              + target of epoch Some(3)
              + place of a: epoch 3 after 0, state 2, reads 0, gives back 0
              a joins: a is in generation 3 range leader - []
            > sync g a 3
              a syncs: does ""
            > beat g c 2
              c is in epoch 2, reads [t/0]
              + place of c: epoch 2 after 2, state 1, reads 1, gives back 1
            > beat g c 2 owns=t/1
              c is in epoch 2
            > heartbeat g a 3
              ok
            > advance 5000
            > members g
              Reconciling 3/3 uniform (a 3: [] of [t/1]; c 2: [t/0,1] of [t/0])
        "#]],
    );
}
