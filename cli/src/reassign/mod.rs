//! `kafka-reassign-partitions`: moves partitions' replicas between brokers and directories.

mod options;
mod plan;
mod throttle;

use crate::args::Args;
use crate::failure::{Failure, describe};
use crate::{Output, connect, json_file};
use millrace_client::admin::Reassignment;
use millrace_client::wire::ErrorCode;
use millrace_client::{Client, Error, TopicPartition};
use options::{Action, SPEC};
use plan::{ANY, Brokers, Placed, Plan, list};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How often a broker is asked again whether it has the replica whose directory is chosen.
const AGAIN: Duration = Duration::from_millis(100);

pub async fn run(args: &[String], out: &mut Output) -> Result<(), Failure> {
    let args = SPEC.parse(args)?;
    let action = options::check(&args)?;
    let properties = connect::file(&args, "command-config")?;
    let bootstrap = connect::bootstrap(&args)?;
    let client = connect::client(bootstrap, &properties, "reassign-partitions-tool")?;
    let done = match action {
        Action::Generate => generate(&client, &args, out).await,
        Action::Execute => execute(&client, &args, out).await,
        Action::Verify => verify(&client, &args, out).await,
        Action::Cancel => cancel(&client, &args, out).await,
        Action::List => show_all(&client, out).await,
    };
    // Kafka's tool says its errors on standard output.
    done.map_err(|failure| match failure.stderr.is_empty() {
        true => failure,
        false => Failure::on_stdout(format!("Error: {}", failure.stderr)),
    })
}

type Replicas = BTreeMap<TopicPartition, Vec<i32>>;

/// The replicas of all partitions of these topics.
async fn current(client: &Client, topics: &BTreeSet<&str>) -> Result<Replicas, Failure> {
    let mut replicas = Replicas::new();
    for topic in client.list_topics().await? {
        if topics.contains(topic.name.as_str()) {
            let partitions = topic.partitions.iter();
            replicas.extend(partitions.map(|partition| {
                let at = TopicPartition::new(topic.name.as_str(), partition.id);
                (at, partition.replicas.clone())
            }));
        }
    }
    Ok(replicas)
}

fn topics_of(plan: &Plan) -> BTreeSet<&str> {
    plan.keys().map(|at| &*at.topic).collect()
}

fn unknown(message: String) -> Failure {
    let error = Error::of(ErrorCode::UnknownTopicOrPartition, Some(&message));
    Failure::plain(describe(&error))
}

async fn racks(client: &Client) -> Result<Brokers, Failure> {
    let cluster = client.describe_cluster(false).await?;
    let brokers = cluster.brokers.into_iter();
    Ok(brokers.map(|broker| (broker.id, broker.rack)).collect())
}

/// With the directory of each replica that is there; `ANY` where its broker does not say.
async fn with_directories(client: &Client, replicas: &Replicas) -> Result<Plan, Failure> {
    let known = racks(client).await?;
    let brokers: BTreeSet<i32> = replicas.values().flatten().copied().collect();
    let mut paths: BTreeMap<(i32, TopicPartition), String> = BTreeMap::new();
    for &broker in brokers.iter().filter(|id| known.contains_key(id)) {
        for directory in client.describe_log_dirs(broker).await? {
            let settled = directory.replicas.into_iter().filter(|r| !r.is_future);
            paths.extend(settled.map(|r| ((broker, r.partition), directory.path.clone())));
        }
    }
    let placed = replicas.iter().map(|(at, ids)| {
        let path = |id: &i32| paths.get(&(*id, at.clone())).cloned();
        let directories = ids.iter().map(|id| path(id).unwrap_or(ANY.to_owned()));
        let placed = Placed {
            directories: directories.collect(),
            replicas: ids.clone(),
        };
        (at.clone(), placed)
    });
    Ok(placed.collect())
}

async fn generate(client: &Client, args: &Args, out: &mut Output) -> Result<(), Failure> {
    let ids = args.value("broker-list")?.unwrap_or_default();
    let ids: Vec<i32> = ids
        .split(',')
        .map(|id| {
            id.trim()
                .parse()
                .map_err(|_| Failure::plain(format!("For input string: \"{id}\"")))
        })
        .collect::<Result<_, _>>()?;
    let unique: BTreeSet<i32> = ids.iter().copied().collect();
    if unique.len() < ids.len() {
        return Err(Failure::plain(format!(
            "Broker list contains duplicate entries: {}",
            list(&ids, ",")
        )));
    }
    let path = args.value("topics-to-move-json-file")?.unwrap_or_default();
    let topics = plan::topics_to_move(&json_file::read(path)?).map_err(Failure::plain)?;
    let replicas = current(client, &topics.iter().map(String::as_str).collect()).await?;
    let mut wanted: BTreeMap<String, Vec<(i32, usize)>> = BTreeMap::new();
    for (at, replicas) in &replicas {
        let partitions = wanted.entry(at.topic.to_string()).or_default();
        partitions.push((at.partition, replicas.len()));
    }
    if let Some(missing) = topics.iter().find(|topic| !wanted.contains_key(*topic)) {
        return Err(unknown(format!("Topic {missing} not found.")));
    }
    let known = racks(client).await?;
    let ignores_racks = args.has("disable-rack-aware");
    let mut brokers = Brokers::new();
    for id in ids {
        let rack = known
            .get(&id)
            .ok_or_else(|| Failure::plain(format!("Unknown broker id {id}")))?;
        brokers.insert(id, rack.clone().filter(|_| !ignores_racks));
    }
    let has_rack = brokers.values().filter(|rack| rack.is_some()).count();
    if has_rack > 0 && has_rack < brokers.len() {
        return Err(Failure::plain(
            "Not all brokers have rack information. Add --disable-rack-aware in command line to make replica assignment without rack information.",
        ));
    }
    let proposed = plan::generate(&wanted, &brokers).map_err(Failure::plain)?;
    let now = with_directories(client, &replicas).await?;
    writeln!(
        out,
        "Current partition replica assignment\n{}\n",
        plan::to_json(&now)
    )?;
    writeln!(
        out,
        "Proposed partition reassignment configuration\n{}",
        plan::to_json(&proposed)
    )?;
    Ok(())
}

fn plan_of(args: &Args) -> Result<Plan, Failure> {
    let path = args.value("reassignment-json-file")?.unwrap_or_default();
    plan::parse(&json_file::read(path)?).map_err(Failure::plain)
}

async fn execute(client: &Client, args: &Args, out: &mut Output) -> Result<(), Failure> {
    let plan = plan_of(args)?;
    let rate = args.number("throttle")?.unwrap_or(-1);
    let directory_rate = args
        .number("replica-alter-log-dirs-throttle")?
        .unwrap_or(-1);
    let timeout = Duration::from_millis(args.number("timeout")?.unwrap_or(10_000));
    let moving = client.list_reassignments().await?;
    if !moving.is_empty() && !args.has("additional") {
        return Err(Failure::plain(format!(
            "Cannot execute because there is an existing partition assignment. Use --additional to override this and create a new partition assignment in addition to the existing one. The --additional flag can also be used to change the throttle by resubmitting the current reassignment. Being moved: {}",
            throttle::moving(&moving)
        )));
    }
    let known = racks(client).await?;
    let named = plan.values().flat_map(|placed| &placed.replicas);
    if let Some(id) = named.into_iter().find(|id| !known.contains_key(id)) {
        return Err(Failure::plain(format!("Unknown broker id {id}")));
    }
    let replicas = current(client, &topics_of(&plan)).await?;
    for at in plan.keys() {
        if !replicas.keys().any(|known| known.topic == at.topic) {
            return Err(unknown(format!("Topic {} not found.", at.topic)));
        }
        if !replicas.contains_key(at) {
            return Err(unknown(format!("Unable to find partition: {at}")));
        }
    }
    let touched: Replicas = replicas
        .into_iter()
        .filter(|(at, _)| plan.contains_key(at))
        .collect();
    let before = with_directories(client, &touched).await?;
    writeln!(
        out,
        "Current partition replica assignment\n\n{}\n\nSave this to use as the --reassignment-json-file option during rollback",
        plan::to_json(&before)
    )?;
    if rate >= 0 || directory_rate >= 0 {
        writeln!(
            out,
            "Warning: You must run --verify periodically, until the reassignment completes, to ensure the throttle is removed."
        )?;
        throttle::set(client, &plan, &touched, rate, directory_rate, out).await?;
    }
    let targets = plan
        .iter()
        .map(|(at, placed)| (at.clone(), Some(placed.replicas.clone())));
    let may_change = !args.has("disallow-replication-factor-change");
    let results = client
        .alter_reassignments(&targets.collect(), may_change)
        .await?;
    let failed: Vec<String> = results
        .iter()
        .filter_map(|(at, result)| {
            result
                .as_ref()
                .err()
                .map(|error| format!("{at}: {}", describe(error)))
        })
        .collect();
    if !failed.is_empty() {
        return Err(Failure::plain(format!(
            "Error reassigning partition(s):\n{}",
            failed.join("\n")
        )));
    }
    let names: Vec<&TopicPartition> = plan.keys().collect();
    writeln!(
        out,
        "Successfully started partition reassignment{} for {}",
        if plan.len() == 1 { "" } else { "s" },
        list(&names, ",")
    )?;
    move_directories(client, &plan, timeout, out).await
}

/// Chosen directories, by broker.
fn directories(plan: &Plan) -> BTreeMap<i32, BTreeMap<TopicPartition, String>> {
    let mut chosen: BTreeMap<i32, BTreeMap<TopicPartition, String>> = BTreeMap::new();
    for (at, placed) in plan {
        for (id, path) in placed.replicas.iter().zip(&placed.directories) {
            if path != ANY {
                chosen
                    .entry(*id)
                    .or_default()
                    .insert(at.clone(), path.clone());
            }
        }
    }
    chosen
}

async fn move_directories(
    client: &Client,
    plan: &Plan,
    timeout: Duration,
    out: &mut Output,
) -> Result<(), Failure> {
    let give_up = Instant::now() + timeout;
    for (broker, mut left) in directories(plan) {
        while !left.is_empty() {
            for (at, result) in client.alter_replica_log_dirs(broker, &left).await? {
                match result {
                    Ok(()) => {
                        let path = left.remove(&at).unwrap_or_default();
                        writeln!(
                            out,
                            "Successfully started moving log directory to {path} for replica {at} with broker {broker} "
                        )?;
                    }
                    // It is on its way there.
                    Err(error) if error.code() == Some(ErrorCode::ReplicaNotAvailable) => {}
                    Err(error) => {
                        return Err(Failure::plain(format!(
                            "Failed to alter dir for {at}-{broker}: {}",
                            describe(&error)
                        )));
                    }
                }
            }
            if left.is_empty() {
                break;
            }
            if Instant::now() >= give_up {
                let names: Vec<String> = left.keys().map(|at| format!("{at}-{broker}")).collect();
                return Err(Failure::plain(format!(
                    "Timed out before log directory move{} could be started for: {}",
                    if names.len() == 1 { "" } else { "s" },
                    names.join(",")
                )));
            }
            sleep(AGAIN).await;
        }
    }
    Ok(())
}

/// Of one partition, and whether it is still moved.
fn status(
    at: &TopicPartition,
    placed: &Placed,
    now: &[i32],
    moving: Option<&Reassignment>,
) -> (String, bool) {
    let done = now == placed.replicas;
    let text = match (moving, done) {
        (Some(_), _) => format!("Reassignment of partition {at} is still in progress."),
        (None, true) => format!("Reassignment of partition {at} is completed."),
        (None, false) => format!(
            "There is no active reassignment of partition {at}, but replica set is {} rather than {}.",
            list(now, ","),
            list(&placed.replicas, ",")
        ),
    };
    (text, moving.is_some())
}

async fn verify(client: &Client, args: &Args, out: &mut Output) -> Result<(), Failure> {
    let plan = plan_of(args)?;
    let moving = client.list_reassignments().await?;
    let replicas = current(client, &topics_of(&plan)).await?;
    writeln!(out, "Status of partition reassignment:")?;
    let mut is_moving = false;
    for (at, placed) in &plan {
        let now = replicas.get(at).map_or(&[][..], Vec::as_slice);
        let (text, moves) = status(at, placed, now, moving.get(at));
        is_moving |= moves;
        writeln!(out, "{text}")?;
    }
    is_moving |= verify_directories(client, &plan, out).await?;
    if args.has("preserve-throttles") || is_moving || !moving.is_empty() {
        return Ok(());
    }
    if directories(&plan).is_empty() {
        writeln!(out)?;
    }
    throttle::clear(client, &plan, &replicas, out).await
}

/// Whether a replica is still on its way to its directory.
async fn verify_directories(
    client: &Client,
    plan: &Plan,
    out: &mut Output,
) -> Result<bool, Failure> {
    let known = racks(client).await?;
    let mut is_moving = false;
    for (broker, chosen) in directories(plan) {
        let mut here: BTreeMap<TopicPartition, String> = BTreeMap::new();
        let mut future: BTreeMap<TopicPartition, String> = BTreeMap::new();
        if known.contains_key(&broker) {
            for directory in client.describe_log_dirs(broker).await? {
                for replica in directory.replicas {
                    let of = if replica.is_future {
                        &mut future
                    } else {
                        &mut here
                    };
                    of.insert(replica.partition, directory.path.clone());
                }
            }
        }
        for (at, target) in chosen {
            let text = match (here.get(&at), future.get(&at)) {
                (_, Some(to)) if *to == target => {
                    is_moving = true;
                    format!("Reassignment of replica {at}-{broker} is still in progress.")
                }
                (_, Some(to)) => {
                    is_moving = true;
                    format!(
                        "Partition {at} on broker {broker} is being moved to log dir {to} instead of {target}."
                    )
                }
                (Some(path), None) if *path == target => {
                    format!("Reassignment of replica {at}-{broker} completed successfully.")
                }
                (Some(path), None) => format!(
                    "Partition {at} on broker {broker} is not being moved from log dir {path} to {target}."
                ),
                (None, None) => format!(
                    "Partition {at} cannot be found in any live log directory on broker {broker}."
                ),
            };
            writeln!(out, "{text}")?;
        }
    }
    Ok(is_moving)
}

async fn cancel(client: &Client, args: &Args, out: &mut Output) -> Result<(), Failure> {
    let plan = plan_of(args)?;
    let moving = client.list_reassignments().await?;
    let active: Vec<&TopicPartition> = plan.keys().filter(|at| moving.contains_key(at)).collect();
    if active.is_empty() {
        writeln!(
            out,
            "None of the specified partition reassignments are active."
        )?;
    } else {
        let targets = active.iter().map(|at| ((*at).clone(), None)).collect();
        for (at, result) in client.alter_reassignments(&targets, true).await? {
            match result {
                Ok(()) => {}
                // It ended by itself meanwhile.
                Err(error) if error.code() == Some(ErrorCode::NoReassignmentInProgress) => {}
                Err(error) => {
                    return Err(Failure::plain(format!(
                        "Error cancelling partition reassignment for: {at}: {}",
                        describe(&error)
                    )));
                }
            }
        }
        writeln!(
            out,
            "Successfully cancelled partition reassignment{} for: {}",
            if active.len() == 1 { "" } else { "s" },
            list(&active, ",")
        )?;
    }
    if args.has("preserve-throttles") {
        return Ok(());
    }
    let replicas = current(client, &topics_of(&plan)).await?;
    throttle::clear(client, &plan, &replicas, out).await
}

async fn show_all(client: &Client, out: &mut Output) -> Result<(), Failure> {
    let moving = client.list_reassignments().await?;
    if moving.is_empty() {
        return Ok(writeln!(out, "No partition reassignments found.")?);
    }
    writeln!(out, "Current partition reassignments:")?;
    for (at, reassignment) in moving {
        write!(
            out,
            "{at}: replicas: {}.",
            list(&reassignment.replicas, ",")
        )?;
        for (what, ids) in [
            ("adding", &reassignment.adding),
            ("removing", &reassignment.removing),
        ] {
            if !ids.is_empty() {
                write!(out, " {what}: {}.", list(ids, ","))?;
            }
        }
        writeln!(out)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_what_is_wanted_and_what_is() {
        let at = TopicPartition::new("a", 0);
        let placed = Placed {
            replicas: vec![2],
            directories: vec![ANY.to_owned()],
        };
        let of = |now: &[i32], moving: Option<&Reassignment>| status(&at, &placed, now, moving).0;
        assert_eq!(
            of(&[2], None),
            "Reassignment of partition a-0 is completed."
        );
        assert_eq!(
            of(&[1], None),
            "There is no active reassignment of partition a-0, but replica set is 1 rather than 2."
        );
        assert_eq!(
            of(&[1], Some(&Reassignment::default())),
            "Reassignment of partition a-0 is still in progress."
        );
    }
}
