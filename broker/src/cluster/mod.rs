//! This broker among the others: who is there, who leads what, and what is asked of whom.
//!
//! `hub.rs` hears what other brokers say; `founding.rs` is how the metadata's first voters come together and how later brokers join
//! them; `forward.rs` hands commands to who leads the metadata; `leaders.rs` knows who leads each partition, by what their leaders
//! tell; `succession.rs` sees to it that a partition whose leader is lost has another one soon, and hands leaderships over before this broker
//! ends; `preference.rs` gives leaderships back to whom they are meant for; `sync.rs` says which replicas are in sync;
//! `members.rs` makes those members of a partition's group that the metadata says should be; `shipping/` sends records to
//! followers that are far behind.
//!
//! **Invariant:** nothing that is known here by hearsay decides what is committed: raft does. A rumour that is wrong sends a client to the
//! wrong broker, which says so.

mod forward;
mod founding;
mod hub;
mod leaders;
mod members;
mod preference;
mod shipping;
mod standing;
mod succession;
mod sync;

pub use founding::Error as FoundingError;
pub use leaders::{Lead, Leaders};
pub use preference::PreferError;
pub use shipping::ShippingStats;
pub use standing::{Standing, Standpoint};

use crate::engine::{self, Courier, Engine, Network};
use crate::metadata::{self, BrokerId, Image};
use crate::peers::{self, Address, Lane, Peers};
use crate::raft::ports::{GroupId, PeerId, Transport};
use bytes::Bytes;
use raft::eraftpb::Message;
use shipping::{Asked, Shipping, Ways};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// One of the brokers that the settings name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Controller {
    pub id: BrokerId,
    pub address: Address,
}

pub struct Settings {
    pub peers: peers::Settings,
    /// The raft peer that this broker's replica of the metadata is.
    pub metadata_replica: PeerId,
    /// With whom the metadata began, or is to begin; this broker may be one of them.
    pub controllers: Vec<Controller>,
    /// Whether this broker's replica of the metadata may vote.
    pub is_controller: bool,
    /// `replica.lag.time.max.ms`
    pub lag: Duration,
    /// How fast records go to followers that are far behind, all together.
    pub catch_up_bytes_per_second: u64,
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Cluster {
    inner: Arc<Inner>,
}

struct Inner {
    me: BrokerId,
    metadata_replica: PeerId,
    controllers: Vec<Controller>,
    is_controller: bool,
    lag: Duration,
    leaders: Leaders,
    /// The brokers that are connected, and what they said of themselves.
    up: Mutex<BTreeMap<BrokerId, hub::About>>,
    peers: OnceLock<Peers>,
    shipping: OnceLock<Shipping>,
    /// Not held: who closes the engine must be the last to have it, and raft's couriers lead back here.
    engine: OnceLock<Weak<Engine>>,
    metadata: OnceLock<metadata::Handle>,
    runtime: tokio::runtime::Handle,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Cluster {
    /// Begins to listen for other brokers, and to look for those that the settings name.
    pub fn start(
        settings: Settings,
        listeners: Vec<TcpListener>,
        stop: CancellationToken,
        tasks: &TaskTracker,
    ) -> Cluster {
        let inner = Arc::new(Inner {
            me: settings.peers.broker,
            metadata_replica: settings.metadata_replica,
            controllers: settings.controllers,
            is_controller: settings.is_controller,
            lag: settings.lag,
            leaders: Leaders::default(),
            up: Mutex::default(),
            peers: OnceLock::new(),
            shipping: OnceLock::new(),
            engine: OnceLock::new(),
            metadata: OnceLock::new(),
            runtime: tokio::runtime::Handle::current(),
            stop: stop.clone(),
            tasks: tasks.clone(),
        });
        let handler = Arc::new(hub::Hub(inner.clone()));
        let peers = Peers::start(settings.peers, listeners, handler, stop.clone(), tasks);
        let ways = Box::new(ShippingWays(peers.clone()));
        let shipping = shipping::Settings::new(settings.catch_up_bytes_per_second);
        let shipping = Shipping::new(ways, shipping, stop, tasks);
        // The first and only time.
        let _ = inner.peers.set(peers);
        let _ = inner.shipping.set(shipping);
        let cluster = Cluster { inner };
        cluster.look_for(None);
        cluster
    }

    /// What the engine's raft messages go through.
    pub fn network(&self) -> Arc<dyn Network> {
        Arc::new(Wires(self.inner.clone()))
    }

    /// From now on what others say reaches the engine, and commands the one who leads the metadata. Returns when this broker's replica of
    /// the metadata belongs to it.
    pub async fn join(
        &self,
        engine: Arc<Engine>,
        metadata: &metadata::Handle,
    ) -> Result<(), FoundingError> {
        let _ = self.inner.engine.set(Arc::downgrade(&engine));
        if let Some(shipping) = self.inner.shipping.get() {
            shipping.serve(&engine);
        }
        let _ = self.inner.metadata.set(metadata.clone());
        self.inner.tell_routes();
        self.forward(metadata);
        self.found(&engine, metadata).await
    }

    /// Follows the metadata, and tells of what this broker leads, until the end.
    pub fn follow(&self, metadata: &metadata::Handle) {
        let (cluster, mut images) = (self.clone(), metadata.watch());
        let stop = self.inner.stop.clone();
        self.inner.tasks.spawn(async move {
            loop {
                let image = images.borrow_and_update().clone();
                cluster.look_for(Some(&image));
                tokio::select! {
                    () = stop.cancelled() => return,
                    changed = images.changed() => if changed.is_err() { return },
                }
            }
        });
        self.spread_leaders();
        self.watch_followers();
        self.keep_members();
    }

    pub fn me(&self) -> BrokerId {
        self.inner.me
    }

    /// Whether a broker is there, as far as this one can see. It itself is.
    pub fn is_up(&self, broker: BrokerId) -> bool {
        broker == self.inner.me || self.inner.up().contains_key(&broker)
    }

    /// Those that are there.
    pub fn up(&self) -> BTreeSet<BrokerId> {
        let mut up: BTreeSet<BrokerId> = self.inner.up().keys().copied().collect();
        up.insert(self.inner.me);
        up
    }

    /// How many brokers there are to be at least.
    pub fn expected(&self) -> usize {
        self.inner.controllers.len()
    }

    pub fn leaders(&self) -> &Leaders {
        &self.inner.leaders
    }

    /// On which broker a replica of the metadata is.
    pub fn broker_of_metadata_replica(&self, peer: PeerId) -> Option<BrokerId> {
        self.inner.broker_of(peer)
    }

    pub fn peers(&self) -> &Peers {
        self.inner.peers()
    }

    pub fn shipping_stats(&self) -> ShippingStats {
        let shipping = self.inner.shipping.get();
        shipping.map_or_else(ShippingStats::default, Shipping::stats)
    }

    /// Dials all brokers that are known by the settings, or by the metadata.
    fn look_for(&self, image: Option<&Image>) {
        let mut others: BTreeMap<BrokerId, Vec<Address>> = BTreeMap::new();
        for controller in &self.inner.controllers {
            let addresses = others.entry(controller.id).or_default();
            addresses.push(controller.address.clone());
        }
        let registered = image.into_iter().flat_map(|image| image.brokers.values());
        for broker in registered {
            if let Some(peer) = &broker.peer {
                let address = Address {
                    host: peer.host.clone(),
                    port: peer.port,
                };
                let addresses = others.entry(broker.id).or_default();
                // What the broker says of itself is newer than what the settings say.
                addresses.retain(|known| *known != address);
                addresses.insert(0, address);
            }
        }
        others.remove(&self.inner.me);
        self.inner.peers().set_addresses(others);
        self.inner.tell_routes();
    }
}

impl Inner {
    fn peers(&self) -> &Peers {
        self.peers.get().expect("set before anybody else has this")
    }

    fn engine(&self) -> Option<Arc<Engine>> {
        self.engine.get()?.upgrade()
    }

    fn up(&self) -> MutexGuard<'_, BTreeMap<BrokerId, hub::About>> {
        self.up.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn broker_of(&self, metadata_replica: PeerId) -> Option<BrokerId> {
        let members = self.metadata_members();
        let found = members.iter().find(|(peer, _)| *peer == metadata_replica);
        found.map(|(_, broker)| *broker)
    }

    /// Which replica of the metadata is on which broker: as brokers said when they came, or as is written.
    fn metadata_members(&self) -> Vec<(PeerId, BrokerId)> {
        let mut members: Vec<(PeerId, BrokerId)> = vec![(self.metadata_replica, self.me)];
        let up = self.up();
        members.extend(up.iter().map(|(id, about)| (about.metadata_replica, *id)));
        drop(up);
        if let Some(metadata) = self.metadata.get() {
            for broker in metadata.image().brokers.values() {
                if members
                    .iter()
                    .all(|(peer, _)| *peer != broker.metadata_replica)
                {
                    members.push((broker.metadata_replica, broker.id));
                }
            }
        }
        members
    }

    fn tell_routes(&self) {
        if let Some(engine) = self.engine() {
            engine.set_metadata_members(self.metadata_members());
        }
    }

    /// The replicas here that follow one on `broker`.
    fn followers_of(&self, broker: BrokerId) -> Vec<(engine::Handle, PeerId)> {
        let Some(engine) = self.engine() else {
            return Vec::new();
        };
        let mut followers = Vec::new();
        for handle in engine.partitions() {
            if let crate::partition::Role::Follower { leader } = handle.positions().role
                && handle.broker_of(leader) == Some(broker)
            {
                followers.push((handle, leader));
            }
        }
        followers
    }
}

/// The way of raft's messages.
struct Wires(Arc<Inner>);

impl Network for Wires {
    fn for_partitions(&self) -> Box<dyn Courier> {
        Box::new(Route {
            courier: self.0.peers().transport(Lane::Bulk),
            shipping: self.0.shipping.get().cloned(),
        })
    }

    fn for_metadata(&self) -> Box<dyn Courier> {
        Box::new(Route {
            courier: self.0.peers().transport(Lane::Urgent),
            // The metadata's snapshot holds everything.
            shipping: None,
        })
    }
}

struct Route {
    courier: peers::Courier,
    /// What takes snapshots that only name records.
    shipping: Option<Shipping>,
}

impl Transport for Route {
    fn send(&mut self, group: GroupId, mut messages: Vec<Message>) {
        if let Some(shipping) = &self.shipping
            && messages.iter().any(Shipping::concerns)
        {
            let snapshots = messages.extract_if(.., |message| Shipping::concerns(message));
            snapshots.for_each(|message| shipping.take(group, message));
        }
        self.courier.send(group, messages);
    }

    fn flush(&mut self) {
        self.courier.flush();
    }
}

impl Courier for Route {
    fn set_route(&mut self, group: GroupId, members: &[(PeerId, BrokerId)]) {
        self.courier.set_route(group, members.iter().copied());
    }

    fn forget(&mut self, group: GroupId) {
        self.courier.forget(group);
    }
}

/// The way of what is shipped.
struct ShippingWays(Peers);

impl Ways for ShippingWays {
    fn ask(&self, to: BrokerId, question: Bytes, timeout: Duration) -> Asked<'_> {
        Box::pin(self.0.ask_in_bulk(to, hub::SHIP, question, timeout))
    }

    fn post(&self, to: BrokerId, group: GroupId, message: Message) {
        let mut courier = self.0.transport(Lane::Bulk);
        courier.set_route(group, std::iter::once((message.to, to)));
        courier.send(group, vec![message]);
        courier.flush();
    }
}
