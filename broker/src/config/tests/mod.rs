//! What of the configuration is promised, by subject.

mod describe;
mod dynamic;
mod groups;
mod load;
mod names;
mod quorum;
mod reference;
mod samples;
mod table;
mod topics;

use super::{BrokerConfig, Errors, Loaded, Properties, SettingsFile, Sources};

/// Loads `overrides` on top of `node.id=1`.
#[track_caller]
fn broker(overrides: &[&str]) -> BrokerConfig {
    let mut all = vec!["node.id=1"];
    all.extend(overrides);
    match try_load("", &[], &all) {
        Ok(loaded) => loaded.config,
        Err(errors) => panic!("{errors}"),
    }
}

fn try_load(
    file: &str,
    environment: &[(&str, &str)],
    overrides: &[&str],
) -> Result<Loaded, Errors> {
    BrokerConfig::load(&Sources {
        overrides: overrides.iter().map(|text| (*text).to_owned()).collect(),
        environment: environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        file: Some(SettingsFile {
            path: "server.properties".to_owned(),
            properties: Properties::parse(file).expect("the file is well formed"),
        }),
    })
}
