//! What the rules go by as of now: the broker's settings and the groups' own change while it runs.

use super::settings::{PassedOver, Settings};
use crate::config::BrokerConfig;
use crate::metadata;
use crate::replicas::Effective;
use std::sync::Arc;

pub struct Current {
    metadata: metadata::Handle,
    config: Effective,
    /// Of the image that `settings` follow from.
    version: u64,
    settings: Arc<Settings>,
    passed_over: Vec<PassedOver>,
}

impl Current {
    pub fn new(metadata: metadata::Handle, started_with: Arc<BrokerConfig>) -> Current {
        let settings = Arc::new(Settings::of(&started_with));
        let mut current = Current {
            metadata,
            config: Effective::new(started_with),
            version: 0,
            settings,
            passed_over: Vec::new(),
        };
        current.settings();
        current
    }

    /// The same one again while nothing has changed.
    pub fn settings(&mut self) -> Arc<Settings> {
        let image = self.metadata.image();
        if image.version == self.version {
            return self.settings.clone();
        }
        self.version = image.version;
        self.config.follow(&image);
        let config = self.config.now();
        let (settings, passed_over) = Settings::of(config).with_own(&image, config);
        if passed_over != self.passed_over {
            for PassedOver { group, error } in &passed_over {
                tracing::warn!(%group, %error, "a group's stored setting is passed over");
            }
            self.passed_over = passed_over;
        }
        if settings != *self.settings {
            self.settings = Arc::new(settings);
        }
        self.settings.clone()
    }
}
