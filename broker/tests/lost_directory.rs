//! A directory whose contents are lost takes its partitions offline. They are not made anew: that would begin again at offset 0
//! where clients were promised records.

use millrace_broker::config::{BrokerConfig, Sources};
use millrace_broker::metadata::{Command, NewTopic, Placement};
use millrace_broker::server::Server;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use uuid::Uuid;

const PARTITIONS: u32 = 8;

async fn start(directories: &[&Path]) -> Server {
    let shown: Vec<_> = directories
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    let overrides = [
        "node.id=0".to_owned(),
        "listeners=PLAINTEXT://127.0.0.1:0".to_owned(),
        "millrace.metrics.listener=".to_owned(),
        "millrace.control.listener=".to_owned(),
        format!("log.dirs={}", shown.join(",")),
    ];
    let sources = Sources {
        overrides: overrides.to_vec(),
        ..Sources::default()
    };
    let loaded = BrokerConfig::load(&sources).expect("the settings are right");
    Server::start(loaded.config)
        .await
        .expect("the broker starts")
}

/// Which partitions are served, by index.
fn served(server: &Server) -> Vec<bool> {
    let hosting = server.broker.replicas.hosting();
    let topic = hosting.topic("t").expect("the topic is there");
    topic.partitions.iter().map(Option::is_some).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_directory_takes_its_partitions_offline() {
    let (first, second) = (tempfile::tempdir(), tempfile::tempdir());
    let (metadata, lost) = (first.expect("a directory"), second.expect("a directory"));
    let directories = [metadata.path(), lost.path()];
    let server = start(&directories).await;
    let new = NewTopic {
        name: "t".to_owned(),
        id: Uuid::new_v4(),
        partitions: PARTITIONS,
        placement: Placement::Automatic {
            replicas: 1,
            seed: 0,
        },
        configs: BTreeMap::new(),
    };
    let made = server
        .broker
        .metadata
        .submit(Command::CreateTopic(new))
        .await;
    made.expect("the topic is made");
    let version = server.broker.metadata.image().version;
    let caught_up = server.broker.replicas.caught_up(version);
    tokio::time::timeout(Duration::from_secs(20), caught_up)
        .await
        .expect("replicas are made within 20 s");
    assert_eq!(served(&server), [true; PARTITIONS as usize]);
    server.stop().await;

    for folder in ["log", "families"] {
        std::fs::remove_dir_all(lost.path().join(folder)).expect("it was there");
    }
    for _ in 0..2 {
        let server = start(&directories).await;
        let served = served(&server);
        let offline = served.iter().filter(|served| !**served).count();
        assert!(0 < offline && offline < PARTITIONS as usize, "{served:?}");
        server.stop().await;
    }
}
