//! The member's own connection to the group's coordinator. A JoinGroup may stay unanswered for as long as a rebalance takes, and
//! what is asked after it on the same connection waits behind it: nothing but the group's requests goes here.

use crate::address::Address;
use crate::admin::group_offsets::is_about_the_coordinator;
use crate::connection::Connection;
use crate::wire::messages::traits::Request;
use crate::{Client, Error};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::timeout;

/// Beyond the time that a rebalance may take, for the answer to come.
const REBALANCE_GRACE: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub struct Link {
    client: Client,
    group: String,
    rebalance_timeout: Duration,
    connection: Mutex<Option<Connection>>,
}

impl Link {
    pub fn new(client: Client, group: String, rebalance_timeout: Duration) -> Link {
        Link {
            client,
            group,
            rebalance_timeout,
            connection: Mutex::new(None),
        }
    }

    pub fn group(&self) -> &str {
        &self.group
    }

    /// To the coordinator, which is looked for when it is not known.
    pub async fn connection(&self) -> Result<Connection, Error> {
        let mut open = self.connection.lock().await;
        if let Some(connection) = open.as_ref().filter(|open| !open.is_closed()) {
            return Ok(connection.clone());
        }
        let found = self.client.ask_coordinator(&self.group).await?;
        let port = u16::try_from(found.port)
            .map_err(|_| Error::Records(format!("a coordinator's port is {}", found.port)))?;
        let mut config = self.client.config().clone();
        config.request_timeout = config
            .request_timeout
            .max(self.rebalance_timeout + REBALANCE_GRACE);
        let connection = Connection::open(&Address::new(found.host, port), &config).await?;
        *open = Some(connection.clone());
        Ok(connection)
    }

    pub async fn forget(&self) {
        *self.connection.lock().await = None;
    }

    /// Waits for an answer no longer than the client does for others'.
    pub async fn send<R: Request>(
        &self,
        connection: &Connection,
        version: i16,
        request: &R,
    ) -> Result<R::Response, Error> {
        self.within(connection.send_version(version, request)).await
    }

    pub async fn within<T>(
        &self,
        answer: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let after = self.client.config().request_timeout;
        let timed_out = |_| Error::TimedOut {
            what: format!("a request of group {}", self.group),
            after,
        };
        timeout(after, answer).await.map_err(timed_out)?
    }

    /// After `error` the coordinator may be another broker, or this connection is of no more use.
    pub async fn heed(&self, error: &Error) {
        if is_about_the_coordinator(error) || error.code().is_none() {
            self.forget().await;
        }
    }
}
