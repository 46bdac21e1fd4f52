//! The topics that there are, as the rules of groups see them.

use super::Name;
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
