//! The broker's configuration in effect: what it was started with, and what was set since.

use crate::config::{BrokerConfig, DynamicSettings, Level};
use crate::metadata::{Image, Resource};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Computed anew only when what was set has changed: requests ask for it.
pub struct Effective {
    started_with: Arc<BrokerConfig>,
    /// On this broker and on all, of which `now` is made; `None` before the first image.
    set: Option<[BTreeMap<String, String>; 2]>,
    now: Arc<BrokerConfig>,
}

impl Effective {
    pub fn new(started_with: Arc<BrokerConfig>) -> Effective {
        Effective {
            now: started_with.clone(),
            started_with,
            set: None,
        }
    }

    pub fn now(&self) -> &Arc<BrokerConfig> {
        &self.now
    }

    /// Takes what is set in `image`. True when that is something else than before.
    pub fn follow(&mut self, image: &Image) -> bool {
        let own = image.configs(&Resource::Broker(self.started_with.node_id));
        let all = image.configs(&Resource::AllBrokers);
        let none = BTreeMap::new();
        let (own, all) = (own.unwrap_or(&none), all.unwrap_or(&none));
        if self
            .set
            .as_ref()
            .is_some_and(|set| [own, all] == [&set[0], &set[1]])
        {
            return false;
        }
        let now = self
            .started_with
            .with_dynamic(&read(own, Level::Broker), &read(all, Level::Cluster));
        self.now = Arc::new(now);
        self.set = Some([own.clone(), all.clone()]);
        true
    }
}

fn read(stored: &BTreeMap<String, String>, level: Level) -> DynamicSettings {
    let pairs = stored
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    let (settings, passed_over) = DynamicSettings::from_stored(pairs, level);
    for error in passed_over {
        tracing::warn!(%error, "a stored broker setting is passed over");
    }
    settings
}
