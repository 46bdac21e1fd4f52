//! A member's reports to its coordinator, between two rebalances.

use super::link::Link;
use super::{GroupConfig, Identity, Standing};
use crate::Error;
use crate::admin::groups::group_id;
use crate::wire::messages::leave_group_request::MemberIdentity;
use crate::wire::messages::{HeartbeatRequest, LeaveGroupRequest, StrBytes};
use millrace_wire::ErrorCode;
use std::sync::Arc;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tracing::{debug, warn};

/// Reports until the member is none any more; a consumer that is not polled leaves.
pub async fn run(
    link: Arc<Link>,
    config: GroupConfig,
    identity: Identity,
    standing: Arc<Standing>,
) {
    let mut ticks = interval(config.heartbeat_interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut heard = Instant::now();
    loop {
        ticks.tick().await;
        if standing.polled_at().elapsed() > config.max_poll_interval {
            warn!(
                group = link.group(),
                "the consumer was not polled for max.poll.interval.ms and leaves its group"
            );
            let _ = leave(&link, &identity, "consumer poll timeout has expired.").await;
            standing.lose();
            return;
        }
        // An answer that comes later than the session's end is worth nothing.
        let report = timeout(config.session_timeout, report(&link, &identity));
        let error = match report.await {
            Ok(Ok(())) => {
                heard = Instant::now();
                continue;
            }
            Ok(Err(error)) => error,
            Err(_) => Error::TimedOut {
                what: "a heartbeat".to_owned(),
                after: config.session_timeout,
            },
        };
        debug!(group = link.group(), %error, "a heartbeat was not accepted");
        match error.code() {
            Some(ErrorCode::RebalanceInProgress) => {
                heard = Instant::now();
                standing.must_rejoin();
            }
            Some(ErrorCode::FencedInstanceId) => {
                standing.fail(error);
                return;
            }
            _ if !error.is_retriable() => {
                standing.lose();
                return;
            }
            _ => link.heed(&error).await,
        }
        if heard.elapsed() > config.session_timeout {
            // The coordinator has removed it by now; the next poll asks.
            standing.must_rejoin();
        }
    }
}

async fn report(link: &Link, identity: &Identity) -> Result<(), Error> {
    let connection = link.connection().await?;
    let version = connection.version_of::<HeartbeatRequest>(i16::MAX)?;
    let mut request = HeartbeatRequest::default();
    request.group_id = group_id(link.group());
    request.generation_id = identity.generation;
    request.member_id = StrBytes::from_string(identity.member_id.clone());
    if version >= 3 {
        let instance_id = identity.instance_id.clone();
        request.group_instance_id = instance_id.map(StrBytes::from_string);
    }
    let response = link.send(&connection, version, &request).await?;
    Error::check(response.error_code, None)
}

/// A static member stays: its session's end or its next start decide.
pub async fn leave(link: &Link, identity: &Identity, reason: &str) -> Result<(), Error> {
    if identity.instance_id.is_some() {
        return Ok(());
    }
    let connection = link.connection().await?;
    let version = connection.version_of::<LeaveGroupRequest>(i16::MAX)?;
    let mut request = LeaveGroupRequest::default();
    request.group_id = group_id(link.group());
    let member_id = StrBytes::from_string(identity.member_id.clone());
    if version < 3 {
        request.member_id = member_id;
    } else {
        let mut member = MemberIdentity::default();
        member.member_id = member_id;
        if version >= 5 {
            member.reason = Some(StrBytes::from_string(reason.to_owned()));
        }
        request.members = vec![member];
    }
    let response = link.send(&connection, version, &request).await?;
    Error::check(response.error_code, None)
}
