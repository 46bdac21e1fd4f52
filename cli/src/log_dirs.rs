//! `kafka-log-dirs`: what lies in the brokers' directories, as one line of JSON.

use crate::args::{Spec, flag, value};
use crate::failure::{Failure, exception};
use crate::{Output, connect};
use millrace_client::admin::LogDir;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const SPEC: Spec = Spec {
    about: "This tool helps to query log directory usage on the specified brokers.",
    options: &[
        value(
            "bootstrap-server",
            "String: The server(s) to use for bootstrapping",
            "REQUIRED: the server(s) to use for bootstrapping",
        ),
        value(
            "command-config",
            "String: Admin client property file",
            "Property file containing configs to be passed to Admin Client.",
        ),
        flag(
            "describe",
            "Describe the specified log directories on the specified brokers.",
        ),
        value(
            "topic-list",
            "String: Topic list",
            "The list of topics to be queried in the form \"topic1,topic2,topic3\". All topics will be queried if no topic list is specified (default: )",
        ),
        value(
            "broker-list",
            "String: Broker list",
            "The list of brokers to be queried in the form \"0,1,2\". All brokers in the cluster will be queried if no broker list is specified (default: )",
        ),
    ],
};

pub async fn run(args: &[String], out: &mut Output) -> Result<(), Failure> {
    let args = SPEC.parse(args)?;
    args.require(&["bootstrap-server", "describe"])?;
    let topics: BTreeSet<&str> = args
        .value("topic-list")?
        .unwrap_or_default()
        .split(',')
        .filter(|topic| !topic.is_empty())
        .collect();
    let asked = args
        .value("broker-list")?
        .unwrap_or_default()
        .split(',')
        .filter(|id| !id.is_empty());
    let asked: BTreeSet<i32> = asked
        .map(|id| {
            id.trim()
                .parse()
                .map_err(|_| Failure::plain(format!("For input string: \"{id}\"")))
        })
        .collect::<Result<_, _>>()?;
    let properties = connect::file(&args, "command-config")?;
    let client = connect::client(
        args.value("bootstrap-server")?,
        &properties,
        "adminclient-1",
    )?;
    let cluster = client.describe_cluster(false).await?;
    let known: BTreeSet<i32> = cluster.brokers.iter().map(|broker| broker.id).collect();
    let brokers = if asked.is_empty() {
        known.clone()
    } else {
        asked
    };
    let list = |ids: &BTreeSet<i32>| ids.iter().map(i32::to_string).collect::<Vec<_>>().join(",");
    let unknown: BTreeSet<i32> = brokers.difference(&known).copied().collect();
    if !unknown.is_empty() {
        return Err(Failure::plain(format!(
            "ERROR: The given brokers do not exist from --broker-list: {}. Current existent brokers: {}",
            list(&unknown),
            list(&known)
        )));
    }
    writeln!(out, "Querying brokers for log directories information")?;
    out.flush()?;
    let mut described = BTreeMap::new();
    for &broker in &brokers {
        described.insert(broker, client.describe_log_dirs(broker).await?);
    }
    writeln!(
        out,
        "Received log directory information from brokers {}",
        list(&brokers)
    )?;
    writeln!(out, "{}", shown(&described, &topics))?;
    Ok(())
}

fn shown(described: &BTreeMap<i32, Vec<LogDir>>, topics: &BTreeSet<&str>) -> String {
    let brokers: Vec<String> = described
        .iter()
        .map(|(broker, dirs)| {
            let dirs: Vec<String> = dirs.iter().map(|dir| shown_dir(dir, topics)).collect();
            format!("{{\"broker\":{broker},\"logDirs\":[{}]}}", dirs.join(","))
        })
        .collect();
    format!("{{\"brokers\":[{}],\"version\":1}}", brokers.join(","))
}

/// Fields in Kafka's order, which a map of the JSON library would lose.
fn shown_dir(dir: &LogDir, topics: &BTreeSet<&str>) -> String {
    let replicas = dir
        .replicas
        .iter()
        .filter(|replica| topics.is_empty() || topics.contains(&*replica.partition.topic));
    let partitions: Vec<String> = replicas
        .map(|replica| {
            format!(
                "{{\"partition\":{},\"size\":{},\"offsetLag\":{},\"isFuture\":{}}}",
                json!(replica.partition.to_string()),
                replica.size_bytes,
                replica.offset_lag,
                replica.is_future
            )
        })
        .collect();
    let error = match dir.error.is_none() {
        true => Value::Null,
        false => json!(exception(dir.error).rsplit('.').next().unwrap_or_default()),
    };
    format!(
        "{{\"partitions\":[{}],\"error\":{error},\"logDir\":{}}}",
        partitions.join(","),
        json!(dir.path)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use millrace_client::TopicPartition;
    use millrace_client::admin::LogDirReplica;
    use millrace_client::wire::ErrorCode;

    #[test]
    fn directories_are_one_line_of_json() {
        let replica = |topic: &str| LogDirReplica {
            partition: TopicPartition::new(topic, 0),
            size_bytes: 10,
            offset_lag: 0,
            is_future: false,
        };
        let dir = LogDir {
            path: "/data".to_owned(),
            error: ErrorCode::None,
            total_bytes: None,
            usable_bytes: None,
            replicas: vec![replica("a"), replica("b")],
        };
        let failed = LogDir {
            path: "/gone".to_owned(),
            error: ErrorCode::KafkaStorageError,
            replicas: Vec::new(),
            ..dir.clone()
        };
        let described = BTreeMap::from([(1, vec![dir, failed])]);
        expect![[r#"{"brokers":[{"broker":1,"logDirs":[{"partitions":[{"partition":"a-0","size":10,"offsetLag":0,"isFuture":false}],"error":null,"logDir":"/data"},{"partitions":[],"error":"KafkaStorageException","logDir":"/gone"}]}],"version":1}"#]]
            .assert_eq(&shown(&described, &BTreeSet::from(["a"])));
    }
}
