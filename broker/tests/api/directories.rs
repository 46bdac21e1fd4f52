//! AlterReplicaLogDirs and DescribeLogDirs: replicas move between the directories of their broker.

use crate::rig::{Broker, Client, batch, error, name, text};
use millrace_wire::ErrorCode;
use millrace_wire::messages::alter_replica_log_dirs_request::{
    AlterReplicaLogDir, AlterReplicaLogDirTopic,
};
use millrace_wire::messages::{AlterReplicaLogDirsRequest, DescribeLogDirsRequest};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(60);

struct Two {
    broker: Broker,
    paths: [String; 2],
    _directories: [TempDir; 2],
}

async fn two() -> Two {
    let directories = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let paths = [0, 1].map(|n: usize| directories[n].path().display().to_string());
    let broker = Broker::start(&[&format!("log.dirs={}", paths.join(","))]).await;
    Two {
        broker,
        paths,
        _directories: directories,
    }
}

/// Where a replica is or will be, as a client is told.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    path: String,
    bytes: i64,
    lag: i64,
}

/// The present place of `t-0`, and the future one.
async fn places(client: &mut Client) -> (Place, Option<Place>) {
    let all = DescribeLogDirsRequest::default().with_topics(None);
    let (mut present, mut future) = (Vec::new(), Vec::new());
    for directory in client.ask(4, &all).await.results {
        assert_eq!(error(directory.error_code), ErrorCode::None);
        let topics = directory.topics.iter().filter(|topic| **topic.name == *"t");
        for partition in topics.flat_map(|topic| &topic.partitions) {
            if partition.partition_index != 0 {
                continue;
            }
            let found = Place {
                path: directory.log_dir.to_string(),
                bytes: partition.partition_size,
                lag: partition.offset_lag,
            };
            match partition.is_future_key {
                true => future.push(found),
                false => present.push(found),
            }
        }
    }
    assert!(future.len() <= 1, "{future:?}");
    assert_eq!(present.len(), 1, "{present:?}");
    (present.remove(0), future.pop())
}

async fn alter(
    client: &mut Client,
    version: i16,
    path: &str,
    topic: &str,
    index: i32,
) -> ErrorCode {
    let asked = AlterReplicaLogDirTopic::default()
        .with_name(name(topic))
        .with_partitions(vec![index]);
    let directory = AlterReplicaLogDir::default()
        .with_path(text(path))
        .with_topics(vec![asked]);
    let request = AlterReplicaLogDirsRequest::default().with_dirs(vec![directory]);
    let response = client.ask(version, &request).await;
    error(response.results[0].partitions[0].error_code)
}

async fn wait_for_the_end(client: &mut Client) -> Place {
    let began = Instant::now();
    loop {
        let (present, future) = places(client).await;
        if future.is_none() {
            client.led("t").await;
            return present;
        }
        assert!(began.elapsed() < PATIENCE, "it is on its way: {future:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_moves_to_the_directory_that_is_named() {
    let Two {
        mut broker,
        paths,
        _directories,
    } = two().await;
    let mut client = broker.connect().await;
    client.topic("t", 2, &[]).await;
    client.fill("t", 0, 20).await;
    let before = client.values("t", 0, 0).await;
    for version in [1, 2] {
        let (here, _) = places(&mut client).await;
        let there = paths.iter().find(|path| **path != here.path).unwrap();
        let code = alter(&mut client, version, there, "t", 0).await;
        assert_eq!(code, ErrorCode::None);
        let now = wait_for_the_end(&mut client).await;
        assert_eq!(&now.path, there);
        assert!(now.bytes >= here.bytes, "{now:?} {here:?}");
        assert_eq!(client.values("t", 0, 0).await, before);
    }
    client.fill("t", 0, 1).await;
    let after = client.values("t", 0, 0).await;
    assert_eq!(after.len(), before.len() + 1);
    let (place, _) = places(&mut client).await;
    broker = broker.restart().await;
    let mut client = broker.connect().await;
    client.led("t").await;
    assert_eq!(client.values("t", 0, 0).await, after);
    let (now, future) = places(&mut client).await;
    assert_eq!((now.path, future), (place.path, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_on_its_way_is_told_of_until_it_is_there_or_is_to_stay() {
    let Two {
        broker,
        paths,
        _directories,
    } = two().await;
    let mut client = broker.connect().await;
    client.topic("t", 1, &[]).await;
    // So much takes a while to copy, for that is paced.
    let value = "x".repeat(900_000);
    for _ in 0..40 {
        let produced = client.produce("t", 0, batch(&[&value])).await;
        assert_eq!(error(produced.error_code), ErrorCode::None);
    }
    let mut seen = false;
    for _ in 0..10 {
        let (here, _) = places(&mut client).await;
        let there = paths.iter().find(|path| **path != here.path).unwrap();
        assert_eq!(alter(&mut client, 2, there, "t", 0).await, ErrorCode::None);
        let (_, future) = places(&mut client).await;
        assert_eq!(
            alter(&mut client, 2, &here.path, "t", 0).await,
            ErrorCode::None
        );
        let now = wait_for_the_end(&mut client).await;
        assert_eq!(now.path, here.path, "it was to stay");
        if let Some(future) = future {
            assert_eq!(&future.path, there);
            assert!(future.lag > 0 && future.lag <= 40, "{future:?}");
            seen = true;
            break;
        }
    }
    assert!(seen, "no move took long enough to be seen");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_is_not_there_and_a_directory_that_is_not_known_are_refused() {
    let Two {
        broker,
        paths,
        _directories,
    } = two().await;
    let mut client = broker.connect().await;
    client.topic("t", 2, &[]).await;
    let (here, _) = places(&mut client).await;
    let here = &*here.path;
    let cases = [
        (here, "t", 0, ErrorCode::None),
        ("/no/such", "t", 0, ErrorCode::LogDirNotFound),
        (here, "t", 7, ErrorCode::UnknownTopicOrPartition),
        (&*paths[0], "no", 0, ErrorCode::UnknownTopicOrPartition),
        (&*paths[1], "no", 0, ErrorCode::UnknownTopicOrPartition),
    ];
    for version in 1..=2 {
        for (path, topic, index, code) in cases {
            let answer = alter(&mut client, version, path, topic, index).await;
            assert_eq!(answer, code, "{path} {topic}-{index}");
        }
    }
    let (now, future) = places(&mut client).await;
    assert_eq!((&*now.path, future), (here, None));
}
