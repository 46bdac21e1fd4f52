//! `kafka-metadata-quorum`: who keeps the cluster's metadata, and how far each of them is.

use crate::args::{Args, Spec, flag, value};
use crate::clock::now_ms;
use crate::failure::Failure;
use crate::{Output, connect};
use millrace_client::Client;
use millrace_client::admin::{Quorum, QuorumReplica};
use millrace_client::uuid;
use serde_json::json;

const SPEC: Spec = Spec {
    about: "This tool describes kraft metadata quorum status.\nusage: kafka-metadata-quorum --bootstrap-server HOST:PORT describe (--status | --replication [--human-readable])",
    options: &[
        value(
            "bootstrap-server",
            "String: host:port",
            "A comma-separated list of host:port pairs to use for establishing the connection to the Kafka cluster.",
        ),
        value(
            "bootstrap-controller",
            "String: host:port",
            connect::CONTROLLERS,
        ),
        value(
            "command-config",
            "String: config file",
            "Property file containing configs to be passed to Admin Client.",
        ),
        flag(
            "status",
            "With describe: a short summary of the quorum status.",
        ),
        flag(
            "replication",
            "With describe: detailed information about the status of replication.",
        ),
        flag(
            "human-readable",
            "With --replication: how long ago rather than when.",
        ),
        value(
            "controller-id",
            "Integer: id",
            "With remove-controller: the id of the controller.",
        ),
        value(
            "controller-directory-id",
            "String: directory id",
            "With remove-controller: its directory.",
        ),
        flag("dry-run", "With add-controller and remove-controller."),
    ],
};

const COMMANDS: [&str; 3] = ["describe", "add-controller", "remove-controller"];

pub async fn run(args: &[String], out: &mut Output) -> Result<(), Failure> {
    let (command, args) = SPEC.parse_command(args, &COMMANDS)?;
    let Some(command) = command else {
        return Err(args.usage("kafka-metadata-quorum: error: too few arguments"));
    };
    if command != "describe" {
        return Err(Failure::plain(format!(
            "{command} is not served: a cluster of Millrace chooses the voters of its metadata itself"
        )));
    }
    let client = client(&args)?;
    match (args.has("status"), args.has("replication")) {
        (true, true) => Err(Failure::plain(
            "Only one of --status or --replication should be specified with describe sub-command",
        )),
        (true, false) if args.has("human-readable") => Err(Failure::plain(
            "The option --human-readable is only supported along with --replication",
        )),
        (true, false) => {
            let cluster = client.describe_cluster(false).await?;
            let quorum = client.describe_quorum().await?;
            Ok(write!(out, "{}", status(&cluster.cluster_id, &quorum))?)
        }
        (false, true) => {
            let quorum = client.describe_quorum().await?;
            let now_ms = args.has("human-readable").then(now_ms);
            Ok(write!(out, "{}", replication(&quorum, now_ms))?)
        }
        (false, false) => Err(Failure::plain(
            "One of --status or --replication must be specified with describe sub-command",
        )),
    }
}

fn client(args: &Args) -> Result<Client, Failure> {
    let bootstrap = connect::bootstrap(args)?;
    if bootstrap.is_none() {
        return Err(args.usage(
            "kafka-metadata-quorum: error: one of the arguments --bootstrap-server --bootstrap-controller is required",
        ));
    }
    let properties = connect::file(args, "command-config")?;
    connect::client(bootstrap, &properties, "adminclient-1")
}

fn status(cluster_id: &str, quorum: &Quorum) -> String {
    let leader = quorum
        .voters
        .iter()
        .find(|voter| voter.id == quorum.leader)
        .cloned();
    let followers = || quorum.voters.iter().filter(|v| v.id != quorum.leader);
    let end = leader.as_ref().map_or(0, |leader| leader.log_end_offset);
    let slowest = followers().map(|voter| voter.log_end_offset).min();
    let max_lag = slowest.map_or(0, |slowest| end - slowest);
    let caught_up = leader.and_then(|leader| leader.last_caught_up_ms);
    let oldest = followers().map(|v| v.last_caught_up_ms.unwrap_or(-1)).min();
    // One that never caught up has no time to be behind by.
    let max_lag_ms = match (max_lag, caught_up, oldest) {
        (0, ..) | (_, None, _) | (.., None) => 0,
        (.., Some(-1)) => -1,
        (_, Some(now), Some(then)) => now - then,
    };
    let listed = |replicas: &[QuorumReplica]| {
        let nodes: Vec<String> = replicas.iter().map(|r| node(quorum, r)).collect();
        format!("[{}]", nodes.join(", "))
    };
    format!(
        "ClusterId:              {cluster_id}\nLeaderId:               {}\nLeaderEpoch:            {}\nHighWatermark:          {}\nMaxFollowerLag:         {max_lag}\nMaxFollowerLagTimeMs:   {max_lag_ms}\nCurrentVoters:          {}\nCurrentObservers:       {}\n",
        quorum.leader,
        quorum.leader_epoch,
        quorum.high_watermark,
        listed(&quorum.voters),
        listed(&quorum.observers),
    )
}

/// As Kafka prints it: JSON with blanks behind the commas.
fn node(quorum: &Quorum, replica: &QuorumReplica) -> String {
    let mut text = format!("{{\"id\": {}", replica.id);
    if !replica.directory.is_nil() {
        let directory = uuid::to_text(replica.directory);
        text.push_str(&format!(", \"directoryId\": {}", json!(directory)));
    }
    let endpoints = quorum.endpoints.get(&replica.id);
    if let Some(endpoints) = endpoints.filter(|endpoints| !endpoints.is_empty()) {
        let quoted: Vec<String> = endpoints.iter().map(|e| json!(e).to_string()).collect();
        text.push_str(&format!(", \"endpoints\": [{}]", quoted.join(", ")));
    }
    text.push('}');
    text
}

fn replication(quorum: &Quorum, now_ms: Option<i64>) -> String {
    let leader_end = quorum
        .voters
        .iter()
        .find(|voter| voter.id == quorum.leader)
        .map_or(0, |leader| leader.log_end_offset);
    let time = |ms: Option<i64>| match (ms, now_ms) {
        (None, _) => "-1".to_owned(),
        (Some(ms), None) => ms.to_string(),
        (Some(ms), Some(now)) => format!("{} ms ago", now - ms),
    };
    let row = |replica: &QuorumReplica, status: &str| {
        [
            replica.id.to_string(),
            uuid::to_text(replica.directory),
            replica.log_end_offset.to_string(),
            (leader_end - replica.log_end_offset).to_string(),
            time(replica.last_fetch_ms),
            time(replica.last_caught_up_ms),
            status.to_owned(),
        ]
    };
    let headers = [
        "NodeId",
        "DirectoryId",
        "LogEndOffset",
        "Lag",
        "LastFetchTimestamp",
        "LastCaughtUpTimestamp",
        "Status",
    ];
    let mut rows = vec![headers.map(str::to_owned)];
    let leader = quorum.voters.iter().filter(|v| v.id == quorum.leader);
    rows.extend(leader.map(|replica| row(replica, "Leader")));
    let followers = quorum.voters.iter().filter(|v| v.id != quorum.leader);
    rows.extend(followers.map(|replica| row(replica, "Follower")));
    rows.extend(quorum.observers.iter().map(|r| row(r, "Observer")));
    crate::table::padded(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use millrace_client::wire::messages::Uuid;

    fn quorum() -> Quorum {
        let replica = |id, end, caught_up| QuorumReplica {
            id,
            directory: Uuid::nil(),
            log_end_offset: end,
            last_fetch_ms: Some(caught_up),
            last_caught_up_ms: Some(caught_up),
        };
        Quorum {
            leader: 1,
            leader_epoch: 4,
            high_watermark: 136,
            voters: vec![replica(1, 143, 1_000), replica(2, 140, 900)],
            observers: Vec::new(),
            endpoints: [(1, vec!["CONTROLLER://127.0.0.1:45319".to_owned()])].into(),
        }
    }

    #[test]
    fn the_status_is_kafkas() {
        expect_test::expect![[r#"
            ClusterId:              Bja4BjeGTUas7RkT0PyB2A
            LeaderId:               1
            LeaderEpoch:            4
            HighWatermark:          136
            MaxFollowerLag:         3
            MaxFollowerLagTimeMs:   100
            CurrentVoters:          [{"id": 1, "endpoints": ["CONTROLLER://127.0.0.1:45319"]}, {"id": 2}]
            CurrentObservers:       []
        "#]]
        .assert_eq(&status("Bja4BjeGTUas7RkT0PyB2A", &quorum()));
    }

    #[test]
    fn replication_stands_in_kafkas_columns() {
        assert_eq!(
            replication(&quorum(), Some(1_024)),
            "NodeId\tDirectoryId           \tLogEndOffset\tLag\tLastFetchTimestamp\tLastCaughtUpTimestamp\tStatus  \t\n\
             1     \tAAAAAAAAAAAAAAAAAAAAAA\t143         \t0  \t24 ms ago         \t24 ms ago            \tLeader  \t\n\
             2     \tAAAAAAAAAAAAAAAAAAAAAA\t140         \t3  \t124 ms ago        \t124 ms ago           \tFollower\t\n"
        );
    }
}
