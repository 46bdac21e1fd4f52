//! Whatever a settings file holds, reading it does not panic; what is read can be written and read again, and a broker is
//! configured or told what is wrong.
#![no_main]

use libfuzzer_sys::fuzz_target;
use millrace_broker::config::{BrokerConfig, Properties, SettingsFile, Sources, TopicSettings};

fuzz_target!(|input: &[u8]| {
    let Ok(properties) = Properties::parse_bytes(input) else {
        return;
    };
    let again = Properties::parse(&properties.to_text()).expect("what was written is well formed");
    assert_eq!(pairs(&again), pairs(&properties));

    let (topic, _) = TopicSettings::from_stored(pairs(&properties));
    let (same, refused) = TopicSettings::from_stored(topic.iter());
    assert_eq!(refused, []);
    assert_eq!(same, topic);

    let sources = Sources {
        overrides: vec!["node.id=1".to_owned()],
        environment: Vec::new(),
        file: Some(SettingsFile {
            path: "server.properties".to_owned(),
            properties,
        }),
    };
    match BrokerConfig::load(&sources) {
        Ok(loaded) => {
            assert!(!loaded.config.listeners.is_empty());
            assert!(!loaded.config.describe_topic(&topic).is_empty());
        }
        Err(errors) => assert!(!errors.is_empty()),
    }
});

fn pairs(properties: &Properties) -> Vec<(&str, &str)> {
    properties
        .iter()
        .map(|entry| (entry.name.as_str(), entry.value.as_str()))
        .collect()
}
