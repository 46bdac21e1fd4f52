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
    pub fn of(args: &Args) -> Result<Entity, Failure> {
        let mut found: Vec<Entity> = Vec::new();
        for kind in args.values("entity-type") {
            let kind = Kind::parse(kind)?;
            let name = args.values("entity-name").next().map(str::to_owned);
            let defaults = args.has("entity-default").then(String::new);
            found.push(Entity {
                kind,
                name: name.or(defaults),
            });
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
        match found.len() {
            0 => Err(args_error("At least one entity type must be specified")),
            1 => Ok(found.remove(0)),
            _ => Err(args_error(
                "Only one entity type can be given at a time: users together with clients are not served yet",
            )),
        }
    }
}

fn args_error(message: &str) -> Failure {
    Failure::plain(message)
}
