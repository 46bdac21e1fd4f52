//! Who leads each partition, as their leaders tell: at once when that changes, and all of it to a broker that comes.

use super::hub::{LEADERS, encode};
use super::{Cluster, Inner};
use crate::metadata::{BrokerId, Image};
use crate::partition::Role;
use crate::partition::epochs::leader_epoch_of;
use crate::raft::ports::GroupId;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// How long news wait for others of their kind.
const GATHERING: Duration = Duration::from_millis(2);

/// How many are told at once.
const MAX_TOLD: usize = 2_000;

/// The leader of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lead {
    pub term: u64,
    pub broker: BrokerId,
    /// The brokers whose replicas are in sync, by their ids.
    pub in_sync: Arc<[BrokerId]>,
}

impl Lead {
    /// The leader epoch, as clients know it.
    pub fn epoch(&self) -> i32 {
        leader_epoch_of(self.term).unwrap_or(-1)
    }
}

/// What a broker says of groups that it leads.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Rumours {
    led: Vec<Rumour>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Rumour {
    group: GroupId,
    term: u64,
    in_sync: Vec<BrokerId>,
}

/// As far as this broker has heard.
#[derive(Debug, Default)]
pub struct Leaders {
    known: RwLock<HashMap<GroupId, Lead>>,
}

impl Leaders {
    pub fn of(&self, group: GroupId) -> Option<Lead> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.get(&group).cloned()
    }

    /// True when that is news.
    pub(super) fn learn(&self, group: GroupId, lead: Lead) -> bool {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        match known.get(&group) {
            Some(before) if before.term > lead.term || *before == lead => false,
            _ => {
                known.insert(group, lead);
                true
            }
        }
    }

    pub(super) fn hear(&self, from: BrokerId, rumours: Rumours) {
        for rumour in rumours.led {
            let Rumour {
                group,
                term,
                in_sync,
            } = rumour;
            let lead = Lead {
                term,
                broker: from,
                in_sync: in_sync.into(),
            };
            self.learn(group, lead);
        }
    }

    fn led_by(&self, broker: BrokerId) -> Vec<(GroupId, Lead)> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let led = known.iter().filter(|(_, lead)| lead.broker == broker);
        led.map(|(group, lead)| (*group, lead.clone())).collect()
    }

    fn forget_deleted(&self, image: &Image) {
        let partitions = image.topics.values().flat_map(|topic| &topic.partitions);
        let there: BTreeSet<GroupId> = partitions.map(|partition| partition.group).collect();
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.retain(|group, _| there.contains(group));
    }
}

impl Cluster {
    /// Tells the others what this broker comes to lead, as soon as it does.
    pub(super) fn spread_leaders(&self) {
        let inner = self.inner.clone();
        self.inner.tasks.spawn(async move {
            let Some(engine) = inner.engine() else {
                return;
            };
            loop {
                tokio::select! {
                    () = inner.stop.cancelled() => return,
                    () = engine.turnovers().any() => {}
                }
                tokio::time::sleep(GATHERING).await;
                let changed = engine.turnovers().take();
                inner.note_led(&changed);
                if changed.len() > 1 || !changed.is_empty() {
                    inner.forget_deleted();
                }
            }
        });
    }
}

impl Inner {
    fn forget_deleted(&self) {
        if let Some(metadata) = self.metadata.get() {
            let image = metadata.image();
            let partitions: usize = image
                .topics
                .values()
                .map(|topic| topic.partitions.len())
                .sum();
            let known = self
                .leaders
                .known
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .len();
            // The metadata may be behind what leaders tell, but not by twice as many.
            if known > 2 * partitions + MAX_TOLD {
                self.leaders.forget_deleted(&image);
            }
        }
    }

    /// Looks at replicas here whose role has changed.
    fn note_led(&self, groups: &BTreeSet<GroupId>) {
        let Some(engine) = self.engine() else {
            return;
        };
        let mut news = Vec::new();
        for group in groups {
            let Some(handle) = engine.partition(*group) else {
                continue;
            };
            let positions = handle.positions();
            if positions.role != Role::Leader || !positions.is_current {
                continue;
            }
            let before = self.leaders.of(*group);
            let in_sync = match before {
                Some(lead) if lead.term == positions.term => lead.in_sync,
                // Until more is known: who is there.
                _ => self.members_up(&handle),
            };
            let lead = Lead {
                term: positions.term,
                broker: self.me,
                in_sync,
            };
            self.leaders.learn(*group, lead.clone());
            news.push((*group, lead));
        }
        self.tell(&news, None);
    }

    /// This broker's replica leads, and these are in sync.
    pub(super) fn note_in_sync(&self, found: Vec<(GroupId, Lead)>) {
        let mut news = found;
        news.retain(|(group, lead)| self.leaders.learn(*group, lead.clone()));
        self.tell(&news, None);
    }

    pub(super) fn tell_leaders_to(&self, broker: BrokerId) {
        self.tell(&self.leaders.led_by(self.me), Some(broker));
    }

    fn tell(&self, led: &[(GroupId, Lead)], to: Option<BrokerId>) {
        let to: Vec<BrokerId> = match to {
            Some(one) => vec![one],
            None => self.up().keys().copied().collect(),
        };
        for some in led.chunks(MAX_TOLD) {
            let led = some.iter().map(|(group, lead)| Rumour {
                group: *group,
                term: lead.term,
                in_sync: lead.in_sync.to_vec(),
            });
            let body = encode(&Rumours { led: led.collect() });
            for broker in &to {
                // One that hangs hears all of it when it is back.
                self.peers().post_note(*broker, LEADERS, body.clone());
            }
        }
    }

    pub(super) fn members_up(&self, handle: &crate::engine::Handle) -> Arc<[BrokerId]> {
        let up: BTreeMap<BrokerId, ()> = self.up().keys().map(|id| (*id, ())).collect();
        let members = handle.members();
        if members.is_empty() {
            // A partition that has no other replica.
            return [self.me].into();
        }
        let there = members.iter().map(|(_, broker)| *broker);
        let there = there.filter(|broker| *broker == self.me || up.contains_key(broker));
        there.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lead(term: u64, broker: BrokerId) -> Lead {
        Lead {
            term,
            broker,
            in_sync: [broker].into(),
        }
    }

    #[test]
    fn an_older_leader_is_no_news() {
        let leaders = Leaders::default();
        let group = GroupId(4);
        assert!(leaders.learn(group, lead(3, 1)));
        assert!(!leaders.learn(group, lead(2, 2)));
        assert!(!leaders.learn(group, lead(3, 1)));
        assert_eq!(leaders.of(group), Some(lead(3, 1)));
        assert!(leaders.learn(group, lead(5, 2)));
        assert_eq!(leaders.of(group), Some(lead(5, 2)));
        assert_eq!(leaders.led_by(1), []);
    }
}
