//! How a client behaves, under the names that Kafka's Java clients give it.

use crate::Error;
use crate::address::Address;
use crate::properties::Properties;
use std::time::Duration;

#[derive(Clone, Debug)]
pub struct ClientConfig {
    pub bootstrap: Vec<Address>,
    pub client_id: String,
    /// How long one request may be unanswered before its connection is given up (`request.timeout.ms`).
    pub request_timeout: Duration,
    /// How long an operation may take with all its retries (`default.api.timeout.ms`).
    pub api_timeout: Duration,
    /// How long connecting may take (`socket.connection.setup.timeout.ms`).
    pub connect_timeout: Duration,
    pub retry_backoff: Duration,
    pub retry_backoff_max: Duration,
    /// The age at which metadata is asked for anew (`metadata.max.age.ms`).
    pub metadata_max_age: Duration,
    /// Of an answer; a broker that claims more is disconnected.
    pub max_frame_bytes: usize,
}

impl ClientConfig {
    pub fn new(bootstrap: Vec<Address>) -> ClientConfig {
        ClientConfig {
            bootstrap,
            client_id: "millrace-client".to_owned(),
            request_timeout: Duration::from_secs(30),
            api_timeout: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(10),
            retry_backoff: Duration::from_millis(100),
            retry_backoff_max: Duration::from_secs(1),
            metadata_max_age: Duration::from_secs(300),
            max_frame_bytes: 256 << 20,
        }
    }

    pub fn with_client_id(mut self, client_id: impl Into<String>) -> ClientConfig {
        self.client_id = client_id.into();
        self
    }

    /// Takes from a file of Java's client settings what this client has; what would change the meaning of a connection and
    /// is not served (TLS, SASL) is refused by name.
    pub fn apply(&mut self, properties: &Properties) -> Result<(), Error> {
        if let Some(servers) = properties.get("bootstrap.servers") {
            self.bootstrap =
                Address::parse_list(servers).map_err(|error| Error::Invalid(error.to_string()))?;
        }
        if let Some(protocol) = properties.get("security.protocol")
            && !protocol.trim().eq_ignore_ascii_case("PLAINTEXT")
        {
            return Err(Error::Invalid(format!(
                "security.protocol={protocol} is not served yet: only PLAINTEXT is"
            )));
        }
        if let Some(client_id) = properties.get("client.id") {
            self.client_id = client_id.to_owned();
        }
        let set = |name: &str, field: &mut Duration| -> Result<(), Error> {
            if let Some(ms) = properties.number::<u64>(name)? {
                *field = Duration::from_millis(ms);
            }
            Ok(())
        };
        set("request.timeout.ms", &mut self.request_timeout)?;
        set("default.api.timeout.ms", &mut self.api_timeout)?;
        set(
            "socket.connection.setup.timeout.ms",
            &mut self.connect_timeout,
        )?;
        set("retry.backoff.ms", &mut self.retry_backoff)?;
        set("retry.backoff.max.ms", &mut self.retry_backoff_max)?;
        set("metadata.max.age.ms", &mut self.metadata_max_age)?;
        Ok(())
    }

    /// The wait before try `attempt` + 1, doubling, with a fifth of jitter so that clients do not return together.
    pub(crate) fn backoff(&self, attempt: u32) -> Duration {
        let doubled = self.retry_backoff.saturating_mul(1 << attempt.min(16));
        let capped = doubled.min(self.retry_backoff_max.max(self.retry_backoff));
        capped.mul_f64(rand::random_range(0.8..1.2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> ClientConfig {
        ClientConfig::new(vec![Address::new("h", 1)])
    }

    #[test]
    fn javas_names_set_the_fields() {
        let mut config = config();
        let text = "bootstrap.servers=a:1,b:2\nclient.id=x\nrequest.timeout.ms=5\nunknown=1\n";
        config.apply(&Properties::parse(text)).expect("settings");
        assert_eq!(config.bootstrap.len(), 2);
        assert_eq!(config.client_id, "x");
        assert_eq!(config.request_timeout, Duration::from_millis(5));
    }

    #[test]
    fn a_protocol_that_is_not_served_is_refused() {
        let text = "security.protocol=SASL_SSL";
        let refused = config()
            .apply(&Properties::parse(text))
            .expect_err("refused");
        assert!(refused.to_string().contains("security.protocol=SASL_SSL"));
    }

    #[test]
    fn the_backoff_doubles_up_to_its_limit() {
        let config = config();
        for (attempt, ms) in [(0, 100.0), (2, 400.0), (4, 1000.0), (40, 1000.0)] {
            let backoff = config.backoff(attempt).as_secs_f64() * 1000.0;
            assert!(
                (0.79 * ms..1.21 * ms).contains(&backoff),
                "{attempt}: {backoff}"
            );
        }
    }
}
