//! What is set, in the shape in which it is looked up.

use super::kind::Kind;
use crate::metadata::{QuotaName, Quotas};
use std::collections::HashMap;
use std::net::IpAddr;

/// Who sends a request.
#[derive(Clone, Copy, Debug)]
pub struct Who<'a> {
    pub user: &'a str,
    pub client_id: &'a str,
}

/// Who shares a quota with somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sharing {
    /// Only those with the same user and client id.
    UserAndClientId,
    /// All client ids of the user.
    User,
    /// All users of the client id.
    ClientId,
}

/// A quota that holds for somebody.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    pub bound: f64,
    pub sharing: Sharing,
}

#[derive(Debug, Default)]
pub struct Table {
    kinds: HashMap<Kind, Levels>,
    addresses: HashMap<IpAddr, f64>,
    default_address: Option<f64>,
}

/// The quotas of one kind, by level.
#[derive(Debug, Default)]
struct Levels {
    users: HashMap<String, OfUser>,
    default_user: OfUser,
    /// Of any user.
    clients: Clients,
}

#[derive(Debug, Default)]
struct OfUser {
    clients: Clients,
    own: Option<f64>,
}

#[derive(Debug, Default)]
struct Clients {
    by_id: HashMap<String, f64>,
    default: Option<f64>,
}

impl Clients {
    fn get(&self, client_id: &str) -> Option<f64> {
        self.by_id.get(client_id).copied().or(self.default)
    }

    fn set(&mut self, client_id: &QuotaName, bound: f64) {
        match client_id {
            QuotaName::Default => self.default = Some(bound),
            QuotaName::Of(id) => {
                self.by_id.insert(id.clone(), bound);
            }
        }
    }
}

impl OfUser {
    fn get(&self, client_id: &str) -> Option<Limit> {
        let of_both = self.clients.get(client_id).map(|bound| Limit {
            bound,
            sharing: Sharing::UserAndClientId,
        });
        let of_user = || {
            Some(Limit {
                bound: self.own?,
                sharing: Sharing::User,
            })
        };
        of_both.or_else(of_user)
    }
}

impl Levels {
    /// The first of Kafka's order: the user with the client id, the user with any, the user; the same of any user; the client id,
    /// any client id.
    fn get(&self, who: Who<'_>) -> Option<Limit> {
        let user = self.users.get(who.user);
        let of_user = user.and_then(|user| user.get(who.client_id));
        let of_default = || self.default_user.get(who.client_id);
        let of_client = || {
            Some(Limit {
                bound: self.clients.get(who.client_id)?,
                sharing: Sharing::ClientId,
            })
        };
        of_user.or_else(of_default).or_else(of_client)
    }

    fn set(&mut self, user: Option<&QuotaName>, client_id: Option<&QuotaName>, bound: f64) {
        let user = match user {
            None => {
                if let Some(client_id) = client_id {
                    self.clients.set(client_id, bound);
                }
                return;
            }
            Some(QuotaName::Default) => &mut self.default_user,
            Some(QuotaName::Of(name)) => self.users.entry(name.clone()).or_default(),
        };
        match client_id {
            Some(client_id) => user.clients.set(client_id, bound),
            None => user.own = Some(bound),
        }
    }
}

impl Table {
    /// Of what the metadata holds; what this release does not know of it does nothing.
    pub fn new(quotas: &Quotas) -> Table {
        let mut table = Table::default();
        for (entity, values) in quotas.iter() {
            for kind in Kind::ALL {
                let Some(bound) = values.get(kind.key()).copied() else {
                    continue;
                };
                match &entity.ip {
                    Some(ip) if kind.is_of_addresses() => table.set_address(ip, bound),
                    None if !kind.is_of_addresses() => {
                        let levels = table.kinds.entry(kind).or_default();
                        levels.set(entity.user.as_ref(), entity.client_id.as_ref(), bound);
                    }
                    _ => {}
                }
            }
        }
        table
    }

    fn set_address(&mut self, ip: &QuotaName, bound: f64) {
        match ip {
            QuotaName::Default => self.default_address = Some(bound),
            QuotaName::Of(name) => {
                if let Ok(ip) = name.parse::<IpAddr>() {
                    self.addresses.insert(ip.to_canonical(), bound);
                }
            }
        }
    }

    pub fn has(&self, kind: Kind) -> bool {
        match kind.is_of_addresses() {
            true => self.default_address.is_some() || !self.addresses.is_empty(),
            false => self.kinds.contains_key(&kind),
        }
    }

    pub fn limit(&self, kind: Kind, who: Who<'_>) -> Option<Limit> {
        self.kinds.get(&kind)?.get(who)
    }

    /// Connections a second.
    pub fn of_address(&self, ip: IpAddr) -> Option<f64> {
        let own = self.addresses.get(&ip).copied();
        own.or(self.default_address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::QuotaEntity;
    use std::collections::BTreeMap;

    fn name(name: &str) -> Option<QuotaName> {
        match name {
            "" => None,
            "*" => Some(QuotaName::Default),
            name => Some(QuotaName::Of(name.to_owned())),
        }
    }

    fn table(kind: Kind, set: &[(&str, &str, f64)]) -> Table {
        let quotas = set.iter().map(|(user, client_id, bound)| {
            let entity = QuotaEntity {
                user: name(user),
                client_id: name(client_id),
                ip: None,
            };
            (entity, BTreeMap::from([(kind.key().to_owned(), *bound)]))
        });
        Table::new(&Quotas::new(quotas.collect()))
    }

    #[test]
    fn the_first_of_kafkas_order_holds() {
        let order = [
            ("u", "c", Sharing::UserAndClientId),
            ("u", "*", Sharing::UserAndClientId),
            ("u", "", Sharing::User),
            ("*", "c", Sharing::UserAndClientId),
            ("*", "*", Sharing::UserAndClientId),
            ("*", "", Sharing::User),
            ("", "c", Sharing::ClientId),
            ("", "*", Sharing::ClientId),
        ];
        let who = Who {
            user: "u",
            client_id: "c",
        };
        for (first, (_, _, sharing)) in order.iter().enumerate() {
            let set = order[first..].iter().zip(first..);
            let set: Vec<_> = set
                .map(|((user, client_id, _), place)| (*user, *client_id, 1.0 + place as f64))
                .collect();
            let limit = Limit {
                bound: 1.0 + first as f64,
                sharing: *sharing,
            };
            let table = table(Kind::Produce, &set);
            assert_eq!(table.limit(Kind::Produce, who), Some(limit));
            assert_eq!(table.limit(Kind::Fetch, who), None);
        }
    }

    #[test]
    fn quotas_of_others_do_not_hold() {
        let table = table(
            Kind::Fetch,
            &[("v", "", 1.0), ("u", "d", 2.0), ("", "d", 3.0)],
        );
        let who = Who {
            user: "u",
            client_id: "c",
        };
        assert_eq!(table.limit(Kind::Fetch, who), None);
        assert!(table.has(Kind::Fetch) && !table.has(Kind::Produce));
    }

    #[test]
    fn addresses_have_their_own_or_the_default() {
        let of = |ip: &str, bound| {
            let entity = QuotaEntity {
                ip: name(ip),
                ..Default::default()
            };
            let key = Kind::ConnectionCreation.key().to_owned();
            (entity, BTreeMap::from([(key, bound)]))
        };
        let quotas = BTreeMap::from([of("10.0.0.1", 1.0), of("::ffff:10.0.0.2", 2.0)]);
        let ip = |last: u8| IpAddr::from([10, 0, 0, last]);
        let table = Table::new(&Quotas::new(quotas.clone()));
        assert_eq!(
            [1, 2, 3].map(|last| table.of_address(ip(last))),
            [Some(1.0), Some(2.0), None]
        );
        let mut quotas = quotas;
        quotas.extend([of("*", 3.0)]);
        let table = Table::new(&Quotas::new(quotas));
        assert_eq!(table.of_address(ip(3)), Some(3.0));
        assert!(table.has(Kind::ConnectionCreation));
    }
}
