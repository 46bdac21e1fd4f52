//! Who the first controllers are, by the options of `format` and the settings: what is said of it is Kafka's, word for word.

use crate::args::Args;
use crate::failure::Failure;
use millrace_client::properties::Properties;
use millrace_client::uuid::{self, Uuid};
use millrace_client::wire::dynamic_voter::{self, DynamicVoter};

/// At most one of them: the option, and its short form.
const CHOICES: [(&str, &str); 3] = [
    ("standalone", "-s"),
    ("no-initial-controllers", "-N"),
    ("initial-controllers", "-I"),
];

pub const USAGE: &str = "usage: kafka-storage format [-h] --config CONFIG --cluster-id CLUSTER_ID
                     [--ignore-formatted]
                     [--release-version RELEASE_VERSION]
                     [--feature FEATURE] [--standalone |
                     --no-initial-controllers |
                     --initial-controllers INITIAL_CONTROLLERS]";

/// Of the options `given`, in their order, two that exclude each other.
pub fn check_exclusive(given: &[String]) -> Result<(), Failure> {
    let mut first: Option<(&str, &str)> = None;
    for arg in given {
        let name = arg.split('=').next().unwrap_or_default();
        let Some(choice) = CHOICES
            .into_iter()
            .find(|(long, _)| name.strip_prefix("--") == Some(long))
        else {
            continue;
        };
        match first {
            Some(first) if first != choice => {
                return Err(Failure::plain(format!(
                    "{USAGE}\nkafka-storage: error: argument --{}/{}: not allowed with argument --{}/{}",
                    choice.0, choice.1, first.0, first.1
                )));
            }
            _ => first = Some(choice),
        }
    }
    Ok(())
}

/// What formatting writes of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Quorum {
    /// As in [`millrace_client::wire::meta_properties::MetaProperties`].
    pub initial_controllers: Option<Vec<DynamicVoter>>,
    /// The id that the metadata's directory is known by to the other controllers.
    pub directory_id: Option<Uuid>,
    /// What the metadata's directory is called when it is formatted.
    pub directory: &'static str,
}

impl Quorum {
    const UNSAID: Quorum = Quorum {
        initial_controllers: None,
        directory_id: None,
        directory: "metadata directory",
    };

    pub fn of(args: &Args, properties: &Properties, node_id: i32) -> Result<Quorum, Failure> {
        let is_set = |name: &str| {
            properties
                .get(name)
                .is_some_and(|text| !text.trim().is_empty())
        };
        let initial = args.value("initial-controllers")?;
        let (is_standalone, is_open) = (args.has("standalone"), args.has("no-initial-controllers"));
        if is_set("controller.quorum.voters") {
            return match is_standalone || initial.is_some() {
                true => Err(Failure::plain(
                    "You cannot specify controller.quorum.voters and format the node with --initial-controllers or --standalone. If you want to use dynamic quorum, please remove controller.quorum.voters and specify controller.quorum.bootstrap.servers instead.",
                )),
                false => Ok(Quorum::UNSAID),
            };
        }
        let is_controller = is_controller(properties);
        if is_standalone && !is_controller {
            return Err(Failure::plain(
                "You can only use --standalone on a controller.",
            ));
        }
        let is_of_several = is_set("controller.quorum.bootstrap.servers");
        match initial {
            Some(text) => Quorum::listed(text, node_id, is_controller),
            None if is_standalone => Quorum::standalone(properties, node_id, is_of_several),
            None if is_open => Ok(Quorum {
                initial_controllers: Some(Vec::new()),
                ..Quorum::UNSAID
            }),
            None if is_controller && is_of_several => Err(Failure::plain(
                "Because controller.quorum.voters is not set on this controller, you must specify one of the following: --standalone, --initial-controllers, or --no-initial-controllers.",
            )),
            None => Ok(Quorum::UNSAID),
        }
    }

    fn listed(text: &str, node_id: i32, is_controller: bool) -> Result<Quorum, Failure> {
        let voters = dynamic_voter::parse_list(text)
            .map_err(|error| Failure::plain(format!("--initial-controllers {text}: {error}")))?;
        let own = voters.iter().find(|voter| voter.id == node_id);
        // Kafka formats it, and the quorum waits for a voter that never votes.
        if own.is_some() && !is_controller {
            return Err(Failure::plain(format!(
                "--initial-controllers {text}: node {node_id} is this one, and its process.roles has no controller; add the role, or leave it out of the list"
            )));
        }
        Ok(Quorum {
            directory_id: own.map(|own| own.directory_id),
            directory: match own {
                Some(_) => "dynamic metadata voter directory",
                None => "dynamic metadata directory",
            },
            initial_controllers: Some(voters),
        })
    }

    fn standalone(
        properties: &Properties,
        node_id: i32,
        is_of_several: bool,
    ) -> Result<Quorum, Failure> {
        let Some((host, port)) = controller_endpoint(properties)? else {
            return match is_of_several {
                true => Err(Failure::plain(
                    "controller.listener.names must contain at least one value appearing in the 'listeners' configuration when running the KRaft controller role",
                )),
                // A broker that nobody else is to find needs no listener for others.
                false => Ok(Quorum::UNSAID),
            };
        };
        let directory_id = uuid::random();
        Ok(Quorum {
            directory_id: Some(directory_id),
            directory: "dynamic metadata voter directory",
            initial_controllers: Some(vec![DynamicVoter {
                id: node_id,
                host,
                port,
                directory_id,
            }]),
        })
    }
}

/// A node without roles, as in files of the ZooKeeper days, has both.
fn is_controller(properties: &Properties) -> bool {
    let roles = properties.get("process.roles");
    roles.is_none_or(|roles| items(roles).any(|role| role == "controller"))
}

fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
}

/// Where other controllers find this one: what is advertised of the first of `controller.listener.names` that is a listener, else the
/// listener itself. `None` where there is no such listener.
fn controller_endpoint(properties: &Properties) -> Result<Option<(String, u16)>, Failure> {
    let names: Vec<&str> = items(
        properties
            .get("controller.listener.names")
            .unwrap_or_default(),
    )
    .collect();
    let of = |setting: &'static str, name: &str| {
        let listed = items(properties.get(setting).unwrap_or_default());
        let mut pairs = listed.filter_map(|item| item.split_once("://"));
        pairs
            .find(|(other, _)| other.trim().eq_ignore_ascii_case(name))
            .map(|(_, address)| (setting, address.to_owned()))
    };
    let Some((name, listener)) = names
        .iter()
        .find_map(|name| Some((name, of("listeners", name)?)))
    else {
        return Ok(None);
    };
    let (setting, address) = of("advertised.listeners", name).unwrap_or(listener);
    let malformed = || {
        Failure::plain(format!(
            "{setting}: {name}://{address} is no listener; write NAME://host:port, as in CONTROLLER://localhost:9093"
        ))
    };
    let (host, port) = address.rsplit_once(':').ok_or_else(malformed)?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let host = match host {
        "" | "0.0.0.0" | "::" => rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned(),
        host => host.to_owned(),
    };
    Ok(Some((host, port.parse().map_err(|_| malformed())?)))
}
