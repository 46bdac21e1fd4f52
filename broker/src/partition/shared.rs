//! The cheap handle to a partition: positions to read, and waits for them to move (long polls).

use super::aborted::{Aborted, AbortedTransaction};
use super::epochs::{Epochs, leader_epoch_of};
use crate::raft::ports::{GroupId, PeerId};
use crate::storage::ids::Offset;
use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tokio::sync::{Notify, Semaphore};

/// How many fetches may wait on one partition. One more is told so at once and must be answered with what there is.
pub const MAX_WAITERS: usize = 10_000;

/// What this replica is at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    Leader,
    Follower {
        leader: PeerId,
    },
    /// No leader is known.
    #[default]
    Leaderless,
}

/// `log_start <= last_stable <= high_watermark <= log_end`, at every moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Positions {
    pub log_start: Offset,
    /// Below it every transaction has ended: where read_committed consumers stop.
    pub last_stable: Offset,
    /// Below it everything is committed: where consumers stop.
    pub high_watermark: Offset,
    /// The end of this replica's log; the leader's counts what it has proposed.
    pub log_end: Offset,
    pub role: Role,
    pub term: u64,
    /// It leads, and knows of everything that was ever acknowledged that it is committed. A leader that has just come to lead
    /// does not: its high watermark may lie below what consumers have read.
    pub is_current: bool,
}

impl Positions {
    /// Whether clients are served.
    pub fn leads(&self) -> bool {
        self.role == Role::Leader && self.is_current
    }

    /// Of the leader of this term, known or not; -1 before there was any.
    pub fn leader_epoch(&self) -> i32 {
        leader_epoch_of(self.term).unwrap_or(-1)
    }

    pub fn at(&self, mark: Mark) -> Offset {
        match mark {
            Mark::LastStable => self.last_stable,
            Mark::HighWatermark => self.high_watermark,
            Mark::LogEnd => self.log_end,
        }
    }

    fn check(&self) {
        debug_assert!(
            Offset(0) <= self.log_start
                && self.log_start <= self.last_stable
                && self.last_stable <= self.high_watermark
                && self.high_watermark <= self.log_end,
            "positions out of order: {self:?}"
        );
    }
}

/// Which position a wait is for: the isolation level of a fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    LastStable,
    HighWatermark,
    LogEnd,
}

/// Why a wait ended without the position having moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WaitEnded {
    #[error("the partition's leader or term changed")]
    LeaderChanged,
    #[error("the partition is closed")]
    Closed,
    #[error("more than {MAX_WAITERS} fetches wait on this partition")]
    TooMany,
}

/// What changes seldom and is read by few: behind a lock that is held for a copy only.
#[derive(Debug, Default)]
struct History {
    /// Of the leader: with the epoch it leads in.
    epochs: Epochs,
    aborted: Aborted,
}

/// Which partitions' roles have changed. Bounded by how many partitions there are: each is here once.
#[derive(Debug, Default)]
pub struct Turnovers {
    changed: Mutex<BTreeSet<GroupId>>,
    news: Notify,
}

impl Turnovers {
    fn tell(&self, group: GroupId) {
        self.lock().insert(group);
        self.news.notify_one();
    }

    /// Returns when there are some, possibly at once. For one listener.
    pub async fn any(&self) {
        while self.lock().is_empty() {
            self.news.notified().await;
        }
    }

    /// Those since the last time.
    pub fn take(&self) -> BTreeSet<GroupId> {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<GroupId>> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct Shared {
    positions: Mutex<Positions>,
    /// The positions have changed, or the partition is closed.
    moved: Notify,
    history: Mutex<History>,
    waiters: Semaphore,
    /// Who hears of changes of role.
    turnovers: OnceLock<(GroupId, Arc<Turnovers>)>,
}

/// Clones share one partition. Readers never block its worker for longer than a copy takes.
#[derive(Clone, Debug)]
pub struct PartitionView {
    shared: Arc<Shared>,
}

impl PartitionView {
    pub(super) fn new(positions: Positions, epochs: Epochs, aborted: Aborted) -> PartitionView {
        positions.check();
        PartitionView {
            shared: Arc::new(Shared {
                positions: Mutex::new(positions),
                moved: Notify::new(),
                history: Mutex::new(History { epochs, aborted }),
                waiters: Semaphore::new(MAX_WAITERS),
                turnovers: OnceLock::new(),
            }),
        }
    }

    /// From now on `turnovers` hears when this replica's role changes; and now.
    pub fn tell_turnovers(&self, group: GroupId, turnovers: &Arc<Turnovers>) {
        let _ = self.shared.turnovers.set((group, turnovers.clone()));
        turnovers.tell(group);
    }

    pub fn positions(&self) -> Positions {
        *self.lock()
    }

    /// The end of `epoch` as Kafka's OffsetForLeaderEpoch answers it; see [`Epochs::end_offset_for`].
    pub fn end_offset_for(&self, epoch: i32) -> Option<(i32, Offset)> {
        let log_end = self.positions().log_end;
        self.history().epochs.end_offset_for(epoch, log_end)
    }

    /// The epoch of the record at `offset`.
    pub fn epoch_at(&self, offset: Offset) -> Option<i32> {
        self.history().epochs.epoch_at(offset)
    }

    /// The aborted transactions with records in `from..to`, for a read_committed fetch.
    pub fn aborted_in(&self, from: Offset, to: Offset) -> Vec<AbortedTransaction> {
        self.history().aborted.overlapping(from, to)
    }

    /// Returns as soon as `mark` is above `offset`, possibly at once; or when the wait has become pointless. Dropping it ends
    /// it. Its deadline is the caller's.
    pub async fn wait_past(&self, mark: Mark, offset: Offset) -> Result<Positions, WaitEnded> {
        let before = self.positions();
        if before.at(mark) > offset {
            return Ok(before);
        }
        let Ok(_place) = self.shared.waiters.try_acquire() else {
            return Err(if self.shared.waiters.is_closed() {
                WaitEnded::Closed
            } else {
                WaitEnded::TooMany
            });
        };
        loop {
            // It hears of every change from here on, and looks before it sleeps: none is lost.
            let mut moved = pin!(self.shared.moved.notified());
            moved.as_mut().enable();
            let now = self.positions();
            if now.at(mark) > offset {
                return Ok(now);
            }
            if self.shared.waiters.is_closed() {
                return Err(WaitEnded::Closed);
            }
            if (now.role, now.term) != (before.role, before.term) {
                return Err(WaitEnded::LeaderChanged);
            }
            moved.await;
        }
    }

    /// Storage says where this replica's log ends. A leader knows better: its proposals count before they are on disk.
    pub fn set_log_end(&self, log_end: Offset) {
        self.publish(|positions| {
            if positions.role != Role::Leader {
                positions.log_end = log_end.max(positions.high_watermark);
            }
        });
    }

    /// The partition leaves this broker, or failed: every wait ends, and none begins.
    pub fn close(&self) {
        self.shared.waiters.close();
        self.shared.moved.notify_waiters();
    }

    pub(super) fn publish(&self, change: impl FnOnce(&mut Positions)) {
        let mut positions = self.lock();
        let before = *positions;
        change(&mut positions);
        positions.check();
        let has_moved = *positions != before;
        let standing =
            |positions: &Positions| (positions.role, positions.term, positions.is_current);
        let is_turnover = standing(&positions) != standing(&before);
        drop(positions);
        if is_turnover && let Some((group, turnovers)) = self.shared.turnovers.get() {
            turnovers.tell(*group);
        }
        // Who took a place before it looked is seen here: both look at the positions under their lock in between.
        if has_moved && self.shared.waiters.available_permits() < MAX_WAITERS {
            self.shared.moved.notify_waiters();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Positions> {
        self.shared
            .positions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn publish_epochs(&self, epochs: &Epochs) {
        self.history().epochs.clone_from(epochs);
    }

    pub(super) fn publish_abort(&self, transaction: AbortedTransaction) {
        self.history().aborted.push(transaction);
    }

    pub(super) fn publish_aborted(&self, aborted: &Aborted) {
        self.history().aborted.clone_from(aborted);
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.shared
            .history
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::future::Future;
    use std::pin::pin;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Poll, Wake, Waker};

    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn view() -> PartitionView {
        PartitionView::new(Positions::default(), Epochs::default(), Aborted::default())
    }

    fn commit(view: &PartitionView, offset: i64) {
        view.publish(|p| {
            p.log_end = Offset(offset);
            p.high_watermark = Offset(offset);
        });
    }

    #[test]
    fn a_wait_ends_when_its_mark_moves_past_the_offset() {
        let view = view();
        let wakes = Arc::new(Wakes(AtomicUsize::new(0)));
        let waker = Waker::from(wakes.clone());
        let mut context = Context::from_waker(&waker);
        let mut wait = pin!(view.wait_past(Mark::HighWatermark, Offset(5)));
        assert!(wait.as_mut().poll(&mut context).is_pending());
        commit(&view, 5);
        assert!(wait.as_mut().poll(&mut context).is_pending());
        let before = wakes.0.load(Ordering::SeqCst);
        commit(&view, 6);
        assert_eq!(wakes.0.load(Ordering::SeqCst), before + 1);
        let Poll::Ready(Ok(positions)) = wait.as_mut().poll(&mut context) else {
            panic!("the high watermark is past 5");
        };
        assert_eq!(positions.high_watermark, Offset(6));
        let mut stable = pin!(view.wait_past(Mark::LastStable, Offset(0)));
        assert!(stable.as_mut().poll(&mut context).is_pending());
    }

    #[test]
    fn a_position_already_past_needs_no_wait() {
        let view = view();
        commit(&view, 3);
        let mut context = Context::from_waker(Waker::noop());
        let mut wait = pin!(view.wait_past(Mark::LogEnd, Offset(2)));
        assert!(matches!(
            wait.as_mut().poll(&mut context),
            Poll::Ready(Ok(_))
        ));
    }

    #[test]
    fn a_change_of_leader_or_a_close_ends_waits() {
        let view = view();
        let mut context = Context::from_waker(Waker::noop());
        let mut wait = pin!(view.wait_past(Mark::HighWatermark, Offset(0)));
        assert!(wait.as_mut().poll(&mut context).is_pending());
        view.publish(|p| p.role = Role::Follower { leader: 2 });
        assert_eq!(
            wait.as_mut().poll(&mut context),
            Poll::Ready(Err(WaitEnded::LeaderChanged))
        );
        let mut wait = pin!(view.wait_past(Mark::HighWatermark, Offset(0)));
        assert!(wait.as_mut().poll(&mut context).is_pending());
        view.close();
        assert_eq!(
            wait.as_mut().poll(&mut context),
            Poll::Ready(Err(WaitEnded::Closed))
        );
        let mut wait = pin!(view.wait_past(Mark::HighWatermark, Offset(0)));
        assert_eq!(
            wait.as_mut().poll(&mut context),
            Poll::Ready(Err(WaitEnded::Closed))
        );
    }

    #[test]
    fn waits_are_bounded_and_a_dropped_one_gives_its_place_back() {
        let view = view();
        let mut context = Context::from_waker(Waker::noop());
        let mut waits: Vec<_> = (0..MAX_WAITERS)
            .map(|_| Box::pin(view.wait_past(Mark::HighWatermark, Offset(0))))
            .collect();
        for wait in &mut waits {
            assert!(wait.as_mut().poll(&mut context).is_pending());
        }
        let mut late = pin!(view.wait_past(Mark::HighWatermark, Offset(0)));
        assert_eq!(
            late.as_mut().poll(&mut context),
            Poll::Ready(Err(WaitEnded::TooMany))
        );
        waits.pop();
        let mut late = pin!(view.wait_past(Mark::HighWatermark, Offset(0)));
        assert!(late.as_mut().poll(&mut context).is_pending());
    }

    #[test]
    fn storage_moves_the_log_end_of_a_follower_but_not_of_a_leader() {
        let view = view();
        commit(&view, 4);
        view.set_log_end(Offset(9));
        assert_eq!(view.positions().log_end, Offset(9));
        view.set_log_end(Offset(2));
        assert_eq!(view.positions().log_end, Offset(4));
        view.publish(|p| p.role = Role::Leader);
        view.set_log_end(Offset(9));
        assert_eq!(view.positions().log_end, Offset(4));
    }
}
