//! A toy state machine: the list of commands, each with its index.

use bytes::Bytes;
use raft::eraftpb::{Entry, Snapshot};

use crate::raft::ports::{Joined, PeerId, Prepared, StateMachine};

#[derive(Clone, Debug)]
pub(super) enum Command {
    Append(String),
    /// Answered once the entry at this index is.
    After(u64),
    Done,
    Refuse,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("refused")]
pub(super) struct Refused;

#[derive(Default)]
pub(super) struct Ledger {
    pub(super) applied: Vec<(u64, String)>,
    pub(super) proposed: Vec<(u64, u64)>,
    /// The term it leads in.
    pub(super) leads: Option<u64>,
    pub(super) leader: PeerId,
    /// As `lead` was given them, each with its length.
    pub(super) unapplied: Vec<(u64, usize)>,
    pub(super) persisted: u64,
    pub(super) fails_at: Option<String>,
    pub(super) restored: usize,
    /// Whether commands that wait together become one entry, with commas between.
    pub(super) joins: bool,
}

impl Ledger {
    pub(super) fn from_state(state: &[u8]) -> Self {
        Ledger {
            applied: decode(state),
            ..Ledger::default()
        }
    }

    pub(super) fn state(&self) -> Bytes {
        let lines: Vec<String> = self
            .applied
            .iter()
            .map(|(index, command)| format!("{index} {command}\n"))
            .collect();
        lines.concat().into()
    }

    pub(super) fn commands(&self) -> Vec<&str> {
        let commands = self.applied.iter().map(|(_, command)| command.as_str());
        commands.collect()
    }
}

fn decode(state: &[u8]) -> Vec<(u64, String)> {
    std::str::from_utf8(state)
        .unwrap()
        .lines()
        .map(|line| {
            let (index, command) = line.split_once(' ').unwrap();
            (index.parse().unwrap(), command.to_owned())
        })
        .collect()
}

impl StateMachine for Ledger {
    type Command = Command;
    type Output = String;
    type Refusal = Refused;
    type Fault = String;

    fn prepare(&mut self, term: u64, command: Command) -> Result<Prepared<String>, Refused> {
        assert_eq!(self.leads, Some(term), "prepared without leading");
        match command {
            Command::Append(text) => Ok(Prepared::Entry {
                context: Bytes::from_static(b"ledger"),
                data: text.clone().into(),
                output: text,
            }),
            Command::After(index) => Ok(Prepared::After {
                index,
                output: format!("after {index}"),
            }),
            Command::Done => Ok(Prepared::Done("done".to_owned())),
            Command::Refuse => Err(Refused),
        }
    }

    fn may_grow(&self) -> bool {
        self.joins
    }

    fn join(&mut self, term: u64, command: Command) -> Joined<Command, String, Refused> {
        assert_eq!(self.leads, Some(term), "joined without leading");
        match command {
            Command::Append(text) => Joined::Part {
                context: Bytes::from_static(b"ledger"),
                data: format!(",{text}").into(),
                output: text,
            },
            Command::Refuse => Joined::Refused(Refused),
            command => Joined::Apart(command),
        }
    }

    fn proposed(&mut self, term: u64, index: u64) {
        assert_eq!(self.leads, Some(term));
        self.proposed.push((term, index));
    }

    fn lead(&mut self, term: u64, unapplied: &[Entry]) {
        self.leads = Some(term);
        self.unapplied = unapplied
            .iter()
            .map(|entry| (entry.index, entry.data.len()))
            .collect();
    }

    fn follow(&mut self, _term: u64, leader: PeerId) {
        self.leads = None;
        self.leader = leader;
    }

    fn apply(&mut self, entry: &Entry) -> Result<(), String> {
        if entry.context.is_empty() {
            return Ok(());
        }
        let command = std::str::from_utf8(&entry.data).unwrap().to_owned();
        if self.fails_at.as_ref() == Some(&command) {
            return Err(format!("cannot apply {command}"));
        }
        assert!(
            self.applied
                .last()
                .is_none_or(|(last, _)| *last < entry.index)
        );
        self.applied.push((entry.index, command));
        Ok(())
    }

    fn persisted(&mut self, index: u64) {
        self.persisted = index;
    }

    fn snapshot(&mut self) -> Result<Bytes, String> {
        Ok(self.state())
    }

    fn restore(&mut self, snapshot: &Snapshot) -> Result<(), String> {
        self.applied = decode(&snapshot.data);
        self.restored += 1;
        Ok(())
    }
}
