//! `kafka-leader-election`: lets partitions be led by another replica.

use crate::args::{Args, Spec, flag, value};
use crate::failure::{Failure, describe};
use crate::{Output, connect, json_file};
use millrace_client::TopicPartition;
use millrace_client::admin::ElectionType;
use millrace_client::wire::ErrorCode;
use std::collections::BTreeSet;

const SPEC: Spec = Spec {
    about: "This tool attempts to elect a new leader for a set of topic partitions. The type of elections supported are preferred replicas and unclean replicas.",
    options: &[
        value(
            "bootstrap-server",
            "String: host:port",
            "A hostname and port for the broker to connect to, in the form host:port. Multiple comma separated URLs can be given. REQUIRED.",
        ),
        value(
            "command-config",
            "String: Config file",
            "Config properties file to pass to the admin client.",
        ),
        value(
            "admin.config",
            "String: config file",
            "(DEPRECATED) Use --command-config instead.",
        ),
        value(
            "path-to-json-file",
            "String: Path to JSON file",
            "The JSON file with the list of partition for which leader elections should be performed. This is an example format.\n{\"partitions\":\n  [{\"topic\": \"foo\", \"partition\": 1},\n   {\"topic\": \"foobar\", \"partition\": 2}]\n}\nNot allowed if --all-topic-partitions or --topic flags are specified.",
        ),
        value(
            "topic",
            "String: topic name",
            "Name of topic for which to perform an election. Not allowed if --path-to-json-file or --all-topic-partitions is specified.",
        ),
        value(
            "partition",
            "Integer: partition id",
            "Partition id for which to perform an election. REQUIRED if --topic is specified.",
        ),
        flag(
            "all-topic-partitions",
            "Perform election on all of the eligible topic partitions based on the type of election (see the --election-type flag). Not allowed if --topic or --path-to-json-file is specified.",
        ),
        value(
            "election-type",
            "[PREFERRED,UNCLEAN]: election type",
            "Type of election to attempt. Possible values are \"preferred\" for preferred leader election or \"unclean\" for unclean leader election. REQUIRED.",
        ),
    ],
};

pub async fn run(args: &[String], out: &mut Output) -> Result<(), Failure> {
    let args = SPEC.parse(args)?;
    let (election, partitions) = asked(&args)?;
    connect::deprecated(&args, "admin.config", "command-config");
    let mut properties = connect::file(&args, "admin.config")?;
    properties.extend(connect::file(&args, "command-config")?);
    let client = connect::client(
        args.value("bootstrap-server")?,
        &properties,
        "adminclient-1",
    )?;
    let results = client.elect_leaders(election, partitions.as_deref()).await;
    let results = results.map_err(|error| Failure::plain(describe(&error)))?;
    let (mut elected, mut needless, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    for (at, result) in results {
        match result {
            Ok(()) => elected.push(at.to_string()),
            Err(error) if error.code() == Some(ErrorCode::ElectionNotNeeded) => {
                needless.push(at.to_string());
            }
            Err(error) => failed.push((at, error)),
        }
    }
    let name = match election {
        ElectionType::Preferred => "PREFERRED",
        ElectionType::Unclean => "UNCLEAN",
    };
    if !elected.is_empty() {
        writeln!(
            out,
            "Successfully completed leader election ({name}) for partitions {}",
            elected.join(", ")
        )?;
    }
    if !needless.is_empty() {
        writeln!(
            out,
            "Valid replica already elected for partitions {}",
            needless.join(", ")
        )?;
    }
    for (at, error) in &failed {
        writeln!(
            out,
            "Error completing leader election ({name}) for partition: {at}: {}",
            describe(error)
        )?;
    }
    match failed.len() {
        0 => Ok(()),
        n => Err(Failure::plain(format!(
            "{n} replica(s) could not be elected"
        ))),
    }
}

type Asked = (ElectionType, Option<Vec<TopicPartition>>);

fn asked(args: &Args) -> Result<Asked, Failure> {
    let required = ["bootstrap-server", "election-type"];
    let missing: Vec<&str> = required.into_iter().filter(|n| !args.has(n)).collect();
    if !missing.is_empty() {
        let missing = missing.join(", ");
        return Err(Failure::plain(format!(
            "Missing required option(s): {missing}"
        )));
    }
    let ways = ["topic", "all-topic-partitions", "path-to-json-file"];
    if ways.iter().filter(|way| args.has(way)).count() != 1 {
        let ways = ways.join(", ");
        return Err(Failure::plain(format!(
            "One and only one of the following options is required: {ways}"
        )));
    }
    match (args.has("topic"), args.has("partition")) {
        (true, false) => {
            return Err(Failure::plain("Missing required option(s): partition"));
        }
        (false, true) => {
            return Err(Failure::plain(
                "Option partition is only allowed if topic is used",
            ));
        }
        _ => {}
    }
    let word = args.value("election-type")?.unwrap_or_default();
    let election = match word.to_ascii_lowercase().as_str() {
        "preferred" => ElectionType::Preferred,
        "unclean" => ElectionType::Unclean,
        _ => {
            return Err(Failure::plain(format!(
                "Cannot parse argument '{word}' of option election-type"
            )));
        }
    };
    if let Some(path) = args.value("path-to-json-file")? {
        let partitions = parse(&json_file::read(path)?).map_err(Failure::plain)?;
        return Ok((election, Some(partitions)));
    }
    let partition: Option<i32> = args.number("partition")?;
    let topic = args.value("topic")?;
    let one = topic.zip(partition);
    Ok((
        election,
        one.map(|(topic, id)| vec![TopicPartition::new(topic, id)]),
    ))
}

fn parse(text: &str) -> Result<Vec<TopicPartition>, String> {
    let mut partitions = Vec::new();
    let mut seen = BTreeSet::new();
    for entry in json_file::versioned(text, "partitions")? {
        let at = json_file::partition(&entry)?;
        if !seen.insert(at.clone()) {
            return Err(format!(
                "Replica election data contains duplicate partitions: {at}"
            ));
        }
        partitions.push(at);
    }
    match partitions.is_empty() {
        true => Err("Replica election data is empty".to_owned()),
        false => Ok(partitions),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str) -> Result<Asked, String> {
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let asked = SPEC.parse(&args).and_then(|args| asked(&args));
        asked.map_err(|failure| failure.stderr)
    }

    #[test]
    fn partitions_are_named_in_one_of_three_ways() {
        let all = check("--bootstrap-server h:1 --election-type preferred --all-topic-partitions");
        assert_eq!(all, Ok((ElectionType::Preferred, None)));
        let one = check("--bootstrap-server h:1 --election-type UNCLEAN --topic a --partition 2");
        let expected = vec![TopicPartition::new("a", 2)];
        assert_eq!(one, Ok((ElectionType::Unclean, Some(expected))));
        let refused = |line: &str, words: &str| assert_eq!(check(line), Err(words.to_owned()));
        refused(
            "--topic a --partition 0",
            "Missing required option(s): bootstrap-server, election-type",
        );
        refused(
            "--bootstrap-server h:1 --election-type preferred",
            "One and only one of the following options is required: topic, all-topic-partitions, path-to-json-file",
        );
        refused(
            "--bootstrap-server h:1 --election-type foo --all-topic-partitions",
            "Cannot parse argument 'foo' of option election-type",
        );
        refused(
            "--bootstrap-server h:1 --election-type preferred --topic a",
            "Missing required option(s): partition",
        );
    }

    #[test]
    fn a_file_names_each_partition_once() {
        let text = r#"{"partitions":[{"topic":"a","partition":0},{"topic":"a","partition":0}]}"#;
        assert_eq!(
            parse(text),
            Err("Replica election data contains duplicate partitions: a-0".to_owned())
        );
        assert!(parse(r#"{"partitions":[]}"#).is_err());
    }
}
