//! `kafka-delete-records`: raises partitions' starts, as a file of JSON says.

use crate::args::{Spec, value};
use crate::failure::{Failure, describe};
use crate::{Output, connect, json_file};
use millrace_client::TopicPartition;
use serde_json::Value;
use std::collections::BTreeSet;

const SPEC: Spec = Spec {
    about: "This tool helps to delete records of the given partitions down to the specified offset.",
    options: &[
        value(
            "bootstrap-server",
            "String: server(s) to use for bootstrapping",
            "REQUIRED: The server to connect to.",
        ),
        value(
            "offset-json-file",
            "String: Offset json file path",
            "REQUIRED: The JSON file with offset per partition. The format to use is:\n{\"partitions\":\n  [{\"topic\": \"foo\", \"partition\": 1, \"offset\": 1}],\n \"version\":1\n}",
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
    args.require(&["bootstrap-server", "offset-json-file"])?;
    let path = args.value("offset-json-file")?.unwrap_or_default();
    let offsets = parse(&json_file::read(path)?).map_err(Failure::plain)?;
    let properties = connect::file(&args, "command-config")?;
    let client = connect::client(
        args.value("bootstrap-server")?,
        &properties,
        "adminclient-1",
    )?;
    writeln!(out, "Executing records delete operation")?;
    let deleted = client.delete_records(&offsets).await?;
    writeln!(out, "Records delete operation completed:")?;
    for (partition, result) in deleted {
        match result {
            Ok(low_watermark) => writeln!(
                out,
                "partition: {partition}\tlow_watermark: {low_watermark}"
            )?,
            Err(error) => writeln!(out, "partition: {partition}\terror: {}", describe(&error))?,
        }
    }
    Ok(())
}

fn parse(text: &str) -> Result<Vec<(TopicPartition, i64)>, String> {
    let partitions = json_file::versioned(text, "partitions")?;
    let mut offsets = Vec::new();
    let mut seen = BTreeSet::new();
    for entry in &partitions {
        let missing =
            |field: &str| format!("an entry of partitions needs the field {field}: {entry}");
        let partition = json_file::partition(entry)?;
        let offset = entry
            .get("offset")
            .and_then(Value::as_i64)
            .ok_or_else(|| missing("offset"))?;
        if !seen.insert(partition.clone()) {
            return Err(format!(
                "Offset json file contains duplicate topic partitions: {partition}"
            ));
        }
        offsets.push((partition, offset));
    }
    Ok(offsets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_lists_partitions_and_offsets() {
        let text =
            r#"{"partitions": [{"topic": "a", "partition": 1, "offset": -1}], "version": 1}"#;
        assert_eq!(parse(text), Ok(vec![(TopicPartition::new("a", 1), -1)]));
    }

    #[test]
    fn what_is_wrong_with_the_file_is_said() {
        let check = |text: &str, expected: &str| {
            let error = parse(text).expect_err("refused");
            assert!(error.starts_with(expected), "{error}");
        };
        check("x", "The input string is not a valid JSON");
        check(r#"{"x":[]}"#, "Missing partitions field");
        check(r#"{"version":2}"#, "Not supported version field value 2");
        check(
            r#"{"partitions":[{"topic":"a","partition":0}]}"#,
            "an entry of partitions needs the field offset",
        );
        let twice = r#"{"partitions":[{"topic":"a","partition":0,"offset":1},{"topic":"a","partition":0,"offset":1}]}"#;
        check(
            twice,
            "Offset json file contains duplicate topic partitions: a-0",
        );
    }
}
