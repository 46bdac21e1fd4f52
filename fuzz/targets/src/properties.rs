//! Whatever a settings file holds, reading it does not panic; what is read can be written and read again, and a broker is
//! configured or told what is wrong.

use millrace_broker::config::{BrokerConfig, Properties, SettingsFile, Sources, TopicSettings};

pub fn run(input: &[u8]) -> bool {
    let Ok(properties) = Properties::parse_bytes(input) else {
        return false;
    };
    let again = Properties::parse(&properties.to_text()).expect("what was written is well formed");
    assert_eq!(pairs(&again), pairs(&properties));

    let (topic, _) = TopicSettings::from_stored(pairs(&properties));
    let stored: Vec<(&str, &str)> = topic
        .iter()
        .map(|(name, value)| (name as &str, value))
        .collect();
    let (same, refused) = TopicSettings::from_stored(stored);
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
    true
}

/// The files that come with the broker, and what Java's format allows besides.
pub fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        include_str!("../../../config/kraft/server.properties"),
        include_str!("../../../config/server.properties"),
        "retention.ms=1000\nsegment.bytes : 1048576\r\ncleanup.policy compact,delete\n",
        "! comment\n\\u0061b\\ c = \\tvalue \\\n   goes on\\u00e9\nempty\n",
        "listeners=PLAINTEXT://:0,OTHER://[::1]:1\nlistener.security.protocol.map=OTHER:PLAINTEXT\n",
    ];
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn pairs(properties: &Properties) -> Vec<(&str, &str)> {
    properties
        .iter()
        .map(|entry| (entry.name.as_str(), entry.value.as_str()))
        .collect()
}
