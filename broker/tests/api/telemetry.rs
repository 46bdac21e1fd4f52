//! GetTelemetrySubscriptions, PushTelemetry, and the settings of client-metrics resources (KIP-714).

use crate::configs::{DELETE, SET, alter, change, describe};
use crate::rig::{Broker, Client, error, text};
use bytes::Bytes;
use millrace_broker::telemetry::series::Series;
use millrace_wire::compression::{Compression, compress};
use millrace_wire::messages::{
    ApiVersionsRequest, GetTelemetrySubscriptionsRequest, GetTelemetrySubscriptionsResponse,
    ListConfigResourcesRequest, PushTelemetryRequest, Uuid,
};
use millrace_wire::{ErrorCode, uuid};
use std::time::{Duration, Instant};

const CLIENT_METRICS: i8 = 16;

async fn set(client: &mut Client, of: &str, pairs: &[(&str, &str)]) -> (ErrorCode, String) {
    let changes: Vec<_> = pairs
        .iter()
        .map(|(name, value)| (SET, *name, Some(*value)))
        .collect();
    let (code, words) = alter(client, vec![change(CLIENT_METRICS, of, &changes)]).await;
    (code, words.unwrap_or_default())
}

async fn subscription(client: &mut Client, id: Uuid) -> GetTelemetrySubscriptionsResponse {
    let request = GetTelemetrySubscriptionsRequest::default().with_client_instance_id(id);
    client.ask(0, &request).await
}

async fn push(client: &mut Client, request: &PushTelemetryRequest) -> ErrorCode {
    error(client.ask(0, request).await.error_code)
}

/// A delta of a counter, as OTLP.
fn delta(name: &str, value: i64) -> Bytes {
    let field = |number: u8, data: &[u8]| [&[number << 3 | 2, data.len() as u8], data].concat();
    let attribute = [field(1, b"topic"), field(2, &field(1, b"t"))].concat();
    let mut point = vec![6 << 3 | 1];
    point.extend(value.to_le_bytes());
    point.extend(field(7, &attribute));
    let sum = [&field(1, &point)[..], &[0x10, 1, 0x18, 1]].concat();
    let metric = [field(1, name.as_bytes()), field(7, &sum)].concat();
    field(1, &field(2, &field(2, &metric))).into()
}

fn shown(broker: &Broker) -> Vec<Series> {
    broker.server.broker.telemetry.shown(Instant::now()).series
}

#[tokio::test(flavor = "multi_thread")]
async fn what_clients_are_asked_for_is_set_and_told() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    let defaults = describe(&mut client, CLIENT_METRICS, "s", &[])
        .await
        .configs;
    let told: Vec<(&str, Option<&str>, i8, i8)> = defaults
        .iter()
        .map(|one| {
            (
                &*one.name,
                one.value.as_deref(),
                one.config_source,
                one.config_type,
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("interval.ms", Some("300000"), 5, 3),
            ("match", Some(""), 5, 7),
            ("metrics", Some(""), 5, 7)
        ]
    );
    let done = (ErrorCode::None, String::new());
    let pairs = [
        ("interval.ms", "1000"),
        ("match", "client_id=a.*, client_software_name=x"),
    ];
    assert_eq!(set(&mut client, "s", &pairs).await, done);
    let cases = [
        (
            "s",
            "interval.ms",
            "99",
            ErrorCode::InvalidRequest,
            "Invalid value 99 for interval.ms, interval must be between 100 and 3600000 (1 hour)",
        ),
        (
            "s",
            "interval.ms",
            "x",
            ErrorCode::InvalidConfig,
            "Invalid value x for configuration interval.ms: Not a number of type INT",
        ),
        (
            "s",
            "match",
            "client_id=(",
            ErrorCode::InvalidConfig,
            "Illegal client matching pattern: client_id=(",
        ),
        (
            "s",
            "no.such",
            "x",
            ErrorCode::InvalidRequest,
            "Unknown client metrics configuration: no.such",
        ),
        (
            "",
            "interval.ms",
            "1000",
            ErrorCode::InvalidRequest,
            "Subscription name can't be empty",
        ),
    ];
    for (of, name, value, code, words) in cases {
        assert_eq!(
            set(&mut client, of, &[(name, value)]).await,
            (code, words.to_owned())
        );
    }
    let broker = broker.restart().await;
    let mut client = broker.connect().await;
    let own = describe(&mut client, CLIENT_METRICS, "s", &["match"])
        .await
        .configs;
    assert_eq!(
        own[0].value.as_deref(),
        Some("client_id=a.*,client_software_name=x")
    );
    assert_eq!((own[0].config_source, own[0].synonyms.len()), (7, 1));
    let list = ListConfigResourcesRequest::default();
    let listed = client.ask(0, &list).await.config_resources;
    assert_eq!(listed.len(), 1);
    assert_eq!(&*listed[0].resource_name, "s");
    let delete = [(DELETE, "interval.ms", None), (DELETE, "match", None)];
    let answer = alter(&mut client, vec![change(CLIENT_METRICS, "s", &delete)]).await;
    assert_eq!(answer, (ErrorCode::None, None));
    assert!(client.ask(0, &list).await.config_resources.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_pushes_what_it_is_asked_for_and_it_is_shown() {
    let broker = Broker::start(&["telemetry.max.bytes=200"]).await;
    let mut client = broker.connect().await;
    let nothing = subscription(&mut client, Uuid::nil()).await;
    assert_eq!(error(nothing.error_code), ErrorCode::None);
    assert!(!nothing.client_instance_id.is_nil(), "it is given an id");
    assert!(nothing.requested_metrics.is_empty());
    assert_eq!(nothing.push_interval_ms, 300_000);
    let pairs = [
        ("interval.ms", "100"),
        ("metrics", "org.a"),
        ("match", "client_software_name=mine"),
    ];
    assert_eq!(set(&mut client, "s", &pairs).await.0, ErrorCode::None);
    let named = ApiVersionsRequest::default()
        .with_client_software_name(text("mine"))
        .with_client_software_version(text("1.0"));
    client.ask(3, &named).await;
    let id = uuid::random();
    let told = subscription(&mut client, id).await;
    assert_eq!(told.client_instance_id, id);
    assert_eq!(
        (told.push_interval_ms, told.telemetry_max_bytes),
        (100, 200)
    );
    assert_eq!(told.accepted_compression_types, [4, 3, 1, 2]);
    assert_eq!(told.requested_metrics, [text("org.a")]);
    assert!(told.delta_temporality);
    let pause = || tokio::time::sleep(Duration::from_millis(110));
    let codecs = [
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ];
    let request = PushTelemetryRequest::default()
        .with_client_instance_id(id)
        .with_subscription_id(told.subscription_id);
    for codec in codecs {
        let metrics = compress(codec, &delta("org.a.b", 2)).unwrap();
        let request = request
            .clone()
            .with_compression_type(codec.bits() as i8)
            .with_metrics(metrics.into());
        assert_eq!(
            push(&mut client, &request).await,
            ErrorCode::None,
            "{codec:?}"
        );
        pause().await;
    }
    let unwanted = request.clone().with_metrics(delta("org.b", 2));
    assert_eq!(push(&mut client, &unwanted).await, ErrorCode::None);
    let of_one = Series {
        metric: "org.a.b".to_owned(),
        client_id: "test".to_owned(),
        instance: id,
        attributes: "topic=t".to_owned(),
        is_counter: true,
        value: 10.0,
    };
    assert_eq!(shown(&broker), [of_one]);
    pause().await;
    let bad = request.clone().with_metrics(Bytes::from_static(&[0xff; 4]));
    assert_eq!(push(&mut client, &bad).await, ErrorCode::InvalidRecord);
    pause().await;
    let bad = bad.with_compression_type(1);
    assert_eq!(push(&mut client, &bad).await, ErrorCode::InvalidRecord);
    pause().await;
    let large = request.clone().with_metrics(vec![0; 201].into());
    assert_eq!(
        push(&mut client, &large).await,
        ErrorCode::TelemetryTooLarge
    );
    pause().await;
    let unknown = request.clone().with_compression_type(9);
    assert_eq!(
        push(&mut client, &unknown).await,
        ErrorCode::UnsupportedCompressionType
    );
    let last = request.clone().with_terminating(true);
    assert_eq!(push(&mut client, &last).await, ErrorCode::None);
    assert_eq!(push(&mut client, &last).await, ErrorCode::InvalidRequest);
    let nobody = request.with_client_instance_id(Uuid::nil());
    assert_eq!(push(&mut client, &nobody).await, ErrorCode::InvalidRequest);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_comes_too_soon_is_throttled() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    assert_eq!(
        set(&mut client, "s", &[("metrics", "*")]).await.0,
        ErrorCode::None
    );
    let id = uuid::random();
    let told = subscription(&mut client, id).await;
    let again = subscription(&mut client, id).await;
    assert_eq!(error(again.error_code), ErrorCode::ThrottlingQuotaExceeded);
    let request = PushTelemetryRequest::default()
        .with_client_instance_id(id)
        .with_subscription_id(told.subscription_id)
        .with_metrics(delta("a", 1));
    assert_eq!(push(&mut client, &request).await, ErrorCode::None);
    assert_eq!(
        push(&mut client, &request).await,
        ErrorCode::ThrottlingQuotaExceeded
    );
    assert_eq!(
        set(&mut client, "s", &[("metrics", "b")]).await.0,
        ErrorCode::None
    );
    assert_eq!(
        push(&mut client, &request).await,
        ErrorCode::UnknownSubscriptionId
    );
    let told = subscription(&mut client, id).await;
    assert_eq!(told.requested_metrics, [text("b")], "at once");
}
