//! Moves replicas between the directories of this process, one after the other, on one thread.
//!
//! A move copies runs while the partition goes on; what is not sealed yet is sealed, and copied, until little is left. Then the
//! partition stops for a moment: producers are told that it has no leader, its worker lets it go, the rest of its log is written
//! in the other directory, one durable row makes it that one's ([`crate::storage::moving`]), and the worker there takes it, the same
//! machine with it. Reads go on throughout.
//!
//! **Invariant:** a move that ends in any other way leaves the partition where it was.

use super::LOCK;
use super::hosted::{Hosted, Released, fresh_salt};
use super::housekeeper::Request;
use super::pace::{Pace, SEALING_FLOOR};
use super::shared::Shared;
use crate::raft::ports::{GroupId, StateMachine as _};
use crate::storage;
use crate::storage::moving::{Copied, Failed};
use crate::storage::rows::MoveId;
use crate::storage::seal::Checkpoint;
use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What may be left to copy when the partition stops: it is read, written and synced meanwhile.
const REST_BYTES: u64 = 2 << 20;

/// How long a stopped partition may take to finish what is under way; then it goes on, and is stopped again later.
const STOP_PATIENCE: Duration = Duration::from_millis(500);

/// A move that comes no further for so long is given up: it would keep all others waiting.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks at something that should change by itself.
const LOOK_INTERVAL: Duration = Duration::from_millis(1);
const AGAIN: Duration = Duration::from_millis(100);

/// A directory that replicas move from and to.
pub(super) struct Site {
    pub hosted: Arc<Hosted>,
    pub housekeeper: Sender<Request>,
}

/// What there is to do. Bounded by the number of partitions: each is here once.
#[derive(Default)]
struct Plan {
    waiting: VecDeque<(GroupId, usize)>,
    active: Option<(GroupId, usize)>,
    /// Those that must not be moved just now, because they are being deleted.
    barred: BTreeSet<GroupId>,
    stopping: bool,
}

struct Moves {
    sites: Vec<Site>,
    plan: Mutex<Plan>,
    changed: Condvar,
    /// The active one is to end, and takes no rests.
    hurry: Arc<AtomicBool>,
    moved_bytes: AtomicU64,
}

pub(super) struct Mover {
    moves: Arc<Moves>,
    thread: Option<JoinHandle<()>>,
}

/// Keeps a partition from being moved until it is dropped.
pub(super) struct Barred<'a> {
    moves: &'a Moves,
    group: GroupId,
}

/// How a move ended otherwise than well.
#[derive(Debug)]
enum Ended {
    Cancelled,
    /// The partition is not here any more.
    Gone,
    Failed(String),
    /// Nobody knows whose it is until the directories are opened again.
    Lost(storage::Error),
}

impl Mover {
    pub fn spawn(sites: Vec<Site>) -> std::io::Result<Mover> {
        let moves = Arc::new(Moves {
            sites,
            plan: Mutex::default(),
            changed: Condvar::new(),
            hurry: Arc::default(),
            moved_bytes: AtomicU64::new(0),
        });
        let inner = moves.clone();
        let thread = std::thread::Builder::new()
            .name("move replicas".to_owned())
            .spawn(move || inner.run())?;
        Ok(Mover {
            moves,
            thread: Some(thread),
        })
    }

    /// Moves a partition to the directory at place `to`, in place of wherever it was on its way to.
    pub fn ask(&self, group: GroupId, to: usize) {
        let moves = &self.moves;
        let mut plan = moves.plan.lock().expect(LOCK);
        let is_known = plan.active == Some((group, to)) || plan.waiting.contains(&(group, to));
        if is_known || plan.barred.contains(&group) {
            return;
        }
        plan.waiting.retain(|(waiting, _)| *waiting != group);
        moves.end_active(&plan, group);
        plan.waiting.push_back((group, to));
        moves.changed.notify_all();
    }

    /// Ends what is under way for a partition, and begins nothing for it while the answer lives. It stays where it is then.
    pub fn bar(&self, group: GroupId) -> Barred<'_> {
        let moves = &*self.moves;
        let mut plan = moves.plan.lock().expect(LOCK);
        plan.barred.insert(group);
        plan.waiting.retain(|(waiting, _)| *waiting != group);
        while plan.active.is_some_and(|(active, _)| active == group) {
            moves.end_active(&plan, group);
            plan = moves.changed.wait(plan).expect(LOCK);
        }
        Barred { moves, group }
    }

    /// The partitions on their way, and the places they go to; the one under way first.
    pub fn list(&self) -> Vec<(GroupId, usize)> {
        let plan = self.moves.plan.lock().expect(LOCK);
        plan.active.iter().chain(&plan.waiting).copied().collect()
    }

    pub fn moved_bytes(&self) -> u64 {
        self.moves.moved_bytes.load(Ordering::Relaxed)
    }
}

impl Drop for Mover {
    fn drop(&mut self) {
        let mut plan = self.moves.plan.lock().expect(LOCK);
        plan.stopping = true;
        self.moves.hurry.store(true, Ordering::Relaxed);
        self.moves.changed.notify_all();
        drop(plan);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Barred<'_> {
    fn drop(&mut self) {
        let mut plan = self.moves.plan.lock().expect(LOCK);
        plan.barred.remove(&self.group);
    }
}

impl Moves {
    fn end_active(&self, plan: &Plan, group: GroupId) {
        if plan.active.is_some_and(|(active, _)| active == group) {
            self.hurry.store(true, Ordering::Relaxed);
        }
    }

    fn run(&self) {
        while let Some((group, to)) = self.next() {
            self.carry(group, to);
            let mut plan = self.plan.lock().expect(LOCK);
            plan.active = None;
            self.changed.notify_all();
        }
    }

    fn next(&self) -> Option<(GroupId, usize)> {
        let mut plan = self.plan.lock().expect(LOCK);
        loop {
            if plan.stopping {
                return None;
            }
            if let Some(next) = plan.waiting.pop_front() {
                plan.active = Some(next);
                self.hurry.store(false, Ordering::Relaxed);
                return Some(next);
            }
            plan = self.changed.wait(plan).expect(LOCK);
        }
    }

    /// One whole move, to its end.
    fn carry(&self, group: GroupId, to: usize) {
        let mut sites = self.sites.iter();
        let found = sites.find_map(|site| Some((site, site.hosted.find(group)?)));
        let Some((site, shared)) = found else {
            return;
        };
        let (source, target) = (&site.hosted, &self.sites[to].hosted);
        if Arc::ptr_eq(source, target) {
            return;
        }
        let began = Instant::now();
        let span = tracing::info_span!("move", %group, from = source.path, to = target.path);
        let _span = span.enter();
        let bytes = source.shard.group_bytes(group).unwrap_or(0);
        tracing::info!(bytes, "moving a replica to another directory");
        let move_id = MoveId(fresh_salt());
        let ended = match has_space(&target.shard, bytes) {
            Ok(()) => target.shard.arrive(group, move_id).map_err(stopped),
            Err(why) => Err(why),
        };
        if let Err(why) = ended {
            report(&why);
            return;
        }
        let Err(why) = self.go(site, target, &shared) else {
            let seconds = began.elapsed().as_secs_f64();
            tracing::info!(seconds, "moved a replica to another directory");
            return;
        };
        report(&why);
        if let Ended::Lost(_) = why {
            return;
        }
        // The copy goes only when it is certain that nobody will look for it.
        let given_up = source
            .shard
            .stay(group)
            .and_then(|()| target.shard.discard(group));
        if let Err(error) = given_up {
            tracing::error!(%error, "cannot remove the half copy of a replica: it stays until the broker starts again");
        }
    }

    fn go(&self, site: &Site, target: &Hosted, shared: &Arc<Shared>) -> Result<(), Ended> {
        let (source, group) = (&*site.hosted, shared.group);
        let mut pace = Pace::new(self.hurry.clone());
        let mut came_further = Instant::now();
        loop {
            self.check(source, target, shared)?;
            if came_further.elapsed() > PATIENCE {
                let what = format!("it came no further for {} s", PATIENCE.as_secs());
                return Err(Ended::Failed(what));
            }
            let copied = target
                .shard
                .copy_runs(&source.shard, group, &mut |bytes| {
                    pace.rest(&source.shard, bytes, SEALING_FLOOR)
                })
                .map_err(stopped)?;
            if let Copied::Some(bytes) = copied {
                self.moved_bytes.fetch_add(bytes, Ordering::Relaxed);
                if bytes > 0 {
                    came_further = Instant::now();
                }
                continue;
            }
            let rest = source.shard.tail_bytes(group).map_err(stopped)?;
            if rest <= REST_BYTES {
                match switch(source, target, shared)? {
                    true => {
                        self.moved_bytes.fetch_add(rest, Ordering::Relaxed);
                        return Ok(());
                    }
                    false => std::thread::sleep(AGAIN),
                }
            } else {
                self.seal(site, group)?;
                let (runs, _) = source.shard.sealed_runs(group).map_err(stopped)?;
                let sealed_to = runs.last().map(|run| run.next);
                if sealed_to <= target.shard.arrived(group).map(|arrived| arrived.next) {
                    std::thread::sleep(AGAIN);
                }
            }
        }
    }

    fn check(&self, source: &Hosted, target: &Hosted, shared: &Shared) -> Result<(), Ended> {
        if self.hurry.load(Ordering::Relaxed) {
            return Err(Ended::Cancelled);
        }
        if source.find(shared.group).is_none() {
            return Err(Ended::Gone);
        }
        if let Some(damage) = shared.damage.get() {
            return Err(Ended::Failed(format!("it is offline: {damage}")));
        }
        for hosted in [source, target] {
            if hosted.log_thread.has_failed() {
                return Err(Ended::Failed(format!("{} has failed", hosted.path)));
            }
        }
        has_space(&target.shard, 0)
    }

    /// One run, by who does all sealing there.
    fn seal(&self, site: &Site, group: GroupId) -> Result<(), Ended> {
        let (done, wait) = channel();
        let _ = site.housekeeper.send(Request::Seal(group, done));
        loop {
            match wait.recv_timeout(AGAIN) {
                Ok(()) => return Ok(()),
                Err(RecvTimeoutError::Timeout) if !self.hurry.load(Ordering::Relaxed) => {}
                Err(_) => return Err(Ended::Cancelled),
            }
        }
    }
}

fn stopped(error: storage::Error) -> Ended {
    match error {
        storage::Error::UnknownGroup(_) => Ended::Gone,
        error => Ended::Failed(error.to_string()),
    }
}

fn report(ended: &Ended) {
    match ended {
        Ended::Cancelled => tracing::info!("a replica stays in its directory: its move was ended"),
        Ended::Gone => tracing::info!("a replica is not moved: it is deleted"),
        Ended::Failed(reason) => {
            tracing::error!(
                reason,
                "a replica stays in its directory: it could not be moved"
            );
        }
        Ended::Lost(error) => tracing::error!(
            %error,
            "a replica goes offline: which directory holds it is found out when the broker starts again"
        ),
    }
}

/// Whether so many bytes more leave room for new records.
fn has_space(target: &storage::shard::Shard, bytes: u64) -> Result<(), Ended> {
    let min_free_bytes = target.options().min_free_bytes;
    let free_bytes = target.free_bytes().unwrap_or(u64::MAX);
    match target.has_room() && free_bytes >= bytes.saturating_add(min_free_bytes) {
        true => Ok(()),
        false => Err(Ended::Failed(format!(
            "the other directory has {free_bytes} bytes free, {bytes} are to be copied and {min_free_bytes} are to stay free"
        ))),
    }
}

/// The partition stops, changes directories and goes on. False when it has gone on where it was: it had too much to do, or the copy
/// fell behind.
fn switch(source: &Hosted, target: &Hosted, shared: &Arc<Shared>) -> Result<bool, Ended> {
    let group = shared.group;
    shared.refuse_commands();
    let Some(released) = release(source, group) else {
        source.resume(shared);
        return Ok(false);
    };
    let Released {
        log,
        mut machine,
        status,
    } = released;
    let applied = status.applied;
    let taken_over = match machine.snapshot() {
        Ok(state) => target.shard.take_over(
            &source.shard,
            &Checkpoint {
                group,
                applied,
                conf_state: status.membership,
                machine: state,
            },
        ),
        Err(fault) => Err(Failed::Kept(storage::Error::Group {
            group,
            reason: fault.to_string(),
        })),
    };
    match taken_over {
        Ok(start) => {
            source.forget(group);
            if let Err(error) = target.adopt(shared, start.log, machine, applied) {
                tracing::error!(%error, "a moved replica is offline");
            }
            if let Err(error) = source.shard.delete(group) {
                tracing::error!(%error, "cannot remove a moved replica from its old directory before the broker starts again");
            }
            Ok(true)
        }
        Err(Failed::Unknown(error)) => {
            machine.follow(status.term, 0);
            let reason = Failed::Unknown(error.clone()).to_string();
            let _ = shared.damage.set(storage::Error::Group { group, reason });
            Err(Ended::Lost(error))
        }
        Err(kept) => {
            if let Err(error) = source.adopt(shared, log, machine, applied) {
                return Err(Ended::Failed(error.to_string()));
            }
            match kept {
                Failed::Kept(error) => Err(stopped(error)),
                _ => Ok(false),
            }
        }
    }
}

fn release(source: &Hosted, group: GroupId) -> Option<Released> {
    let until = Instant::now() + STOP_PATIENCE;
    loop {
        let released = source.release(group);
        if released.is_some() || Instant::now() >= until {
            return released;
        }
        std::thread::sleep(LOOK_INTERVAL);
    }
}
