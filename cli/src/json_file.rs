//! The files of JSON that some tools are told by what to do.

use crate::failure::Failure;
use millrace_client::TopicPartition;
use serde_json::Value;

/// A file beyond this is no list of partitions.
const MAX_FILE_BYTES: u64 = 64 << 20;

pub fn read(path: &str) -> Result<String, Failure> {
    let unreadable = |error: std::io::Error| Failure::plain(format!("cannot read {path}: {error}"));
    let bytes = std::fs::metadata(path).map_err(unreadable)?.len();
    if bytes > MAX_FILE_BYTES {
        return Err(Failure::plain(format!(
            "{path} has {bytes} bytes; {MAX_FILE_BYTES} are allowed"
        )));
    }
    std::fs::read_to_string(path).map_err(unreadable)
}

/// The list of that name in a file of version 1.
pub fn versioned(text: &str, list: &str) -> Result<Vec<Value>, String> {
    let json: Value = serde_json::from_str(text)
        .map_err(|error| format!("The input string is not a valid JSON: {error}"))?;
    let version = match json.get("version") {
        None => 1,
        Some(version) => version.as_i64().ok_or("version must be a number")?,
    };
    if version != 1 {
        return Err(format!("Not supported version field value {version}"));
    }
    match json.get(list).and_then(Value::as_array) {
        Some(entries) => Ok(entries.clone()),
        None => Err(format!("Missing {list} field")),
    }
}

/// `topic` and `partition` of an entry.
pub fn partition(entry: &Value) -> Result<TopicPartition, String> {
    let missing = |field: &str| format!("an entry of partitions needs the field {field}: {entry}");
    let topic = entry
        .get("topic")
        .and_then(Value::as_str)
        .ok_or_else(|| missing("topic"))?;
    let partition = entry
        .get("partition")
        .and_then(Value::as_i64)
        .and_then(|id| i32::try_from(id).ok());
    Ok(TopicPartition::new(
        topic,
        partition.ok_or_else(|| missing("partition"))?,
    ))
}
