//! Raft messages as they are sent: many of them, of many groups, to the end of the frame.
//!
//! A form of our own, and not protobuf's: entries' data are sent from, and kept in, the memory where they are; what is
//! allocated is bounded by what came in; nothing recurses.
//!
//! ```text
//! message  = group, kind u8, flags u8, to, from, term, log term, index, commit, commit term, request snapshot, reject hint,
//!            deprecated priority, priority (zigzag), context, count of entries, entries, [snapshot]      (varints; bytes by length)
//! entry    = kind u8 (its highest bit: sync log), term u64, index u64, length of context u32, of data u32, context, data
//! snapshot = [index, term, [voters, learners, outgoing voters, next learners]], data
//! ```

use bytes::{BufMut as _, Bytes, BytesMut};
use raft::eraftpb::{
    ConfState, Entry, EntryType, Message, MessageType, Snapshot, SnapshotMetadata,
};

use super::cursor::{Cursor, Malformed, keep, malformed, put_varint};
use super::frame::Body;
use crate::raft::ports::GroupId;

/// In a frame. In memory a message takes some twenty times the bytes of the shortest one sent.
pub const MAX_MESSAGES: usize = 16 * 1024;
/// Voters or learners of a group: bounded like everything else, and far above what anybody has.
const MAX_MEMBERS: usize = 1024;
const ENTRY_HEAD_BYTES: usize = 1 + 8 + 8 + 4 + 4;

const REJECT: u8 = 1;
const SNAPSHOT: u8 = 1 << 1;
const METADATA: u8 = 1 << 2;
const CONF_STATE: u8 = 1 << 3;
const AUTO_LEAVE: u8 = 1 << 4;
const KNOWN_FLAGS: u8 = REJECT | SNAPSHOT | METADATA | CONF_STATE | AUTO_LEAVE;

const SYNC_LOG: u8 = 1 << 7;

pub(super) fn put(body: &mut Body, group: GroupId, message: &Message) {
    let snapshot = message.snapshot.as_ref();
    let metadata = snapshot.and_then(|snapshot| snapshot.metadata.as_ref());
    let conf_state = metadata.and_then(|metadata| metadata.conf_state.as_ref());
    let flag = |set: bool, flag: u8| if set { flag } else { 0 };
    let flags = flag(message.reject, REJECT)
        | flag(snapshot.is_some(), SNAPSHOT)
        | flag(metadata.is_some(), METADATA)
        | flag(conf_state.is_some(), CONF_STATE)
        | flag(conf_state.is_some_and(|state| state.auto_leave), AUTO_LEAVE);

    let out = body.open();
    put_varint(out, group.0);
    out.put_u8(message.msg_type as u8);
    out.put_u8(flags);
    for number in [
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
        ((message.priority << 1) ^ (message.priority >> 63)) as u64,
    ] {
        put_varint(out, number);
    }
    put_bytes(body, &message.context);
    put_varint(body.open(), message.entries.len() as u64);
    for entry in &message.entries {
        put_entry(body, entry);
    }
    if let Some(metadata) = metadata {
        let out = body.open();
        put_varint(out, metadata.index);
        put_varint(out, metadata.term);
    }
    if let Some(state) = conf_state {
        let out = body.open();
        for members in [
            &state.voters,
            &state.learners,
            &state.voters_outgoing,
            &state.learners_next,
        ] {
            put_members(out, members);
        }
    }
    if let Some(snapshot) = snapshot {
        put_bytes(body, &snapshot.data);
    }
}

fn put_entry(body: &mut Body, entry: &Entry) {
    let out = body.open();
    let sync_log = if entry.sync_log { SYNC_LOG } else { 0 };
    out.put_u8(entry.entry_type as u8 | sync_log);
    out.put_u64(entry.term);
    out.put_u64(entry.index);
    // The bound on frames is below 4 GiB: a longer one is not sent.
    out.put_u32(entry.context.len() as u32);
    out.put_u32(entry.data.len() as u32);
    body.put(&entry.context);
    body.put(&entry.data);
}

fn put_bytes(body: &mut Body, bytes: &Bytes) {
    put_varint(body.open(), bytes.len() as u64);
    body.put(bytes);
}

fn put_members(out: &mut BytesMut, members: &[u64]) {
    put_varint(out, members.len() as u64);
    for member in members {
        put_varint(out, *member);
    }
}

/// For who has no frame to put them in.
pub fn encode(messages: &[(GroupId, Message)]) -> Bytes {
    let mut body = Body::default();
    for (group, message) in messages {
        put(&mut body, *group, message);
    }
    body.into_parts().concat().into()
}

pub fn decode(frame: &Bytes) -> Result<Vec<(GroupId, Message)>, Malformed> {
    let mut cursor = Cursor::new(frame);
    let mut messages = Vec::new();
    while cursor.remaining() > 0 {
        if messages.len() == MAX_MESSAGES {
            return malformed("raft messages", "are more than a frame may have");
        }
        messages.push(message(frame, &mut cursor)?);
    }
    Ok(messages)
}

fn message(frame: &Bytes, cursor: &mut Cursor<'_>) -> Result<(GroupId, Message), Malformed> {
    const HEAD: &str = "head of a raft message";
    let group = GroupId(cursor.varint(HEAD)?);
    let mut message = Message::default();
    message.msg_type = message_type(cursor.u8(HEAD)?)?;
    let flags = cursor.u8(HEAD)?;
    let has = |flag: u8| flags & flag != 0;
    let needs = |flag: u8, other: u8| !has(flag) || has(other);
    if flags & !KNOWN_FLAGS != 0
        || !needs(AUTO_LEAVE, CONF_STATE)
        || !needs(CONF_STATE, METADATA)
        || !needs(METADATA, SNAPSHOT)
    {
        return malformed("flags of a raft message", "do not exist");
    }
    message.reject = has(REJECT);
    message.to = cursor.varint(HEAD)?;
    message.from = cursor.varint(HEAD)?;
    message.term = cursor.varint(HEAD)?;
    message.log_term = cursor.varint(HEAD)?;
    message.index = cursor.varint(HEAD)?;
    message.commit = cursor.varint(HEAD)?;
    message.commit_term = cursor.varint(HEAD)?;
    message.request_snapshot = cursor.varint(HEAD)?;
    message.reject_hint = cursor.varint(HEAD)?;
    message.deprecated_priority = cursor.varint(HEAD)?;
    let priority = cursor.varint(HEAD)?;
    message.priority = (priority >> 1) as i64 ^ -((priority & 1) as i64);
    message.context = bytes(frame, cursor, "context of a raft message")?;

    let entries = cursor.count(ENTRY_HEAD_BYTES, "entries of a raft message")?;
    let entries: Result<Vec<Entry>, Malformed> =
        (0..entries).map(|_| entry(frame, cursor)).collect();
    message.entries = entries?.into();

    if has(SNAPSHOT) {
        let mut snapshot = Snapshot::default();
        if has(METADATA) {
            let mut metadata = SnapshotMetadata::default();
            metadata.index = cursor.varint("metadata of a snapshot")?;
            metadata.term = cursor.varint("metadata of a snapshot")?;
            if has(CONF_STATE) {
                let mut state = ConfState::default();
                state.voters = members(cursor)?;
                state.learners = members(cursor)?;
                state.voters_outgoing = members(cursor)?;
                state.learners_next = members(cursor)?;
                state.auto_leave = has(AUTO_LEAVE);
                metadata.set_conf_state(state);
            }
            snapshot.set_metadata(metadata);
        }
        snapshot.data = bytes(frame, cursor, "data of a snapshot")?;
        message.set_snapshot(snapshot);
    }
    Ok((group, message))
}

fn entry(frame: &Bytes, cursor: &mut Cursor<'_>) -> Result<Entry, Malformed> {
    const HEAD: &str = "head of an entry";
    let mut entry = Entry::default();
    let kind = cursor.u8(HEAD)?;
    entry.sync_log = kind & SYNC_LOG != 0;
    entry.entry_type = match kind & !SYNC_LOG {
        0 => EntryType::EntryNormal,
        1 => EntryType::EntryConfChange,
        2 => EntryType::EntryConfChangeV2,
        _ => return malformed("kind of an entry", "does not exist"),
    };
    entry.term = cursor.u64(HEAD)?;
    entry.index = cursor.u64(HEAD)?;
    let context = cursor.u32(HEAD)? as usize;
    let data = cursor.u32(HEAD)? as usize;
    entry.context = keep(frame, cursor.take(context, "context of an entry")?);
    entry.data = keep(frame, cursor.take(data, "data of an entry")?);
    Ok(entry)
}

fn bytes(frame: &Bytes, cursor: &mut Cursor<'_>, what: &'static str) -> Result<Bytes, Malformed> {
    let count = cursor.count(1, what)?;
    Ok(keep(frame, cursor.take(count, what)?))
}

fn members(cursor: &mut Cursor<'_>) -> Result<Vec<u64>, Malformed> {
    const MEMBERS: &str = "members in a snapshot";
    let count = cursor.count(1, MEMBERS)?;
    if count > MAX_MEMBERS {
        return malformed(MEMBERS, "are more than a group may have");
    }
    (0..count).map(|_| cursor.varint(MEMBERS)).collect()
}

fn message_type(code: u8) -> Result<MessageType, Malformed> {
    use MessageType::*;
    let found = [
        MsgHup,
        MsgBeat,
        MsgPropose,
        MsgAppend,
        MsgAppendResponse,
        MsgRequestVote,
        MsgRequestVoteResponse,
        MsgSnapshot,
        MsgHeartbeat,
        MsgHeartbeatResponse,
        MsgUnreachable,
        MsgSnapStatus,
        MsgCheckQuorum,
        MsgTransferLeader,
        MsgTimeoutNow,
        MsgReadIndex,
        MsgReadIndexResp,
        MsgRequestPreVote,
        MsgRequestPreVoteResponse,
    ]
    .into_iter()
    .find(|kind| *kind as u8 == code);
    match found {
        Some(kind) => Ok(kind),
        None => malformed("kind of a raft message", "does not exist"),
    }
}
