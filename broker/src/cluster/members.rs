//! What a leader does so that its group has the members that the metadata says: those that are new learn first, and vote when they have
//! caught up; only then the others go.

use crate::raft::Status;
use crate::raft::ports::PeerId;
use raft::eraftpb::{ConfChangeSingle, ConfChangeType, ConfChangeV2};
use std::collections::BTreeSet;

/// How far behind its leader a replica may be that is to vote.
const CLOSE_ENTRIES: u64 = 1_000;

/// Whether the members are those that it is to have, all with a vote.
pub(super) fn is_whole(status: &Status, wanted: &[PeerId]) -> bool {
    let now = &status.membership;
    let voters: BTreeSet<PeerId> = now.voters.iter().copied().collect();
    let is_settled =
        now.learners.is_empty() && now.voters_outgoing.is_empty() && now.learners_next.is_empty();
    is_settled && voters == wanted.iter().copied().collect()
}

/// The next step; `None` when there is none, or one is under way.
pub(super) fn mend(status: &Status, wanted: &[PeerId]) -> Option<ConfChangeV2> {
    let now = &status.membership;
    if !now.voters_outgoing.is_empty() || !now.learners_next.is_empty() {
        return None;
    }
    let wanted: BTreeSet<PeerId> = wanted.iter().copied().collect();
    let voters: BTreeSet<PeerId> = now.voters.iter().copied().collect();
    let learners: BTreeSet<PeerId> = now.learners.iter().copied().collect();
    let mut changes = Vec::new();
    let is_new = |peer: &&PeerId| !voters.contains(peer) && !learners.contains(peer);
    for peer in wanted.iter().filter(is_new) {
        changes.push(single(ConfChangeType::AddLearnerNode, *peer));
    }
    if changes.is_empty() {
        let is_ready = |peer: &PeerId| {
            let mut progress = status.progress.iter();
            progress.any(|one| {
                one.peer == *peer
                    && one.is_active
                    && one.matched > 0
                    && one.matched + CLOSE_ENTRIES >= status.last_index
            })
        };
        let to_vote: Vec<PeerId> = learners.intersection(&wanted).copied().collect();
        if !to_vote.iter().all(is_ready) {
            return None;
        }
        let to_vote = to_vote.into_iter();
        changes.extend(to_vote.map(|peer| single(ConfChangeType::AddNode, peer)));
        let members = voters.union(&learners);
        let to_go = members.filter(|peer| !wanted.contains(peer));
        changes.extend(to_go.map(|peer| single(ConfChangeType::RemoveNode, *peer)));
    }
    if changes.is_empty() {
        return None;
    }
    let mut change = ConfChangeV2::default();
    change.set_changes(changes.into());
    Some(change)
}

fn single(kind: ConfChangeType, peer: PeerId) -> ConfChangeSingle {
    let mut single = ConfChangeSingle::default();
    single.set_change_type(kind);
    single.node_id = peer;
    single
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::{Progress, Role};
    use raft::eraftpb::ConfState;

    fn status(voters: &[PeerId], learners: &[PeerId], matched: &[(PeerId, u64)]) -> Status {
        let progress = |(peer, matched): &(PeerId, u64)| Progress {
            peer: *peer,
            is_voter: voters.contains(peer),
            matched: *matched,
            is_active: true,
            awaits_snapshot: false,
        };
        Status {
            peer: 1,
            role: Role::Leader,
            term: 2,
            leader: 1,
            commit: 5_000,
            applied: 5_000,
            persisted: 5_000,
            last_index: 5_000,
            membership: ConfState {
                voters: voters.to_vec(),
                learners: learners.to_vec(),
                ..ConfState::default()
            },
            progress: matched.iter().map(progress).collect(),
        }
    }

    fn steps(status: &Status, wanted: &[PeerId]) -> Vec<(ConfChangeType, PeerId)> {
        let change = mend(status, wanted).unwrap_or_default();
        let changes = change.changes.iter();
        changes
            .map(|one| (one.get_change_type(), one.node_id))
            .collect()
    }

    #[test]
    fn what_is_as_it_should_be_is_left_alone() {
        let status = status(&[1, 2, 3], &[], &[(1, 5_000), (2, 5_000), (3, 0)]);
        assert_eq!(steps(&status, &[1, 2, 3]), []);
    }

    #[test]
    fn a_new_replica_learns_before_it_votes_and_the_old_one_goes_when_it_does() {
        use ConfChangeType::{AddLearnerNode, AddNode, RemoveNode};
        let matched = [(1, 5_000), (2, 5_000), (3, 100)];
        let before = status(&[1, 2, 3], &[], &matched);
        assert_eq!(steps(&before, &[1, 2, 4]), [(AddLearnerNode, 4)]);
        let behind = status(
            &[1, 2, 3],
            &[4],
            &[(1, 5_000), (2, 5_000), (3, 100), (4, 3_000)],
        );
        assert_eq!(steps(&behind, &[1, 2, 4]), []);
        let close = status(
            &[1, 2, 3],
            &[4],
            &[(1, 5_000), (2, 5_000), (3, 100), (4, 4_500)],
        );
        assert_eq!(steps(&close, &[1, 2, 4]), [(AddNode, 4), (RemoveNode, 3)]);
        let nothing_yet = status(&[1, 2, 3], &[4], &[(1, 900), (2, 900), (3, 900), (4, 0)]);
        assert_eq!(steps(&nothing_yet, &[1, 2, 4]), []);
    }

    #[test]
    fn a_change_under_way_is_waited_for() {
        let mut joint = status(&[1, 2, 4], &[], &[(1, 5_000), (2, 5_000), (4, 5_000)]);
        joint.membership.voters_outgoing = vec![1, 2, 3];
        assert_eq!(steps(&joint, &[1, 2, 5]), []);
    }
}
