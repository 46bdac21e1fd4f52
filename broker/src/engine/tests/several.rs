//! Three engines whose raft messages go from hand to hand.

use super::{append, batch, contents, leads, options, wait_until};
use crate::engine::{Courier, Engine, EngineOptions, Handle, Network, SharedNetwork, Spec};
use crate::metadata::BrokerId;
use crate::partition::TopicConfig;
use crate::raft::ports::{GroupId, PeerId, Transport};
use raft::eraftpb::Message;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, Weak};
use tempfile::TempDir;

const BROKERS: [BrokerId; 3] = [0, 1, 2];
const METADATA: [PeerId; 3] = [71, 72, 73];
const GROUP: GroupId = GroupId(1);

/// Which engines are there.
type Plugs = Arc<Mutex<BTreeMap<BrokerId, Weak<Engine>>>>;

#[derive(Clone)]
struct Wires {
    plugs: Plugs,
    routes: HashMap<(GroupId, PeerId), BrokerId>,
}

impl Transport for Wires {
    fn send(&mut self, group: GroupId, messages: Vec<Message>) {
        for message in messages {
            let to = self.routes.get(&(group, message.to)).copied();
            let plugs = self.plugs.lock().expect("nobody panics here");
            let engine = to.and_then(|to| plugs.get(&to)?.upgrade());
            drop(plugs);
            if let Some(engine) = engine {
                engine.deliver(group, message);
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
        let mut wires = self.clone();
        let members: Vec<_> = METADATA.into_iter().zip(BROKERS).collect();
        wires.set_route(crate::metadata::GROUP, &members);
        Box::new(wires)
    }
}

struct Cluster {
    dirs: Vec<TempDir>,
    plugs: Plugs,
    engines: BTreeMap<BrokerId, Arc<Engine>>,
}

fn members() -> Vec<(PeerId, BrokerId)> {
    [1, 2, 3].into_iter().zip(BROKERS).collect()
}

fn spec(of: BrokerId) -> Spec {
    Spec {
        peer: of as PeerId + 1,
        members: members(),
        config: TopicConfig::default(),
    }
}

impl Cluster {
    fn new() -> Cluster {
        let mut cluster = Cluster {
            dirs: BROKERS
                .map(|_| tempfile::tempdir().expect("a folder"))
                .into(),
            plugs: Plugs::default(),
            engines: BTreeMap::new(),
        };
        for broker in BROKERS {
            let engine = cluster.open(broker);
            engine.make(&[(GROUP, vec![1, 2, 3])]).expect("made");
            engine.found_metadata(&METADATA).expect("made");
        }
        for broker in BROKERS {
            cluster.start(broker);
        }
        cluster
    }

    fn options(&self, broker: BrokerId) -> EngineOptions {
        let dir: &Path = self.dirs[broker as usize].path();
        let mut options = options(&[dir]);
        options.tick = std::time::Duration::from_millis(20);
        options.metadata_directory = Some(dir.to_owned());
        options.metadata_peer = METADATA[broker as usize];
        options.founds_metadata = false;
        options.network = SharedNetwork(Arc::new(Wires {
            plugs: self.plugs.clone(),
            routes: HashMap::new(),
        }));
        options
    }

    fn open(&mut self, broker: BrokerId) -> Arc<Engine> {
        let engine = Engine::open_dormant(&self.options(broker)).expect("it opens");
        let engine = Arc::new(engine);
        let mut plugs = self.plugs.lock().expect("nobody panics here");
        plugs.insert(broker, Arc::downgrade(&engine));
        drop(plugs);
        self.engines.insert(broker, engine.clone());
        engine
    }

    fn start(&self, broker: BrokerId) {
        for (_, started) in self.engines[&broker].start(vec![(GROUP, spec(broker))]) {
            started.expect("it starts");
        }
    }

    fn handle(&self, broker: BrokerId) -> Handle {
        self.engines[&broker].partition(GROUP).expect("it runs")
    }

    fn leader(&self) -> BrokerId {
        let led = || {
            let mut brokers = self.engines.keys().copied();
            brokers.find(|broker| {
                leads(&self.handle(*broker)) && self.handle(*broker).positions().is_current
            })
        };
        wait_until("a leader", || led().is_some());
        led().expect("it was there just now")
    }

    fn stop(&mut self, broker: BrokerId) {
        self.plugs
            .lock()
            .expect("nobody panics here")
            .remove(&broker);
        let mut engine = self.engines.remove(&broker).expect("it runs");
        // Who delivers a message to it holds it for a moment.
        wait_until("its end", || Arc::get_mut(&mut engine).is_some());
    }
}

#[test]
fn what_was_acknowledged_survives_its_leader() {
    let mut cluster = Cluster::new();
    let mut expected = Vec::new();
    for round in 0..3 {
        let leader = cluster.leader();
        let values = [format!("{round}a"), format!("{round}b")];
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        append(&cluster.handle(leader), batch("k", &values)).expect("acknowledged");
        expected.extend(
            values
                .iter()
                .map(|value| value.to_string())
                .enumerate()
                .map(|(n, value)| format!("{}:{value}", round * 2 + n)),
        );
        cluster.stop(leader);
        let next = cluster.leader();
        assert_ne!(next, leader);
        assert_eq!(contents(&cluster.handle(next)), expected);
        cluster.open(leader);
        cluster.start(leader);
        wait_until("it has caught up", || {
            contents(&cluster.handle(leader)) == expected
        });
    }
}

#[test]
fn the_metadata_is_the_same_everywhere_and_outlives_its_leader() {
    let cluster = Cluster::new();
    let runtime = super::runtime();
    let status = |broker: BrokerId| {
        let metadata = cluster.engines[&broker].metadata().expect("it is here");
        runtime.block_on(metadata.status()).expect("it says")
    };
    let leader = || {
        BROKERS
            .into_iter()
            .find(|broker| status(*broker).role == crate::raft::Role::Leader)
    };
    wait_until("a leader", || leader().is_some());
    let metadata = |broker: BrokerId| cluster.engines[&broker].metadata().expect("it is here");
    let at = leader().expect("just now");
    let done =
        runtime.block_on(metadata(at).submit_here(crate::metadata::Command::AllocateProducerIds));
    let done = done.expect("it leads");
    for broker in BROKERS {
        wait_until("the change", || {
            metadata(broker).image().version >= done.version
        });
        assert_eq!(metadata(broker).image().next_producer_id, 1000);
    }
}
