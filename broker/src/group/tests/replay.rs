//! A machine that is read from its log is the machine that wrote it.

use super::play::{Play, settings};
use crate::group::effects::Effects;
use crate::group::machine::Machine;
use std::sync::Arc;

const SCRIPT: &str = "
    join g a range,sticky
    join g b range instance=i
    advance 3000
    advance 3000
    sync g a 1 a=0 b=1
    sync g b 1 instance=i
    commit g a 1 t/0=5
    commit h - -1 t/0=7 u/1=8
    forget h t/0=0
    join empty c range
    advance 3000
    sync empty c 1 c=all
    commit empty c 1 t/3=3
    leave empty c
    heartbeat g a 1
    commit gone - -1 t/0=1
    delete gone
";

#[test]
fn groups_and_offsets_come_back_from_the_log() {
    let mut before = Play::new();
    before.play(SCRIPT);
    let mut after = Machine::new(settings(), Arc::default());
    for record in &before.log {
        let (key, value) = record.encode().unwrap();
        let record = millrace_wire::group_records::GroupRecord::decode(key, value);
        after.replay(&record.unwrap().unwrap());
    }
    let mut effects = Effects::default();
    after.resume(before.now, &mut effects);
    assert!(effects.is_empty());
    let sorted = |machine: &Machine| {
        let mut listed = machine.list();
        listed.sort_by(|a, b| a.id.cmp(&b.id));
        listed
    };
    assert_eq!(sorted(&after), sorted(&before.machine));
    for group in ["g", "h", "empty", "gone"] {
        assert_eq!(
            after.describe(group),
            before.machine.describe(group),
            "{group}"
        );
        let fetch = |machine: &Machine| machine.fetch(group, None, -1).unwrap().cloned();
        assert_eq!(fetch(&after), fetch(&before.machine), "{group}");
    }
}

#[test]
fn members_that_come_back_from_the_log_are_given_their_time() {
    let mut before = Play::new();
    before.play(SCRIPT);
    let mut after = Play::new();
    after.now = before.now;
    for record in &before.log {
        after.machine.replay(record);
    }
    let mut effects = Effects::default();
    after.machine.resume(after.now, &mut effects);
    let trace = after.play(
        "
        advance 9999
        heartbeat g a 1
        advance 1
        heartbeat g a 1
        heartbeat g b 1
        ",
    );
    expect_test::expect![[r#"
        > advance 9999
        > heartbeat g a 1
          ok
        > advance 1
        > heartbeat g a 1
          RebalanceInProgress
        > heartbeat g b 1
          UnknownMemberId
    "#]]
    .assert_eq(&trace);
}
