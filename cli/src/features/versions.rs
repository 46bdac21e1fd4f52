//! The releases of Kafka by the levels of their features: what `version-mapping` shows, and how `metadata.version` is printed.

/// Level, name and release of each `metadata.version`.
const RELEASES: [(i16, &str, &str); 25] = [
    (7, "3.3-IV3", "3.3"),
    (8, "3.4-IV0", "3.4"),
    (9, "3.5-IV0", "3.5"),
    (10, "3.5-IV1", "3.5"),
    (11, "3.5-IV2", "3.5"),
    (12, "3.6-IV0", "3.6"),
    (13, "3.6-IV1", "3.6"),
    (14, "3.6-IV2", "3.6"),
    (15, "3.7-IV0", "3.7"),
    (16, "3.7-IV1", "3.7"),
    (17, "3.7-IV2", "3.7"),
    (18, "3.7-IV3", "3.7"),
    (19, "3.7-IV4", "3.7"),
    (20, "3.8-IV0", "3.8"),
    (21, "3.9-IV0", "3.9"),
    (22, "4.0-IV0", "4.0"),
    (23, "4.0-IV1", "4.0"),
    (24, "4.0-IV2", "4.0"),
    (25, "4.0-IV3", "4.0"),
    (26, "4.1-IV0", "4.1"),
    (27, "4.1-IV1", "4.1"),
    (28, "4.2-IV0", "4.2"),
    (29, "4.2-IV1", "4.2"),
    (30, "4.3-IV0", "4.3"),
    (31, "4.4-IV0", "4.4"),
];

pub const METADATA: &str = "metadata.version";

/// The other features, in Kafka's order: the level that each has with releases from a `metadata.version` on.
const FEATURES: [(&str, &[(i16, i16)]); 6] = [
    ("kraft.version", &[(21, 1)]),
    ("transaction.version", &[(24, 2)]),
    ("group.version", &[(22, 1)]),
    ("eligible.leader.replicas.version", &[(26, 1)]),
    ("share.version", &[(28, 1)]),
    ("streams.version", &[(29, 1)]),
];

/// `eligible.leader.replicas.version` 1 needs this level of `metadata.version`.
const ELIGIBLE_LEADERS: (&str, i16) = ("eligible.leader.replicas.version", 23);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Release {
    pub level: i16,
    pub name: &'static str,
}

fn release(&(level, name, _): &(i16, &'static str, &'static str)) -> Release {
    Release { level, name }
}

pub fn latest() -> Release {
    release(&RELEASES[RELEASES.len() - 1])
}

/// By its name, or the newest of a release (`4.3`).
pub fn parse(text: &str) -> Result<Release, String> {
    let found = RELEASES
        .iter()
        .rev()
        .find(|(_, name, short)| *name == text || *short == text);
    found.map(release).ok_or_else(|| {
        let names: Vec<&str> = RELEASES.iter().map(|(_, name, _)| *name).collect();
        format!(
            "Unknown metadata.version '{text}'. Supported metadata.version are: {}",
            names.join(", ")
        )
    })
}

/// As `describe` shows a level: that of `metadata.version` by its name.
pub fn level_text(feature: &str, level: i16) -> String {
    let named = RELEASES.iter().find(|(known, ..)| *known == level);
    match named {
        Some((_, name, _)) if feature == METADATA => (*name).to_owned(),
        None if feature == METADATA => format!("UNKNOWN [{level}]"),
        _ => level.to_string(),
    }
}

/// The levels that a release brings.
pub fn features_of(release: Release) -> Vec<(&'static str, i16)> {
    let level = |steps: &[(i16, i16)]| {
        let reached = steps.iter().rev().find(|(from, _)| *from <= release.level);
        reached.map_or(0, |(_, level)| *level)
    };
    FEATURES
        .iter()
        .map(|(name, steps)| (*name, level(steps)))
        .collect()
}

/// What a level of a feature needs of `metadata.version`, if anything.
pub fn dependency(feature: &str, level: i16) -> Result<Option<i16>, String> {
    let newest = match FEATURES.iter().find(|(name, _)| *name == feature) {
        Some((_, steps)) => steps.iter().map(|(_, level)| *level).max().unwrap_or(0),
        None if feature == METADATA => {
            return match RELEASES.iter().any(|(known, ..)| *known == level) {
                true => Ok(None),
                false => Err(format!("No metadata.version with feature level {level}")),
            };
        }
        None => return Err(format!("Unknown feature: {feature}")),
    };
    if !(0..=newest).contains(&level) {
        return Err(format!("No feature:{feature} with feature level {level}"));
    }
    let (eligible, needs) = ELIGIBLE_LEADERS;
    Ok((feature == eligible && level > 0).then_some(needs))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_known_by_its_name_and_by_its_number() {
        assert_eq!(parse("4.2").map(|r| r.level), Ok(29));
        assert_eq!(parse("4.2-IV0").map(|r| r.level), Ok(28));
        assert!(parse("2.0").is_err());
        assert_eq!(level_text(METADATA, 30), "4.3-IV0");
        assert_eq!(level_text("group.version", 1), "1");
    }

    #[test]
    fn a_release_brings_the_levels_of_its_day() {
        let of = |text: &str| features_of(parse(text).expect("a release"));
        assert!(of("3.3").iter().all(|(_, level)| *level == 0));
        let levels: Vec<i16> = of("4.0-IV2").into_iter().map(|(_, level)| level).collect();
        assert_eq!(levels, [1, 2, 1, 0, 0, 0]);
        assert!(features_of(latest()).iter().all(|(_, level)| *level > 0));
    }

    #[test]
    fn only_what_exists_has_dependencies() {
        assert_eq!(
            dependency("eligible.leader.replicas.version", 1),
            Ok(Some(23))
        );
        assert_eq!(dependency("group.version", 1), Ok(None));
        assert_eq!(dependency("foo", 1), Err("Unknown feature: foo".to_owned()));
        assert!(dependency("group.version", 9).is_err());
    }
}
