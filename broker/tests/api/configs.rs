//! DescribeConfigs, IncrementalAlterConfigs, AlterConfigs.

use crate::rig::{Broker, Client, batch, error, text};
use millrace_wire::ErrorCode;
use millrace_wire::messages::describe_configs_request::DescribeConfigsResource;
use millrace_wire::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult,
};
use millrace_wire::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use millrace_wire::messages::{
    AlterConfigsRequest, DescribeConfigsRequest, IncrementalAlterConfigsRequest,
    alter_configs_request,
};

pub const TOPIC: i8 = 2;
pub const BROKER: i8 = 4;
pub const LOGGER: i8 = 8;
pub const GROUP: i8 = 32;

pub const SET: i8 = 0;
pub const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

pub async fn describe(
    client: &mut Client,
    kind: i8,
    of: &str,
    names: &[&str],
) -> DescribeConfigsResult {
    let names = names.iter().map(|name| text(name)).collect();
    let resource = DescribeConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(text(of))
        .with_configuration_keys(Some(names));
    let request = DescribeConfigsRequest::default()
        .with_resources(vec![resource])
        .with_include_synonyms(true)
        .with_include_documentation(true);
    client.ask(4, &request).await.results.remove(0)
}

pub async fn one(
    client: &mut Client,
    kind: i8,
    of: &str,
    name: &str,
) -> DescribeConfigsResourceResult {
    let mut result = describe(client, kind, of, &[name]).await;
    assert_eq!(error(result.error_code), ErrorCode::None, "{result:?}");
    assert_eq!(result.configs.len(), 1, "{name} of {of:?}");
    result.configs.remove(0)
}

pub fn change(kind: i8, of: &str, changes: &[(i8, &str, Option<&str>)]) -> AlterConfigsResource {
    let configs = changes.iter().map(|(operation, name, value)| {
        AlterableConfig::default()
            .with_name(text(name))
            .with_config_operation(*operation)
            .with_value(value.map(text))
    });
    AlterConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(text(of))
        .with_configs(configs.collect())
}

pub async fn alter(
    client: &mut Client,
    resources: Vec<AlterConfigsResource>,
) -> (ErrorCode, Option<String>) {
    let request = IncrementalAlterConfigsRequest::default().with_resources(resources);
    let response = &client.ask(1, &request).await.responses[0];
    let words = response.error_message.as_ref().map(ToString::to_string);
    (error(response.error_code), words)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topics_settings_are_told_with_where_they_come_from() {
    let broker = Broker::start(&["log.retention.hours=2"]).await;
    let mut client = broker.connect().await;
    client.topic("t", 1, &[("max.message.bytes", "2000")]).await;
    let own = one(&mut client, TOPIC, "t", "max.message.bytes").await;
    assert_eq!(own.value.as_deref(), Some("2000"));
    assert_eq!((own.config_source, own.config_type), (1, 3));
    assert_eq!(own.synonyms[0].source, 1);
    assert_eq!(&*own.synonyms.last().unwrap().name, "message.max.bytes");
    assert!(!own.documentation.unwrap().is_empty());
    let inherited = one(&mut client, TOPIC, "t", "retention.ms").await;
    assert_eq!(inherited.value.as_deref(), Some("7200000"));
    let all = describe(&mut client, TOPIC, "t", &[]).await.configs;
    assert!(all.len() > 20, "{}", all.len());
    assert!(all.is_sorted_by_key(|config| config.name.to_string()));
    for version in 1..=4 {
        let resource = DescribeConfigsResource::default()
            .with_resource_type(TOPIC)
            .with_resource_name(text("t"))
            .with_configuration_keys(None);
        let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
        let result = client.ask(version, &request).await.results.remove(0);
        assert_eq!(result.configs.len(), all.len());
        assert!(
            result
                .configs
                .iter()
                .all(|config| config.synonyms.is_empty())
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_exist_has_no_settings() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    let cases = [
        (TOPIC, "no", ErrorCode::UnknownTopicOrPartition, ""),
        (
            TOPIC,
            "",
            ErrorCode::InvalidTopicException,
            "Topic name is invalid: the empty string is not allowed",
        ),
        (
            BROKER,
            "7",
            ErrorCode::InvalidRequest,
            "Unexpected broker id, expected 1 or empty string, but received 7",
        ),
        (
            BROKER,
            "x",
            ErrorCode::InvalidRequest,
            "Broker id must be an integer, but it is: x",
        ),
        (
            LOGGER,
            "",
            ErrorCode::InvalidRequest,
            "Broker id must not be empty",
        ),
        (
            GROUP,
            "",
            ErrorCode::InvalidRequest,
            "Group name must not be empty",
        ),
        (
            77,
            "x",
            ErrorCode::InvalidRequest,
            "Unsupported resource type: UNKNOWN",
        ),
    ];
    for (kind, of, code, words) in cases {
        let result = describe(&mut client, kind, of, &[]).await;
        assert_eq!(error(result.error_code), code, "{words}");
        assert_eq!(result.error_message.as_deref(), Some(words));
        assert_eq!((result.resource_type, &*result.resource_name), (kind, of));
    }
    assert_eq!(describe(&mut client, GROUP, "g", &[]).await.error_code, 0);
    assert_eq!(&*one(&mut client, LOGGER, "1", "root").await.name, "root");
}

#[tokio::test(flavor = "multi_thread")]
async fn single_settings_of_a_topic_are_set_deleted_and_extended() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    client.topic("t", 1, &[("retention.ms", "1000")]).await;
    let done = (ErrorCode::None, None);
    let changes = [
        (SET, "max.message.bytes", Some("100")),
        (DELETE, "retention.ms", None),
        (APPEND, "cleanup.policy", Some("compact")),
    ];
    assert_eq!(
        alter(&mut client, vec![change(TOPIC, "t", &changes)]).await,
        done
    );
    let policy = one(&mut client, TOPIC, "t", "cleanup.policy").await;
    assert_eq!(policy.value.as_deref(), Some("delete,compact"));
    let retention = one(&mut client, TOPIC, "t", "retention.ms").await;
    assert_eq!(retention.value.as_deref(), Some("604800000"));
    let large = "v".repeat(200);
    let refused = client.produce("t", 0, batch(&[&large])).await;
    assert_eq!(
        error(refused.error_code),
        ErrorCode::MessageTooLarge,
        "it is in effect"
    );
    let subtract = change(TOPIC, "t", &[(SUBTRACT, "cleanup.policy", Some("delete"))]);
    assert_eq!(alter(&mut client, vec![subtract]).await, done);
    let policy = one(&mut client, TOPIC, "t", "cleanup.policy").await;
    assert_eq!(policy.value.as_deref(), Some("compact"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alteration_that_is_wrong_changes_nothing() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    client.topic("t", 1, &[]).await;
    let set = |name: &'static str, value: &'static str| (SET, name, Some(value));
    let twice = change(TOPIC, "t", &[set("retention.ms", "1")]);
    let cases = [
        (
            vec![change(
                TOPIC,
                "t",
                &[set("retention.ms", "1"), (DELETE, "retention.ms", None)],
            )],
            ErrorCode::InvalidRequest,
            "Error due to duplicate config keys",
        ),
        (
            vec![twice.clone(), twice],
            ErrorCode::InvalidRequest,
            "Each resource must appear at most once.",
        ),
        (
            vec![change(TOPIC, "t", &[(SET, "retention.ms", None)])],
            ErrorCode::InvalidRequest,
            "Null value not supported for : retention.ms",
        ),
        (
            vec![change(
                TOPIC,
                "t",
                &[set("retention.ms", "1"), set("no.such", "1")],
            )],
            ErrorCode::InvalidConfig,
            "Unknown topic config name: no.such",
        ),
        (
            vec![change(TOPIC, "t", &[(APPEND, "retention.ms", Some("1"))])],
            ErrorCode::InvalidConfig,
            "Can't APPEND to key retention.ms because its type is not LIST.",
        ),
        (
            vec![change(TOPIC, "no", &[set("retention.ms", "1")])],
            ErrorCode::UnknownTopicOrPartition,
            "The topic 'no' does not exist.",
        ),
        (
            vec![change(TOPIC, "", &[set("retention.ms", "1")])],
            ErrorCode::InvalidRequest,
            "Default topic resources are not allowed.",
        ),
        (
            vec![change(TOPIC, "t", &[(9, "retention.ms", Some("1"))])],
            ErrorCode::InvalidRequest,
            "Unknown operations type 9",
        ),
        (
            vec![change(BROKER, "7", &[set("log.retention.ms", "1000")])],
            ErrorCode::InvalidRequest,
            "Unexpected broker id, expected 1, but received 7",
        ),
        (
            vec![change(77, "t", &[set("retention.ms", "1")])],
            ErrorCode::InvalidRequest,
            "Unknown resource type 77",
        ),
        (
            vec![change(GROUP, "g", &[set("no.such", "1")])],
            ErrorCode::InvalidConfig,
            "Unknown group config name: no.such",
        ),
    ];
    for (resources, code, words) in cases {
        let answer = alter(&mut client, resources).await;
        assert_eq!(answer, (code, Some(words.to_owned())));
    }
    let only = IncrementalAlterConfigsRequest::default()
        .with_resources(vec![change(TOPIC, "t", &[set("retention.ms", "1")])])
        .with_validate_only(true);
    assert_eq!(client.ask(0, &only).await.responses[0].error_code, 0);
    let retention = one(&mut client, TOPIC, "t", "retention.ms").await;
    assert_eq!(retention.value.as_deref(), Some("604800000"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_old_request_replaces_all_settings() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    for version in 0..=2 {
        let topic = format!("v{version}");
        client.topic(&topic, 1, &[("retention.ms", "1000")]).await;
        let config = alter_configs_request::AlterableConfig::default()
            .with_name(text("segment.ms"))
            .with_value(Some(text("5000")));
        let resource = alter_configs_request::AlterConfigsResource::default()
            .with_resource_type(TOPIC)
            .with_resource_name(text(&topic))
            .with_configs(vec![config]);
        let request = AlterConfigsRequest::default().with_resources(vec![resource]);
        assert_eq!(
            client.ask(version, &request).await.responses[0].error_code,
            0
        );
        let set = one(&mut client, TOPIC, &topic, "segment.ms").await;
        assert_eq!((set.value.as_deref(), set.config_source), (Some("5000"), 1));
        let gone = one(&mut client, TOPIC, &topic, "retention.ms").await;
        assert_eq!(gone.value.as_deref(), Some("604800000"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn brokers_settings_change_while_they_run_and_topics_follow() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    client.topic("t", 1, &[]).await;
    let done = (ErrorCode::None, None);
    let all = change(BROKER, "", &[(SET, "log.retention.ms", Some("9000"))]);
    assert_eq!(alter(&mut client, vec![all]).await, done);
    let of_topic = one(&mut client, TOPIC, "t", "retention.ms").await;
    assert_eq!(of_topic.value.as_deref(), Some("9000"));
    assert_eq!(of_topic.config_source, 3, "the cluster's default");
    let own = change(BROKER, "1", &[(SET, "log.retention.ms", Some("8000"))]);
    assert_eq!(alter(&mut client, vec![own]).await, done);
    let of_broker = one(&mut client, BROKER, "1", "log.retention.ms").await;
    assert_eq!(of_broker.value.as_deref(), Some("8000"));
    let sources: Vec<i8> = of_broker
        .synonyms
        .iter()
        .map(|synonym| synonym.source)
        .collect();
    assert_eq!(&sources[..2], [2, 3], "this broker's before all brokers'");
    let defaults = describe(&mut client, BROKER, "", &[]).await.configs;
    assert_eq!(defaults.len(), 1);
    assert_eq!(defaults[0].value.as_deref(), Some("9000"));
    let fixed = change(BROKER, "1", &[(SET, "node.id", Some("2"))]);
    let (code, words) = alter(&mut client, vec![fixed]).await;
    assert_eq!(code, ErrorCode::InvalidRequest);
    assert_eq!(
        words.unwrap(),
        "Cannot update these configs dynamically: [node.id]"
    );
    assert!(one(&mut client, BROKER, "1", "node.id").await.read_only);
}
