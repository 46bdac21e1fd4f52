//! `kafka-cluster`: the cluster's id, its endpoints, and letting a broker go.

use crate::args::{Spec, flag, value};
use crate::failure::{Failure, describe};
use crate::{Output, connect};
use millrace_client::admin::DescribedBroker;
use millrace_client::wire::ErrorCode;
use millrace_client::{Client, Error};

const USAGE: &str = "usage: kafka-cluster [-h] {cluster-id,unregister,list-endpoints} ...

The Kafka cluster tool.

positional arguments:
  {cluster-id,unregister,list-endpoints}
    cluster-id           Get information about the ID of a cluster.
    unregister           Unregister a broker.
    list-endpoints       List endpoints

optional arguments:
  -h, --help             show this help message and exit";

const SPEC: Spec = Spec {
    about: "The Kafka cluster tool.",
    options: &[
        value(
            "bootstrap-server",
            "BOOTSTRAP_SERVER",
            "A list of host/port pairs to use for establishing the connection to the Kafka cluster.",
        ),
        value(
            "bootstrap-controller",
            "BOOTSTRAP_CONTROLLER",
            connect::CONTROLLERS,
        ),
        value(
            "config",
            "CONFIG",
            "(DEPRECATED) A property file containing configurations for the Admin client.",
        ),
        value(
            "command-config",
            "CONFIG",
            "A property file containing configurations for the Admin client.",
        ),
        value("id", "ID", "The ID of the broker to unregister."),
        flag(
            "include-fenced-brokers",
            "Whether to include fenced brokers when listing broker endpoints.",
        ),
    ],
};

pub async fn run(args: &[String], out: &mut Output) -> Result<(), Failure> {
    let Some((command, rest)) = args.split_first() else {
        return Err(Failure::plain(format!(
            "{}\nkafka-cluster: error: too few arguments",
            usage_line()
        )));
    };
    if matches!(command.as_str(), "-h" | "--help") {
        return Err(Failure {
            exit_code: 0,
            ..Failure::on_stdout(USAGE)
        });
    }
    if !matches!(
        command.as_str(),
        "cluster-id" | "unregister" | "list-endpoints"
    ) {
        return Err(Failure::plain(format!(
            "{}\nkafka-cluster: error: invalid choice: '{command}' (choose from 'cluster-id', 'unregister', 'list-endpoints')",
            usage_line()
        )));
    }
    let args = SPEC.parse(rest)?;
    let bootstrap = connect::bootstrap(&args)?;
    if bootstrap.is_none() {
        return Err(Failure::plain(format!(
            "kafka-cluster {command}: error: one of the arguments --bootstrap-server/-b --bootstrap-controller/-C is required"
        )));
    }
    let mut properties = connect::file(&args, "config")?;
    properties.extend(connect::file(&args, "command-config")?);
    let client = connect::client(bootstrap, &properties, "adminclient-1")?;
    match command.as_str() {
        "cluster-id" => {
            let cluster = client.describe_cluster(false).await?;
            match cluster.cluster_id.is_empty() {
                false => writeln!(out, "Cluster ID: {}", cluster.cluster_id)?,
                true => writeln!(
                    out,
                    "No cluster ID found. The Kafka version is probably too old."
                )?,
            }
            Ok(())
        }
        "unregister" => {
            let id = args.number("id")?;
            let id = id.ok_or_else(|| {
                Failure::plain("kafka-cluster unregister: error: argument --id/-i is required")
            })?;
            unregister(&client, id, out).await
        }
        _ => {
            let with_fenced = args.has("include-fenced-brokers");
            let cluster = client.describe_cluster(with_fenced).await?;
            write!(out, "{}", endpoints(&cluster.brokers))?;
            Ok(())
        }
    }
}

fn usage_line() -> &'static str {
    USAGE.lines().next().unwrap_or_default()
}

async fn unregister(client: &Client, id: i32, out: &mut Output) -> Result<(), Failure> {
    match client.unregister_broker(id).await {
        Ok(()) => Ok(writeln!(out, "Broker {id} is no longer registered.")?),
        Err(Error::Unsupported { .. })
        | Err(Error::Kafka {
            code: ErrorCode::UnsupportedVersion,
            ..
        }) => Ok(writeln!(
            out,
            "The target cluster does not support the broker unregistration API."
        )?),
        Err(error) => Err(Failure::plain(describe(&error))),
    }
}

fn endpoints(brokers: &[DescribedBroker]) -> String {
    if brokers.is_empty() {
        return "No endpoints found.\n".to_owned();
    }
    // Kafka's widths: the longest host's, and the longest rack's or ten when there is none.
    let host_width = brokers
        .iter()
        .map(|broker| broker.host.len())
        .max()
        .unwrap_or(0);
    let rack_width = brokers
        .iter()
        .filter_map(|broker| broker.rack.as_ref().map(String::len))
        .max()
        .unwrap_or(10);
    let row = |id: &str, host: &str, port: &str, rack: &str, state: &str, kind: &str| {
        format!(
            "{id:<10} {host:<host_width$} {port:<10} {rack:<rack_width$} {state:<10} {kind:<15}\n"
        )
    };
    let mut text = row("ID", "HOST", "PORT", "RACK", "STATE", "ENDPOINT_TYPE");
    for broker in brokers {
        let rack = broker.rack.as_deref().unwrap_or("null");
        let state = if broker.is_fenced {
            "fenced"
        } else {
            "unfenced"
        };
        let (id, port) = (broker.id.to_string(), broker.port.to_string());
        text.push_str(&row(&id, &broker.host, &port, rack, state, "broker"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_stand_in_kafkas_columns() {
        let broker = DescribedBroker {
            id: 1,
            host: "127.0.0.1".to_owned(),
            port: 29092,
            rack: None,
            is_fenced: false,
        };
        assert_eq!(
            endpoints(&[broker]),
            "ID         HOST      PORT       RACK       STATE      ENDPOINT_TYPE  \n1          127.0.0.1 29092      null       unfenced   broker         \n"
        );
        assert_eq!(endpoints(&[]), "No endpoints found.\n");
    }
}
