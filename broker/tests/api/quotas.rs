//! Quotas: how they are set and told, and what a client over its own sees.

use crate::rig::{Broker, Client, error, text};
use millrace_wire::ErrorCode;
use millrace_wire::messages::alter_client_quotas_request::{EntityData, EntryData, OpData};
use millrace_wire::messages::describe_client_quotas_request::ComponentData;
use millrace_wire::messages::{
    AlterClientQuotasRequest, DescribeClientQuotasRequest, DescribeClientQuotasResponse,
};

const EXACT: i8 = 0;
const DEFAULT: i8 = 1;
const SPECIFIED: i8 = 2;

type Parts<'a> = &'a [(&'a str, Option<&'a str>)];

/// `None` takes the quota away.
fn alteration(parts: Parts, ops: &[(&str, Option<f64>)]) -> EntryData {
    let parts = parts.iter().map(|(kind, name)| {
        EntityData::default()
            .with_entity_type(text(kind))
            .with_entity_name(name.map(text))
    });
    let ops = ops.iter().map(|(key, value)| {
        OpData::default()
            .with_key(text(key))
            .with_value(value.unwrap_or(0.0))
            .with_remove(value.is_none())
    });
    EntryData::default()
        .with_entity(parts.collect())
        .with_ops(ops.collect())
}

/// The code and the words of each entry's answer.
async fn alter(
    client: &mut Client,
    entries: Vec<EntryData>,
    validate_only: bool,
) -> Vec<(ErrorCode, String)> {
    let request = AlterClientQuotasRequest::default()
        .with_entries(entries)
        .with_validate_only(validate_only);
    let response = client.ask(1, &request).await;
    let entries = response.entries.into_iter();
    let told = entries.map(|entry| {
        let words = entry.error_message.map(|words| words.to_string());
        (error(entry.error_code), words.unwrap_or_default())
    });
    told.collect()
}

pub async fn set(client: &mut Client, parts: Parts<'_>, key: &str, value: Option<f64>) {
    let told = alter(client, vec![alteration(parts, &[(key, value)])], false).await;
    assert_eq!(told, [(ErrorCode::None, String::new())]);
}

async fn describe(
    client: &mut Client,
    components: &[(&str, i8, Option<&str>)],
    strict: bool,
) -> DescribeClientQuotasResponse {
    let components = components.iter().map(|(kind, match_type, name)| {
        ComponentData::default()
            .with_entity_type(text(kind))
            .with_match_type(*match_type)
            .with_match(name.map(text))
    });
    let request = DescribeClientQuotasRequest::default()
        .with_components(components.collect())
        .with_strict(strict);
    client.ask(1, &request).await
}

/// `user=a,client-id=<default>: key=5`, one for each entity that is found.
async fn found(
    client: &mut Client,
    components: &[(&str, i8, Option<&str>)],
    strict: bool,
) -> Vec<String> {
    let response = describe(client, components, strict).await;
    assert_eq!(error(response.error_code), ErrorCode::None);
    let entries = response.entries.expect("no error is there").into_iter();
    let told = entries.map(|entry| {
        let parts = entry.entity.iter().map(|part| {
            let name = part.entity_name.as_deref().unwrap_or("<default>");
            format!("{}={name}", &*part.entity_type)
        });
        let values = entry.values.iter();
        let values = values.map(|value| format!("{}={}", &*value.key, value.value));
        let parts: Vec<String> = parts.collect();
        let values: Vec<String> = values.collect();
        format!("{}: {}", parts.join(","), values.join(","))
    });
    told.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn quotas_are_found_by_exact_name_by_default_and_by_kind_after_a_restart_too() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    let rate = "producer_byte_rate";
    set(&mut client, &[("user", Some("a"))], rate, Some(1.0)).await;
    set(&mut client, &[("user", None)], rate, Some(2.0)).await;
    let both: Parts = &[("client-id", Some("c")), ("user", Some("a"))];
    set(&mut client, both, rate, Some(3.0)).await;
    set(&mut client, both, "request_percentage", Some(0.5)).await;
    set(&mut client, &[("client-id", Some("c"))], rate, Some(4.0)).await;
    set(
        &mut client,
        &[("ip", Some("10.0.0.1"))],
        "connection_creation_rate",
        Some(5.0),
    )
    .await;
    let broker = broker.restart().await;
    let mut client = broker.connect().await;
    let (a, default) = (
        "user=a: producer_byte_rate=1",
        "user=<default>: producer_byte_rate=2",
    );
    let of_both = "user=a,client-id=c: producer_byte_rate=3,request_percentage=0.5";
    let of_client = "client-id=c: producer_byte_rate=4";
    let of_ip = "ip=10.0.0.1: connection_creation_rate=5";
    let exact = [("user", EXACT, Some("a"))];
    assert_eq!(found(&mut client, &exact, true).await, [a]);
    assert_eq!(found(&mut client, &exact, false).await, [a, of_both]);
    let of_default = [("user", DEFAULT, None)];
    assert_eq!(found(&mut client, &of_default, false).await, [default]);
    let any = [("user", SPECIFIED, None)];
    assert_eq!(found(&mut client, &any, true).await, [default, a]);
    let pair = [("user", SPECIFIED, None), ("client-id", EXACT, Some("c"))];
    assert_eq!(found(&mut client, &pair, true).await, [of_both]);
    let all = found(&mut client, &[], false).await;
    assert_eq!(all, [of_ip, of_client, default, a, of_both]);
    assert!(found(&mut client, &[], true).await.is_empty());
    set(&mut client, &[("user", Some("a"))], rate, None).await;
    assert!(found(&mut client, &exact, true).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn each_entity_is_changed_or_refused_as_a_whole() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    let rate = "producer_byte_rate";
    let entries = vec![
        alteration(&[("user", Some("good"))], &[(rate, Some(1.0))]),
        alteration(
            &[("user", Some("bad"))],
            &[(rate, Some(1.0)), ("nothing", Some(1.0))],
        ),
        alteration(&[("user", Some("good"))], &[(rate, Some(9.0))]),
        alteration(&[("user", Some("gone"))], &[("nothing", None)]),
    ];
    let told = alter(&mut client, entries, false).await;
    let refused = |words: &str| (ErrorCode::InvalidRequest, words.to_owned());
    assert_eq!(
        told,
        [
            refused("Ignoring duplicate entity ClientQuotaEntity(entries={user=good})"),
            refused("Invalid configuration key nothing"),
            (ErrorCode::None, String::new()),
        ]
    );
    let all = found(&mut client, &[], false).await;
    assert_eq!(all, ["user=good: producer_byte_rate=1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_only_checked_is_not_set() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    let entry = || {
        vec![alteration(
            &[("user", None)],
            &[("request_percentage", Some(5.0))],
        )]
    };
    let told = alter(&mut client, entry(), true).await;
    assert_eq!(told, [(ErrorCode::None, String::new())]);
    assert!(found(&mut client, &[], false).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_that_cannot_be_is_refused_in_kafkas_words() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    let invalid = ErrorCode::InvalidRequest;
    let cases: [(&[(&str, i8, Option<&str>)], ErrorCode, &str); 7] = [
        (
            &[("", EXACT, Some("a"))],
            invalid,
            "Invalid empty entity type.",
        ),
        (
            &[("group", EXACT, Some("a"))],
            ErrorCode::UnsupportedVersion,
            "Unsupported entity type group",
        ),
        (
            &[("user", EXACT, Some("a")), ("user", DEFAULT, None)],
            invalid,
            "Entity type user cannot appear more than once in the filter.",
        ),
        (
            &[("user", EXACT, None)],
            invalid,
            "Request specified MATCH_TYPE_EXACT, but set match string to null.",
        ),
        (
            &[("user", SPECIFIED, Some("a"))],
            invalid,
            "Request specified MATCH_TYPE_SPECIFIED, but also specified a match string.",
        ),
        (&[("user", 3, None)], invalid, "Unknown match type 3"),
        (
            &[("ip", DEFAULT, None), ("client-id", DEFAULT, None)],
            invalid,
            "Invalid entity filter component combination. IP filter component should not be used with user or clientId filter component.",
        ),
    ];
    for (components, code, words) in cases {
        let response = describe(&mut client, components, false).await;
        assert_eq!(error(response.error_code), code);
        assert_eq!(response.error_message.as_deref(), Some(words));
        assert_eq!(response.entries, None);
    }
}
