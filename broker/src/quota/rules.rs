//! What may be set, with Kafka's words for what may not.

use super::kind::{Kind, Number};
use crate::metadata::{QuotaEntity, QuotaName};
use std::net::IpAddr;

pub const USER: &str = "user";
pub const CLIENT_ID: &str = "client-id";
pub const IP: &str = "ip";

/// As far from a whole number as Kafka lets one be.
const FRACTION: f64 = 1e-6;

/// Whom a client means; a name of `None` is the default.
pub fn entity<'a>(
    parts: impl IntoIterator<Item = (&'a str, Option<&'a str>)>,
) -> Result<QuotaEntity, String> {
    let mut entity = QuotaEntity::default();
    for (kind, name) in parts {
        let place = match kind {
            USER => &mut entity.user,
            CLIENT_ID => &mut entity.client_id,
            IP => &mut entity.ip,
            other => return Err(format!("Unhandled client quota entity type: {other}")),
        };
        *place = Some(match name {
            Some("") => return Err(format!("Empty {kind} not supported")),
            Some(name) => QuotaName::Of(name.to_owned()),
            None => QuotaName::Default,
        });
    }
    match &entity.ip {
        None if entity == QuotaEntity::default() => {
            return Err("Invalid empty client quota entity".to_owned());
        }
        None => {}
        Some(_) if entity.user.is_some() || entity.client_id.is_some() => {
            // Kafka lacks the space, too.
            return Err(
                "Invalid quota entity combination, IP entity shouldnot be combined with User or ClientId"
                    .to_owned(),
            );
        }
        Some(name) => {
            if let Some(name) = name.name()
                && name.parse::<IpAddr>().is_err()
            {
                return Err(format!("{name} is not a valid IP or resolvable host."));
            }
        }
    }
    Ok(entity)
}

/// Whether `entity` may have a quota of `value` under `key`.
pub fn value(entity: &QuotaEntity, key: &str, value: f64) -> Result<(), String> {
    let of_addresses = entity.ip.is_some();
    let kind = Kind::ALL
        .into_iter()
        .find(|kind| kind.key() == key && kind.is_of_addresses() == of_addresses)
        .ok_or_else(|| format!("Invalid configuration key {key}"))?;
    // Kafka lets what is no number pass, and then compares with it.
    if value.is_nan() || value <= 0.0 {
        return Err(format!("Quota {key} must be greater than 0"));
    }
    let (most, name) = match kind.number() {
        Number::Double => return Ok(()),
        Number::Int => (f64::from(i32::MAX), "an INT"),
        Number::Long => (i64::MAX as f64, "a LONG"),
    };
    if value > most {
        return Err(format!("Proposed value for {key} is too large for {name}."));
    }
    if (value % 1.0).abs() > FRACTION {
        return Err(format!("{key} cannot be a fractional value."));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn entity_of(parts: &[(&str, Option<&str>)]) -> Result<QuotaEntity, String> {
        entity(parts.iter().copied())
    }

    fn refused(parts: &[(&str, Option<&str>)], words: Expect) {
        words.assert_eq(&entity_of(parts).expect_err("it is refused"));
    }

    #[test]
    fn an_entity_is_of_users_and_client_ids_or_of_an_address() {
        refused(&[], expect!["Invalid empty client quota entity"]);
        refused(&[("user", Some(""))], expect!["Empty user not supported"]);
        refused(
            &[("group", Some("g"))],
            expect!["Unhandled client quota entity type: group"],
        );
        refused(
            &[("ip", None), ("user", None)],
            expect![
                "Invalid quota entity combination, IP entity shouldnot be combined with User or ClientId"
            ],
        );
        refused(
            &[("ip", Some("1.2.3"))],
            expect!["1.2.3 is not a valid IP or resolvable host."],
        );
        for right in [
            &[("user", None), ("client-id", Some("c"))][..],
            &[("ip", Some("::1"))],
            &[("ip", None)],
        ] {
            assert!(entity_of(right).is_ok(), "{right:?}");
        }
    }

    #[test]
    fn of_what_is_named_twice_the_last_counts() {
        let twice = entity_of(&[("user", Some("a")), ("user", None)]).expect("it is right");
        assert_eq!(twice.user, Some(QuotaName::Default));
    }

    fn check(kind: &str, key: &str, number: f64, words: Expect) {
        let entity = entity_of(&[(kind, None)]).expect("it is right");
        words.assert_eq(&value(&entity, key, number).err().unwrap_or_default());
    }

    #[test]
    fn a_value_fits_its_key_and_the_key_its_entity() {
        check("user", "producer_byte_rate", 1024.0, expect![""]);
        check(
            "user",
            "producer_byte_rate",
            1.5,
            expect!["producer_byte_rate cannot be a fractional value."],
        );
        check(
            "user",
            "consumer_byte_rate",
            0.0,
            expect!["Quota consumer_byte_rate must be greater than 0"],
        );
        check(
            "user",
            "consumer_byte_rate",
            1e19,
            expect!["Proposed value for consumer_byte_rate is too large for a LONG."],
        );
        check("client-id", "request_percentage", 0.5, expect![""]);
        check(
            "client-id",
            "controller_mutation_rate",
            f64::NAN,
            expect!["Quota controller_mutation_rate must be greater than 0"],
        );
        check("ip", "connection_creation_rate", 5.0, expect![""]);
        check(
            "ip",
            "connection_creation_rate",
            1e10,
            expect!["Proposed value for connection_creation_rate is too large for an INT."],
        );
        check(
            "ip",
            "producer_byte_rate",
            5.0,
            expect!["Invalid configuration key producer_byte_rate"],
        );
        check(
            "user",
            "connection_creation_rate",
            5.0,
            expect!["Invalid configuration key connection_creation_rate"],
        );
    }
}
