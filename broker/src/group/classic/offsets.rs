//! Who may commit offsets for a classic group.

use super::state::{Claim, ClassicGroup, State};
use crate::group::Scene;
use millrace_wire::ErrorCode;

impl ClassicGroup {
    /// A member commits, or somebody who is no member while there is none: a tool, or a consumer that assigns itself.
    pub fn check_commit(
        &mut self,
        scene: &mut Scene<'_>,
        claim: Claim<'_>,
        is_transactional: bool,
    ) -> Result<(), ErrorCode> {
        // A tool, or a consumer that assigns itself, whatever it calls itself.
        if claim.generation < 0 && self.state == State::Empty {
            return Ok(());
        }
        let is_anonymous =
            claim.generation < 0 && claim.member_id.is_empty() && claim.instance_id.is_none();
        if is_anonymous {
            // The producer of a transaction may leave its member unnamed (before KIP-447).
            return match is_transactional {
                true => Ok(()),
                false => Err(ErrorCode::UnknownMemberId),
            };
        }
        let id = self.claimed_now(claim)?.id.clone();
        // Nobody knows yet who is to read what.
        if self.state == State::CompletingRebalance && !is_transactional {
            return Err(ErrorCode::RebalanceInProgress);
        }
        self.heard(scene, &id);
        Ok(())
    }
}
