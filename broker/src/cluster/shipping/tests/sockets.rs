//! The same as brokers do it: through their links.

use super::rig::{BROKERS, GROUP, peer_of, small, spec};
use crate::cluster::{Cluster, Controller, Settings};
use crate::engine::tests::{append, batch, contents, leads, wait_until};
use crate::engine::{Engine, Handle, SharedNetwork};
use crate::metadata::BrokerId;
use crate::peers::{self, Address, Secrets};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

struct Broker {
    engine: Arc<Engine>,
    cluster: Cluster,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Broker {
    fn start(
        runtime: &Runtime,
        id: BrokerId,
        controllers: &[Controller],
        listener: TcpListener,
        dir: &TempDir,
    ) -> Broker {
        let _within = runtime.enter();
        let secrets = Secrets::new(vec![b"a secret that is long enough".to_vec()]);
        let settings = Settings {
            peers: peers::Settings::new(id, "mill", secrets.expect("a secret")),
            metadata_replica: 100 + peer_of(id),
            controllers: controllers.to_vec(),
            is_controller: true,
            lag: Duration::from_secs(10),
            catch_up_bytes_per_second: 100 << 20,
        };
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let cluster = Cluster::start(settings, vec![listener], stop.clone(), &tasks);
        let mut options = small(dir);
        options.network = SharedNetwork(cluster.network());
        let engine = Arc::new(Engine::open_dormant(&options).expect("it opens"));
        // There is no metadata to join.
        let _ = cluster.inner.engine.set(Arc::downgrade(&engine));
        let shipping = cluster.inner.shipping.get().expect("it was started");
        shipping.serve(&engine);
        Broker {
            engine,
            cluster,
            stop,
            tasks,
        }
    }

    fn handle(&self) -> Handle {
        self.engine.partition(GROUP).expect("it runs")
    }

    fn end(self, runtime: &Runtime) {
        self.stop.cancel();
        self.tasks.close();
        runtime.block_on(async {
            let ended = tokio::time::timeout(Duration::from_secs(20), self.tasks.wait());
            ended.await.expect("its tasks end");
        });
        let engine = self.engine;
        wait_until("its end", || Arc::strong_count(&engine) == 1);
    }
}

fn listen(runtime: &Runtime, port: u16) -> TcpListener {
    let bound = runtime.block_on(TcpListener::bind(("127.0.0.1", port)));
    bound.expect("a port")
}

#[test]
fn records_go_to_a_follower_that_is_far_behind_through_links_between_brokers() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let dirs = BROKERS.map(|_| tempfile::tempdir().expect("a folder"));
    let mut listeners = Vec::from(BROKERS.map(|_| listen(&runtime, 0)));
    let ports: Vec<u16> = listeners
        .iter()
        .map(|listener| listener.local_addr().expect("it is bound").port())
        .collect();
    let controllers = BROKERS.map(|id| Controller {
        id,
        address: Address {
            host: "127.0.0.1".to_owned(),
            port: ports[id as usize],
        },
    });
    // The last one is not there yet.
    let late = listeners.pop().expect("three");
    let start = |id: BrokerId, listener| {
        let dir = &dirs[id as usize];
        let broker = Broker::start(&runtime, id, &controllers, listener, dir);
        let peers = BROKERS.map(peer_of).to_vec();
        broker.engine.make(&[(GROUP, peers)]).expect("made");
        for (_, started) in broker.engine.start(vec![(GROUP, spec(id))]) {
            started.expect("it starts");
        }
        broker
    };
    let ids = BROKERS.into_iter();
    let mut brokers: Vec<Broker> = ids
        .zip(listeners)
        .map(|(id, listener)| start(id, listener))
        .collect();
    let leader = |brokers: &[Broker]| {
        let mut found = None;
        wait_until("a leader", || {
            found = brokers
                .iter()
                .position(|one| leads(&one.handle()) && one.handle().positions().is_current);
            found.is_some()
        });
        found.expect("just now")
    };
    let value = "x".repeat(20_000);
    for _ in 0..100 {
        wait_until("an acknowledgement", || {
            let at = leader(&brokers);
            append(&brokers[at].handle(), batch("k", &[&value])).is_ok()
        });
    }
    let at = leader(&brokers);
    let expected = contents(&brokers[at].handle());
    for broker in &brokers {
        wait_until("the commit index", || {
            broker.handle().positions().high_watermark.0 >= expected.len() as i64
        });
        broker.engine.seal_all();
    }
    brokers.push(start(2, late));
    wait_until("the follower to catch up", || {
        brokers[2].handle().positions().high_watermark.0 >= expected.len() as i64
    });
    assert!(contents(&brokers[2].handle()) == expected, "others");
    let stats: Vec<_> = brokers
        .iter()
        .map(|one| one.cluster.shipping_stats())
        .collect();
    assert!(stats[2].received_bytes > 2_000_000, "{stats:?}");
    assert!(
        stats[0].sent_bytes + stats[1].sent_bytes > 2_000_000,
        "{stats:?}"
    );
    for broker in brokers {
        broker.end(&runtime);
    }
}
