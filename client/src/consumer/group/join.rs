//! From no generation to one: JoinGroup, if this member leads the group the assignment, SyncGroup, and where to go on.

use super::link::Link;
use super::range::{self, Subscriber};
use super::{GroupConfig, Identity};
use crate::admin::CommittedOffset;
use crate::admin::group_offsets::fetch_offsets;
use crate::admin::groups::group_id;
use crate::client::Topics;
use crate::wire::consumer_protocol::{Assignment, PROTOCOL_TYPE, Subscription, VERSION};
use crate::wire::messages::join_group_request::JoinGroupRequestProtocol;
use crate::wire::messages::sync_group_request::SyncGroupRequestAssignment;
use crate::wire::messages::{JoinGroupRequest, JoinGroupResponse, StrBytes, SyncGroupRequest};
use crate::{Client, Error, TopicPartition};
use bytes::Bytes;
use millrace_wire::ErrorCode;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

/// The first version in which a member is given its id before it is waited for (KIP-394).
const FIRST_VERSION: i16 = 4;
const FIRST_WITH_INSTANCES: i16 = 5;

#[derive(Debug)]
pub struct Joining {
    pub client: Client,
    pub link: Arc<Link>,
    pub config: GroupConfig,
    pub topics: BTreeSet<String>,
    /// The member's id, which it keeps from generation to generation; empty at first.
    pub member_id: String,
    pub reason: &'static str,
}

#[derive(Debug)]
pub struct Joined {
    pub identity: Identity,
    /// With what the group has committed of each.
    pub assignment: BTreeMap<TopicPartition, Option<CommittedOffset>>,
    /// How many partitions the leader has given away, of each topic that a member wants; `None` when another one leads.
    pub counts: Option<BTreeMap<String, i32>>,
}

impl Joining {
    /// Tries until it is in the group or cannot be.
    pub async fn run(mut self) -> Result<Joined, Error> {
        for attempt in 0.. {
            let error = match self.attempt().await {
                Ok(joined) => return Ok(joined),
                Err(error) => error,
            };
            debug!(group = self.link.group(), %error, "not in the group yet");
            if let Error::Connect { .. } = error {
                warn!("{error}; trying again");
            }
            self.link.heed(&error).await;
            match error.code() {
                // The id that the coordinator chose was taken over already.
                Some(ErrorCode::MemberIdRequired) if attempt == 0 => continue,
                Some(ErrorCode::MemberIdRequired) => {}
                Some(ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration) => {
                    self.member_id.clear();
                }
                Some(ErrorCode::RebalanceInProgress | ErrorCode::UnstableOffsetCommit) => {}
                _ if error.is_retriable() => {}
                _ => return Err(error),
            }
            sleep(self.client.config().backoff(attempt)).await;
        }
        Err(Error::Closed)
    }

    async fn attempt(&mut self) -> Result<Joined, Error> {
        let connection = self.link.connection().await?;
        let version = connection.version_of::<JoinGroupRequest>(i16::MAX)?;
        let needed = match self.config.instance_id {
            Some(_) => FIRST_WITH_INSTANCES,
            None => FIRST_VERSION,
        };
        if version < needed {
            return Err(Error::of(ErrorCode::UnsupportedVersion, None));
        }
        // It is answered when the whole group is there: the connection knows how long that may take.
        let joined = connection
            .send_version(version, &self.join_request(version)?)
            .await?;
        if !joined.member_id.is_empty() {
            self.member_id = joined.member_id.to_string();
        }
        Error::check(joined.error_code, None)?;
        let identity = Identity {
            generation: joined.generation_id,
            member_id: self.member_id.clone(),
            instance_id: self.config.instance_id.clone(),
        };
        let leads = joined.leader == joined.member_id;
        let (counts, assignments) = match leads {
            true => self.lead(&joined).await?,
            false => (None, Vec::new()),
        };
        let version = connection.version_of::<SyncGroupRequest>(i16::MAX)?;
        let request = self.sync_request(&identity, assignments, version);
        let synced = connection.send_version(version, &request).await?;
        Error::check(synced.error_code, None)?;
        let assigned = Assignment::decode(synced.assignment)?.partitions;
        let assigned: Vec<TopicPartition> = TopicPartition::each(assigned).collect();
        // Nobody reports for this member meanwhile.
        let silence = self.config.session_timeout / 3;
        let committed = timeout(silence, self.committed(&assigned)).await;
        let committed = committed.map_err(|_| Error::TimedOut {
            what: "fetching committed offsets".to_owned(),
            after: silence,
        })??;
        let assignment = assigned.into_iter().map(|at| {
            let offset = committed.get(&at).cloned();
            (at, offset)
        });
        Ok(Joined {
            identity,
            assignment: assignment.collect(),
            counts,
        })
    }

    fn join_request(&self, version: i16) -> Result<JoinGroupRequest, Error> {
        let millis = |time: Duration| i32::try_from(time.as_millis()).unwrap_or(i32::MAX);
        let subscription = Subscription {
            topics: self.topics.iter().cloned().collect(),
            ..Subscription::default()
        };
        let mut protocol = JoinGroupRequestProtocol::default();
        protocol.name = StrBytes::from_static_str(range::NAME);
        protocol.metadata = subscription.encode()?;
        let mut request = JoinGroupRequest::default();
        request.group_id = group_id(self.link.group());
        request.session_timeout_ms = millis(self.config.session_timeout);
        request.rebalance_timeout_ms = millis(self.config.max_poll_interval);
        request.member_id = StrBytes::from_string(self.member_id.clone());
        request.protocol_type = StrBytes::from_static_str(PROTOCOL_TYPE);
        request.protocols = vec![protocol];
        if version >= FIRST_WITH_INSTANCES {
            let instance_id = self.config.instance_id.clone();
            request.group_instance_id = instance_id.map(StrBytes::from_string);
        }
        if version >= 8 {
            request.reason = Some(StrBytes::from_static_str(self.reason));
        }
        Ok(request)
    }

    /// What each member gets, as this one, the leader, decides; nothing when the coordinator has kept what was (KIP-814).
    #[allow(clippy::type_complexity)]
    async fn lead(
        &self,
        joined: &JoinGroupResponse,
    ) -> Result<(Option<BTreeMap<String, i32>>, Vec<(String, Bytes)>), Error> {
        let mut subscribers = Vec::new();
        for member in &joined.members {
            let subscription = Subscription::decode(member.metadata.clone())?;
            subscribers.push(Subscriber {
                member_id: member.member_id.to_string(),
                instance_id: member.group_instance_id.as_ref().map(|id| id.to_string()),
                topics: subscription.topics.into_iter().collect(),
            });
        }
        let wanted: BTreeSet<&str> = subscribers
            .iter()
            .flat_map(|member| member.topics.iter().map(String::as_str))
            .collect();
        let wanted: Vec<&str> = wanted.into_iter().collect();
        let counts = partition_counts(&self.client, &wanted).await?;
        if joined.skip_assignment {
            return Ok((Some(counts), Vec::new()));
        }
        let assigned = range::assign(&subscribers, &counts);
        let encoded = assigned.into_iter().map(|(member_id, partitions)| {
            let assignment = Assignment {
                partitions: TopicPartition::by_topic(partitions),
                user_data: None,
            };
            Ok((member_id, assignment.encode(VERSION)?))
        });
        Ok((Some(counts), encoded.collect::<Result<_, Error>>()?))
    }

    fn sync_request(
        &self,
        identity: &Identity,
        assignments: Vec<(String, Bytes)>,
        version: i16,
    ) -> SyncGroupRequest {
        let mut request = SyncGroupRequest::default();
        request.group_id = group_id(self.link.group());
        request.generation_id = identity.generation;
        request.member_id = StrBytes::from_string(identity.member_id.clone());
        if version >= 3 {
            let instance_id = identity.instance_id.clone();
            request.group_instance_id = instance_id.map(StrBytes::from_string);
        }
        if version >= 5 {
            request.protocol_type = Some(StrBytes::from_static_str(PROTOCOL_TYPE));
            request.protocol_name = Some(StrBytes::from_static_str(range::NAME));
        }
        let assignments = assignments.into_iter().map(|(member_id, assignment)| {
            let mut given = SyncGroupRequestAssignment::default();
            given.member_id = StrBytes::from_string(member_id);
            given.assignment = assignment;
            given
        });
        request.assignments = assignments.collect();
        request
    }

    async fn committed(
        &self,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, CommittedOffset>, Error> {
        if partitions.is_empty() {
            return Ok(BTreeMap::new());
        }
        for attempt in 0.. {
            let connection = self.link.connection().await?;
            let answer = fetch_offsets(&connection, self.link.group(), Some(partitions), true);
            match answer.await {
                Err(error) if error.code() == Some(ErrorCode::UnstableOffsetCommit) => {
                    sleep(self.client.config().backoff(attempt)).await;
                }
                answered => return answered,
            }
        }
        Err(Error::Closed)
    }
}

/// Of the topics that exist.
pub async fn partition_counts(
    client: &Client,
    topics: &[&str],
) -> Result<BTreeMap<String, i32>, Error> {
    if topics.is_empty() {
        return Ok(BTreeMap::new());
    }
    let known = client.refresh(Topics::Named(topics), false).await?;
    let usable = topics.iter().filter_map(|name| known.topics.get(*name));
    let counts = usable.map(|topic| {
        let count = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
        (topic.name.clone(), count)
    });
    Ok(counts.collect())
}
