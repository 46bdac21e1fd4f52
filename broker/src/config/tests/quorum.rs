//! Who keeps the metadata, and how brokers find each other.

use super::{broker, try_load};
use crate::config::QuorumVoter;
use expect_test::{Expect, expect};

const LISTENERS: &str = "listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093";
const NAMES: &str = "controller.listener.names=CONTROLLER";

/// What is said of node 1 with these settings, which are refused.
#[track_caller]
fn refused(overrides: &[&str], expected: Expect) {
    let mut all = vec!["node.id=1", LISTENERS, NAMES];
    all.extend(overrides);
    match try_load("", &[], &all) {
        Ok(_) => panic!("{overrides:?} were taken"),
        Err(errors) => expected.assert_eq(&format!("{errors}\n")),
    }
}

#[test]
fn voters_and_servers_are_read() {
    let config = broker(&[
        LISTENERS,
        NAMES,
        "controller.quorum.voters=1@a.example:9093, 2@[::1]:9193",
        "controller.quorum.bootstrap.servers=a.example:9093,[::1]:9193",
    ]);
    let voter = |id, host: &str, port| QuorumVoter {
        id,
        host: host.to_owned(),
        port,
    };
    assert_eq!(
        config.quorum_voters,
        [voter(1, "a.example", 9093), voter(2, "::1", 9193)]
    );
    let shown: Vec<String> = config
        .quorum_bootstrap
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(shown, ["a.example:9093", "[::1]:9193"]);
    assert!(config.is_controller && config.names_other_controllers());
}

#[test]
fn voters_that_nobody_could_reach_are_refused() {
    let voters = |text: &str, expected: Expect| {
        refused(&[&format!("controller.quorum.voters={text}")], expected);
    };
    voters(
        "1",
        expect![[r#"
        --override: controller.quorum.voters=1: "1" is no voter; write each as id@host:port, as in 1@localhost:9093
    "#]],
    );
    voters(
        "1@h",
        expect![[r#"
        --override: controller.quorum.voters=1@h: "1@h" is no voter; write each as id@host:port, as in 1@localhost:9093
    "#]],
    );
    voters(
        "1@h:x",
        expect![[r#"
        --override: controller.quorum.voters=1@h:x: "x" is no port; 0 to 65535 are
    "#]],
    );
    voters(
        "1@h:99999",
        expect![[r#"
        --override: controller.quorum.voters=1@h:99999: "99999" is no port; 0 to 65535 are
    "#]],
    );
    voters(
        "x@h:9093",
        expect![[r#"
        --override: controller.quorum.voters=x@h:9093: "x" is no voter id; write a number from 0 on
    "#]],
    );
    voters(
        "-1@h:9093",
        expect![[r#"
        --override: controller.quorum.voters=-1@h:9093: "-1" is no voter id; write a number from 0 on
    "#]],
    );
    voters(
        "1@h:9093,,2@i:9093",
        expect![[r#"
        --override: controller.quorum.voters=1@h:9093,,2@i:9093: Values must not be empty; write a list with commas
    "#]],
    );
    voters(
        "1@h:9093,1@i:9093",
        expect![[r#"
        --override: controller.quorum.voters=1@h:9093,1@i:9093: voter 1 is there twice
    "#]],
    );
    voters(
        "1@h:9093,2@0.0.0.0:9093",
        expect![[r#"
        --override: controller.quorum.voters=1@h:9093,2@0.0.0.0:9093: nobody can connect to 2@0.0.0.0:9093; write the host and the port of voter 2
    "#]],
    );
    voters(
        "1@h:9093,2@i:0",
        expect![[r#"
        --override: controller.quorum.voters=1@h:9093,2@i:0: nobody can connect to 2@i:0; write the host and the port of voter 2
    "#]],
    );
}

#[test]
fn servers_without_a_host_and_a_port_are_refused() {
    let servers = |text: &str, expected: Expect| {
        refused(
            &[&format!("controller.quorum.bootstrap.servers={text}")],
            expected,
        );
    };
    servers(
        "h",
        expect![[r#"
        --override: controller.quorum.bootstrap.servers=h: "h" is no server; write each as host:port, as in localhost:9093
    "#]],
    );
    servers(
        "h:x",
        expect![[r#"
        --override: controller.quorum.bootstrap.servers=h:x: "x" is no port; 0 to 65535 are
    "#]],
    );
    servers(
        "1@h:9093",
        expect![[r#"
        --override: controller.quorum.bootstrap.servers=1@h:9093: "1@h:9093" is no server; write each as host:port, as in localhost:9093
    "#]],
    );
}

#[test]
fn roles_and_voters_agree() {
    refused(
        &["controller.quorum.voters=2@h:9093"],
        expect![[r#"
        --override: controller.quorum.voters=2@h:9093: as a controller, node 1 must be among the voters; add 1@host:port, or write process.roles=broker
    "#]],
    );
    refused(
        &[
            "process.roles=broker,controller",
            "controller.quorum.voters=2@h:9093",
        ],
        expect![[r#"
            --override: controller.quorum.voters=2@h:9093: as a controller, node 1 must be among the voters; add 1@host:port, or write process.roles=broker
        "#]],
    );
    refused(
        &["process.roles=broker", "controller.quorum.voters=1@h:9093"],
        expect![[r#"
            --override: controller.quorum.voters=1@h:9093: process.roles has just broker, so node 1 must not be among the voters; leave it out, or write process.roles=broker,controller
        "#]],
    );
    refused(
        &["process.roles=broker"],
        expect![[r#"
        --override: process.roles=broker: a broker alone needs controllers; name them in controller.quorum.bootstrap.servers or controller.quorum.voters, or write broker,controller
    "#]],
    );
    refused(
        &[
            "process.roles=controller",
            "controller.quorum.voters=1@h:9093",
        ],
        expect![[r#"
            --override: process.roles=controller: a controller alone is not served: every process is a broker, and brokers hold the metadata; write broker, or broker,controller
        "#]],
    );
    refused(
        &[
            "listeners=PLAINTEXT://:9092",
            "controller.quorum.voters=1@h:9093,2@i:9093",
        ],
        expect![[r#"
            --override: controller.listener.names=CONTROLLER: other voters must find this one: it must name at least one of listeners, as in controller.listener.names=CONTROLLER and listeners=...,CONTROLLER://localhost:9093
        "#]],
    );
}

#[test]
fn one_mistake_is_reported_once() {
    refused(
        &[
            "process.roles=broker",
            "controller.quorum.bootstrap.servers=h",
        ],
        expect![[r#"
        --override: controller.quorum.bootstrap.servers=h: "h" is no server; write each as host:port, as in localhost:9093
    "#]],
    );
    refused(
        &[
            "listeners=localhost:9092",
            "controller.quorum.voters=1@h:9093,2@i:9093",
        ],
        expect![[r#"
        --override: listeners=localhost:9092: "localhost:9092" is no listener; write NAME://host:port, as in PLAINTEXT://localhost:9092
    "#]],
    );
}

#[test]
fn a_broker_without_the_role_of_a_controller_only_learns() {
    for quorum in [
        "controller.quorum.voters=2@h:9093",
        "controller.quorum.bootstrap.servers=h:9093",
    ] {
        let config = broker(&["process.roles=broker", quorum]);
        assert!(
            !config.is_controller && config.names_other_controllers(),
            "{quorum}"
        );
        assert_eq!(
            (config.peer_listeners, config.peer_advertised),
            (Vec::new(), None)
        );
    }
}

#[test]
fn who_names_only_itself_is_alone() {
    let alone = |expected: bool, settings: &[&str]| {
        let config = broker(settings);
        assert_eq!(!config.names_other_controllers(), expected, "{settings:?}");
    };
    alone(true, &[]);
    alone(true, &["controller.quorum.voters=1@:9093"]);
    alone(
        false,
        &[
            LISTENERS,
            NAMES,
            "controller.quorum.voters=1@h:9093,2@i:9093",
        ],
    );
    let server = |at: &str| format!("controller.quorum.bootstrap.servers={at}");
    alone(true, &[LISTENERS, NAMES, &server("127.0.0.1:9093")]);
    alone(true, &[LISTENERS, NAMES, &server("localhost:9093")]);
    alone(false, &[LISTENERS, NAMES, &server("localhost:9193")]);
    alone(false, &[LISTENERS, NAMES, &server("127.0.0.1:9093,h:9093")]);
    alone(false, &[&server("localhost:9093")]);
    let advertised = "advertised.listeners=PLAINTEXT://x:9092,CONTROLLER://me.example:19093";
    alone(
        true,
        &[LISTENERS, NAMES, advertised, &server("me.example:19093")],
    );
    alone(
        false,
        &[LISTENERS, NAMES, advertised, &server("you.example:19093")],
    );
}

#[test]
fn brokers_are_found_at_the_first_of_the_controllers_listeners() {
    let at = |settings: &[&str]| {
        let config = broker(settings);
        config.peer_advertised.map(|at| at.to_string())
    };
    assert_eq!(at(&[]), None);
    assert_eq!(at(&[LISTENERS, NAMES]).as_deref(), Some("127.0.0.1:9093"));
    let everywhere = "listeners=PLAINTEXT://:9092,CONTROLLER://0.0.0.0:9093,OTHER://[::1]:9094";
    assert_eq!(
        at(&[everywhere, "controller.listener.names=CONTROLLER,OTHER"]).as_deref(),
        Some(":9093")
    );
    let turned = [everywhere, "controller.listener.names=other,controller"];
    assert_eq!(at(&turned).as_deref(), Some("[::1]:9094"));
    let config = broker(&turned);
    let names: Vec<&str> = config
        .peer_listeners
        .iter()
        .map(|listener| listener.name.as_str())
        .collect();
    assert_eq!(names, ["OTHER", "CONTROLLER"]);
    let advertised = "advertised.listeners=PLAINTEXT://x:9092,CONTROLLER://me.example:19093";
    assert_eq!(
        at(&[LISTENERS, NAMES, advertised]).as_deref(),
        Some("me.example:19093")
    );
}

#[test]
fn peers_have_one_secret_or_two() {
    let config = broker(&[]);
    assert!(config.peer_secret_files.is_empty());
    assert_eq!((config.peer_pulse_ms, config.peer_silence_ms), (100, 2000));
    let config = broker(&["millrace.peer.secret.files=/a, /b"]);
    assert_eq!(
        config.peer_secret_files,
        [std::path::Path::new("/a"), std::path::Path::new("/b")]
    );
    refused(
        &["millrace.peer.secret.files=/a,/b,/c"],
        expect![[r#"
        --override: millrace.peer.secret.files=/a,/b,/c: there are 3; name the one to use, and one more that is accepted
    "#]],
    );
}

#[test]
fn silence_is_several_pulses() {
    let config = broker(&["millrace.peer.pulse.ms=500"]);
    assert_eq!(config.peer_pulse_ms, 500);
    refused(
        &["millrace.peer.pulse.ms=501"],
        expect![[r#"
        --override: millrace.peer.pulse.ms=501: millrace.peer.silence.ms (2000) must be at least 4 times millrace.peer.pulse.ms (501)
    "#]],
    );
    refused(
        &["millrace.peer.silence.ms=399"],
        expect![[r#"
        --override: millrace.peer.silence.ms=399: millrace.peer.silence.ms (399) must be at least 4 times millrace.peer.pulse.ms (100)
    "#]],
    );
}
