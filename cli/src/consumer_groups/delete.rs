//! `--delete` and `--delete-offsets`.

use super::{MISSING, Trouble, chosen, plan, print_error};
use crate::Output;
use crate::args::Args;
use crate::failure::describe;
use millrace_client::wire::ErrorCode;
use millrace_client::{Client, Error, TopicPartition, Topics};
use std::collections::{BTreeMap, BTreeSet};

pub async fn groups(client: &Client, args: &Args, out: &mut Output) -> Result<(), Trouble> {
    let mut deleted = Vec::new();
    let mut failed = Vec::new();
    for (group, result) in client.delete_groups(&chosen(client, args).await?).await {
        match result {
            Ok(()) => deleted.push(format!("'{group}'")),
            Err(error) => failed.push((group, error)),
        }
    }
    let deleted = deleted.join(", ");
    if failed.is_empty() {
        writeln!(
            out,
            "Deletion of requested consumer groups ({deleted}) was successful."
        )?;
        return Ok(());
    }
    print_error(out, "Deletion of some consumer groups failed:")?;
    for (group, error) in failed {
        writeln!(
            out,
            "* Group '{group}' could not be deleted due to: {}",
            describe(&error)
        )?;
    }
    if !deleted.is_empty() {
        writeln!(
            out,
            "\nThese consumer groups were deleted successfully: {deleted}"
        )?;
    }
    Ok(())
}

type Results = BTreeMap<TopicPartition, Result<(), Error>>;

/// Where a topic stands that has no partitions to be named.
const NO_PARTITION: i32 = -1;

pub async fn offsets(client: &Client, args: &Args, out: &mut Output) -> Result<(), Trouble> {
    let group = args.value("group")?.unwrap_or_default();
    let mut results = Results::new();
    let mut partitions = BTreeSet::new();
    let mut topics = Vec::new();
    for topic in args.values("topic") {
        match topic.contains(':') {
            true => partitions.extend(plan::partitions(topic).map_err(Trouble::Usage)?),
            false => topics.push(topic),
        }
    }
    if !topics.is_empty() {
        for topic in client.topics(Topics::Named(&topics)).await? {
            if let Err(error) = topic.check() {
                let at = TopicPartition::new(topic.name.as_str(), NO_PARTITION);
                results.insert(at, Err(error));
            }
            let of_topic = topic.partitions.iter();
            partitions.extend(of_topic.map(|at| TopicPartition::new(topic.name.as_str(), at.id)));
        }
    }
    let mut failure = None;
    if !partitions.is_empty() {
        match client.delete_group_offsets(group, &partitions).await {
            Ok(deleted) => {
                failure = deleted.values().find_map(|result| result.clone().err());
                results.extend(deleted);
            }
            Err(error) => {
                let each = partitions.iter();
                results.extend(each.map(|at| (at.clone(), Err(error.clone()))));
                failure = Some(error);
            }
        }
    }
    match failure.map(|error| (error.code(), error)) {
        None => writeln!(
            out,
            "Request succeeded for deleting offsets from group {group}."
        )?,
        Some((
            Some(
                ErrorCode::InvalidGroupId
                | ErrorCode::GroupIdNotFound
                | ErrorCode::GroupAuthorizationFailed
                | ErrorCode::NonEmptyGroup,
            ),
            error,
        )) => print_error(out, &error.to_string())?,
        Some((
            Some(
                ErrorCode::GroupSubscribedToTopic
                | ErrorCode::TopicAuthorizationFailed
                | ErrorCode::UnknownTopicOrPartition,
            ),
            _,
        )) => print_error(
            out,
            "Encountered some partition-level error, see the follow-up details.",
        )?,
        Some((code, error)) => {
            let name = code.map_or_else(|| error.to_string(), |code| code.name().to_owned());
            print_error(out, &format!("Encountered some unknown error: {name}"))?;
        }
    }
    write!(out, "{}", table(&results))?;
    Ok(())
}

fn table(results: &Results) -> String {
    let longest = results.keys().map(|at| at.topic.chars().count()).max();
    let width = longest.unwrap_or(0).max(15);
    let row = |topic: &str, partition: &str, status: &str| {
        format!("\n{topic:width$} {partition:10} {status:15}")
    };
    let mut table = row("TOPIC", "PARTITION", "STATUS");
    for (at, result) in results {
        let partition = match at.partition {
            NO_PARTITION => MISSING.to_owned(),
            id => id.to_string(),
        };
        let status = match result {
            Ok(()) => "Successful".to_owned(),
            Err(error) => format!("Error: {}", describe(error)),
        };
        table.push_str(&row(&at.topic, &partition, &status));
    }
    table + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_partition_has_its_status() {
        let mut results = Results::new();
        results.insert(TopicPartition::new("t1", 0), Ok(()));
        let gone = Error::of(ErrorCode::GroupIdNotFound, None);
        results.insert(TopicPartition::new("t9", NO_PARTITION), Err(gone));
        assert_eq!(
            table(&results).replace(" \n", "|\n"),
            "\nTOPIC           PARTITION  STATUS        |\n\
             t1              0          Successful    |\n\
             t9              -          Error: org.apache.kafka.common.errors.GroupIdNotFoundException: The group id does not exist.\n"
        );
    }
}
