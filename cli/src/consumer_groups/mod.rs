//! `kafka-consumer-groups`: list, describe, reset and delete consumer groups.
//!
//! What goes wrong is said on standard output and the exit code stays 0, as with Kafka's tool; mistakes in the options are
//! said on standard error with 1. Rows come by topic and partition where Kafka's come in no order.

mod delete;
mod describe;
mod list;
mod options;
mod plan;
mod reset;

use crate::args::Args;
use crate::failure::{self, Failure};
use crate::{Output, connect};
use millrace_client::{Client, Error};
use options::Action;
use regex::Regex;
use std::collections::BTreeSet;

/// What stands where there is nothing to show.
const MISSING: &str = "-";

pub async fn run(args: &[String], out: &mut Output) -> Result<(), Failure> {
    let args = options::SPEC.parse(args)?;
    let action = options::check(&args)?;
    if action == Action::ValidateRegex {
        return Ok(validate_regex(
            args.value("validate-regex")?.unwrap_or_default(),
            out,
        )?);
    }
    let mut properties = connect::file(&args, "command-config")?;
    let timeout_ms: u64 = args.number("timeout")?.unwrap_or(30_000);
    properties.set("default.api.timeout.ms", timeout_ms.to_string());
    let client = connect::client(
        args.value("bootstrap-server")?,
        &properties,
        "adminclient-1",
    )?;
    let done = match action {
        Action::List => list::run(&client, &args, out).await,
        Action::Describe => describe::run(&client, &args, out).await,
        Action::Delete => delete::groups(&client, &args, out).await,
        Action::DeleteOffsets => delete::offsets(&client, &args, out).await,
        Action::Reset | Action::ValidateRegex => reset::run(&client, &args, out).await,
    };
    match done {
        Ok(()) => Ok(()),
        Err(Trouble::Usage(message)) => Err(args.usage(message)),
        Err(Trouble::Failure(failure)) => Err(failure),
        Err(Trouble::Failed(message)) => Ok(print_error(
            out,
            &format!("Executing consumer group command failed due to {message}"),
        )?),
    }
}

#[derive(Debug)]
enum Trouble {
    /// The options were wrong after all.
    Usage(String),
    Failed(String),
    Failure(Failure),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Trouble {
        Trouble::Failed(failure::describe(&error))
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

fn print_error(out: &mut Output, message: &str) -> std::io::Result<()> {
    writeln!(out, "\nError: {message}")
}

/// Those named, each once and in order, or all there are.
async fn chosen(client: &Client, args: &Args) -> Result<Vec<String>, Trouble> {
    if args.has("all-groups") {
        let groups = list::consumer_groups(client, Vec::new(), Vec::new()).await?;
        return Ok(groups.into_iter().map(|group| group.name).collect());
    }
    let named: BTreeSet<&str> = args.values("group").collect();
    Ok(named.into_iter().map(str::to_owned).collect())
}

fn validate_regex(pattern: &str, out: &mut Output) -> std::io::Result<()> {
    match Regex::new(pattern) {
        Ok(_) => writeln!(out, "The regular expression `{pattern}` is valid."),
        Err(error) => {
            let text = error.to_string();
            let reason = text.lines().last().unwrap_or_default();
            let reason = match reason.strip_prefix("error: ").unwrap_or(reason) {
                "unclosed group" => "missing closing )",
                "unclosed character class" => "missing closing ]",
                other => other,
            };
            writeln!(
                out,
                "The regular expression `{pattern}` is invalid: {reason}."
            )
        }
    }
}
