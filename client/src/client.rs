//! The cluster's connections, and what is known of it.

use crate::address::Address;
use crate::connection::Connection;
use crate::metadata::{Metadata, Topic};
use crate::wire::messages::metadata_request::MetadataRequestTopic;
use crate::wire::messages::traits::Request;
use crate::wire::messages::{MetadataRequest, StrBytes, TopicName};
use crate::{ClientConfig, Error};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tracing::warn;

/// A handle: clones share connections and metadata.
#[derive(Clone, Debug)]
pub struct Client {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: ClientConfig,
    metadata: Mutex<Arc<Metadata>>,
    /// Of the topics asked for by name. At most one for each name that was asked for.
    topic_errors: Mutex<BTreeMap<String, Error>>,
    /// By broker. Held while connecting, so that a broker is connected to once; never while a request is unanswered.
    brokers: tokio::sync::Mutex<BTreeMap<i32, Arc<Slot>>>,
    /// To whichever bootstrap server answered.
    bootstrap: Slot,
}

#[derive(Debug, Default)]
struct Slot {
    connection: tokio::sync::Mutex<Option<(Address, Connection)>>,
}

/// Which topics to ask about.
#[derive(Clone, Copy, Debug)]
pub enum Topics<'a> {
    None,
    All,
    Named(&'a [&'a str]),
}

impl Client {
    /// Nothing is connected before it is needed.
    pub fn new(config: ClientConfig) -> Client {
        Client {
            shared: Arc::new(Shared {
                config,
                metadata: Mutex::default(),
                topic_errors: Mutex::default(),
                brokers: tokio::sync::Mutex::default(),
                bootstrap: Slot::default(),
            }),
        }
    }

    pub fn config(&self) -> &ClientConfig {
        &self.shared.config
    }

    /// What was learned last.
    pub fn metadata(&self) -> Arc<Metadata> {
        let metadata = self.shared.metadata.lock();
        Arc::clone(&metadata.unwrap_or_else(PoisonError::into_inner))
    }

    /// Asks the cluster for its brokers and the given topics, once, and remembers the answer.
    pub async fn refresh(
        &self,
        topics: Topics<'_>,
        may_create: bool,
    ) -> Result<Arc<Metadata>, Error> {
        let connection = self.any().await?;
        let version = connection.version_of::<MetadataRequest>(i16::MAX)?;
        let request = metadata_request(topics, may_create, version);
        let response = connection.send_version(version, &request).await?;
        Error::check(response.error_code, None)?;
        let newer = Metadata::of(&response)?;
        let mut known = self
            .shared
            .metadata
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut merged = match topics {
            Topics::All => newer,
            Topics::None | Topics::Named(_) => known.merged(newer),
        };
        // What was deleted must not be remembered with a leader.
        if let Topics::Named(names) = topics {
            let errors = self.shared.topic_errors.lock();
            let mut errors = errors.unwrap_or_else(PoisonError::into_inner);
            for name in names {
                let checked = merged.topics.get(*name).map_or(Ok(()), Topic::check);
                match checked {
                    Ok(()) => errors.remove(*name),
                    Err(error) => {
                        merged.topics.remove(*name);
                        errors.insert((*name).to_owned(), error)
                    }
                };
            }
        }
        *known = Arc::new(merged);
        Ok(Arc::clone(&known))
    }

    /// What the last refresh said was wrong with a topic.
    pub fn last_topic_error(&self, topic: &str) -> Option<Error> {
        let errors = self.shared.topic_errors.lock();
        errors
            .unwrap_or_else(PoisonError::into_inner)
            .get(topic)
            .cloned()
    }

    /// Topics as the cluster describes them now, each with its own error.
    pub async fn topics(&self, topics: Topics<'_>) -> Result<Vec<Topic>, Error> {
        self.retry("listing topics", async || {
            let connection = self.any().await?;
            let version = connection.version_of::<MetadataRequest>(i16::MAX)?;
            let request = metadata_request(topics, false, version);
            let response = connection.send_version(version, &request).await?;
            Error::check(response.error_code, None)?;
            Ok(response.topics.iter().map(Topic::of).collect())
        })
        .await
    }

    /// A connection to any broker: one that is open, or else the first bootstrap server or known broker that answers.
    pub async fn any(&self) -> Result<Connection, Error> {
        let mut slot = self.shared.bootstrap.connection.lock().await;
        if let Some((_, connection)) = slot.as_ref().filter(|(_, open)| !open.is_closed()) {
            return Ok(connection.clone());
        }
        let metadata = self.metadata();
        let known = metadata.brokers.values().map(|broker| &broker.address);
        let mut last_error = Error::Invalid("no bootstrap server was given".to_owned());
        for address in self.shared.config.bootstrap.iter().chain(known) {
            match Connection::open(address, &self.shared.config).await {
                Ok(connection) => {
                    *slot = Some((address.clone(), connection.clone()));
                    return Ok(connection);
                }
                Err(error) => last_error = error,
            }
        }
        Err(last_error)
    }

    /// A connection to a broker of the cluster, made when there is none.
    pub async fn broker(&self, id: i32) -> Result<Connection, Error> {
        let metadata = self.metadata();
        let broker = metadata.brokers.get(&id).ok_or(Error::UnknownBroker(id))?;
        let slot = {
            let mut brokers = self.shared.brokers.lock().await;
            Arc::clone(brokers.entry(id).or_default())
        };
        let mut open = slot.connection.lock().await;
        if let Some((address, connection)) = open.as_ref()
            && *address == broker.address
            && !connection.is_closed()
        {
            return Ok(connection.clone());
        }
        let connection = Connection::open(&broker.address, &self.shared.config).await?;
        *open = Some((broker.address.clone(), connection.clone()));
        Ok(connection)
    }

    /// Sends a request to any broker, again and elsewhere while connecting fails, until `api_timeout`.
    pub async fn ask_any<R: Request>(&self, what: &str, request: &R) -> Result<R::Response, Error> {
        self.retry(what, async || self.any().await?.send(request).await)
            .await
    }

    /// Sends a request to one broker, likewise.
    pub async fn ask_broker<R: Request>(
        &self,
        what: &str,
        id: i32,
        request: &R,
    ) -> Result<R::Response, Error> {
        self.retry(what, async || self.broker(id).await?.send(request).await)
            .await
    }

    /// Tries `operation` until it succeeds, fails for good, or `api_timeout` is over. What is learned to be stale in between
    /// is asked for anew.
    pub async fn retry<T>(
        &self,
        what: &str,
        mut operation: impl AsyncFnMut() -> Result<T, Error>,
    ) -> Result<T, Error> {
        let config = &self.shared.config;
        let give_up = Instant::now() + config.api_timeout;
        let mut warned_at: Option<Instant> = None;
        for attempt in 0.. {
            let error = match operation().await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            let backoff = config.backoff(attempt);
            if !error.is_retriable() || Instant::now() + backoff >= give_up {
                return Err(error);
            }
            if let Error::Connect { .. } = error
                && warned_at.is_none_or(|at| at.elapsed() > Duration::from_secs(5))
            {
                warned_at = Some(Instant::now());
                warn!("{error}; trying again");
            }
            sleep(backoff).await;
            if error.needs_metadata() {
                // Its own failure will be that of the next try.
                let _ = self.refresh(Topics::None, false).await;
            }
        }
        Err(Error::TimedOut {
            what: what.to_owned(),
            after: config.api_timeout,
        })
    }
}

fn metadata_request(topics: Topics<'_>, may_create: bool, version: i16) -> MetadataRequest {
    let topics: Option<Vec<MetadataRequestTopic>> = match topics {
        // Version 0 has no null: there an empty list means all, and none cannot be asked for.
        Topics::All if version == 0 => Some(Vec::new()),
        Topics::All => None,
        Topics::None => Some(Vec::new()),
        Topics::Named(names) => Some(names.iter().map(|name| requested(name)).collect()),
    };
    let mut request = MetadataRequest::default();
    request.topics = topics;
    // Below version 4 there is no choice, and the field must stay at its default.
    if version >= 4 {
        request.allow_auto_topic_creation = may_create;
    }
    request
}

fn requested(name: &str) -> MetadataRequestTopic {
    let mut topic = MetadataRequestTopic::default();
    topic.name = Some(topic_name(name));
    topic
}

/// The protocol's type for a topic's name.
pub(crate) fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}
