//! What settings belong to.

use crate::args::Args;
use crate::failure::Failure;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Topics,
    Brokers,
    BrokerLoggers,
    Users,
    Clients,
    Ips,
    ClientMetrics,
    Groups,
}

impl Kind {
    const ALL: [Kind; 8] = [
        Kind::Topics,
        Kind::Brokers,
        Kind::BrokerLoggers,
        Kind::Users,
        Kind::Clients,
        Kind::Ips,
        Kind::ClientMetrics,
        Kind::Groups,
    ];

    /// As `--entity-type` spells it.
    pub fn plural(self) -> &'static str {
        match self {
            Kind::Topics => "topics",
            Kind::Brokers => "brokers",
            Kind::BrokerLoggers => "broker-loggers",
            Kind::Users => "users",
            Kind::Clients => "clients",
            Kind::Ips => "ips",
            Kind::ClientMetrics => "client-metrics",
            Kind::Groups => "groups",
        }
    }

    /// Whether there are settings for all that say nothing else: an entity without a name.
    pub fn has_default(self) -> bool {
        match self {
            Kind::Brokers | Kind::Users | Kind::Clients | Kind::Ips => true,
            Kind::Topics | Kind::BrokerLoggers | Kind::ClientMetrics | Kind::Groups => false,
        }
    }

    /// As the short options spell it.
    pub fn singular(self) -> &'static str {
        match self {
            Kind::ClientMetrics => "client-metrics",
            other => other.plural().trim_end_matches('s'),
        }
    }

    /// What a broker limits, rather than sets.
    pub fn has_quotas(self) -> bool {
        matches!(self, Kind::Users | Kind::Clients | Kind::Ips)
    }

    fn parse(text: &str) -> Result<Kind, Failure> {
        let known = Kind::ALL.into_iter().find(|kind| kind.plural() == text);
        known.ok_or_else(|| {
            let names = Kind::ALL.map(Kind::plural).join(", ");
            Failure::plain(format!("Invalid entity type {text}, the entity type must be one of {names} with a --bootstrap-server or --bootstrap-controller argument"))
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entity {
    pub kind: Kind,
    /// Empty for the defaults; `None` for all there are.
    pub name: Option<String>,
}

impl Entity {
    /// One, or a user's and a client's together.
    pub fn of(args: &Args) -> Result<Vec<Entity>, Failure> {
        let mut found: Vec<Entity> = Vec::new();
        let types: Vec<&str> = args.values("entity-type").collect();
        // In the order of the types, as far as there are any; --entity-default stands for the rest.
        let mut names = args.values("entity-name");
        for kind in types {
            let name = names.next().map(str::to_owned);
            let defaults = args.has("entity-default").then(String::new);
            found.push(Entity {
                kind: Kind::parse(kind)?,
                name: name.or(defaults),
            });
        }
        if names.next().is_some() {
            return Err(args_error(
                "There are more --entity-name than --entity-type",
            ));
        }
        for kind in Kind::ALL {
            if let Some(name) = args.value(kind.singular())? {
                found.push(Entity {
                    kind,
                    name: Some(name.to_owned()),
                });
            }
            if args.has(&format!("{}-defaults", kind.singular())) {
                found.push(Entity {
                    kind,
                    name: Some(String::new()),
                });
            }
        }
        let kinds: Vec<Kind> = found.iter().map(|entity| entity.kind).collect();
        match kinds[..] {
            [] => Err(args_error("At least one entity type must be specified")),
            [_] => Ok(found),
            [Kind::Users, Kind::Clients] => Ok(found),
            [Kind::Clients, Kind::Users] => {
                found.reverse();
                Ok(found)
            }
            _ => Err(args_error(
                "Only 'users' and 'clients' entity types may be specified together",
            )),
        }
    }
}

fn args_error(message: &str) -> Failure {
    Failure::plain(message)
}
