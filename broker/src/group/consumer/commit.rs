//! Who may commit offsets for a consumer group, and who may ask for them as a member.

use super::group::ConsumerGroup;
use super::member::Member;
use crate::group::classic::Claim;
use millrace_wire::ErrorCode;
use uuid::Uuid;

/// From here on OffsetCommit carries the epoch of a member.
const WITH_EPOCH: i16 = 9;

/// What of a commit is to be taken.
pub enum Committer<'a> {
    /// All of it.
    Anything,
    /// What this member had already when it was in that epoch.
    Since(&'a Member, i32),
}

impl ConsumerGroup {
    pub fn check_commit(&self, claim: Claim<'_>, version: i16) -> Result<Committer<'_>, ErrorCode> {
        // A tool, or a consumer that assigns itself, while nobody is there.
        if claim.generation < 0 && self.members.is_empty() {
            return Ok(Committer::Anything);
        }
        let member = self.members.get(claim.member_id);
        let member = member.ok_or(ErrorCode::UnknownMemberId)?;
        let is_classic = member.said.classic.is_some();
        if !is_classic && version < WITH_EPOCH {
            return Err(ErrorCode::UnsupportedVersion);
        }
        match claim.generation {
            epoch if epoch == member.at.epoch => Ok(Committer::Anything),
            epoch if epoch > member.at.epoch => Err(stale(member)),
            // It has not heard yet of its new epoch. What it has had since before it may commit all the same (KIP-1251).
            epoch => Ok(Committer::Since(member, epoch)),
        }
    }

    /// A member that asks with an epoch must be in it; who is no member does not say one.
    pub fn check_fetch(&self, member_id: Option<&str>, epoch: i32) -> Result<(), ErrorCode> {
        let Some(id) = member_id else {
            return match epoch {
                ..0 => Ok(()),
                _ => Err(ErrorCode::UnknownMemberId),
            };
        };
        let member = self.members.get(id).ok_or(ErrorCode::UnknownMemberId)?;
        match epoch == member.at.epoch {
            true => Ok(()),
            false => Err(stale(member)),
        }
    }
}

impl Committer<'_> {
    pub fn check(&self, topic: &Uuid, partition: i32) -> Result<(), ErrorCode> {
        match self {
            Committer::Anything => Ok(()),
            Committer::Since(member, epoch) => match member.at.since(topic, partition) {
                Some(since) if since <= *epoch => Ok(()),
                _ => Err(stale(member)),
            },
        }
    }
}

fn stale(member: &Member) -> ErrorCode {
    match member.said.classic {
        Some(_) => ErrorCode::IllegalGeneration,
        None => ErrorCode::StaleMemberEpoch,
    }
}
