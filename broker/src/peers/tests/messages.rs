//! Raft messages on the wire.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use raft::eraftpb::{
    ConfState, Entry, EntryType, Message, MessageType, Snapshot, SnapshotMetadata,
};

use crate::peers::messages::{MAX_MESSAGES, decode, encode};
use crate::raft::ports::GroupId;

fn some_bytes() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        4 => vec(any::<u8>(), 0..40),
        1 => (any::<u8>(), 8_000..9_000_usize).prop_map(|(byte, count)| vec![byte; count]),
    ]
    .prop_map(Bytes::from)
}

fn entry() -> impl Strategy<Value = Entry> {
    let kind = prop_oneof![
        Just(EntryType::EntryNormal),
        Just(EntryType::EntryConfChange),
        Just(EntryType::EntryConfChangeV2)
    ];
    (kind, any::<(u64, u64, bool)>(), some_bytes(), some_bytes()).prop_map(
        |(kind, (term, index, sync_log), context, data)| {
            let mut entry = Entry::default();
            entry.entry_type = kind;
            entry.term = term;
            entry.index = index;
            entry.sync_log = sync_log;
            entry.context = context;
            entry.data = data;
            entry
        },
    )
}

fn snapshot() -> impl Strategy<Value = Snapshot> {
    let ids = || vec(any::<u64>(), 0..5);
    let state = (ids(), ids(), ids(), ids(), any::<bool>()).prop_map(|state| {
        let mut conf_state = ConfState::default();
        conf_state.voters = state.0;
        conf_state.learners = state.1;
        conf_state.voters_outgoing = state.2;
        conf_state.learners_next = state.3;
        conf_state.auto_leave = state.4;
        conf_state
    });
    let metadata = (any::<(u64, u64)>(), proptest::option::of(state)).prop_map(|(place, state)| {
        let mut metadata = SnapshotMetadata::default();
        (metadata.index, metadata.term) = place;
        metadata.conf_state = state.into();
        metadata
    });
    (proptest::option::of(metadata), some_bytes()).prop_map(|(metadata, data)| {
        let mut snapshot = Snapshot::default();
        snapshot.metadata = metadata.into();
        snapshot.data = data;
        snapshot
    })
}

fn message() -> impl Strategy<Value = (GroupId, Message)> {
    let kind = (0..=18)
        .prop_map(|code| protobuf::ProtobufEnum::from_i32(code).expect("there are nineteen kinds"));
    let numbers = any::<[u64; 10]>();
    (
        any::<u64>(),
        kind,
        numbers,
        any::<(bool, i64)>(),
        some_bytes(),
        vec(entry(), 0..5),
        proptest::option::of(snapshot()),
    )
        .prop_map(
            |(group, kind, numbers, (reject, priority), context, entries, snapshot)| {
                let kind: MessageType = kind;
                let mut message = Message::default();
                message.msg_type = kind;
                [
                    message.to,
                    message.from,
                    message.term,
                    message.log_term,
                    message.index,
                    message.commit,
                    message.commit_term,
                    message.request_snapshot,
                    message.reject_hint,
                    message.deprecated_priority,
                ] = numbers;
                message.reject = reject;
                message.priority = priority;
                message.context = context;
                message.entries = entries.into();
                message.snapshot = snapshot.into();
                (GroupId(group), message)
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn messages_are_read_as_they_were_written(messages in vec(message(), 0..6)) {
        prop_assert_eq!(decode(&encode(&messages)), Ok(messages));
    }

    #[test]
    fn a_frame_that_is_cut_is_refused_or_has_fewer_messages(
        messages in vec(message(), 1..3),
        end in any::<proptest::sample::Index>(),
    ) {
        let frame = encode(&messages);
        let cut = frame.slice(..end.index(frame.len()));
        if let Ok(read) = decode(&cut) {
            prop_assert!(read.len() < messages.len() && messages.starts_with(&read));
        }
    }

    #[test]
    fn a_frame_with_a_changed_byte_does_no_harm(
        messages in vec(message(), 1..3),
        at in any::<proptest::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut frame = encode(&messages).to_vec();
        let at = at.index(frame.len());
        frame[at] = byte;
        let _ = decode(&frame.into());
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..300)) {
        let _ = decode(&bytes.into());
    }
}

#[test]
fn a_count_that_no_bytes_stand_behind_is_refused() {
    let empty = encode(&[(GroupId(1), Message::default())]).to_vec();
    // The last byte counts the entries.
    let [head @ .., 0] = empty.as_slice() else {
        panic!("there are no entries");
    };
    let many = [head, &[0xff, 0xff, 0xff, 0xff, 0x0f], &[0; 1_000]].concat();
    let error = decode(&many.into()).expect_err("four thousand million entries");
    assert_eq!(
        error.to_string(),
        "entries of a raft message: are more than there are bytes for"
    );
}

#[test]
fn more_messages_than_a_frame_may_have_are_refused() {
    let heartbeat = (GroupId(1), Message::default());
    let full = vec![heartbeat.clone(); MAX_MESSAGES];
    assert_eq!(
        decode(&encode(&full)).map(|read| read.len()),
        Ok(MAX_MESSAGES)
    );
    assert!(decode(&encode(&vec![heartbeat; MAX_MESSAGES + 1])).is_err());
}

#[test]
fn an_entry_keeps_no_more_memory_than_twice_its_own() {
    let mut small = Entry::default();
    small.data = Bytes::from_static(b"few");
    let mut large = Entry::default();
    large.data = vec![7; 100_000].into();
    let mut message = Message::default();
    message.entries = vec![small, large].into();
    let frame = encode(&[(GroupId(1), message)]);
    let read = decode(&frame).expect("it is sound");
    let within = |data: &Bytes| frame.as_ptr_range().contains(&data.as_ptr());
    let entries = &read[0].1.entries;
    assert!(!within(&entries[0].data), "it would keep 100 KB");
    assert!(within(&entries[1].data), "it would be copied");
}
