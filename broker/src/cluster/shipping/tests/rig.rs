//! Three engines, one partition, and a network that goes from hand to hand.

use crate::cluster::shipping::words::{Chunk, Question, Reply};
use crate::cluster::shipping::{Asked, Settings, Shipping, ShippingStats, Ways};
use crate::engine::tests::{append, batch, contents, leads, options, wait_until};
use crate::engine::{Courier, Engine, EngineOptions, Handle, Network, SharedNetwork, Spec};
use crate::metadata::BrokerId;
use crate::partition::{Mark, TopicConfig};
use crate::peers::AskError;
use crate::raft::ports::{GroupId, PeerId, Transport};
use crate::storage::ids::Offset;
use bytes::Bytes;
use raft::eraftpb::Message;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub const BROKERS: [BrokerId; 3] = [0, 1, 2];
pub const GROUP: GroupId = GroupId(1);
const FINE: &str = "nobody panics with it";

/// What becomes of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    Lost,
    Changed,
    /// Until it is released.
    Held,
}

/// What becomes of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Ships,
    /// It goes as it is, and is taken as it is.
    Naive,
    NaiveToGuarded,
    /// It gets lost.
    Silent,
}

#[derive(Clone)]
struct Site {
    engine: Weak<Engine>,
    shipping: Shipping,
    stop: CancellationToken,
}

pub struct Net {
    sites: Mutex<BTreeMap<BrokerId, Site>>,
    mode: Mutex<Mode>,
    fault: Mutex<Box<dyn FnMut(&Chunk) -> Fault + Send>>,
    chunks: Mutex<Vec<(Chunk, Reply)>>,
    held: AtomicUsize,
    released: Semaphore,
    naive_snapshots: AtomicUsize,
    runtime: tokio::runtime::Handle,
}

impl Net {
    fn site(&self, broker: BrokerId) -> Option<Site> {
        self.sites.lock().expect(FINE).get(&broker).cloned()
    }

    pub fn set_mode(&self, mode: Mode) {
        *self.mode.lock().expect(FINE) = mode;
    }

    pub fn inject(&self, fault: impl FnMut(&Chunk) -> Fault + Send + 'static) {
        *self.fault.lock().expect(FINE) = Box::new(fault);
    }

    /// Those that were answered, in their order.
    pub fn chunks(&self) -> Vec<(Chunk, Reply)> {
        self.chunks.lock().expect(FINE).clone()
    }

    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    pub fn release(&self) {
        self.released.close();
    }

    pub fn naive_snapshots(&self) -> usize {
        self.naive_snapshots.load(Ordering::Relaxed)
    }

    async fn ask(
        &self,
        from: BrokerId,
        to: BrokerId,
        mut question: Bytes,
    ) -> Result<Bytes, AskError> {
        let (said, _) = Question::decode(question.clone()).expect("as it was encoded");
        if let Question::Chunk(chunk) = &said {
            let fault = (self.fault.lock().expect(FINE))(chunk);
            match fault {
                Fault::None => {}
                Fault::Lost => return Err(AskError::Lost),
                Fault::Changed => {
                    let mut changed = question.to_vec();
                    *changed.last_mut().expect("it is not empty") ^= 1;
                    question = changed.into();
                }
                Fault::Held => {
                    self.held.fetch_add(1, Ordering::Relaxed);
                    let _ = self.released.acquire().await;
                }
            }
        }
        let site = self.site(to).ok_or(AskError::NotConnected)?;
        let answer = site.shipping.asked(from, question).await;
        if let Question::Chunk(chunk) = said {
            let reply = Reply::decode(&answer).expect("a reply");
            self.chunks.lock().expect(FINE).push((chunk, reply));
        }
        Ok(answer)
    }

    /// What was posted is as good as there.
    fn post(&self, from: BrokerId, to: BrokerId, group: GroupId, message: Message) {
        let peer = message.to;
        let mode = *self.mode.lock().expect(FINE);
        let site = self.site(to);
        let is_delivered = site.is_some();
        match site {
            Some(site) if mode == Mode::Naive => {
                if let Some(engine) = site.engine.upgrade() {
                    engine.deliver(group, message);
                }
            }
            Some(site) => site.shipping.arrived(from, group, message),
            None => {}
        }
        if let Some(engine) = self.site(from).and_then(|site| site.engine.upgrade()) {
            engine.snapshot_sent(group, peer, is_delivered);
        }
    }
}

struct HandToHand {
    net: Arc<Net>,
    me: BrokerId,
}

impl Ways for HandToHand {
    fn ask(&self, to: BrokerId, question: Bytes, timeout: Duration) -> Asked<'_> {
        Box::pin(async move {
            let asked = tokio::time::timeout(timeout, self.net.ask(self.me, to, question)).await;
            asked.unwrap_or(Err(AskError::TimedOut))
        })
    }

    fn post(&self, to: BrokerId, group: GroupId, message: Message) {
        self.net.post(self.me, to, group, message);
    }
}

#[derive(Clone)]
struct Wires {
    net: Arc<Net>,
    me: BrokerId,
    routes: HashMap<(GroupId, PeerId), BrokerId>,
}

impl Transport for Wires {
    fn send(&mut self, group: GroupId, messages: Vec<Message>) {
        for message in messages {
            let Some(to) = self.routes.get(&(group, message.to)).copied() else {
                continue;
            };
            if !Shipping::concerns(&message) {
                let engine = self.net.site(to).and_then(|site| site.engine.upgrade());
                if let Some(engine) = engine {
                    engine.deliver(group, message);
                }
                continue;
            }
            let mode = *self.net.mode.lock().expect(FINE);
            match mode {
                Mode::Ships => {
                    if let Some(site) = self.net.site(self.me) {
                        site.shipping.take(group, message);
                    }
                }
                Mode::Silent => {}
                Mode::Naive | Mode::NaiveToGuarded => {
                    self.net.naive_snapshots.fetch_add(1, Ordering::Relaxed);
                    let (net, me) = (self.net.clone(), self.me);
                    let post = async move { net.post(me, to, group, message) };
                    self.net.runtime.spawn(post);
                }
            }
        }
    }
}

impl Courier for Wires {
    fn set_route(&mut self, group: GroupId, members: &[(PeerId, BrokerId)]) {
        let members = members.iter();
        self.routes
            .extend(members.map(|(peer, broker)| ((group, *peer), *broker)));
    }

    fn forget(&mut self, group: GroupId) {
        self.routes.retain(|(of, _), _| *of != group);
    }
}

impl Network for Wires {
    fn for_partitions(&self) -> Box<dyn Courier> {
        Box::new(self.clone())
    }

    fn for_metadata(&self) -> Box<dyn Courier> {
        Box::new(self.clone())
    }
}

pub fn peer_of(broker: BrokerId) -> PeerId {
    broker as PeerId + 1
}

pub fn spec(broker: BrokerId) -> Spec {
    Spec {
        peer: peer_of(broker),
        members: BROKERS.map(|broker| (peer_of(broker), broker)).into(),
        config: TopicConfig::default(),
    }
}

/// Runs of ten or so of the entries that [`Rig::fill`] makes.
pub fn small(dir: &TempDir) -> EngineOptions {
    let mut options = options(&[dir.path()]);
    options.tick = Duration::from_millis(50);
    options.shard.run_bytes = 200 << 10;
    options
}

/// How many records can be read, whatever is claimed.
pub fn readable(handle: &Handle) -> usize {
    let positions = handle.positions();
    let mut at = positions.log_start;
    let mut found = 0;
    while at < positions.high_watermark {
        let Ok(read) = handle.read(at, Mark::HighWatermark, 1) else {
            return found;
        };
        let Some(chunk) = read.chunks.into_iter().next() else {
            return found;
        };
        for batch in millrace_wire::batch::split(chunk) {
            let batch = batch.expect("whole batches");
            found += 1;
            at = Offset(batch.header().next_offset());
        }
    }
    found
}

pub struct Rig {
    pub engines: BTreeMap<BrokerId, Arc<Engine>>,
    pub net: Arc<Net>,
    dirs: Vec<TempDir>,
    pub runtime: Runtime,
}

impl Rig {
    /// The others have empty replicas, which are no members yet.
    pub fn new(voters: &[BrokerId]) -> Rig {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let net = Arc::new(Net {
            sites: Mutex::default(),
            mode: Mutex::new(Mode::Ships),
            fault: Mutex::new(Box::new(|_| Fault::None)),
            chunks: Mutex::default(),
            held: AtomicUsize::new(0),
            released: Semaphore::new(0),
            naive_snapshots: AtomicUsize::new(0),
            runtime: runtime.handle().clone(),
        });
        let dirs = BROKERS.map(|_| tempfile::tempdir().expect("a folder"));
        let mut rig = Rig {
            engines: BTreeMap::new(),
            net,
            dirs: dirs.into(),
            runtime,
        };
        let peers: Vec<PeerId> = voters.iter().copied().map(peer_of).collect();
        for broker in BROKERS {
            let engine = rig.open(broker);
            let made = match voters.contains(&broker) {
                true => peers.clone(),
                false => Vec::new(),
            };
            engine.make(&[(GROUP, made)]).expect("made");
        }
        for broker in BROKERS {
            rig.start(broker);
        }
        rig
    }

    fn open(&mut self, broker: BrokerId) -> Arc<Engine> {
        let mut options = small(&self.dirs[broker as usize]);
        options.network = SharedNetwork(Arc::new(Wires {
            net: self.net.clone(),
            me: broker,
            routes: HashMap::new(),
        }));
        let engine = Arc::new(Engine::open_dormant(&options).expect("it opens"));
        let ways = Box::new(HandToHand {
            net: self.net.clone(),
            me: broker,
        });
        let settings = Settings {
            bytes_per_second: 100 << 20,
            parcel_bytes: 64 << 10,
            chunk_bytes: 16 << 10,
        };
        let stop = CancellationToken::new();
        let _within = self.runtime.enter();
        let shipping = Shipping::new(ways, settings, stop.clone(), &TaskTracker::new());
        shipping.serve(&engine);
        let site = Site {
            engine: Arc::downgrade(&engine),
            shipping,
            stop,
        };
        self.net.sites.lock().expect(FINE).insert(broker, site);
        self.engines.insert(broker, engine.clone());
        engine
    }

    fn start(&self, broker: BrokerId) {
        for (_, started) in self.engines[&broker].start(vec![(GROUP, spec(broker))]) {
            started.expect("it starts");
        }
    }

    pub fn come_back(&mut self, broker: BrokerId) {
        self.open(broker);
        self.start(broker);
    }

    pub fn stop(&mut self, broker: BrokerId) {
        let site = self.net.sites.lock().expect(FINE).remove(&broker);
        if let Some(site) = site {
            site.stop.cancel();
        }
        let engine = self.engines.remove(&broker).expect("it runs");
        // Who delivers a message to it holds it for a moment.
        wait_until("its end", || Arc::strong_count(&engine) == 1);
    }

    pub fn handle(&self, broker: BrokerId) -> Handle {
        self.engines[&broker].partition(GROUP).expect("it runs")
    }

    pub fn leader(&self) -> BrokerId {
        let led = || {
            let mut brokers = self.engines.keys().copied();
            brokers.find(|broker| {
                leads(&self.handle(*broker)) && self.handle(*broker).positions().is_current
            })
        };
        let mut found = None;
        wait_until("a leader", || {
            found = led();
            found.is_some()
        });
        found.expect("it was there just now")
    }

    /// Acknowledged appends, of an entry each.
    pub fn fill(&self, count: usize) {
        let value = "x".repeat(20_000);
        for n in 0..count {
            wait_until("an acknowledgement", || {
                let leader = self.handle(self.leader());
                append(&leader, batch("k", &[&format!("{n}{value}")])).is_ok()
            });
        }
    }

    pub fn seal(&self) {
        for engine in self.engines.values() {
            engine.seal_all();
        }
    }

    /// A follower goes away and misses what the others have sealed then. Returns who leads, and who is away.
    pub fn leave_behind(&mut self) -> (BrokerId, BrokerId) {
        self.fill(1);
        let away = BROKERS.into_iter().rfind(|broker| *broker != self.leader());
        let away = away.expect("there are three");
        wait_until("the first record", || {
            self.handle(away).positions().high_watermark > Offset(0)
        });
        self.stop(away);
        self.fill(50);
        // What the others do not know to be committed is not sealed.
        let end = self.handle(self.leader()).positions().high_watermark;
        for broker in self.engines.keys() {
            wait_until("the commit index", || {
                self.handle(*broker).positions().high_watermark >= end
            });
        }
        self.seal();
        (self.leader(), away)
    }

    pub fn contents_of_leader(&self) -> Vec<String> {
        contents(&self.handle(self.leader()))
    }

    pub fn await_contents(&self, broker: BrokerId, expected: &[String]) {
        let end = self.handle(self.leader()).positions().high_watermark;
        wait_until("the follower to catch up", || {
            self.handle(broker).positions().high_watermark >= end
        });
        // Long values: not printed.
        assert!(contents(&self.handle(broker)) == expected, "others");
    }

    pub fn stats(&self, broker: BrokerId) -> ShippingStats {
        self.net.site(broker).expect("it is there").shipping.stats()
    }

    /// What `to` answers when `from` asks.
    pub fn ask(&self, to: BrokerId, from: BrokerId, question: Bytes) -> Reply {
        let site = self.net.site(to).expect("it is there");
        let answer = self.runtime.block_on(site.shipping.asked(from, question));
        Reply::decode(&answer).expect("a reply")
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.net.release();
        for broker in BROKERS {
            if self.engines.contains_key(&broker) && !std::thread::panicking() {
                self.stop(broker);
            }
        }
    }
}
