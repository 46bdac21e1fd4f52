//! `kafka-topics`: create, delete, list, describe and grow topics.

mod describe;
mod options;

use crate::Output;
use crate::args::Args;
use crate::failure::{self, Failure};
use crate::pattern::Included;
use crate::{connect, log};
use millrace_client::admin::{NewPartitions, NewTopic, TopicRef};
use millrace_client::wire::ErrorCode;
use millrace_client::{Client, Error};
use std::collections::BTreeSet;

const SOURCE: &str = "org.apache.kafka.tools.TopicCommand";

pub async fn run(args: &[String], out: &mut Output) -> Result<(), Failure> {
    let args = options::SPEC.parse(args)?;
    options::check(&args)?;
    let client = connect(&args)?;
    match act(&client, &args, out).await {
        Ok(()) => Ok(()),
        Err(error) => {
            let (shown, logged) = match &error {
                Trouble::Client(error) => (error.to_string(), failure::describe(error)),
                Trouble::Own(message) => (
                    message.clone(),
                    format!("java.lang.IllegalArgumentException: {message}"),
                ),
                Trouble::Failure(failure) if failure.stderr.is_empty() => {
                    return Err(failure.clone());
                }
                Trouble::Failure(failure) => (failure.stderr.clone(), failure.stderr.clone()),
            };
            writeln!(out, "Error while executing topic command : {shown}")?;
            out.flush()?;
            log::caught(SOURCE, &logged);
            Err(Failure::silent(1))
        }
    }
}

enum Trouble {
    Client(Error),
    Own(String),
    Failure(Failure),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Trouble {
        Trouble::Client(error)
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Trouble {
        Trouble::Failure(failure)
    }
}

impl From<std::io::Error> for Trouble {
    fn from(error: std::io::Error) -> Trouble {
        Trouble::Failure(error.into())
    }
}

fn connect(args: &Args) -> Result<Client, Failure> {
    let properties = connect::file(args, "command-config")?;
    let bootstrap = match args.value("bootstrap-server")? {
        Some(bootstrap) => bootstrap,
        None => {
            let today = format!("--bootstrap-server {}", connect::TODAY);
            connect::advise("--zookeeper", &today);
            connect::TODAY
        }
    };
    connect::client(Some(bootstrap), &properties, "adminclient-1")
}

async fn act(client: &Client, args: &Args, out: &mut Output) -> Result<(), Trouble> {
    match options::action(args) {
        "create" => create(client, args, out).await,
        "alter" => alter(client, args).await,
        "list" => list(client, args, out).await,
        "describe" => describe::run(client, args, out).await,
        _ => delete(client, args).await,
    }
}

async fn create(client: &Client, args: &Args, out: &mut Output) -> Result<(), Trouble> {
    let name = args.value("topic")?.unwrap_or_default();
    if name.contains(['.', '_']) {
        writeln!(
            out,
            "WARNING: Due to limitations in metric names, topics with a period ('.') or underscore ('_') could collide. To avoid issues it is best to use either, but not both."
        )?;
    }
    let topic = NewTopic {
        name: name.to_owned(),
        partitions: args.number("partitions")?,
        replication_factor: args.number("replication-factor")?,
        assignment: match args.value("replica-assignment")? {
            Some(text) => options::assignment(text).map_err(Trouble::Own)?,
            None => Vec::new(),
        },
        configs: options::configs(args).map_err(Trouble::Own)?,
    };
    if topic.replication_factor.is_some_and(|factor| factor < 1) {
        return Err(Trouble::Own(
            "The replication factor must be between 1 and 32767 inclusive".to_owned(),
        ));
    }
    if topic.partitions.is_some_and(|partitions| partitions < 1) {
        return Err(Trouble::Own(
            "The partitions must be greater than 0".to_owned(),
        ));
    }
    let mut results = client.create_topics(&[topic], false).await?;
    match results.pop() {
        Some(Err(error))
            if error.code() == Some(ErrorCode::TopicAlreadyExists) && args.has("if-not-exists") =>
        {
            Ok(())
        }
        Some(Err(error)) => Err(error.into()),
        Some(Ok(_)) | None => Ok(writeln!(out, "Created topic {name}.")?),
    }
}

async fn alter(client: &Client, args: &Args) -> Result<(), Trouble> {
    let wanted = args.value("topic")?.unwrap_or_default();
    let names = matching(client, args, Some(wanted)).await?;
    must_exist(&names, wanted, args.has("if-exists"))?;
    let total: i32 = args.number("partitions")?.unwrap_or_default();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let assignment = match args.value("replica-assignment")? {
        Some(text) => Some(options::assignment(text).map_err(Trouble::Own)?),
        None => None,
    };
    let mut changes = Vec::new();
    for topic in client
        .topics(millrace_client::Topics::Named(&names))
        .await?
    {
        topic.check()?;
        let existing = topic.partitions.len();
        if let Some(assignment) = &assignment
            && assignment.len() < existing
        {
            return Err(Trouble::Own(
                "Assignment has fewer partitions than the topic".to_owned(),
            ));
        }
        changes.push(NewPartitions {
            topic: topic.name,
            total,
            assignment: assignment
                .as_ref()
                .map(|assignment| assignment[existing..].to_vec()),
        });
    }
    for result in client.create_partitions(&changes, false).await? {
        result?;
    }
    Ok(())
}

async fn list(client: &Client, args: &Args, out: &mut Output) -> Result<(), Trouble> {
    for name in matching(client, args, args.value("topic")?).await? {
        writeln!(out, "{name}")?;
    }
    Ok(())
}

async fn delete(client: &Client, args: &Args) -> Result<(), Trouble> {
    let wanted = args.value("topic")?.unwrap_or_default();
    let names = matching(client, args, Some(wanted)).await?;
    must_exist(&names, wanted, args.has("if-exists"))?;
    let topics: Vec<TopicRef> = names.into_iter().map(TopicRef::Name).collect();
    for result in client.delete_topics(&topics).await? {
        result?;
    }
    Ok(())
}

/// Names of existing topics, all or those that the pattern matches, in order.
async fn matching(
    client: &Client,
    args: &Args,
    pattern: Option<&str>,
) -> Result<Vec<String>, Trouble> {
    let included = pattern.map(Included::parse).transpose()?;
    let excludes = args.has("exclude-internal");
    let topics = client.list_topics().await?;
    let shown = topics.into_iter().filter(|topic| {
        let is_included = included
            .as_ref()
            .is_none_or(|included| included.matches(&topic.name));
        is_included && !(excludes && topic.is_internal)
    });
    let names: BTreeSet<String> = shown.map(|topic| topic.name).collect();
    Ok(names.into_iter().collect())
}

fn must_exist(found: &[String], wanted: &str, may_be_missing: bool) -> Result<(), Trouble> {
    if found.is_empty() && !may_be_missing {
        return Err(Trouble::Own(format!(
            "Topic '{wanted}' does not exist as expected"
        )));
    }
    Ok(())
}
