//! What several settings say together: checked after each was.

use super::layers::{Given, Layers};
use super::listeners::{self, HostPort, Listener, ProtocolMap};
use super::quorum::{self, QuorumVoter};
use super::value::Value;
use super::{Errors, Problem, orders, table};
use std::collections::BTreeMap;
use std::path::PathBuf;

#[derive(Debug, Default)]
pub(super) struct Derived {
    pub node_id: i32,
    pub listeners: Vec<Listener>,
    pub peer_listeners: Vec<Listener>,
    pub peer_advertised: Option<HostPort>,
    pub peer_secret_files: Vec<PathBuf>,
    pub is_controller: bool,
    pub quorum_voters: Vec<QuorumVoter>,
    pub quorum_bootstrap: Vec<HostPort>,
    pub advertised_listeners: Vec<Listener>,
    pub inter_broker_listener: String,
    pub log_dirs: Vec<PathBuf>,
    pub max_connections_by_address: BTreeMap<String, u32>,
    pub metrics_listener: Option<HostPort>,
    pub control_listener: Option<HostPort>,
}

impl Derived {
    /// Only values that could be read are looked at; the others are in `errors` already.
    pub fn from(layers: &mut Layers, errors: &mut Errors) -> Derived {
        let mut derived = Derived {
            node_id: node_id(layers, errors),
            ..Derived::default()
        };
        let mut reader = Reader { layers, errors };
        reader.listeners(&mut derived);
        quorum::derive(&mut reader, &mut derived);
        derived.log_dirs = reader.directories();
        derived.max_connections_by_address = reader.connections_by_address();
        derived.metrics_listener = reader.host_port("millrace.metrics.listener");
        derived.control_listener = reader.host_port("millrace.control.listener");
        orders::check(&mut reader);
        derived
    }
}

/// Both names hold the same afterwards, as Kafka has it.
fn node_id(layers: &mut Layers, errors: &mut Errors) -> i32 {
    let reader = Reader { layers, errors };
    let (node, broker) = (reader.given("node.id"), reader.given("broker.id"));
    match (node, broker) {
        (Some(node), Some(broker)) if node.value != broker.value => {
            let what = format!("node.id is {}; leave broker.id out", node.value);
            reader.errors.push(Problem {
                origin: Some(broker.origin.clone()),
                setting: format!("broker.id={}", broker.value),
                what,
            });
            return 0;
        }
        _ => {}
    }
    let Some(given) = node.or(broker).cloned() else {
        // A value that could not be read has been reported.
        if !reader
            .errors
            .iter()
            .any(|problem| problem.is_about("node.id"))
        {
            reader.errors.push(Problem {
                origin: None,
                setting: "node.id".to_owned(),
                what: "missing; give each broker a number of its own, as in node.id=1".to_owned(),
            });
        }
        return 0;
    };
    match given.value {
        Value::Number(id) if (0..=i64::from(i32::MAX)).contains(&id) => {
            layers.given.insert("node.id", given.clone());
            layers.given.insert("broker.id", given);
            id as i32
        }
        _ => {
            errors.push(Problem {
                origin: Some(given.origin.clone()),
                setting: format!("broker.id={}", given.value),
                what: "brokers are not numbered by themselves; give this one a number from 0 on"
                    .to_owned(),
            });
            0
        }
    }
}

pub(super) struct Reader<'a> {
    layers: &'a Layers,
    errors: &'a mut Errors,
}

impl<'a> Reader<'a> {
    pub fn given(&self, name: &str) -> Option<&'a Given> {
        self.layers.given.get(name)
    }

    fn value(&self, name: &str) -> Option<Value> {
        self.layers.effective(table::broker_setting(name)?)
    }

    pub fn items(&self, name: &str) -> Vec<String> {
        match self.value(name) {
            Some(Value::List(items)) => items,
            _ => Vec::new(),
        }
    }

    fn text(&self, name: &str) -> String {
        self.value(name).map(|v| v.to_string()).unwrap_or_default()
    }

    pub fn number(&self, name: &str) -> i64 {
        match self.value(name) {
            Some(Value::Number(number)) => number,
            _ => 0,
        }
    }

    pub fn errors_count(&self) -> usize {
        self.errors.iter().count()
    }

    pub fn wrong(&mut self, name: &str, what: String) {
        let given = self.given(name);
        self.errors.push(Problem {
            origin: given.map(|given| given.origin.clone()),
            setting: format!("{name}={}", self.text(name)),
            what,
        });
    }

    fn listeners(&mut self, derived: &mut Derived) {
        let controllers: Vec<String> = self
            .items("controller.listener.names")
            .iter()
            .map(|name| name.to_uppercase())
            .collect();
        const MAP: &str = "listener.security.protocol.map";
        let unmapped = match self.given(MAP) {
            Some(_) => Vec::new(),
            None => controllers.clone(),
        };
        let map = match ProtocolMap::parse(&self.text(MAP), unmapped) {
            Ok(map) => map,
            Err(what) => return self.wrong(MAP, what),
        };
        let (mut peers, client): (Vec<Listener>, Vec<Listener>) = self
            .listener_list("listeners", &map)
            .into_iter()
            .partition(|listener| controllers.contains(&listener.name));
        let all: Vec<Listener> = client.iter().chain(&peers).cloned().collect();
        if let Err(what) = listeners::check_names(&all).and_then(|()| listeners::check_ports(&all))
        {
            self.wrong("listeners", what);
        }
        if client.is_empty() {
            if !self
                .errors
                .iter()
                .any(|problem| problem.is_about("listeners"))
            {
                let what = "there is none for clients; write one, as in PLAINTEXT://localhost:9092";
                self.wrong("listeners", what.to_owned());
            }
            return;
        }
        let position =
            |listener: &Listener| controllers.iter().position(|name| *name == listener.name);
        peers.sort_by_key(position);
        let (of_peers, advertised) = match self.given("advertised.listeners") {
            Some(_) => self.advertised(&map, &client, &controllers),
            None => (Vec::new(), client.clone()),
        };
        derived.peer_advertised = quorum::peer_address(&peers, &of_peers);
        derived.inter_broker_listener = self.inter_broker(&client);
        derived.listeners = client;
        derived.peer_listeners = peers;
        derived.advertised_listeners = advertised;
    }

    /// What is advertised of the listeners for brokers, and of those for clients.
    fn advertised(
        &mut self,
        map: &ProtocolMap,
        client: &[Listener],
        controllers: &[String],
    ) -> (Vec<Listener>, Vec<Listener>) {
        const NAME: &str = "advertised.listeners";
        let mut advertised = self.listener_list(NAME, map);
        if let Err(what) = listeners::check_names(&advertised) {
            self.wrong(NAME, what);
        }
        for listener in &advertised {
            let Listener { name, host, .. } = listener;
            if ["0.0.0.0", "::", "0:0:0:0:0:0:0:0"].contains(&host.as_str()) {
                let what = format!(
                    "no client can connect to {host}; write this machine's name or address"
                );
                self.wrong(NAME, what);
            } else if !controllers.contains(name) && !client.iter().any(|other| other.name == *name)
            {
                let what =
                    format!("{name} is not one of listeners; add it there or leave it out here");
                self.wrong(NAME, what);
            }
        }
        let of_peers = advertised
            .extract_if(.., |listener| controllers.contains(&listener.name))
            .collect();
        if advertised.is_empty() {
            self.wrong(
                NAME,
                "there is none for clients; leave it out to advertise listeners".to_owned(),
            );
        }
        (of_peers, advertised)
    }

    fn inter_broker(&mut self, client: &[Listener]) -> String {
        const NAME: &str = "inter.broker.listener.name";
        const PROTOCOL: &str = "security.inter.broker.protocol";
        if self.given(NAME).is_none() {
            let protocol = self.text(PROTOCOL);
            if protocol != "PLAINTEXT" {
                let what =
                    "TLS and SASL are not served yet; use PLAINTEXT inside a trusted network";
                self.wrong(PROTOCOL, what.to_owned());
            }
            let by_protocol = client.iter().find(|listener| listener.name == protocol);
            return by_protocol.unwrap_or(&client[0]).name.clone();
        }
        if self.given(PROTOCOL).is_some() {
            let what = "security.inter.broker.protocol chooses a listener, too; keep one of them"
                .to_owned();
            self.wrong(NAME, what);
        }
        let name = self.text(NAME).to_uppercase();
        if !client.iter().any(|listener| listener.name == name) {
            let names: Vec<&str> = client
                .iter()
                .map(|listener| listener.name.as_str())
                .collect();
            self.wrong(
                NAME,
                format!("no such listener; there are {}", names.join(", ")),
            );
        }
        name
    }

    fn listener_list(&mut self, name: &str, map: &ProtocolMap) -> Vec<Listener> {
        let mut listeners = Vec::new();
        for text in self.items(name) {
            match map.listener(&text) {
                Ok(listener) => listeners.push(listener),
                Err(what) => self.wrong(name, what),
            }
        }
        listeners
    }

    fn host_port(&mut self, name: &str) -> Option<HostPort> {
        let text = self.text(name);
        if text.is_empty() {
            return None;
        }
        match HostPort::parse(&text) {
            Ok(host_port) => Some(host_port),
            Err(what) => {
                self.wrong(name, what);
                None
            }
        }
    }

    fn directories(&mut self) -> Vec<PathBuf> {
        let name = match self.given("log.dirs") {
            Some(_) => "log.dirs",
            None => "log.dir",
        };
        let items = self.items(name);
        if items.is_empty() {
            self.wrong(name, "name at least one directory".to_owned());
        }
        items.into_iter().map(PathBuf::from).collect()
    }

    fn connections_by_address(&mut self) -> BTreeMap<String, u32> {
        match connections_by_address(&self.text(BY_ADDRESS)) {
            Ok(limits) => limits,
            Err(what) => {
                self.wrong(BY_ADDRESS, what);
                BTreeMap::new()
            }
        }
    }
}

pub(super) const BY_ADDRESS: &str = "max.connections.per.ip.overrides";

/// `address:count,address:count`; an address of IPv6 holds colons itself.
pub(super) fn connections_by_address(text: &str) -> Result<BTreeMap<String, u32>, String> {
    let mut limits = BTreeMap::new();
    for item in text
        .split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
    {
        let limit = item.rsplit_once(':').and_then(|(address, count)| {
            let address = address.trim();
            let count = count.trim().parse().ok()?;
            (!address.is_empty()).then(|| (address.to_owned(), count))
        });
        let (address, count) =
            limit.ok_or_else(|| format!("{item:?} is no address:count, as in 127.0.0.1:200"))?;
        limits.insert(address, count);
    }
    Ok(limits)
}
