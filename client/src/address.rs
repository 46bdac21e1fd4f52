//! `host:port`, as in `bootstrap.servers`.

use std::fmt;

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    pub host: String,
    pub port: u16,
}

impl Address {
    pub fn new(host: impl Into<String>, port: u16) -> Address {
        let host = host.into();
        Address { host, port }
    }

    /// `host:port`, `[v6]:port`, or either after a listener's name and `://`.
    pub fn parse(text: &str) -> Result<Address, InvalidAddress> {
        let invalid = || InvalidAddress(text.to_owned());
        let trimmed = text.trim();
        let plain = trimmed.split_once("://").map_or(trimmed, |(_, rest)| rest);
        let (host, port) = plain.rsplit_once(':').ok_or_else(invalid)?;
        let port: u16 = port.parse().map_err(|_| invalid())?;
        let host = match host.strip_prefix('[') {
            Some(inner) => inner.strip_suffix(']').ok_or_else(invalid)?,
            None if host.contains(':') => return Err(invalid()),
            None => host,
        };
        if host.is_empty() || port == 0 || host.contains(char::is_whitespace) {
            return Err(invalid());
        }
        Ok(Address::new(host, port))
    }

    /// A list separated by commas; at least one.
    pub fn parse_list(text: &str) -> Result<Vec<Address>, InvalidAddress> {
        let parts = text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty());
        let addresses: Vec<Address> = parts.map(Address::parse).collect::<Result<_, _>>()?;
        match addresses.is_empty() {
            true => Err(InvalidAddress(text.to_owned())),
            false => Ok(addresses),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no address: write host:port, as in localhost:9092")]
pub struct InvalidAddress(pub String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_read_as_kafka_writes_them() {
        let check = |text: &str, host: &str, port: u16, shown: &str| {
            let address = Address::parse(text).expect("an address");
            assert_eq!(address, Address::new(host, port));
            assert_eq!(address.to_string(), shown);
        };
        check("localhost:9092", "localhost", 9092, "localhost:9092");
        check(" [::1]:9092", "::1", 9092, "[::1]:9092");
        check("PLAINTEXT://h:1", "h", 1, "h:1");
        for bad in [
            "",
            "h",
            "h:",
            ":1",
            "h:0",
            "h:70000",
            "::1:9092",
            "[::1:9092",
            "a b:1",
        ] {
            assert!(Address::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_list_has_at_least_one_address() {
        assert_eq!(Address::parse_list("a:1, b:2,").expect("two").len(), 2);
        assert!(Address::parse_list(" , ").is_err());
        assert!(Address::parse_list("a:1,b").is_err());
    }
}
