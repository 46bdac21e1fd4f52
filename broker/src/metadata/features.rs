//! The features whose levels a cluster agrees on (KIP-584): only those that this release really has.

use super::BrokerId;
use super::image::Image;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A feature, and the levels of it that this release works at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feature {
    pub name: &'static str,
    pub min: i16,
    pub max: i16,
    /// What clusters were at before levels were kept. It never changes.
    before: i16,
}

/// What Kafka's metadata.version says to clients and tools: which of its releases the cluster is like. Millrace's metadata has a format
/// of its own, and nothing in it depends on this.
pub const METADATA_VERSION: Feature = Feature {
    name: "metadata.version",
    // 4.3-IV0
    min: 30,
    max: 30,
    before: 30,
};

/// 1 has groups of the consumer protocol (KIP-848); 0 has not.
pub const GROUP_VERSION: Feature = Feature {
    name: "group.version",
    min: 0,
    max: 1,
    before: 1,
};

pub const SUPPORTED: [Feature; 2] = [GROUP_VERSION, METADATA_VERSION];

/// One feature's level is to be another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeatureUpdate {
    pub feature: String,
    pub level: i16,
    /// `None` when the client's is of no type that is known.
    pub direction: Option<Direction>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Direction {
    Up,
    /// Without losing anything, or whatever is lost: no feature of today makes a difference.
    Down,
}

/// What is recorded when nothing is: the newest for a cluster that begins, and what it was like for one that is older than levels.
pub(super) fn first(is_new: bool) -> BTreeMap<String, i32> {
    let level = |feature: Feature| match is_new {
        true => feature.max,
        false => feature.before,
    };
    SUPPORTED
        .into_iter()
        .map(|feature| (feature.name.to_owned(), level(feature).into()))
        .collect()
}

/// The levels that change. All or none: an error is about the first that cannot be, in Kafka's words. `controller` is who says so.
pub(super) fn update(
    image: &Image,
    controller: BrokerId,
    updates: &[FeatureUpdate],
) -> Result<BTreeMap<String, i32>, String> {
    let mut changed = BTreeMap::new();
    for update in updates {
        let FeatureUpdate { feature, level, .. } = update;
        let refuse = |why: &str| {
            Err(format!(
                "The update failed for all features since the following feature had an error: \
                 Invalid update version {level} for feature {feature}. {why}"
            ))
        };
        let Some(direction) = update.direction else {
            return refuse("The controller does not support the given upgrade type.");
        };
        if *level < 0 {
            return refuse("A feature version cannot be less than 0.");
        }
        let known = SUPPORTED.iter().find(|known| known.name == feature);
        let Some(Feature { min, max, .. }) = known else {
            return refuse(&format!(
                "Local controller {controller} does not support this feature."
            ));
        };
        if !(*min..=*max).contains(level) {
            let range = match min == max {
                true => min.to_string(),
                false => format!("{min}-{max}"),
            };
            return refuse(&format!(
                "Local controller {controller} only supports versions {range}"
            ));
        }
        let now = image.level(feature);
        match direction {
            Direction::Up if *level < now => {
                return refuse(
                    "Can't downgrade the version of this feature without setting the upgrade type to either safe or unsafe downgrade.",
                );
            }
            Direction::Down if *level > now => {
                return refuse("Can't downgrade to a newer version.");
            }
            Direction::Up | Direction::Down => {}
        }
        if *level != now {
            changed.insert(feature.clone(), i32::from(*level));
        }
    }
    Ok(changed)
}

/// The level where nothing was recorded.
pub(super) fn before(name: &str) -> i16 {
    let known = SUPPORTED.iter().find(|feature| feature.name == name);
    known.map_or(0, |feature| feature.before)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(feature: &str, level: i16, direction: Option<Direction>) -> String {
        let feature = feature.to_owned();
        let one = FeatureUpdate {
            feature,
            level,
            direction,
        };
        match update(&Image::default(), 7, &[one]) {
            Ok(changed) => format!("{changed:?}"),
            Err(why) => why.split(". ").skip(1).collect::<Vec<_>>().join(". "),
        }
    }

    #[test]
    fn levels_go_where_they_may() {
        let (up, down) = (Some(Direction::Up), Some(Direction::Down));
        assert_eq!(refused("group.version", 1, up), "{}");
        assert_eq!(refused("group.version", 0, down), "{\"group.version\": 0}");
        assert!(refused("group.version", 0, up).starts_with("Can't downgrade the version"));
        assert_eq!(
            refused("group.version", 2, up),
            "Local controller 7 only supports versions 0-1"
        );
        assert_eq!(
            refused("metadata.version", 25, down),
            "Local controller 7 only supports versions 30"
        );
        assert_eq!(
            refused("transaction.version", 2, up),
            "Local controller 7 does not support this feature."
        );
        assert_eq!(
            refused("group.version", -1, down),
            "A feature version cannot be less than 0."
        );
        assert!(refused("group.version", 1, None).contains("the given upgrade type"));
    }

    #[test]
    fn new_clusters_begin_at_the_newest_levels_and_old_ones_where_they_were() {
        let level = |levels: &BTreeMap<String, i32>| levels["group.version"];
        assert_eq!(level(&first(true)), i32::from(GROUP_VERSION.max));
        assert_eq!(level(&first(false)), 1);
    }
}
