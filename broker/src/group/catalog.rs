//! The topics that there are, as the rules of groups see them.

use super::Name;
use crate::metadata::{self, Image};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use uuid::Uuid;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    pub id: Uuid,
    pub name: Name,
    /// For each partition, the racks that hold a replica of it.
    pub racks: Vec<BTreeSet<Name>>,
}

impl Topic {
    /// The partitions, by their numbers.
    pub fn partitions(&self) -> std::ops::Range<i32> {
        0..i32::try_from(self.racks.len()).unwrap_or(i32::MAX)
    }
}

#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// Another catalog has another number.
    pub version: u64,
    by_name: BTreeMap<Name, Arc<Topic>>,
    by_id: HashMap<Uuid, Arc<Topic>>,
}

impl FromIterator<Topic> for Catalog {
    fn from_iter<T: IntoIterator<Item = Topic>>(topics: T) -> Catalog {
        let mut catalog = Catalog::default();
        for topic in topics {
            let topic = Arc::new(topic);
            catalog.by_id.insert(topic.id, topic.clone());
            catalog.by_name.insert(topic.name.clone(), topic);
        }
        catalog
    }
}

impl Catalog {
    /// What groups see of the cluster's metadata.
    pub fn of(image: &Image) -> Catalog {
        let racks: HashMap<_, Name> = image
            .brokers
            .iter()
            .filter_map(|(id, broker)| Some((*id, Name::from(broker.rack.as_deref()?))))
            .collect();
        let racks_of = |partition: &metadata::Partition| {
            let replicas = partition.replicas.iter();
            replicas.filter_map(|id| racks.get(id).cloned()).collect()
        };
        let topics = image.topics.values().map(|topic| Topic {
            id: topic.id,
            name: Name::from(&*topic.name),
            racks: topic.partitions.iter().map(racks_of).collect(),
        });
        Catalog {
            version: image.version,
            ..Catalog::from_iter(topics)
        }
    }

    /// Whether the catalogs of two images are alike.
    pub fn is_same(one: &Image, other: &Image) -> bool {
        let topics = one.topics.values().zip(other.topics.values());
        one.version == other.version
            || one.topics.len() == other.topics.len()
                && topics
                    .into_iter()
                    .all(|(one, other)| Arc::ptr_eq(one, other))
                && one.brokers == other.brokers
    }

    pub fn named(&self, name: &str) -> Option<&Arc<Topic>> {
        self.by_name.get(name)
    }

    pub fn with_id(&self, id: &Uuid) -> Option<&Arc<Topic>> {
        self.by_id.get(id)
    }

    /// In the order of their names.
    pub fn topics(&self) -> impl Iterator<Item = &Arc<Topic>> {
        self.by_name.values()
    }
}
