//! A frame: length (`u32`, of all that follows it), kind (`u8`), body, seal. Its number is not sent.

use bytes::{BufMut as _, Bytes, BytesMut};

use super::cursor::{Cursor, Malformed};
use super::seal::{SEAL_BYTES, Sealer};
use crate::raft::ports::{GroupId, PeerId};

/// Length and kind.
pub(super) const HEAD_BYTES: usize = 5;
/// What a frame takes beside its body.
pub(super) const OVERHEAD_BYTES: usize = HEAD_BYTES + SEAL_BYTES;
/// A part of a body that is not shorter is sent from where it is instead of being copied.
const SHARED_FROM: usize = 8 << 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Pulse,
    Raft,
    Note,
    Ask,
    Answer,
}

impl Kind {
    fn code(self) -> u8 {
        match self {
            Kind::Pulse => 1,
            Kind::Raft => 2,
            Kind::Note => 3,
            Kind::Ask => 4,
            Kind::Answer => 5,
        }
    }

    pub(super) fn from_code(code: u8) -> Option<Kind> {
        [Kind::Pulse, Kind::Raft, Kind::Note, Kind::Ask, Kind::Answer]
            .into_iter()
            .find(|kind| kind.code() == code)
    }
}

/// A body in the making: short parts side by side, long ones as they are.
#[derive(Debug, Default)]
pub(super) struct Body {
    closed: Vec<Bytes>,
    open: BytesMut,
    closed_bytes: usize,
}

impl Body {
    pub(super) fn open(&mut self) -> &mut BytesMut {
        &mut self.open
    }

    pub(super) fn put(&mut self, bytes: &Bytes) {
        if bytes.len() < SHARED_FROM {
            self.open.extend_from_slice(bytes);
            return;
        }
        self.close();
        self.closed_bytes += bytes.len();
        self.closed.push(bytes.clone());
    }

    pub(super) fn len(&self) -> usize {
        self.closed_bytes + self.open.len()
    }

    pub(super) fn into_parts(mut self) -> Vec<Bytes> {
        self.close();
        self.closed
    }

    fn close(&mut self) {
        if !self.open.is_empty() {
            self.closed_bytes += self.open.len();
            self.closed.push(self.open.split().freeze());
        }
    }
}

/// A frame that waits to be sent, and who must hear what became of it.
#[derive(Debug)]
pub(super) struct Outgoing {
    kind: Kind,
    parts: Vec<Bytes>,
    body_bytes: usize,
    /// Raft messages in it.
    pub(super) messages: u64,
    /// Those of them that carry snapshots, and whom they are for.
    pub(super) snapshots: Vec<(GroupId, PeerId)>,
}

impl Outgoing {
    pub(super) fn new(kind: Kind, body: Body) -> Outgoing {
        let body_bytes = body.len();
        Outgoing {
            kind,
            parts: body.into_parts(),
            body_bytes,
            messages: 0,
            snapshots: Vec::new(),
        }
    }

    pub(super) fn raft(body: Body, messages: u64, snapshots: Vec<(GroupId, PeerId)>) -> Outgoing {
        Outgoing {
            messages,
            snapshots,
            ..Outgoing::new(Kind::Raft, body)
        }
    }

    pub(super) fn note(kind: u16, bytes: &Bytes) -> Outgoing {
        let mut body = Body::default();
        body.open().put_u16(kind);
        body.put(bytes);
        Outgoing::new(Kind::Note, body)
    }

    pub(super) fn ask(id: u64, kind: u16, bytes: &Bytes) -> Outgoing {
        let mut body = Body::default();
        body.open().put_u64(id);
        body.open().put_u16(kind);
        body.put(bytes);
        Outgoing::new(Kind::Ask, body)
    }

    pub(super) fn answer(id: u64, bytes: &Bytes) -> Outgoing {
        let mut body = Body::default();
        body.open().put_u64(id);
        body.put(bytes);
        Outgoing::new(Kind::Answer, body)
    }

    pub(super) fn pulse(pulse: Pulse, bytes: &Bytes) -> Outgoing {
        let mut body = Body::default();
        body.open().put_u64(pulse.sent_at);
        body.open().put_u64(pulse.echo);
        body.open().put_u64(pulse.held);
        body.put(bytes);
        Outgoing::new(Kind::Pulse, body)
    }

    /// On the wire.
    pub(super) fn len(&self) -> usize {
        self.body_bytes + OVERHEAD_BYTES
    }

    /// Seals the frame and adds it to what is written next.
    pub(super) fn write(&self, sealer: &mut Sealer, out: &mut Body) {
        let length = self.body_bytes + OVERHEAD_BYTES - 4;
        let mut head = [0; HEAD_BYTES];
        // The queue takes no frame longer than `max_frame_bytes`, which fits in 32 bits.
        head[..4].copy_from_slice(&(length as u32).to_be_bytes());
        head[4] = self.kind.code();
        let parts = self.parts.iter().map(|part| &part[..]);
        let seal = sealer.seal(std::iter::once(&head[..]).chain(parts));
        out.open().put_slice(&head);
        for part in &self.parts {
            out.put(part);
        }
        out.open().put_slice(&seal);
    }
}

/// The clocks in a pulse, by which the round trip is known: nanoseconds of the sender's clock, the newest `sent_at` that it
/// had from the receiver (0: none), and how long ago that was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Pulse {
    pub(super) sent_at: u64,
    pub(super) echo: u64,
    pub(super) held: u64,
}

pub(super) fn read_pulse(body: &Bytes) -> Result<(Pulse, Bytes), Malformed> {
    let mut cursor = Cursor::new(body);
    let pulse = Pulse {
        sent_at: cursor.u64("clocks of a pulse")?,
        echo: cursor.u64("clocks of a pulse")?,
        held: cursor.u64("clocks of a pulse")?,
    };
    Ok((pulse, body.slice_ref(cursor.rest())))
}

pub(super) fn read_note(body: &Bytes) -> Result<(u16, Bytes), Malformed> {
    let mut cursor = Cursor::new(body);
    let kind = cursor.u16("kind of a note")?;
    Ok((kind, body.slice_ref(cursor.rest())))
}

pub(super) fn read_ask(body: &Bytes) -> Result<(u64, u16, Bytes), Malformed> {
    let mut cursor = Cursor::new(body);
    let id = cursor.u64("id of a question")?;
    let kind = cursor.u16("kind of a question")?;
    Ok((id, kind, body.slice_ref(cursor.rest())))
}

pub(super) fn read_answer(body: &Bytes) -> Result<(u64, Bytes), Malformed> {
    let mut cursor = Cursor::new(body);
    let id = cursor.u64("id of an answer")?;
    Ok((id, body.slice_ref(cursor.rest())))
}
