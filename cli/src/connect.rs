//! From options to a client.

use crate::args::Args;
use crate::failure::Failure;
use millrace_client::address::Address;
use millrace_client::properties::Properties;
use millrace_client::{Client, ClientConfig};
use std::path::Path;

/// What today's documents say, where an old tutorial's option stands for a server.
pub const TODAY: &str = "localhost:9092";

/// Of the option that every tool has which Kafka's controllers answer too.
pub const CONTROLLERS: &str =
    "Kafka's controllers have servers of their own; here every broker answers for them.";

/// `--bootstrap-server`, or a controller, which is any broker.
pub fn bootstrap(args: &Args) -> Result<Option<&str>, Failure> {
    let servers = args.value("bootstrap-server")?;
    Ok(servers.or(args.value("bootstrap-controller")?))
}

/// Settings from the file of an option, if it was given.
pub fn file(args: &Args, option: &str) -> Result<Properties, Failure> {
    match args.value(option)? {
        Some(path) => Ok(Properties::read(Path::new(path))?),
        None => Ok(Properties::default()),
    }
}

/// Settings from `name=value` options; with Kafka's meaning of a name without a value: it is empty.
pub fn pairs(args: &Args, option: &str) -> Result<Properties, Failure> {
    let mut properties = Properties::default();
    for pair in args.values(option) {
        if let Some(name) = pair.strip_suffix('=') {
            properties.set(name, "");
            continue;
        }
        properties
            .set_pair(pair)
            .map_err(|_| Failure::plain(format!("Invalid command line properties: {pair}")))?;
    }
    Ok(properties)
}

/// `properties` are those of the tool's files and options; `bootstrap` wins over theirs.
pub fn client(
    bootstrap: Option<&str>,
    properties: &Properties,
    client_id: &str,
) -> Result<Client, Failure> {
    let mut config = ClientConfig::new(Vec::new()).with_client_id(client_id);
    config.apply(properties)?;
    if let Some(bootstrap) = bootstrap {
        config.bootstrap =
            Address::parse_list(bootstrap).map_err(|error| Failure::plain(error.to_string()))?;
    }
    if config.bootstrap.is_empty() {
        return Err(Failure::plain("--bootstrap-server must be specified"));
    }
    Ok(Client::new(config))
}

/// One line for whoever follows a tutorial of the ZooKeeper days.
pub fn advise(old: &str, today: &str) {
    eprintln!("{old} is gone: write {today} today. Using that.");
}

/// On standard error, where Kafka's tools put it among the records.
pub fn deprecated(args: &Args, old: &str, today: &str) {
    if args.has(old) {
        eprintln!(
            "Option --{old} is deprecated and will be removed in a future version. Use --{today} instead."
        );
    }
}
