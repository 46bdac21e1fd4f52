//! Fetch: what comes back, sessions, long polls, epochs; and that a restart keeps all of it.

use crate::rig::{Broker, batch, error, fetch_request, name, values};
use millrace_wire::ErrorCode;
use millrace_wire::messages::fetch_request::ForgottenTopic;
use millrace_wire::messages::{FetchRequest, FetchResponse};
use std::time::{Duration, Instant};

/// The values of each partition that an answer has.
fn told(response: &FetchResponse) -> Vec<(i32, Vec<String>)> {
    let partitions = response
        .responses
        .iter()
        .flat_map(|topic| &topic.partitions);
    let told = partitions.map(|partition| {
        let records = partition.records.clone().unwrap_or_default();
        (partition.partition_index, values(records))
    });
    told.collect()
}

fn of_two(first: i64, second: i64) -> FetchRequest {
    let mut request = fetch_request("t", 0, first);
    let mut other = request.topics[0].partitions[0].clone();
    other.partition = 1;
    other.fetch_offset = second;
    request.topics[0].partitions.push(other);
    request
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_fetched_in_every_version() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    client.topic("t", 1, &[]).await;
    client.fill("t", 0, 2).await;
    let id = client.describe("t").await.topic_id;
    for version in 4..=18 {
        let mut request = fetch_request("t", 0, 1);
        if version < 7 {
            request.session_epoch = -1;
        }
        if version >= 13 {
            request.topics[0].topic = name("");
            request.topics[0].topic_id = id;
        }
        let response = client.ask(version, &request).await;
        assert_eq!(response.error_code, 0);
        let partition = &response.responses[0].partitions[0];
        assert_eq!(
            error(partition.error_code),
            ErrorCode::None,
            "version {version}"
        );
        assert_eq!(partition.high_watermark, 2);
        assert_eq!(told(&response), [(0, vec!["v".to_owned()])]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_repeats_nothing() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    client.topic("t", 2, &[]).await;
    client.fill("t", 0, 1).await;
    let mut request = of_two(0, 0).with_session_epoch(0);
    let first = client.ask(11, &request).await;
    assert_eq!(first.error_code, 0);
    assert_ne!(first.session_id, 0);
    assert_eq!(told(&first).len(), 2, "the first answer has all partitions");

    request = of_two(1, 0)
        .with_session_epoch(1)
        .with_session_id(first.session_id);
    request.topics[0].partitions.truncate(1);
    let nothing = client.ask(11, &request).await;
    assert_eq!((nothing.error_code, told(&nothing)), (0, Vec::new()));

    client.fill("t", 1, 1).await;
    request = request.with_session_epoch(2).with_topics(Vec::new());
    let news = client.ask(11, &request).await;
    assert_eq!(told(&news), [(1, vec!["v".to_owned()])]);

    let forgotten = ForgottenTopic::default()
        .with_topic(name("t"))
        .with_partitions(vec![1]);
    request = request
        .with_session_epoch(3)
        .with_forgotten_topics_data(vec![forgotten]);
    let nothing = client.ask(11, &request).await;
    assert_eq!((nothing.error_code, told(&nothing)), (0, Vec::new()));

    let wrong = request.clone().with_session_epoch(9);
    let code = client.ask(11, &wrong).await.error_code;
    assert_eq!(error(code), ErrorCode::InvalidFetchSessionEpoch);
    let unknown = request
        .with_session_epoch(4)
        .with_session_id(first.session_id ^ 1);
    let code = client.ask(11, &unknown).await.error_code;
    assert_eq!(error(code), ErrorCode::FetchSessionIdNotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_poll_ends_with_the_first_record() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    client.topic("t", 1, &[]).await;
    let short = fetch_request("t", 0, 0).with_max_wait_ms(200);
    let began = Instant::now();
    assert_eq!(told(&client.ask(11, &short).await), [(0, Vec::new())]);
    assert!(began.elapsed() >= Duration::from_millis(200), "it waited");

    let long = fetch_request("t", 0, 0).with_max_wait_ms(50_000);
    let began = Instant::now();
    client.send(11, &long).await;
    let mut producer = broker.connect().await;
    producer.fill("t", 0, 1).await;
    let answer = client.answer::<FetchRequest>(11).await;
    assert_eq!(told(&answer), [(0, vec!["v".to_owned()])]);
    assert!(
        began.elapsed() < Duration::from_secs(50),
        "it did not wait to its end"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_comes_whole_even_if_it_is_larger_than_asked_for() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    client.topic("t", 1, &[]).await;
    let large = "v".repeat(10_000);
    for _ in 0..2 {
        client.produce("t", 0, batch(&[&large])).await;
    }
    let mut request = fetch_request("t", 0, 0).with_max_bytes(1);
    request.topics[0].partitions[0].partition_max_bytes = 1;
    let answer = client.ask(11, &request).await;
    assert_eq!(told(&answer), [(0, vec![large])], "one, and no more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_knows_another_leader_is_told_so() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    client.topic("t", 1, &[]).await;
    client.fill("t", 0, 1).await;
    assert_eq!(client.led("t").await.partitions[0].leader_epoch, 0);
    let broker = broker.restart().await;
    let mut client = broker.connect().await;
    let epoch = client.led("t").await.partitions[0].leader_epoch;
    assert_eq!(epoch, 1);
    for (known, code) in [
        (epoch, ErrorCode::None),
        (-1, ErrorCode::None),
        (epoch + 1, ErrorCode::UnknownLeaderEpoch),
        (epoch - 1, ErrorCode::FencedLeaderEpoch),
    ] {
        let mut request = fetch_request("t", 0, 0);
        request.topics[0].partitions[0].current_leader_epoch = known;
        let answer = client.ask(11, &request).await;
        assert_eq!(
            error(answer.responses[0].partitions[0].error_code),
            code,
            "{known} of {epoch}"
        );
    }
    let beyond = client.fetch("t", 0, 7).await;
    assert_eq!(error(beyond.error_code), ErrorCode::OffsetOutOfRange);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_keeps_topics_settings_and_records() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    client.topic("t", 3, &[("retention.ms", "-1")]).await;
    client.topic("deleted", 1, &[]).await;
    for partition in 0..3 {
        client.produce("t", partition, batch(&["a", "b"])).await;
    }
    let deletion = millrace_wire::messages::DeleteTopicsRequest::default()
        .with_topic_names(vec![name("deleted")]);
    assert_eq!(client.ask(5, &deletion).await.responses[0].error_code, 0);
    let before = client.describe("t").await;

    let broker = broker.restart().await;
    let mut client = broker.connect().await;
    let after = client.led("t").await;
    assert_eq!(after.topic_id, before.topic_id);
    for partition in 0..3 {
        assert_eq!(client.values("t", partition, 0).await, ["a", "b"]);
        let next = client.produce("t", partition, batch(&["c"])).await;
        assert_eq!((next.error_code, next.base_offset), (0, 2));
    }
    let code = client.describe("deleted").await.error_code;
    assert_eq!(error(code), ErrorCode::UnknownTopicOrPartition);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_tells_no_consumer_that_its_offset_is_out_of_range() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    client.topic("t", 9, &[]).await;
    for partition in 0..9 {
        client.fill("t", partition, 3).await;
    }
    let broker = broker.restart().await;
    let mut client = broker.connect().await;
    for partition in 0..9 {
        for offset in [3, 2] {
            let fetched = client.fetch("t", partition, offset).await;
            assert_eq!(error(fetched.error_code), ErrorCode::None, "{fetched:?}");
            assert_eq!(fetched.high_watermark, 3);
        }
        assert_eq!(client.offset("t", partition, -1).await.offset, 3);
    }
}
