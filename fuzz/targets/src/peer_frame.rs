//! Whatever another broker says, reading it does not panic, takes memory only for what came, and what is read can be written again.

use bytes::Bytes;
use millrace_broker::peers::hello::{Errand, Hello};
use millrace_broker::peers::{Lane, messages};
use millrace_broker::raft::ports::GroupId;
use raft::eraftpb::{ConfState, Entry, Message, MessageType, Snapshot};

/// Of an entry without context and data, on the wire.
const LEAST_ENTRY_BYTES: usize = 25;

pub fn run(input: &[u8]) -> bool {
    let frame = Bytes::copy_from_slice(input);
    let read = messages::decode(&frame);
    if let Ok(read) = &read {
        let entries: usize = read.iter().map(|(_, message)| message.entries.len()).sum();
        assert!(entries * LEAST_ENTRY_BYTES <= input.len());
        let again = messages::decode(&messages::encode(read));
        assert_eq!(again.as_ref(), Ok(read));
    }
    let hello = Hello::decode(input);
    if let Ok(hello) = &hello {
        assert_eq!(Hello::decode(&hello.encode()).as_ref(), Ok(hello));
    }
    read.is_ok() || hello.is_ok()
}

pub fn seeds() -> Vec<Vec<u8>> {
    let mut append = Message::default();
    append.set_msg_type(MessageType::MsgAppend);
    (append.to, append.from, append.term, append.index) = (2, 1, 7, 300);
    append.entries = vec![entry(301, b"some data"), entry(302, b"")].into();

    let mut conf_state = ConfState::default();
    conf_state.voters = vec![1, 2, 3];
    conf_state.learners = vec![4];
    let mut snapshot = Snapshot::default();
    snapshot.data = Bytes::from_static(b"state");
    snapshot.mut_metadata().index = 300;
    snapshot.mut_metadata().set_conf_state(conf_state);
    let mut shipped = Message::default();
    shipped.set_msg_type(MessageType::MsgSnapshot);
    shipped.set_snapshot(snapshot);

    let hello = Hello {
        cluster_id: "mill".to_owned(),
        broker: 3,
        instance: 1 << 100,
        about: Bytes::from_static(b"here"),
        errand: Some(Errand {
            wanted: 4,
            lane: Lane::Bulk,
        }),
    };
    vec![
        messages::encode(&[(GroupId(9), append), (GroupId(10), shipped)]).to_vec(),
        hello.encode(),
    ]
}

fn entry(index: u64, data: &'static [u8]) -> Entry {
    let mut entry = Entry::default();
    entry.term = 7;
    entry.index = index;
    entry.context = Bytes::from_static(b"context");
    entry.data = Bytes::from_static(data);
    entry
}
