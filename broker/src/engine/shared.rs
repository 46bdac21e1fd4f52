//! What the handles of one partition share, and where it is: that changes when the partition moves to another directory.

use super::hosted::{Hosted, RaftHandle, RaftWorker};
use super::{Error, LOCK};
use crate::metadata::BrokerId;
use crate::partition::{Command, Output, Partition, PartitionView, Refusal, TopicConfig};
use crate::raft::ports::{Ack, GroupId, PeerId};
use crate::raft::runtime::QueueFull;
use crate::raft::{Failure, Reply};
use crate::storage;
use crate::storage::shard::Shard;
use raft::eraftpb::Message;
use std::sync::{Arc, OnceLock, RwLock, Weak};

pub(super) struct Shared {
    pub group: GroupId,
    pub view: PartitionView,
    pub config: RwLock<Arc<TopicConfig>>,
    pub max_entry_bytes: usize,
    /// Which of the group's replicas this one is.
    pub peer: PeerId,
    /// Each replica, and the broker that it is on.
    members: RwLock<Arc<[(PeerId, BrokerId)]>>,
    /// What was found damaged, once something was.
    pub damage: OnceLock<storage::Error>,
    place: RwLock<Arc<Place>>,
}

/// The directory that holds the partition.
pub(super) struct Place {
    pub shard: Arc<Shard>,
    raft: RaftHandle,
    hosted: Weak<Hosted>,
    /// Not in the moment in which it changes directories.
    takes_commands: bool,
    /// How often it has.
    moves: u64,
}

impl Place {
    pub fn new(hosted: &Weak<Hosted>, shard: Arc<Shard>, raft: RaftHandle) -> Place {
        Place {
            shard,
            raft,
            hosted: hosted.clone(),
            takes_commands: true,
            moves: 0,
        }
    }
}

impl Shared {
    pub fn new(
        group: GroupId,
        view: PartitionView,
        config: TopicConfig,
        max_entry_bytes: usize,
        (peer, members): (PeerId, Vec<(PeerId, BrokerId)>),
        place: Place,
    ) -> Shared {
        Shared {
            group,
            view,
            config: RwLock::new(Arc::new(config)),
            max_entry_bytes,
            peer,
            members: RwLock::new(members.into()),
            damage: OnceLock::new(),
            place: RwLock::new(Arc::new(place)),
        }
    }

    pub fn members(&self) -> Arc<[(PeerId, BrokerId)]> {
        self.members.read().expect(LOCK).clone()
    }

    /// The replicas of the group have changed.
    pub fn set_members(&self, members: Vec<(PeerId, BrokerId)>) {
        let members: Arc<[_]> = members.into();
        *self.members.write().expect(LOCK) = members.clone();
        if let Ok(hosted) = self.hosted() {
            let group = self.group;
            hosted.call(group, move |worker| {
                worker.transport().set_route(group, &members);
            });
        }
    }

    /// Hands the replica what another one says; lost when its worker has too much to do, as it might be on the way.
    pub fn deliver(&self, message: Message) {
        let _ = self.place().raft.message(self.group, message);
    }

    /// Lets the replica's worker do something, unless that has too much to do.
    pub fn call(
        &self,
        call: impl FnOnce(&mut RaftWorker) + Send + 'static,
    ) -> Result<(), QueueFull> {
        self.place().raft.call(call)
    }

    pub fn place(&self) -> Arc<Place> {
        self.place.read().expect(LOCK).clone()
    }

    /// The partition goes on at `place`.
    pub fn settle_at(&self, place: Place) {
        let mut at = self.place.write().expect(LOCK);
        let moves = at.moves + 1;
        *at = Arc::new(Place { moves, ..place });
    }

    /// Until it is settled somewhere, commands are answered as if it had no leader.
    pub fn refuse_commands(&self) {
        let mut at = self.place.write().expect(LOCK);
        *at = Arc::new(Place {
            shard: at.shard.clone(),
            raft: at.raft.clone(),
            hosted: at.hosted.clone(),
            takes_commands: false,
            moves: at.moves,
        });
    }

    /// Asks the partition's shard, and asks once more when the partition has moved meanwhile: what is left behind is deleted, and
    /// an answer may lack what was.
    pub fn ask<T>(&self, ask: impl Fn(&Shard) -> T) -> T {
        loop {
            let place = self.place();
            let answer = ask(&place.shard);
            if self.place().moves == place.moves {
                return answer;
            }
        }
    }

    pub fn command(
        &self,
        command: Command,
        ack: Ack,
        answer: impl FnOnce(Result<Output, Failure<Refusal>>) + Send + 'static,
    ) {
        let place = self.place();
        if !place.takes_commands {
            return answer(Err(Failure::NotLeader { leader: 0 }));
        }
        place
            .raft
            .command(self.group, command, ack, Reply::new(answer));
    }

    /// Shows the partition's machine to `look`, on its worker's thread. Not called when the partition is gone by then.
    pub fn look(
        &self,
        look: impl FnOnce(&Partition) + Send + 'static,
    ) -> Result<(), Failure<Refusal>> {
        let group = self.group;
        let queued = self.place().raft.call(move |worker| {
            if let Some(machine) = worker.machine(group) {
                look(machine);
            }
        });
        queued.map_err(|_| Failure::Overloaded)
    }

    /// Takes this replica offline when `error` says that its data is damaged. The others of its directory go on.
    pub fn heed(&self, error: &storage::Error) {
        if !error.is_damage() || self.damage.set(error.clone()).is_err() {
            return;
        }
        if let Ok(hosted) = self.hosted() {
            let (group, why) = (self.group, error.to_string());
            hosted.call(group, move |worker| worker.take_offline(group, &why));
        }
    }

    pub fn hosted(&self) -> Result<Arc<Hosted>, Error> {
        self.place().hosted.upgrade().ok_or(Error::NoDirectory)
    }

    pub fn set_config(&self, config: TopicConfig) {
        *self.config.write().expect(LOCK) = Arc::new(config);
        self.apply_config();
    }

    /// Hands the machine what is set now: after a change, and after a move, which a change may have missed.
    pub fn apply_config(&self) {
        let config = self.config.read().expect(LOCK).clone();
        if let Ok(hosted) = self.hosted() {
            let group = self.group;
            hosted.call(group, move |worker| {
                if let Some(machine) = worker.machine_mut(group) {
                    machine.set_config((*config).clone());
                }
            });
        }
    }
}
