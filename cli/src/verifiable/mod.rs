//! `kafka-verifiable-producer` and `kafka-verifiable-consumer`: what was acknowledged, read and committed, as a line of JSON for each
//! event, for programs that check it.

pub mod consumer;
pub mod producer;

use crate::Output;
use crate::args::Args;
use crate::clock::now_ms;
use crate::connect;
use crate::failure::Failure;
use bytes::Bytes;
use millrace_client::properties::Properties;
use serde_json::Value;

/// With its time first and its fields, which are JSON already, in the order given, as Kafka writes them.
fn event(out: &mut Output, name: &str, fields: &[(&str, String)]) -> Result<(), Failure> {
    let mut line = format!("{{\"timestamp\":{},\"name\":{}", now_ms(), json(name));
    for (field, value) in fields {
        line.push_str(&format!(",{}:{value}", json(*field)));
    }
    writeln!(out, "{line}}}")?;
    Ok(out.flush()?)
}

fn text(bytes: Option<&Bytes>) -> String {
    match bytes {
        Some(bytes) => json(&*String::from_utf8_lossy(bytes)),
        None => "null".to_owned(),
    }
}

fn json(value: impl Into<Value>) -> String {
    value.into().to_string()
}

fn files(args: &Args, old: &str) -> Result<Properties, Failure> {
    connect::deprecated(args, old, "command-config");
    let mut properties = connect::file(args, old)?;
    properties.extend(connect::file(args, "command-config")?);
    Ok(properties)
}
