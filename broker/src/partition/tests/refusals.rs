//! What a leader does not accept.

#![allow(clippy::unwrap_used)]
use super::*;
use crate::partition::config::CleanupPolicy;
use bytes::BytesMut;

/// What a leader with `config` says to `batches`.
fn refusal_with(config: TopicConfig, batches: Bytes) -> String {
    let mut replica = Replica::new(config);
    replica.lead(1);
    match replica.ask(append(batches)) {
        Ok(answer) => format!("accepted: {answer:?}"),
        Err(refusal) => refusal.to_string(),
    }
}

fn check_refusal(batches: Bytes, expected: &str) {
    assert_eq!(refusal_with(TopicConfig::default(), batches), expected);
}

#[test]
fn batches_that_a_client_must_not_send_are_refused() {
    let mut corrupt = BytesMut::from(&plain(1)[..]);
    let last = corrupt.len() - 1;
    corrupt[last] ^= 1;
    assert!(
        refusal_with(TopicConfig::default(), corrupt.freeze())
            .starts_with("batch at byte 0 is corrupt")
    );
    let torn = plain(2).slice(..70);
    assert!(refusal_with(TopicConfig::default(), torn).starts_with("batch at byte 0 is corrupt"));
    check_refusal(
        Bytes::new(),
        "batch at byte 0 is invalid: there is no batch",
    );
    check_refusal(
        marker(1, 0, ControlType::Commit),
        "batch at byte 0 is invalid: clients must not write control records",
    );
    check_refusal(
        of_producer(1, 0, -1, 1),
        "batch at byte 0 is invalid: producer 1 sent the negative sequence -1",
    );
    check_refusal(
        of_producer(1, -1, 0, 1),
        "producer 1 sent the epoch -1, which is none",
    );
    let late = BatchSettings {
        base_offset: 5,
        ..BatchSettings::default()
    };
    check_refusal(
        batch_of(1, late),
        "batch at byte 0 is invalid: its base offset is 5, not 0",
    );
}

#[test]
fn the_topics_limits_are_kept() {
    let small = TopicConfig {
        max_message_bytes: 100,
        ..TopicConfig::default()
    };
    let bytes = plain(10);
    let expected = format!(
        "batch at byte 0 has {} bytes, max.message.bytes is 100",
        bytes.len()
    );
    assert_eq!(refusal_with(small, bytes), expected);

    let compacted = TopicConfig {
        cleanup_policy: CleanupPolicy::Compact,
        ..TopicConfig::default()
    };
    let mut replica = Replica::new(compacted);
    replica.lead(1);
    assert_eq!(replica.ask(delete_to(0)), Err(Refusal::DeletionNotAllowed));
}
