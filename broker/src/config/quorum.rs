//! Which brokers keep the metadata, and where brokers find each other.

use super::BrokerConfig;
use super::derived::{Derived, Reader};
use super::listeners::{self, HostPort, Listener};
use std::fmt;
use std::path::PathBuf;

const ROLES: &str = "process.roles";
const VOTERS: &str = "controller.quorum.voters";
const BOOTSTRAP: &str = "controller.quorum.bootstrap.servers";
const SECRETS: &str = "millrace.peer.secret.files";

/// The first is used, and the second is accepted while secrets are exchanged.
const MAX_SECRETS: usize = 2;

/// A controller of `controller.quorum.voters`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuorumVoter {
    pub id: i32,
    /// Without the brackets of an IPv6 address. Of this node itself it may be empty or a wildcard.
    pub host: String,
    pub port: u16,
}

impl fmt::Display for QuorumVoter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let QuorumVoter { id, host, port } = self;
        let at = HostPort {
            host: host.clone(),
            port: *port,
        };
        write!(f, "{id}@{at}")
    }
}

impl QuorumVoter {
    /// `id@host:port`
    fn parse(text: &str) -> Result<QuorumVoter, String> {
        let malformed =
            || format!("{text:?} is no voter; write each as id@host:port, as in 1@localhost:9093");
        let (id, address) = text.split_once('@').ok_or_else(malformed)?;
        let (host, port) = listeners::address(address).ok_or_else(malformed)?;
        let known = id.parse().ok().filter(|id| *id >= 0);
        Ok(QuorumVoter {
            id: known.ok_or_else(|| format!("{id:?} is no voter id; write a number from 0 on"))?,
            host: host.to_owned(),
            port: listeners::port_number(port)?,
        })
    }
}

impl BrokerConfig {
    /// Somebody else is to keep the metadata, too, or alone.
    pub fn names_other_controllers(&self) -> bool {
        match &self.quorum_voters[..] {
            [] => self
                .quorum_bootstrap
                .iter()
                .any(|at| !is_own(at, &self.peer_listeners, self.peer_advertised.as_ref())),
            voters => voters.iter().any(|voter| voter.id != self.node_id),
        }
    }
}

/// As tutorials have it, `localhost:9093` may stand for a listener on every interface.
fn is_own(at: &HostPort, listeners: &[Listener], advertised: Option<&HostPort>) -> bool {
    let is_local =
        |host: &str| ["localhost", "127.0.0.1", "::1"].contains(&host) || is_wildcard(host);
    let is_listener = |listener: &Listener| {
        let is_same = listener.host == at.host || (is_local(&listener.host) && is_local(&at.host));
        listener.port == at.port && is_same
    };
    advertised == Some(at) || listeners.iter().any(is_listener)
}

pub(super) fn is_wildcard(host: &str) -> bool {
    ["", "0.0.0.0", "::", "0:0:0:0:0:0:0:0"].contains(&host)
}

/// Behind the listeners, which it looks at.
pub(super) fn derive(reader: &mut Reader<'_>, derived: &mut Derived) {
    let roles = reader.items(ROLES);
    let has_roles = reader.given(ROLES).is_some();
    // A file of the ZooKeeper days has no roles.
    derived.is_controller = !has_roles || roles.iter().any(|role| role == "controller");
    if has_roles && !roles.iter().any(|role| role == "broker") {
        let what = "a controller alone is not served: every process is a broker, and brokers hold the metadata; write broker, or broker,controller";
        reader.wrong(ROLES, what.to_owned());
        return;
    }
    let had = reader.errors_count();
    derived.quorum_bootstrap = bootstrap(reader);
    derived.quorum_voters = voters(reader, derived.node_id);
    derived.peer_secret_files = secret_files(reader);
    if reader.errors_count() == had {
        agree(reader, derived);
    }
}

fn bootstrap(reader: &mut Reader<'_>) -> Vec<HostPort> {
    let mut servers = Vec::new();
    for text in reader.items(BOOTSTRAP) {
        let malformed =
            || format!("{text:?} is no server; write each as host:port, as in localhost:9093");
        let address = listeners::address(&text).filter(|(host, _)| !host.contains('@'));
        let server = address.ok_or_else(malformed).and_then(|(host, port)| {
            Ok(HostPort {
                host: host.to_owned(),
                port: listeners::port_number(port)?,
            })
        });
        match server {
            Ok(server) => servers.push(server),
            Err(what) => reader.wrong(BOOTSTRAP, what),
        }
    }
    servers
}

fn voters(reader: &mut Reader<'_>, node_id: i32) -> Vec<QuorumVoter> {
    let mut voters: Vec<QuorumVoter> = Vec::new();
    for text in reader.items(VOTERS) {
        match QuorumVoter::parse(&text) {
            Err(what) => reader.wrong(VOTERS, what),
            // Kafka keeps the last of them.
            Ok(voter) if voters.iter().any(|other| other.id == voter.id) => {
                reader.wrong(VOTERS, format!("voter {} is there twice", voter.id));
            }
            // Tutorials of a node alone write its own address like that, and nobody uses it.
            Ok(voter) if voter.id != node_id && (is_wildcard(&voter.host) || voter.port == 0) => {
                reader.wrong(
                    VOTERS,
                    format!(
                        "nobody can connect to {voter}; write the host and the port of voter {}",
                        voter.id
                    ),
                );
            }
            Ok(voter) => voters.push(voter),
        }
    }
    voters
}

fn secret_files(reader: &mut Reader<'_>) -> Vec<PathBuf> {
    let files = reader.items(SECRETS);
    if files.len() > MAX_SECRETS {
        let what = format!(
            "there are {}; name the one to use, and one more that is accepted",
            files.len()
        );
        reader.wrong(SECRETS, what);
    }
    files.into_iter().map(PathBuf::from).collect()
}

/// What roles, voters and listeners say of each other.
fn agree(reader: &mut Reader<'_>, derived: &Derived) {
    let Derived {
        node_id,
        is_controller,
        quorum_voters,
        ..
    } = derived;
    let is_voter = quorum_voters.iter().any(|voter| voter.id == *node_id);
    if !quorum_voters.is_empty() && *is_controller && !is_voter {
        let what = format!(
            "as a controller, node {node_id} must be among the voters; add {node_id}@host:port, or write process.roles=broker"
        );
        reader.wrong(VOTERS, what);
    }
    if !is_controller && is_voter {
        let what = format!(
            "process.roles has just broker, so node {node_id} must not be among the voters; leave it out, or write process.roles=broker,controller"
        );
        reader.wrong(VOTERS, what);
    }
    if !is_controller && quorum_voters.is_empty() && derived.quorum_bootstrap.is_empty() {
        let what = "a broker alone needs controllers; name them in controller.quorum.bootstrap.servers or controller.quorum.voters, or write broker,controller";
        reader.wrong(ROLES, what.to_owned());
    }
    let has_others = quorum_voters.iter().any(|voter| voter.id != *node_id);
    // Listeners that could not be read have been reported.
    let has_listeners = !derived.listeners.is_empty();
    if *is_controller
        && is_voter
        && has_others
        && has_listeners
        && derived.peer_listeners.is_empty()
    {
        let what = "other voters must find this one: it must name at least one of listeners, as in controller.listener.names=CONTROLLER and listeners=...,CONTROLLER://localhost:9093";
        reader.wrong("controller.listener.names", what.to_owned());
    }
}

/// Where other brokers find the first of `peers`: as advertised, else as it listens; an empty host is this machine's own name.
pub(super) fn peer_address(peers: &[Listener], advertised: &[Listener]) -> Option<HostPort> {
    let first = peers.first()?;
    let shown = advertised.iter().find(|other| other.name == first.name);
    let shown = shown.unwrap_or(first);
    Some(HostPort {
        host: match is_wildcard(&shown.host) {
            true => String::new(),
            false => shown.host.clone(),
        },
        port: shown.port,
    })
}

/// A peer that is silent for less than a few pulses may just be slow.
pub(super) const PULSES_OF_SILENCE: i64 = 4;

pub(super) fn check_silence(reader: &mut Reader<'_>) {
    let (pulse, silence) = ("millrace.peer.pulse.ms", "millrace.peer.silence.ms");
    let least = PULSES_OF_SILENCE * reader.number(pulse);
    if reader.number(silence) < least {
        let what = format!(
            "{silence} ({}) must be at least {PULSES_OF_SILENCE} times {pulse} ({})",
            reader.number(silence),
            reader.number(pulse)
        );
        let blamed = match reader.given(silence) {
            Some(_) => silence,
            None => pulse,
        };
        reader.wrong(blamed, what);
    }
}
