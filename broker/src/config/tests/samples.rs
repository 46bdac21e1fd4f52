//! The settings files that tutorials name load as they are.

use crate::config::{BrokerConfig, SettingsFile, Sources};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

#[track_caller]
fn sample(name: &str) -> SettingsFile {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config");
    SettingsFile::read(&folder.join(name)).expect("the sample can be read")
}

#[track_caller]
fn load(name: &str) -> (BrokerConfig, Vec<&'static str>) {
    let sources = Sources {
        file: Some(sample(name)),
        ..Sources::default()
    };
    match BrokerConfig::load(&sources) {
        Ok(loaded) => {
            let warned = loaded.warnings.iter().map(|warning| warning.name).collect();
            (loaded.config, warned)
        }
        Err(errors) => panic!("{errors}"),
    }
}

#[test]
fn the_kraft_sample_loads() {
    let (config, warned) = load("kraft/server.properties");
    assert_eq!(config.node_id, 1);
    assert_eq!(config.log_dirs, [PathBuf::from("/tmp/kraft-combined-logs")]);
    assert_eq!(config.listeners[0].to_string(), "PLAINTEXT://:9092");
    assert_eq!(config.peer_listeners[0].to_string(), "CONTROLLER://:9093");
    let advertised = config.advertised_listeners[0].to_string();
    assert_eq!(advertised, "PLAINTEXT://localhost:9092");
    assert!(warned.is_empty(), "{warned:?}");
    assert!(config.is_controller && !config.names_other_controllers());
}

#[test]
fn the_samples_of_three_brokers_make_one_cluster() {
    let configs = [1, 2, 3].map(|node| {
        let (config, warned) = load(&format!("cluster/{node}.properties"));
        assert!(warned.is_empty(), "{warned:?}");
        assert_eq!(config.node_id, node);
        assert!(config.is_controller && config.names_other_controllers());
        config
    });
    let mut ports = BTreeSet::new();
    for config in &configs {
        assert_eq!(config.quorum_voters, configs[0].quorum_voters);
        assert_eq!(config.peer_secret_files, configs[0].peer_secret_files);
        let own = config
            .quorum_voters
            .iter()
            .find(|voter| voter.id == config.node_id);
        let own = own.map(|voter| (voter.host.clone(), voter.port));
        let at = config.peer_advertised.clone().map(|at| (at.host, at.port));
        assert_eq!(own, at);
        let listeners = config.listeners.iter().chain(&config.peer_listeners);
        let http = config
            .metrics_listener
            .iter()
            .chain(&config.control_listener);
        ports.extend(
            listeners
                .map(|listener| listener.port)
                .chain(http.map(|at| at.port)),
        );
    }
    assert_eq!(ports.len(), 12, "four of each: {ports:?}");
    let directories: BTreeSet<&PathBuf> =
        configs.iter().flat_map(|config| &config.log_dirs).collect();
    assert_eq!(directories.len(), 3);
}

#[test]
fn the_sample_of_zookeeper_s_days_loads() {
    let (config, warned) = load("server.properties");
    assert_eq!(config.node_id, 0);
    assert_eq!(config.log_dirs, [PathBuf::from("/tmp/kafka-logs")]);
    assert_eq!(config.listeners[0].to_string(), "PLAINTEXT://:9092");
    assert_eq!(warned, ["zookeeper.connect"]);
}

#[test]
fn the_sample_for_zookeeper_names_its_port() {
    let sample = sample("zookeeper.properties");
    assert_eq!(sample.properties.get("clientPort"), Some("2181"));
    assert_eq!(sample.properties.get("dataDir"), Some("/tmp/zookeeper"));
}
