//! Kafka's producer settings, as far as they mean something here.

use crate::Error;
use crate::properties::Properties;
use millrace_wire::Compression;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    None,
    Leader,
    All,
}

impl Acks {
    pub fn parse(text: &str) -> Result<Acks, Error> {
        match text.trim() {
            "0" => Ok(Acks::None),
            "1" => Ok(Acks::Leader),
            "-1" | "all" => Ok(Acks::All),
            other => Err(Error::Invalid(format!("acks={other}: write 0, 1 or all"))),
        }
    }

    pub fn code(self) -> i16 {
        match self {
            Acks::None => 0,
            Acks::Leader => 1,
            Acks::All => -1,
        }
    }
}

#[derive(Clone, Debug)]
pub struct ProducerConfig {
    pub acks: Acks,
    pub compression: Compression,
    /// Uncompressed, at which a batch is closed (`batch.size`).
    pub batch_bytes: usize,
    /// How long a batch waits for more records (`linger.ms`).
    pub linger: Duration,
    /// Of records not yet settled; `send` waits when it is full (`buffer.memory`).
    pub buffer_bytes: usize,
    pub max_request_bytes: usize,
    /// How long `send` may wait (`max.block.ms`).
    pub max_block: Duration,
    /// From `send` to a final answer (`delivery.timeout.ms`).
    pub delivery_timeout: Duration,
    /// What the broker may take to replicate (the `timeout_ms` of a produce request).
    pub ack_timeout: Duration,
    pub retries: u32,
    pub max_in_flight: usize,
    pub idempotence: bool,
}

impl Default for ProducerConfig {
    fn default() -> ProducerConfig {
        ProducerConfig {
            acks: Acks::All,
            compression: Compression::None,
            batch_bytes: 16_384,
            linger: Duration::from_millis(5),
            buffer_bytes: 32 << 20,
            max_request_bytes: 1 << 20,
            max_block: Duration::from_secs(60),
            delivery_timeout: Duration::from_secs(120),
            ack_timeout: Duration::from_secs(30),
            retries: i32::MAX as u32,
            max_in_flight: 5,
            idempotence: true,
        }
    }
}

impl ProducerConfig {
    /// Kafka's rule: settings that idempotence cannot have switch it off unless it was asked for.
    pub fn apply(&mut self, properties: &Properties) -> Result<(), Error> {
        if let Some(acks) = properties.get("acks") {
            self.acks = Acks::parse(acks)?;
        }
        if let Some(name) = properties.get("compression.type") {
            self.compression = parse_compression(name)?;
        }
        let duration = |name: &str, field: &mut Duration| -> Result<(), Error> {
            if let Some(ms) = properties.number::<u64>(name)? {
                *field = Duration::from_millis(ms);
            }
            Ok(())
        };
        duration("linger.ms", &mut self.linger)?;
        duration("max.block.ms", &mut self.max_block)?;
        duration("delivery.timeout.ms", &mut self.delivery_timeout)?;
        duration("request.timeout.ms", &mut self.ack_timeout)?;
        let size = |name: &str, field: &mut usize| -> Result<(), Error> {
            if let Some(size) = properties.number::<usize>(name)? {
                *field = size;
            }
            Ok(())
        };
        size("batch.size", &mut self.batch_bytes)?;
        size("buffer.memory", &mut self.buffer_bytes)?;
        size("max.request.size", &mut self.max_request_bytes)?;
        size(
            "max.in.flight.requests.per.connection",
            &mut self.max_in_flight,
        )?;
        if let Some(retries) = properties.number::<u32>("retries")? {
            self.retries = retries;
        }
        if properties.get("transactional.id").is_some() {
            return Err(Error::Invalid(
                "transactional.id: transactions are not served yet".to_owned(),
            ));
        }
        match properties.boolean("enable.idempotence")? {
            Some(wanted) => self.idempotence = wanted,
            None => self.idempotence = self.idempotence && self.conflict().is_none(),
        }
        self.validate()
    }

    /// Switches idempotence off where it cannot be kept.
    pub fn without_conflicts(mut self) -> ProducerConfig {
        self.idempotence = self.idempotence && self.conflict().is_none();
        self
    }

    fn conflict(&self) -> Option<&'static str> {
        if self.acks != Acks::All {
            return Some("Must set acks to all in order to use the idempotent producer.");
        }
        if self.retries == 0 {
            return Some("Must set retries to non-zero when using the idempotent producer.");
        }
        (self.max_in_flight > 5).then_some(
            "Must set max.in.flight.requests.per.connection to at most 5 to use the idempotent producer.",
        )
    }

    pub(crate) fn validate(&self) -> Result<(), Error> {
        if self.idempotence
            && let Some(conflict) = self.conflict()
        {
            return Err(Error::Invalid(conflict.to_owned()));
        }
        if self.max_in_flight == 0 || self.max_request_bytes == 0 || self.buffer_bytes == 0 {
            return Err(Error::Invalid(
                "max.in.flight.requests.per.connection, max.request.size and buffer.memory must be at least 1".to_owned(),
            ));
        }
        Ok(())
    }
}

pub fn parse_compression(name: &str) -> Result<Compression, Error> {
    let known = [
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ];
    known
        .into_iter()
        .find(|codec| codec.name() == name.trim())
        .ok_or_else(|| Error::Invalid(format!("Unknown compression name: {name}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(text: &str) -> Result<ProducerConfig, Error> {
        let mut config = ProducerConfig::default();
        config.apply(&Properties::parse(text)).map(|()| config)
    }

    #[test]
    fn what_idempotence_cannot_have_switches_it_off_unless_it_was_asked_for() {
        assert!(applied("linger.ms=0").expect("fine").idempotence);
        assert!(!applied("acks=1").expect("fine").idempotence);
        assert!(
            !applied("max.in.flight.requests.per.connection=6")
                .expect("fine")
                .idempotence
        );
        assert!(applied("acks=1\nenable.idempotence=true").is_err());
        assert!(applied("retries=0\nenable.idempotence=true").is_err());
    }

    #[test]
    fn unknown_values_are_refused() {
        assert!(applied("acks=2").is_err());
        assert!(applied("compression.type=brotli").is_err());
        assert!(applied("transactional.id=t").is_err());
        assert_eq!(
            applied("compression.type=lz4").expect("lz4").compression,
            Compression::Lz4
        );
    }
}
