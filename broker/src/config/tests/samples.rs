//! The settings files that tutorials name load as they are.

use crate::config::{BrokerConfig, SettingsFile, Sources};
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
