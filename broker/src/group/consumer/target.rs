//! From what members want to who is to read what.

use super::assignor::Subscriber;
use super::group::{ConsumerGroup, NOTHING};
use super::pattern::{self, Matches};
use crate::group::{Name, Scene};

impl ConsumerGroup {
    /// Begins the group's next epoch, if anything has changed that asks for another assignment.
    pub(super) fn advance(&mut self, scene: &mut Scene<'_>, has_other_wishes: bool) {
        let sees_news = self.seen_catalog != scene.catalog.version;
        if !has_other_wishes && !sees_news {
            return;
        }
        let has_other_matches = self.match_patterns(scene, sees_news);
        let hash = self.hash(scene.catalog);
        self.seen_catalog = scene.catalog.version;
        if has_other_wishes || has_other_matches || hash != self.metadata_hash {
            self.metadata_hash = hash;
            self.begin_epoch(scene);
        }
    }

    pub(super) fn begin_epoch(&mut self, scene: &mut Scene<'_>) {
        self.epoch = self.epoch.saturating_add(1);
        scene.effects.records.push(self.record());
    }

    /// Looks for the topics of patterns that are new, or of all; forgets patterns that nobody has any more. Whether anything has
    /// changed.
    fn match_patterns(&mut self, scene: &mut Scene<'_>, all: bool) -> bool {
        let members = self.members.values();
        let patterns: std::collections::BTreeSet<Name> = members
            .filter_map(|member| member.said.pattern.clone())
            .collect();
        let gone: Vec<Name> = self
            .patterns
            .keys()
            .filter(|one| !patterns.contains(*one))
            .cloned()
            .collect();
        let mut has_changed = !gone.is_empty();
        for pattern in gone {
            self.patterns.remove(&pattern);
            scene.effects.records.push(self.pattern_tombstone(&pattern));
        }
        for pattern in patterns {
            let before = self.patterns.get(&pattern);
            if before.is_some() && !all {
                continue;
            }
            let topics = pattern::matches(&pattern, scene.catalog);
            if before.is_some_and(|before| before.topics == topics) {
                continue;
            }
            has_changed = true;
            let matches = Matches {
                topics,
                version: scene.catalog.version,
                at_ms: scene.now.wall_ms,
            };
            scene
                .effects
                .records
                .push(self.pattern_record(&pattern, &matches));
            self.patterns.insert(pattern, matches);
        }
        has_changed
    }

    /// How long it is until the next decision may be taken.
    pub(super) fn decides_in_ms(&self, scene: &Scene<'_>) -> u32 {
        let interval_ms = scene.settings.pace(&self.id).assignment_interval_ms;
        let since_ms = scene.now.wall_ms.saturating_sub(self.target.at_ms);
        match u32::try_from(since_ms) {
            Ok(since_ms) if self.target.epoch > 0 => interval_ms.saturating_sub(since_ms),
            // The first one, or long ago, or the clock went back.
            _ => 0,
        }
    }

    /// Decides who is to read what in this epoch, unless that is done or was done a moment ago.
    pub(super) fn decide(&mut self, scene: &mut Scene<'_>) {
        if self.epoch <= self.target.epoch || self.decides_in_ms(scene) > 0 {
            return;
        }
        let members: Vec<Subscriber<'_>> = self
            .members
            .values()
            .map(|member| Subscriber {
                id: &member.id,
                instance_id: member.said.instance_id.as_ref(),
                rack: member.said.rack_id.as_ref(),
                topics: self.wishes(member, scene.catalog),
                had: self.target.members.get(&member.id).unwrap_or(&NOTHING),
            })
            .collect();
        let assigned = self
            .assignor(scene.settings)
            .assign(&members, scene.catalog);
        let ids: Vec<Name> = members.iter().map(|member| member.id.clone()).collect();
        for (id, target) in ids.into_iter().zip(assigned) {
            if self.target.members.get(&id) != Some(&target) {
                scene.effects.records.push(self.target_record(&id, &target));
                self.target.members.insert(id, target);
            }
        }
        self.target.epoch = self.epoch;
        self.target.at_ms = scene.now.wall_ms;
        scene.effects.records.push(self.target_epoch_record());
        tracing::debug!(
            group = &*self.id,
            epoch = self.epoch,
            members = self.members.len(),
            "it is decided who reads what"
        );
    }
}
