//! `kafka-broker-api-versions`: what each broker says it speaks, and what these tools would use.

use crate::args::{Spec, value};
use crate::failure::{Failure, describe};
use crate::{Output, connect};
use millrace_client::Versions;
use millrace_client::wire::ApiKey;
use std::fmt::Write as _;

const SPEC: Spec = Spec {
    about: "This tool helps to retrieve broker version information.",
    options: &[
        value(
            "bootstrap-server",
            "String: server(s) to use for bootstrapping",
            "REQUIRED: The server to connect to.",
        ),
        value(
            "command-config",
            "String: command config property file path",
            "A property file containing configs to be passed to Admin Client.",
        ),
    ],
};

pub async fn run(args: &[String], out: &mut Output) -> Result<(), Failure> {
    let args = SPEC.parse(args)?;
    args.require(&["bootstrap-server"])?;
    let properties = connect::file(&args, "command-config")?;
    let client = connect::client(args.value("bootstrap-server")?, &properties, "admin")?;
    let cluster = client.describe_cluster(false).await?;
    let metadata = client
        .retry("metadata", async || {
            client.refresh(millrace_client::Topics::None, false).await
        })
        .await?;
    for broker in &cluster.brokers {
        let rack = broker.rack.as_deref().unwrap_or("null");
        write!(
            out,
            "{}:{} (id: {} rack: {rack} isFenced: {}) -> ",
            broker.host, broker.port, broker.id, broker.is_fenced
        )?;
        if !metadata.brokers.contains_key(&broker.id) {
            writeln!(out, "ERROR: the broker is not in the cluster's metadata")?;
            continue;
        }
        match client.broker_versions(broker.id).await {
            Ok(versions) => writeln!(out, "{}", shown(&versions))?,
            Err(error) => writeln!(out, "ERROR: {}", describe(&error))?,
        }
    }
    Ok(())
}

/// Every api that either side knows: `Produce(0): 0 to 13 [usable: 12],`.
fn shown(versions: &Versions) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut unknown: Vec<String> = Vec::new();
    for &api in ApiKey::ALL {
        let key = i16::from(api);
        let Some((_, min, max)) = versions.iter().find(|(known, _, _)| *known == key) else {
            if is_shown(api) {
                lines.push(format!("{api}({key}): UNSUPPORTED"));
            }
            continue;
        };
        let usable = match versions.choose(api, i16::MAX) {
            Some(usable) => format!("[usable: {usable}]"),
            None if max < *api.versions().start() => "[unusable: node too old]".to_owned(),
            None => "[unusable: node too new]".to_owned(),
        };
        lines.push(format!("{api}({key}): {} {usable}", range(min, max)));
    }
    for (key, min, max) in versions
        .iter()
        .filter(|(key, _, _)| ApiKey::try_from(*key).is_err())
    {
        unknown.push(format!("UNKNOWN({key}): {}", range(min, max)));
    }
    lines.extend(unknown);
    let mut text = "(\n".to_owned();
    let last = lines.len().saturating_sub(1);
    for (at, line) in lines.iter().enumerate() {
        let _ = writeln!(text, "\t{line}{}", if at == last { "" } else { "," });
    }
    text.push(')');
    text
}

fn range(min: i16, max: i16) -> String {
    match min == max {
        true => min.to_string(),
        false => format!("{min} to {max}"),
    }
}

/// Keys that clients may use; those between brokers and controllers are not said to be missing.
fn is_shown(api: ApiKey) -> bool {
    let between_brokers = [
        ApiKey::Vote,
        ApiKey::BeginQuorumEpoch,
        ApiKey::EndQuorumEpoch,
        ApiKey::AlterPartition,
        ApiKey::Envelope,
        ApiKey::FetchSnapshot,
        ApiKey::BrokerRegistration,
        ApiKey::BrokerHeartbeat,
        ApiKey::AllocateProducerIds,
        ApiKey::ControllerRegistration,
        ApiKey::AssignReplicasToDirs,
        ApiKey::UpdateRaftVoter,
    ];
    !api.versions().is_empty() && !between_brokers.contains(&api)
}

#[cfg(test)]
mod tests {
    use super::*;
    use millrace_client::wire::messages::ApiVersionsResponse;
    use millrace_client::wire::messages::api_versions_response::ApiVersion;

    #[test]
    fn each_api_says_its_versions_and_the_one_to_use() {
        let mut response = ApiVersionsResponse::default();
        for (key, min, max) in [(0, 0, 99), (1, 4, 4), (2, 0, 0), (999, 0, 2)] {
            let mut api = ApiVersion::default();
            (api.api_key, api.min_version, api.max_version) = (key, min, max);
            response.api_keys.push(api);
        }
        let text = shown(&Versions::of(&response));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "(");
        assert_eq!(lines[1], "\tProduce(0): 0 to 99 [usable: 13],");
        assert_eq!(lines[2], "\tFetch(1): 4 [usable: 4],");
        assert_eq!(lines[3], "\tListOffsets(2): 0 [unusable: node too old],");
        assert_eq!(lines[4], "\tMetadata(3): UNSUPPORTED,");
        assert_eq!(lines[lines.len() - 2..], ["\tUNKNOWN(999): 0 to 2", ")"]);
        assert!(!text.contains("Vote(52)"));
    }
}
