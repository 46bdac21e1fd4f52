//! Which versions of each api a broker speaks, and which of them to use.

use crate::wire::messages::ApiVersionsResponse;
use millrace_wire::ApiKey;
use std::collections::BTreeMap;

/// Both bounds are inclusive, as Kafka's answers have them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Versions {
    ranges: BTreeMap<i16, (i16, i16)>,
    /// Finalized features with their greatest level.
    pub features: BTreeMap<String, i16>,
}

impl Versions {
    pub fn of(response: &ApiVersionsResponse) -> Versions {
        let ranges = response.api_keys.iter();
        let features = response.finalized_features.iter();
        Versions {
            ranges: ranges
                .map(|api| (api.api_key, (api.min_version, api.max_version)))
                .collect(),
            features: features
                .map(|feature| (feature.name.to_string(), feature.max_version_level))
                .collect(),
        }
    }

    /// Every api that the broker named, known to us or not.
    pub fn iter(&self) -> impl Iterator<Item = (i16, i16, i16)> + '_ {
        self.ranges
            .iter()
            .map(|(&key, &(min, max))| (key, min, max))
    }

    /// The newest version that the broker and we speak, not above `cap`.
    pub fn choose(&self, api: ApiKey, cap: i16) -> Option<i16> {
        let &(min, max) = self.ranges.get(&i16::from(api))?;
        let ours = api.versions();
        let newest = max.min(*ours.end()).min(cap);
        (newest >= min.max(*ours.start())).then_some(newest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn versions(api: ApiKey, min: i16, max: i16) -> Versions {
        Versions {
            ranges: BTreeMap::from([(i16::from(api), (min, max))]),
            features: BTreeMap::new(),
        }
    }

    #[test]
    fn the_newest_common_version_is_used() {
        let check = |min, max, cap, expected| {
            let chosen = versions(ApiKey::Produce, min, max).choose(ApiKey::Produce, cap);
            assert_eq!(chosen, expected, "{min} to {max}, at most {cap}");
        };
        check(0, 13, 12, Some(12));
        check(0, 7, 12, Some(7));
        check(0, 99, i16::MAX, Some(13));
        check(0, 2, 12, None);
        check(13, 13, 12, None);
        assert_eq!(Versions::default().choose(ApiKey::Fetch, 12), None);
    }
}
