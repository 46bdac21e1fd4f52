//! Where the broker listens, and what it tells clients to connect to.

use std::fmt;

/// What a listener speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Plaintext,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// In capitals, as Kafka keeps it.
    pub name: String,
    pub protocol: Protocol,
    /// Without the brackets of an IPv6 address; empty is every interface, or this machine's own name when advertised.
    pub host: String,
    /// 0 lets the system choose.
    pub port: u16,
}

/// Where something listens, or is to be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// Without the brackets of an IPv6 address; empty is every interface.
    pub host: String,
    /// 0 lets the system choose.
    pub port: u16,
}

impl HostPort {
    /// `host:port`
    pub(super) fn parse(text: &str) -> Result<HostPort, String> {
        let malformed = || {
            format!("{text:?} is no host:port, as in 127.0.0.1:9644, or :9644 for every interface")
        };
        let (host, port) = address(text).ok_or_else(malformed)?;
        Ok(HostPort {
            host: host.to_owned(),
            port: port_number(port)?,
        })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// Host and port of `host:port`, without the brackets of an IPv6 address.
pub(super) fn address(text: &str) -> Option<(&str, &str)> {
    let (host, port) = text.rsplit_once(':')?;
    let host = match host.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']')?,
        None => host,
    };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-%._:".contains(c);
    host.chars().all(is_plain).then_some((host, port))
}

pub(super) fn port_number(text: &str) -> Result<u16, String> {
    text.parse()
        .map_err(|_| format!("{text:?} is no port; 0 to 65535 are"))
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Listener {
            name, host, port, ..
        } = self;
        if host.contains(':') {
            write!(f, "{name}://[{host}]:{port}")
        } else {
            write!(f, "{name}://{host}:{port}")
        }
    }
}

/// Which protocol each name speaks: `listener.security.protocol.map`.
#[derive(Clone, Debug)]
pub(super) struct ProtocolMap {
    pairs: Vec<(String, String)>,
    /// As in Kafka, listeners of controllers need no entry while the map is the default one.
    unmapped_plaintext: Vec<String>,
}

impl ProtocolMap {
    pub fn parse(text: &str, unmapped_plaintext: Vec<String>) -> Result<ProtocolMap, String> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for item in text.split(',').map(str::trim) {
            if item.is_empty() {
                continue;
            }
            let Some((name, protocol)) = item.rsplit_once(':') else {
                return Err(format!(
                    "{item:?} is no NAME:PROTOCOL, as in CONTROLLER:PLAINTEXT"
                ));
            };
            let name = name.trim().to_uppercase();
            let protocol = protocol.trim().to_uppercase();
            if !["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"].contains(&protocol.as_str()) {
                return Err(format!(
                    "{protocol:?} is no protocol; there are PLAINTEXT, SSL, SASL_PLAINTEXT and SASL_SSL"
                ));
            }
            if pairs.iter().any(|(other, _)| *other == name) {
                return Err(format!("{name} is there twice"));
            }
            pairs.push((name, protocol));
        }
        Ok(ProtocolMap {
            pairs,
            unmapped_plaintext,
        })
    }

    fn protocol(&self, name: &str) -> Result<Protocol, String> {
        let mapped = self.pairs.iter().find(|(other, _)| other == name);
        match mapped.map(|(_, protocol)| protocol.as_str()) {
            Some("PLAINTEXT") => Ok(Protocol::Plaintext),
            Some(other) => Err(format!(
                "{name} would speak {other}, and TLS and SASL are not served yet; use PLAINTEXT inside a trusted network"
            )),
            None if self.unmapped_plaintext.iter().any(|other| other == name) => {
                Ok(Protocol::Plaintext)
            }
            None => Err(format!(
                "listener {name} has no protocol; add {name}:PLAINTEXT to listener.security.protocol.map"
            )),
        }
    }

    /// `NAME://host:port`
    pub fn listener(&self, text: &str) -> Result<Listener, String> {
        let malformed = || {
            format!(
                "{text:?} is no listener; write NAME://host:port, as in PLAINTEXT://localhost:9092"
            )
        };
        let (name, rest) = text.split_once("://").ok_or_else(malformed)?;
        let name = name.trim().to_uppercase();
        if name.is_empty() {
            return Err(malformed());
        }
        let (host, port) = address(rest).ok_or_else(malformed)?;
        let port = port_number(port)?;
        Ok(Listener {
            protocol: self.protocol(&name)?,
            name,
            host: host.to_owned(),
            port,
        })
    }
}

/// A list of listeners in which no name occurs twice.
pub(super) fn check_names(listeners: &[Listener]) -> Result<(), String> {
    for (at, listener) in listeners.iter().enumerate() {
        if listeners[..at]
            .iter()
            .any(|other| other.name == listener.name)
        {
            return Err(format!("listener {} is there twice", listener.name));
        }
    }
    Ok(())
}

/// One port is opened once; an address of IPv4 and one of IPv6 may share it.
pub(super) fn check_ports(listeners: &[Listener]) -> Result<(), String> {
    for (at, listener) in listeners.iter().enumerate() {
        let same = |other: &&Listener| {
            other.port == listener.port
                && other.port != 0
                && other.host.contains(':') == listener.host.contains(':')
        };
        if let Some(other) = listeners[..at].iter().find(same) {
            return Err(format!(
                "{} and {} share port {}; give each its own",
                other.name, listener.name, listener.port
            ));
        }
    }
    Ok(())
}
