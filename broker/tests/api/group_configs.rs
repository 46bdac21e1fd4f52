//! Settings of single groups, and ListConfigResources.

use crate::configs::{BROKER, DELETE, GROUP, LOGGER, SET, TOPIC, alter, change, describe, one};
use crate::rig::{Broker, Client, error, text};
use millrace_broker::group::settings::Pace;
use millrace_wire::ErrorCode;
use millrace_wire::messages::{
    AlterConfigsRequest, IncrementalAlterConfigsRequest, ListConfigResourcesRequest,
    alter_configs_request,
};
use std::time::{Duration, Instant};

const SESSION: &str = "consumer.session.timeout.ms";
const HEARTBEAT: &str = "consumer.heartbeat.interval.ms";
const INTERVAL: &str = "consumer.assignment.interval.ms";

const DONE: (ErrorCode, Option<String>) = (ErrorCode::None, None);

async fn set(client: &mut Client, group: &str, name: &str, value: &str) -> (ErrorCode, String) {
    let change = change(GROUP, group, &[(SET, name, Some(value))]);
    let (code, words) = alter(client, vec![change]).await;
    (code, words.unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_groups_settings_are_told_with_the_brokers_behind_them() {
    let broker = Broker::start(&["group.consumer.heartbeat.interval.ms=6000"]).await;
    let mut client = broker.connect().await;
    let session = [(SET, SESSION, Some("50000"))];
    assert_eq!(
        alter(&mut client, vec![change(GROUP, "g", &session)]).await,
        DONE
    );
    let own = one(&mut client, GROUP, "g", SESSION).await;
    assert_eq!(own.value.as_deref(), Some("50000"));
    assert_eq!(
        (own.config_source, own.config_type, own.read_only),
        (8, 3, false)
    );
    let synonyms: Vec<(&str, Option<&str>, i8)> = own
        .synonyms
        .iter()
        .map(|synonym| (&*synonym.name, synonym.value.as_deref(), synonym.source))
        .collect();
    assert_eq!(
        synonyms,
        [
            (SESSION, Some("50000"), 8),
            ("group.consumer.session.timeout.ms", Some("45000"), 5),
        ]
    );
    let inherited = one(&mut client, GROUP, "g", HEARTBEAT).await;
    assert_eq!(inherited.value.as_deref(), Some("6000"));
    assert_eq!(
        inherited.config_source, 4,
        "what the broker was started with"
    );
    let of_nobody = one(&mut client, GROUP, "no such group", SESSION).await;
    assert_eq!(of_nobody.value.as_deref(), Some("45000"));
    assert_eq!(of_nobody.config_source, 5);
    let all = describe(&mut client, GROUP, "g", &[]).await.configs;
    assert!(all.is_sorted_by_key(|config| config.name.to_string()));
    let names: Vec<&str> = all.iter().map(|config| &*config.name).collect();
    assert!(names.contains(&INTERVAL) && names.contains(&"share.auto.offset.reset"));
    let delete = [(DELETE, SESSION, None)];
    assert_eq!(
        alter(&mut client, vec![change(GROUP, "g", &delete)]).await,
        DONE
    );
    let gone = one(&mut client, GROUP, "g", SESSION).await;
    assert_eq!(gone.value.as_deref(), Some("45000"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_kept_within_the_bounds_of_its_broker() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    let cases = [
        (
            "g",
            SESSION,
            "44999",
            ErrorCode::InvalidConfig,
            "consumer.session.timeout.ms must be in the range 45000 to 60000 inclusive.",
        ),
        (
            "g",
            HEARTBEAT,
            "15001",
            ErrorCode::InvalidConfig,
            "consumer.heartbeat.interval.ms must be in the range 5000 to 15000 inclusive.",
        ),
        (
            "g",
            INTERVAL,
            "15001",
            ErrorCode::InvalidConfig,
            "consumer.assignment.interval.ms must be in the range 0 to 15000 inclusive.",
        ),
        (
            "g",
            SESSION,
            "x",
            ErrorCode::InvalidConfig,
            "Invalid value x for configuration consumer.session.timeout.ms: Not a number of type INT",
        ),
        (
            "g",
            SESSION,
            "0",
            ErrorCode::InvalidConfig,
            "Invalid value 0 for configuration consumer.session.timeout.ms: Value must be at least 1",
        ),
        (
            "g",
            "group.max.size",
            "5",
            ErrorCode::InvalidConfig,
            "Unknown group config name: group.max.size",
        ),
        (
            "g",
            "share.session.timeout.ms",
            "50000",
            ErrorCode::InvalidConfig,
            "share.session.timeout.ms is not served: share groups are not served yet",
        ),
        (
            "g",
            "streams.assignor.name",
            "sticky",
            ErrorCode::InvalidConfig,
            "streams.assignor.name is not served: streams groups are not served yet",
        ),
        (
            "",
            SESSION,
            "50000",
            ErrorCode::InvalidRequest,
            "Default group resources are not allowed.",
        ),
    ];
    for (group, name, value, code, words) in cases {
        let answer = set(&mut client, group, name, value).await;
        assert_eq!(answer, (code, words.to_owned()));
    }
    assert_eq!(listed(&mut client, 1, &[GROUP]).await.1, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn to_validate_is_not_to_set() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    let right = change(GROUP, "g", &[(SET, SESSION, Some("50000"))]);
    let wrong = change(GROUP, "h", &[(SET, SESSION, Some("1"))]);
    let request = IncrementalAlterConfigsRequest::default()
        .with_resources(vec![right, wrong])
        .with_validate_only(true);
    let responses = client.ask(1, &request).await.responses;
    assert_eq!(error(responses[0].error_code), ErrorCode::None);
    assert_eq!(error(responses[1].error_code), ErrorCode::InvalidConfig);
    assert_eq!(listed(&mut client, 1, &[GROUP]).await.1, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_old_request_sets_a_group_anew() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    assert_eq!(
        set(&mut client, "g", INTERVAL, "0").await.0,
        ErrorCode::None
    );
    let config = alter_configs_request::AlterableConfig::default()
        .with_name(text(SESSION))
        .with_value(Some(text("50000")));
    let resource = alter_configs_request::AlterConfigsResource::default()
        .with_resource_type(GROUP)
        .with_resource_name(text("g"))
        .with_configs(vec![config]);
    let request = AlterConfigsRequest::default().with_resources(vec![resource]);
    let answer = client.ask(2, &request).await;
    assert_eq!(error(answer.responses[0].error_code), ErrorCode::None);
    let interval = one(&mut client, GROUP, "g", INTERVAL).await;
    assert_eq!(interval.config_source, 5, "it was not named again");
    let session = one(&mut client, GROUP, "g", SESSION).await;
    assert_eq!(session.config_source, 8);
}

async fn listed(client: &mut Client, version: i16, kinds: &[i8]) -> (ErrorCode, Vec<(i8, String)>) {
    let request = ListConfigResourcesRequest::default().with_resource_types(kinds.to_vec());
    let response = client.ask(version, &request).await;
    let resources = response.config_resources.iter();
    let resources = resources.map(|one| (one.resource_type, one.resource_name.to_string()));
    (error(response.error_code), resources.collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_have_settings_is_listed_by_kind() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    client.topic("t", 1, &[]).await;
    let odd = "a group / with, \"any\" characters: ä\n";
    for group in ["g", odd] {
        let answer = set(&mut client, group, SESSION, "50000").await;
        assert_eq!(answer.0, ErrorCode::None);
    }
    let of = |kind, name: &str| (kind, name.to_owned());
    let all = [
        of(GROUP, odd),
        of(GROUP, "g"),
        of(LOGGER, "1"),
        of(BROKER, "1"),
        of(TOPIC, "t"),
    ];
    assert_eq!(
        listed(&mut client, 1, &[]).await,
        (ErrorCode::None, all.to_vec())
    );
    assert_eq!(
        listed(&mut client, 1, &[TOPIC, GROUP]).await.1,
        [of(GROUP, odd), of(GROUP, "g"), of(TOPIC, "t")]
    );
    assert_eq!(
        listed(&mut client, 1, &[TOPIC, 3]).await,
        (ErrorCode::UnsupportedVersion, vec![])
    );
    assert_eq!(
        listed(&mut client, 0, &[]).await,
        (ErrorCode::None, vec![]),
        "version 0 asks for client metrics"
    );
    let delete = [(DELETE, SESSION, None)];
    assert_eq!(
        alter(&mut client, vec![change(GROUP, odd, &delete)]).await,
        DONE
    );
    assert_eq!(listed(&mut client, 1, &[GROUP]).await.1, [of(GROUP, "g")]);
    let broker = broker.restart().await;
    let mut client = broker.connect().await;
    let kept = one(&mut client, GROUP, "g", SESSION).await;
    assert_eq!(kept.value.as_deref(), Some("50000"), "after a restart");
}

/// What the coordinators of this broker go by comes to be that.
async fn await_pace(broker: &Broker, group: &str, expected: Pace) {
    let give_up = Instant::now() + Duration::from_secs(30);
    loop {
        let ready = broker.server.broker.groups.ready();
        let paces: Vec<Pace> = ready
            .iter()
            .map(|coordinator| coordinator.look(|machine| machine.settings().pace(group)))
            .collect();
        if !paces.is_empty() && paces.iter().all(|pace| *pace == expected) {
            return;
        }
        assert!(Instant::now() < give_up, "the pace of {group} is {paces:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_that_run_go_by_what_is_set_on_them_and_on_the_broker() {
    let broker = Broker::start(&["offsets.topic.num.partitions=2"]).await;
    let mut client = broker.connect().await;
    client.topic("__consumer_offsets", 2, &[]).await;
    let of_all = Pace {
        session_timeout_ms: 45_000,
        heartbeat_interval_ms: 5_000,
        assignment_interval_ms: 1_000,
    };
    await_pace(&broker, "g", of_all).await;
    let own = [
        (SET, SESSION, Some("60000")),
        (SET, HEARTBEAT, Some("9000")),
    ];
    assert_eq!(
        alter(&mut client, vec![change(GROUP, "g", &own)]).await,
        DONE
    );
    let name = "group.consumer.assignment.interval.ms";
    let of_broker = change(BROKER, "", &[(SET, name, Some("0"))]);
    assert_eq!(alter(&mut client, vec![of_broker]).await, DONE);
    let own = Pace {
        session_timeout_ms: 60_000,
        heartbeat_interval_ms: 9_000,
        assignment_interval_ms: 0,
    };
    await_pace(&broker, "g", own).await;
    let of_all = Pace {
        assignment_interval_ms: 0,
        ..of_all
    };
    await_pace(&broker, "h", of_all).await;
    let broker = broker.restart().await;
    await_pace(&broker, "g", own).await;
    let narrow = ["group.consumer.max.heartbeat.interval.ms=8000"];
    let broker = broker.restart_with(&narrow).await;
    let within = Pace {
        heartbeat_interval_ms: 8_000,
        ..own
    };
    await_pace(&broker, "g", within).await;
}
