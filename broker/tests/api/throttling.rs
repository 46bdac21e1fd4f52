//! What a client over its quota sees: an answer at once that says for how long it is not heard, and then silence for so long.

use crate::quotas::set;
use crate::rig::{Broker, Client, batch, error, fetch_request, new_topic, produce_request, values};
use millrace_wire::messages::traits::Request;
use millrace_wire::messages::{
    ApiVersionsRequest, CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest,
    MetadataRequest,
};
use millrace_wire::{ErrorCode, encode_request};
use std::time::{Duration, Instant};

/// The client id of the rig's clients.
const OURS: &[(&str, Option<&str>)] = &[("client-id", Some("test"))];

/// What takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(60);

async fn ask_as<R: Request>(
    client: &mut Client,
    client_id: &str,
    version: i16,
    request: &R,
) -> R::Response {
    client.last += 1;
    let frame = encode_request(client.last, Some(client_id), version, request);
    client.send_frame(&frame.unwrap()).await;
    client.answer::<R>(version).await
}

/// How long the broker does not hear a client.
async fn silence(client: &mut Client) -> Duration {
    let began = Instant::now();
    client.ask(0, &ApiVersionsRequest::default()).await;
    began.elapsed()
}

fn ms(ms: i32) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap())
}

/// The broker's clock ran on while the answer was on its way.
const ON_ITS_WAY: Duration = Duration::from_millis(300);

#[tokio::test(flavor = "multi_thread")]
async fn a_producer_over_its_rate_is_told_and_not_read_from_and_others_are() {
    let broker = Broker::start(&[]).await;
    let mut admin = broker.connect().await;
    let mut client = broker.connect().await;
    admin.topic("t", 1, &[]).await;
    set(&mut admin, OURS, "producer_byte_rate", Some(10_000.0)).await;
    let records = batch(&[&"x".repeat(110_000)]);
    let request = produce_request("t", 0, records, -1);
    let answer = client.ask(9, &request).await;
    let produced = &answer.responses[0].partition_responses[0];
    assert_eq!(error(produced.error_code), ErrorCode::None);
    // 110 kB are at the limit after 11 s; a rate that begins is taken over 10.
    let told = answer.throttle_time_ms;
    assert!((1_000..1_500).contains(&told), "{told}");
    assert!(silence(&mut client).await + ON_ITS_WAY >= ms(told));
    let mut other = broker.connect().await;
    let answer = ask_as(&mut other, "other", 9, &request).await;
    assert_eq!(answer.throttle_time_ms, 0);
    set(&mut admin, OURS, "producer_byte_rate", None).await;
    assert_eq!(client.ask(9, &request).await.throttle_time_ms, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_producer_that_wants_no_answer_is_not_read_from_either() {
    let broker = Broker::start(&[]).await;
    let mut admin = broker.connect().await;
    let mut client = broker.connect().await;
    admin.topic("t", 1, &[]).await;
    set(&mut admin, OURS, "producer_byte_rate", Some(10_000.0)).await;
    let records = batch(&[&"x".repeat(110_000)]);
    client.send(9, &produce_request("t", 0, records, 0)).await;
    assert!(silence(&mut client).await + ON_ITS_WAY >= ms(1_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_over_its_rate_gets_nothing_until_it_is_below() {
    let broker = Broker::start(&["quota.window.num=3"]).await;
    let mut admin = broker.connect().await;
    let mut client = broker.connect().await;
    admin.topic("t", 1, &[]).await;
    for _ in 0..4 {
        let records = batch(&[&"x".repeat(40_000)]);
        let request = produce_request("t", 0, records, -1);
        let answer = ask_as(&mut admin, "other", 9, &request).await;
        let produced = &answer.responses[0].partition_responses[0];
        assert_eq!(error(produced.error_code), ErrorCode::None);
    }
    set(&mut admin, OURS, "consumer_byte_rate", Some(30_000.0)).await;
    let (mut offset, mut throttled) = (0, 0);
    let deadline = Instant::now() + PATIENCE;
    while offset < 4 {
        assert!(Instant::now() < deadline, "{offset} records are read");
        let answer = client.ask(11, &fetch_request("t", 0, offset)).await;
        assert_eq!(error(answer.error_code), ErrorCode::None);
        if answer.throttle_time_ms > 0 {
            assert!(answer.responses.is_empty(), "no records while throttled");
            throttled += 1;
            continue;
        }
        let partition = &answer.responses[0].partitions[0];
        offset += values(partition.records.clone().unwrap_or_default()).len() as i64;
    }
    // 160 kB at 30 a second, of which 60 are free.
    assert!(throttled >= 1);
}

async fn create(
    client: &mut Client,
    version: i16,
    topics: &[(&str, i32)],
) -> (Vec<ErrorCode>, i32) {
    let topics = topics
        .iter()
        .map(|(name, partitions)| new_topic(name, *partitions, 1, &[]));
    let request = CreateTopicsRequest::default().with_topics(topics.collect());
    let answer: CreateTopicsResponse = client.ask(version, &request).await;
    let codes = answer.topics.iter().map(|topic| error(topic.error_code));
    (codes.collect(), answer.throttle_time_ms)
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_beyond_the_rate_of_changes_are_refused_where_clients_understand_it() {
    let broker = Broker::start(&["controller.quota.window.num=1"]).await;
    let mut admin = broker.connect().await;
    let mut client = broker.connect().await;
    let key = "controller_mutation_rate";
    set(&mut admin, OURS, key, Some(1.0)).await;
    // One partition is free, the second topic is owed for, the third must wait for that.
    let (codes, told) = create(&mut client, 7, &[("a", 1), ("b", 2), ("c", 1)]).await;
    let refused = ErrorCode::ThrottlingQuotaExceeded;
    assert_eq!(codes, [ErrorCode::None, ErrorCode::None, refused]);
    assert!((1..=2_000).contains(&told), "{told}");
    assert!(silence(&mut client).await + ON_ITS_WAY >= ms(told));
    let (codes, _) = create(&mut client, 7, &[("c", 3)]).await;
    assert_eq!(codes, [ErrorCode::None]);
    // Other connections of the same client owe for it, too; an older version is only made to wait.
    let mut older = broker.connect().await;
    let (codes, told) = create(&mut older, 5, &[("d", 1)]).await;
    assert_eq!(codes, [ErrorCode::None]);
    assert!(told > 0);
    let mut newer = broker.connect().await;
    let names = vec![crate::rig::name("a")];
    let request = DeleteTopicsRequest::default()
        .with_topic_names(names)
        .with_timeout_ms(30_000);
    let answer = newer.ask(5, &request).await;
    assert_eq!(error(answer.responses[0].error_code), refused);
    set(&mut admin, OURS, key, None).await;
    let mut newest = broker.connect().await;
    let answer = newest.ask(5, &request).await;
    assert_eq!(error(answer.responses[0].error_code), ErrorCode::None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_takes_too_much_time_is_throttled_for_a_window_at_most() {
    let broker = Broker::start(&[]).await;
    let mut admin = broker.connect().await;
    let mut client = broker.connect().await;
    let theirs = &[("user", None), ("client-id", Some("busy"))];
    set(&mut admin, theirs, "request_percentage", Some(1e-9)).await;
    let request = MetadataRequest::default().with_topics(None);
    let told = ask_as(&mut client, "busy", 12, &request).await;
    let told = told.throttle_time_ms;
    assert!((1..=1_000).contains(&told), "{told}");
    assert!(silence(&mut client).await + ON_ITS_WAY >= ms(told));
    assert_eq!(admin.ask(12, &request).await.throttle_time_ms, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_with_too_many_new_connections_is_not_served_for_a_while() {
    let broker = Broker::start(&["quota.window.num=2"]).await;
    let mut admin = broker.connect().await;
    let ours = &[("ip", Some("127.0.0.1"))];
    let key = "connection_creation_rate";
    set(&mut admin, ours, key, Some(1.0)).await;
    let deadline = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < deadline, "every connection is served");
        let mut client = broker.connect().await;
        client.send(0, &ApiVersionsRequest::default()).await;
        if client.frame().await.is_none() {
            break;
        }
    }
    set(&mut admin, ours, key, None).await;
    broker
        .connect()
        .await
        .ask(0, &ApiVersionsRequest::default())
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_connections_together_come_at_the_brokers_pace() {
    let broker = Broker::start(&["max.connection.creation.rate=2", "quota.window.num=2"]).await;
    let began = Instant::now();
    for _ in 0..6 {
        broker
            .connect()
            .await
            .ask(0, &ApiVersionsRequest::default())
            .await;
    }
    // Two are free, and each further one waits until it is one of two a second again.
    assert!(began.elapsed() >= Duration::from_millis(1_000));
}
