//! One replica of one group: what may be asked of it. What raft then wants done is in [`super::ready`].

use std::collections::VecDeque;
use std::sync::Arc;

use raft::eraftpb::{Entry, HardState, Message, MessageType};
use raft::{GetEntriesContext, ProgressState, RawNode, SnapshotStatus, StateRole};

use super::guard::{Guarded, OpenError};
use super::logger;
use super::membership::PendingChange;
use super::ports::{GroupId, GroupLog, PeerId, StateMachine};
use super::proposal::Proposal;
use super::ready::Unsynced;
use super::reply::Failure;
use super::settings::Settings;
use super::status::{Progress, Role, Status};
use super::waiters::Waiters;
use super::worker::GroupConfig;

/// This replica can no longer be trusted.
pub(super) struct Fault(pub(super) Arc<str>);

impl Fault {
    pub(super) fn new(what: impl Into<Arc<str>>) -> Self {
        Fault(what.into())
    }
}

/// Where this replica stood when it was last looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Standing {
    state: StateRole,
    term: u64,
    leader: PeerId,
}

/// Whether a group needs ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wakefulness {
    Ticks,
    Sleeps,
}

pub(super) struct Group<L: GroupLog, S: StateMachine> {
    pub(super) id: GroupId,
    /// Which of the groups this worker ever held under this id: a late completion must not reach the next one.
    pub(super) incarnation: u64,
    pub(super) node: RawNode<Guarded<L>>,
    pub(super) machine: S,
    pub(super) waiters: Waiters<S::Output, S::Refusal>,
    /// The entry that the next commands may join.
    pub(super) proposal: Option<Proposal<S::Output, S::Refusal>>,
    pub(super) pending_change: Option<PendingChange>,
    /// The membership change up to which raft's membership already stands; later ones are applied.
    pub(super) membership_index: u64,
    /// Readies whose writes are not durable, oldest first; at most one for each batch.
    pub(super) unsynced: VecDeque<Unsynced>,
    /// A second snapshot waits here until the first is durable and restored: raft mixes them up otherwise.
    pub(super) held_snapshot: Option<Message>,
    /// The newest one that raft let go of, the newest one in a write, and the term of the newest durable one.
    pub(super) hard_state: HardState,
    pub(super) written_hard_state: HardState,
    pub(super) durable_term: u64,
    pub(super) fault: Option<Arc<str>>,
    /// Queued for `Worker::run_ready`.
    pub(super) is_dirty: bool,
    /// Whether the worker ticks it.
    pub(super) is_awake: bool,
    standing: Option<Standing>,
    seed: u64,
    standings: u64,
    pub(super) max_waiters: usize,
    /// Its write in the batch with that token.
    pub(super) place_in_batch: Option<(u64, usize)>,
}

impl<L: GroupLog, S: StateMachine> Group<L, S> {
    pub(super) fn open(
        config: &GroupConfig,
        incarnation: u64,
        settings: &Settings,
        log: L,
        machine: S,
    ) -> Result<Self, OpenError> {
        if config.peer == 0 {
            return Err(OpenError::NoPeer);
        }
        let log = Guarded::open(log, config.applied, config.membership_index)?;
        let node = RawNode::new(
            &settings.raft(config.peer, config.applied),
            log,
            &logger::of_group(config.group),
        )?;
        let hard_state = node.raft.hard_state();
        Ok(Group {
            id: config.group,
            incarnation,
            machine,
            waiters: Waiters::new(),
            proposal: None,
            pending_change: None,
            membership_index: config.membership_index,
            unsynced: VecDeque::new(),
            held_snapshot: None,
            written_hard_state: hard_state.clone(),
            durable_term: hard_state.term,
            hard_state,
            fault: None,
            is_dirty: false,
            is_awake: false,
            standing: None,
            seed: config.seed,
            standings: 0,
            max_waiters: settings.max_waiters,
            place_in_batch: None,
            node,
        })
    }

    pub(super) fn leads(&self) -> bool {
        self.node.raft.state == StateRole::Leader
    }

    pub(super) fn peer(&self) -> PeerId {
        self.node.raft.id
    }

    pub(super) fn is_voter(&self) -> bool {
        self.node.raft.prs().conf().voters().contains(self.peer())
    }

    /// Whether its own vote is all it takes, also while a joint membership has the same sole voter twice.
    pub(super) fn wins_alone(&self) -> bool {
        let voters = self.node.raft.prs().conf().voters().ids();
        self.is_voter() && voters.iter().all(|voter| voter == self.peer())
    }

    /// A snapshot was received and is not yet restored.
    pub(super) fn awaits_snapshot(&self) -> bool {
        self.node.snap().is_some() || self.unsynced.iter().any(|ready| ready.snapshot.is_some())
    }

    /// Whether everything that was asked of it is done and durable, and nothing of it is on its way to the log.
    pub(super) fn is_idle(&self) -> bool {
        let log = &self.node.raft.raft_log;
        let owes_nothing = self.fault.is_none()
            && self.proposal.is_none()
            && self.pending_change.is_none()
            && self.held_snapshot.is_none()
            && self.unsynced.is_empty();
        owes_nothing
            && !self.node.has_ready()
            && log.persisted == log.last_index()
            && log.applied == log.committed
    }

    /// Raft panics when a replica campaigns while a snapshot is staged but not restored (what it looks through for membership
    /// changes starts before the log), and when it wins at once, by its own vote, with entries that are not durable.
    pub(super) fn may_campaign(&self) -> bool {
        let log = &self.node.raft.raft_log;
        let is_durable = self.unsynced.is_empty() && log.persisted == log.last_index();
        !self.awaits_snapshot() && (is_durable || !self.wins_alone())
    }

    /// Leads a group in which nobody else is: nothing it does is waited for elsewhere.
    pub(super) fn leads_alone(&self) -> bool {
        self.leads() && self.node.raft.prs().iter().len() == 1
    }

    /// All it could do now is to propose an entry that more commands may join, and it will hear of the log before long.
    pub(super) fn gains_company(&self) -> bool {
        self.proposal.is_some() && !self.unsynced.is_empty() && !self.node.has_ready()
    }

    /// A leader without another replica has nobody to send heartbeats to, no quorum to lose and no election to fear; all
    /// else that happens to it is an event. This is where groups of several voters will hibernate, once brokers watch each
    /// other and every live replica knows the commit index; until then they tick.
    pub(super) fn wakefulness(&self) -> Wakefulness {
        if self.fault.is_some() || self.leads_alone() {
            Wakefulness::Sleeps
        } else {
            Wakefulness::Ticks
        }
    }

    /// To be asked after each call into raft, before anything is made of the result.
    pub(super) fn check_log(&self) -> Result<(), Fault> {
        match self.node.store().is_sound() {
            true => Ok(()),
            false => Err(Fault::new(
                self.node.store().fault().unwrap_or_else(|| "log".into()),
            )),
        }
    }

    pub(super) fn tick(&mut self) -> Result<(), Fault> {
        if !self.leads() && !self.may_campaign() {
            return Ok(());
        }
        self.node.tick();
        self.settle()
    }

    /// A sole voter leads as soon as it has applied what it knows to be committed: there is nobody to wait for.
    pub(super) fn lead_if_alone(&mut self) -> Result<(), Fault> {
        if !self.leads() && self.wins_alone() && self.may_campaign() && !self.node.has_ready() {
            self.campaign()?;
        }
        Ok(())
    }

    pub(super) fn leader_lost(&mut self, leader: PeerId) -> Result<(), Fault> {
        let raft = &mut self.node.raft;
        if raft.leader_id == leader && raft.state == StateRole::Follower {
            // Without a leader there is no lease that would keep it from voting.
            let term = raft.term;
            raft.become_follower(term, raft::INVALID_ID);
        }
        self.settle()
    }

    pub(super) fn campaign(&mut self) -> Result<(), Fault> {
        if self.may_campaign() && self.is_voter() {
            // The only errors are those of proposals.
            let _ = self.node.campaign();
        }
        self.settle()
    }

    pub(super) fn may_propose<R>(&self) -> Result<(), Failure<R>> {
        if !self.leads() {
            let leader = self.node.raft.leader_id;
            return Err(Failure::NotLeader { leader });
        }
        match self.node.raft.lead_transferee {
            Some(to) => Err(Failure::Transferring { to }),
            None => Ok(()),
        }
    }

    /// The index of the entry, or nothing when raft dropped it. Only a leader proposes: raft would forward it otherwise.
    pub(super) fn propose(&mut self, entry: Entry) -> Result<Option<u64>, Fault> {
        // Stepped as a message, because `RawNode::propose` takes vectors and would copy them.
        let mut message = Message::default();
        message.set_msg_type(MessageType::MsgPropose);
        message.from = self.peer();
        message.set_entries(vec![entry].into());
        match self.node.step(message) {
            Ok(()) => {
                self.check_log()?;
                Ok(Some(self.node.raft.raft_log.last_index()))
            }
            Err(raft::Error::ProposalDropped) => Ok(None),
            Err(error) => Err(Fault::new(format!("propose: {error}"))),
        }
    }

    pub(super) fn transfer_leader(&mut self, to: PeerId) -> Result<(), Fault> {
        self.node.transfer_leader(to);
        self.settle()
    }

    pub(super) fn report_unreachable(&mut self, peer: PeerId) -> Result<(), Fault> {
        self.node.report_unreachable(peer);
        self.settle()
    }

    pub(super) fn report_snapshot(
        &mut self,
        peer: PeerId,
        status: SnapshotStatus,
    ) -> Result<(), Fault> {
        self.node.report_snapshot(peer, status);
        self.settle()
    }

    /// After each call into raft: faults of the log, and changes of leadership, before anything else happens.
    pub(super) fn settle(&mut self) -> Result<(), Fault> {
        self.check_log()?;
        let raft = &mut self.node.raft;
        let standing = Standing {
            state: raft.state,
            term: raft.term,
            leader: raft.leader_id,
        };
        if self.standing == Some(standing) {
            return Ok(());
        }
        let before = self.standing.replace(standing);
        self.standings += 1;
        // Raft draws its time-out from the thread's own randomness; this one makes a run repeatable.
        let span = raft.election_timeout() as u64;
        let draw = mix(self.seed ^ mix(self.id.0 ^ mix(raft.id ^ mix(self.standings)))) % span;
        raft.set_randomized_election_timeout(raft.election_timeout() + draw as usize);

        let Standing {
            state,
            term,
            leader,
        } = standing;
        let leads = state == StateRole::Leader;
        let knew = |before: Standing| {
            (
                before.state == StateRole::Leader,
                before.term,
                before.leader,
            ) == (leads, term, leader)
        };
        if before.is_some_and(knew) {
            // Only from follower to candidate or back.
            return Ok(());
        }
        // Also when it leads again, in a later term: what was proposed in the earlier one may be gone.
        self.waiters.fail(|| Failure::NotLeader { leader });
        if let Some(change) = self.pending_change.take() {
            change.reply.answer(Err(Failure::NotLeader { leader }));
        }
        if !leads {
            self.machine.follow(term, leader);
            return Ok(());
        }
        let log = &self.node.raft.raft_log;
        let unapplied = log
            .entries(log.applied + 1, None, GetEntriesContext::empty(false))
            .map_err(|error| Fault::new(format!("read unapplied entries: {error}")))?;
        self.check_log()?;
        self.machine.lead(term, &unapplied);
        Ok(())
    }

    pub(super) fn answer_waiters(&mut self) {
        let raft = &self.node.raft;
        self.waiters.on_persisted(raft.raft_log.persisted);
        if !self.waiters.any_up_to(raft.raft_log.applied) {
            return;
        }
        let matched = || {
            let voters = raft.prs().conf().voters();
            let mut matched: Vec<u64> = raft
                .prs()
                .iter()
                .filter(|(peer, _)| voters.contains(**peer))
                .map(|(_, progress)| progress.matched)
                .collect();
            matched.sort_unstable_by(|a, b| b.cmp(a));
            matched
        };
        self.waiters.on_committed(raft.raft_log.applied, matched);
    }

    /// Everybody who waits hears of it, and nothing more leaves this replica.
    pub(super) fn go_offline(&mut self, fault: Fault) {
        if self.fault.is_some() {
            return;
        }
        tracing::error!(group = %self.id, fault = %fault.0, "replica goes offline");
        self.waiters.fail(|| Failure::Faulty(fault.0.clone()));
        if let Some(proposal) = self.proposal.take() {
            proposal.fail(|| Failure::Faulty(fault.0.clone()));
        }
        if let Some(change) = self.pending_change.take() {
            change.reply.answer(Err(Failure::Faulty(fault.0.clone())));
        }
        self.unsynced.clear();
        self.held_snapshot = None;
        self.fault = Some(fault.0);
        self.machine.follow(self.node.raft.term, 0);
    }

    pub(super) fn status(&self) -> Status {
        let raft = &self.node.raft;
        let role = match (&self.fault, raft.state) {
            (Some(fault), _) => Role::Offline(fault.clone()),
            (None, StateRole::Leader) => Role::Leader,
            (None, StateRole::Follower) => Role::Follower,
            (None, StateRole::Candidate | StateRole::PreCandidate) => Role::Candidate,
        };
        let mut progress: Vec<Progress> = Vec::new();
        if role == Role::Leader {
            let voters = raft.prs().conf().voters();
            progress.extend(raft.prs().iter().map(|(peer, progress)| Progress {
                peer: *peer,
                is_voter: voters.contains(*peer),
                matched: progress.matched,
                is_active: progress.recent_active || *peer == raft.id,
                awaits_snapshot: progress.state == ProgressState::Snapshot,
            }));
            progress.sort_unstable_by_key(|progress| progress.peer);
        }
        Status {
            peer: raft.id,
            leader: match role {
                Role::Offline(_) => 0,
                _ => raft.leader_id,
            },
            role,
            term: raft.term,
            commit: raft.raft_log.committed,
            applied: raft.raft_log.applied,
            persisted: raft.raft_log.persisted,
            last_index: raft.raft_log.last_index(),
            membership: raft.prs().conf().to_conf_state(),
            progress,
        }
    }

    pub(super) fn into_parts(self) -> (L, S) {
        (self.node.raft.r.raft_log.store.log, self.machine)
    }
}

/// A finaliser of splitmix64: spreads what differs in few bits.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
