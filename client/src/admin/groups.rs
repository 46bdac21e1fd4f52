//! Consumer groups: which there are, who is in them, and what they have committed. Each is asked of the group's coordinator,
//! which is looked for anew when it turns out to be another broker or is still reading its log.

use crate::client::{Client, Topics};
use crate::connection::Connection;
use crate::wire::consumer_protocol::{Assignment, PROTOCOL_TYPE, Subscription};
use crate::wire::messages::leave_group_request::MemberIdentity;
use crate::wire::messages::{
    DeleteGroupsRequest, DescribeGroupsRequest, FindCoordinatorRequest, GroupId, LeaveGroupRequest,
    ListGroupsRequest, StrBytes,
};
use crate::{Error, TopicPartition};
use millrace_wire::ErrorCode;
use std::collections::BTreeMap;
use std::fmt;

/// States of a group, under Kafka's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GroupState {
    Unknown,
    PreparingRebalance,
    CompletingRebalance,
    Stable,
    Dead,
    Empty,
    Assigning,
    Reconciling,
    NotReady,
}

impl GroupState {
    const ALL: [GroupState; 9] = [
        GroupState::Unknown,
        GroupState::PreparingRebalance,
        GroupState::CompletingRebalance,
        GroupState::Stable,
        GroupState::Dead,
        GroupState::Empty,
        GroupState::Assigning,
        GroupState::Reconciling,
        GroupState::NotReady,
    ];

    /// In any case of letters; what is none of them is [`GroupState::Unknown`].
    pub fn parse(name: &str) -> GroupState {
        let found = GroupState::ALL
            .into_iter()
            .find(|state| state.name().eq_ignore_ascii_case(name));
        found.unwrap_or(GroupState::Unknown)
    }

    pub fn name(self) -> &'static str {
        match self {
            GroupState::Unknown => "Unknown",
            GroupState::PreparingRebalance => "PreparingRebalance",
            GroupState::CompletingRebalance => "CompletingRebalance",
            GroupState::Stable => "Stable",
            GroupState::Dead => "Dead",
            GroupState::Empty => "Empty",
            GroupState::Assigning => "Assigning",
            GroupState::Reconciling => "Reconciling",
            GroupState::NotReady => "NotReady",
        }
    }
}

impl fmt::Display for GroupState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coordinator {
    pub broker: i32,
    pub host: String,
    pub port: i32,
}

/// An empty filter lets everything pass.
#[derive(Clone, Debug, Default)]
pub struct GroupFilter {
    pub states: Vec<GroupState>,
    /// `classic`, `consumer`, and whatever else brokers have.
    pub types: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedGroup {
    pub name: String,
    pub protocol_type: String,
    /// `None` from brokers before 2.6.
    pub state: Option<GroupState>,
    /// As the broker writes it: `classic`, `consumer`; `None` from brokers before 3.8.
    pub kind: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMember {
    pub id: String,
    pub instance_id: Option<String>,
    pub client_id: String,
    pub host: String,
    /// Of members that are consumers; likewise the assignment. Empty while the group rebalances.
    pub topics: Vec<String>,
    pub assignment: Vec<TopicPartition>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedGroup {
    pub name: String,
    pub state: GroupState,
    pub protocol_type: String,
    /// What the members agreed on: the assignor, of consumers.
    pub protocol: String,
    pub coordinator: Coordinator,
    pub members: Vec<GroupMember>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemberRef {
    Id(String),
    Instance(String),
}

impl Client {
    /// Which broker coordinates a group, as any broker knows it; asked once.
    pub(crate) async fn ask_coordinator(&self, group: &str) -> Result<Coordinator, Error> {
        let connection = self.any().await?;
        let version = connection.version_of::<FindCoordinatorRequest>(i16::MAX)?;
        let key = StrBytes::from_string(group.to_owned());
        let mut request = FindCoordinatorRequest::default();
        match version {
            ..4 => request.key = key,
            4.. => request.coordinator_keys = vec![key],
        }
        let response = connection.send_version(version, &request).await?;
        match response.coordinators.into_iter().next() {
            Some(found) => {
                Error::check(found.error_code, found.error_message.as_deref())?;
                Ok(Coordinator {
                    broker: found.node_id.0,
                    host: found.host.to_string(),
                    port: found.port,
                })
            }
            None => {
                Error::check(response.error_code, response.error_message.as_deref())?;
                Ok(Coordinator {
                    broker: response.node_id.0,
                    host: response.host.to_string(),
                    port: response.port,
                })
            }
        }
    }

    pub async fn find_coordinator(&self, group: &str) -> Result<Coordinator, Error> {
        self.retry("findCoordinator", async || {
            self.ask_coordinator(group).await
        })
        .await
    }

    /// Tries `operation` at the group's coordinator, again where time or another broker may help.
    pub(super) async fn at_coordinator<T>(
        &self,
        what: &str,
        group: &str,
        mut operation: impl AsyncFnMut(Connection, Coordinator) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.retry(what, async || {
            let coordinator = self.ask_coordinator(group).await?;
            if !self.metadata().brokers.contains_key(&coordinator.broker) {
                self.refresh(Topics::None, false).await?;
            }
            let connection = self.broker(coordinator.broker).await?;
            operation(connection, coordinator).await
        })
        .await
    }

    /// The groups of all brokers, by name.
    pub async fn list_groups(&self, filter: &GroupFilter) -> Result<Vec<ListedGroup>, Error> {
        self.retry("listGroups", async || {
            let metadata = self.refresh(Topics::None, false).await?;
            let mut groups = BTreeMap::new();
            for &broker in metadata.brokers.keys() {
                let connection = self.broker(broker).await?;
                for group in list_at(&connection, filter).await? {
                    groups.insert(group.name.clone(), group);
                }
            }
            Ok(groups.into_values().collect())
        })
        .await
    }

    /// A group as its coordinator describes it. One that does not exist is `GROUP_ID_NOT_FOUND`, or from brokers before 4.0
    /// [`GroupState::Dead`].
    pub async fn describe_group(&self, group: &str) -> Result<DescribedGroup, Error> {
        let mut request = DescribeGroupsRequest::default();
        request.groups = vec![group_id(group)];
        self.at_coordinator(
            "describeConsumerGroups",
            group,
            async |connection, coordinator| {
                let response = connection.send(&request).await?;
                let described = response.groups.into_iter().next();
                let described = described.ok_or_else(|| unanswered(group))?;
                Error::check(described.error_code, described.error_message.as_deref())?;
                let protocol_type = described.protocol_type.to_string();
                let are_consumers = protocol_type == PROTOCOL_TYPE;
                let members = described.members.into_iter().map(|member| {
                    let mut known = GroupMember {
                        id: member.member_id.to_string(),
                        instance_id: member.group_instance_id.map(|id| id.to_string()),
                        client_id: member.client_id.to_string(),
                        host: member.client_host.to_string(),
                        topics: Vec::new(),
                        assignment: Vec::new(),
                    };
                    if are_consumers && !member.member_metadata.is_empty() {
                        known.topics = Subscription::decode(member.member_metadata)?.topics;
                    }
                    if are_consumers {
                        let assignment = Assignment::decode(member.member_assignment)?;
                        known.assignment = TopicPartition::each(assignment.partitions).collect();
                    }
                    Ok(known)
                });
                Ok(DescribedGroup {
                    name: group.to_owned(),
                    state: GroupState::parse(&described.group_state),
                    members: members.collect::<Result<_, Error>>()?,
                    protocol: described.protocol_data.to_string(),
                    protocol_type,
                    coordinator,
                })
            },
        )
        .await
    }

    /// One result for each group, in their order.
    pub async fn describe_groups(
        &self,
        groups: &[String],
    ) -> Vec<(String, Result<DescribedGroup, Error>)> {
        let mut described = Vec::new();
        for group in groups {
            described.push((group.clone(), self.describe_group(group).await));
        }
        described
    }

    /// Forgets a group and its offsets; it must have no members.
    pub async fn delete_group(&self, group: &str) -> Result<(), Error> {
        let mut request = DeleteGroupsRequest::default();
        request.groups_names = vec![group_id(group)];
        self.at_coordinator("deleteConsumerGroups", group, async |connection, _| {
            let response = connection.send(&request).await?;
            let result = response.results.into_iter().next();
            let result = result.ok_or_else(|| unanswered(group))?;
            Error::check(result.error_code, None)
        })
        .await
    }

    /// One result for each group, in their order.
    pub async fn delete_groups(&self, groups: &[String]) -> Vec<(String, Result<(), Error>)> {
        let mut deleted = Vec::new();
        for group in groups {
            deleted.push((group.clone(), self.delete_group(group).await));
        }
        deleted
    }

    /// Makes members leave; one result for each, in their order. Brokers from 2.4 on can be asked.
    pub async fn remove_members(
        &self,
        group: &str,
        members: &[MemberRef],
        reason: &str,
    ) -> Result<Vec<Result<(), Error>>, Error> {
        self.at_coordinator("removeMembers", group, async |connection, _| {
            let version = connection.version_of::<LeaveGroupRequest>(i16::MAX)?;
            if version < 3 {
                return Err(Error::of(ErrorCode::UnsupportedVersion, None));
            }
            let mut request = LeaveGroupRequest::default();
            request.group_id = group_id(group);
            request.members = members
                .iter()
                .map(|member| leaving(member, reason, version))
                .collect();
            let response = connection.send_version(version, &request).await?;
            Error::check(response.error_code, None)?;
            if response.members.len() != members.len() {
                return Err(unanswered(group));
            }
            let results = response.members.iter();
            Ok(results
                .map(|member| Error::check(member.error_code, None))
                .collect())
        })
        .await
    }
}

async fn list_at(connection: &Connection, filter: &GroupFilter) -> Result<Vec<ListedGroup>, Error> {
    let version = connection.version_of::<ListGroupsRequest>(i16::MAX)?;
    let mut request = ListGroupsRequest::default();
    if !filter.states.is_empty() {
        if version < 4 {
            return Err(Error::of(ErrorCode::UnsupportedVersion, None));
        }
        let states = filter.states.iter();
        request.states_filter = states
            .map(|state| StrBytes::from_static_str(state.name()))
            .collect();
    }
    // A broker that does not know types has classic groups only.
    let wants_classic = filter.types.iter().any(|kind| kind == "classic");
    if !filter.types.is_empty() {
        if version < 5 && !wants_classic {
            return Err(Error::of(ErrorCode::UnsupportedVersion, None));
        }
        if version >= 5 {
            let types = filter.types.iter().cloned();
            request.types_filter = types.map(StrBytes::from_string).collect();
        }
    }
    let response = connection.send_version(version, &request).await?;
    Error::check(response.error_code, None)?;
    let said = |text: StrBytes| Some(text.to_string()).filter(|text| !text.is_empty());
    let groups = response.groups.into_iter().map(|group| ListedGroup {
        name: group.group_id.0.to_string(),
        protocol_type: group.protocol_type.to_string(),
        state: said(group.group_state).map(|state| GroupState::parse(&state)),
        kind: said(group.group_type),
    });
    Ok(groups.collect())
}

fn leaving(member: &MemberRef, reason: &str, version: i16) -> MemberIdentity {
    let mut identity = MemberIdentity::default();
    match member {
        MemberRef::Id(id) => identity.member_id = StrBytes::from_string(id.clone()),
        MemberRef::Instance(id) => {
            identity.group_instance_id = Some(StrBytes::from_string(id.clone()));
        }
    }
    if version >= 5 {
        identity.reason = Some(StrBytes::from_string(reason.to_owned()));
    }
    identity
}

pub(crate) fn group_id(group: &str) -> GroupId {
    GroupId(StrBytes::from_string(group.to_owned()))
}

pub(super) fn unanswered(group: &str) -> Error {
    Error::Records(format!("the broker did not answer for group {group}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_known_by_kafkas_names_in_any_case() {
        for state in GroupState::ALL {
            assert_eq!(GroupState::parse(&state.name().to_lowercase()), state);
        }
        assert_eq!(GroupState::parse("sleeping"), GroupState::Unknown);
    }
}
