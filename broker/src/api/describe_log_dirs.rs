//! DescribeLogDirs: what lies in each directory of this broker, what is on its way there, and how full its disk is.

use super::{Call, Reply, code, text};
use crate::engine::Move;
use crate::raft::ports::GroupId;
use crate::replicas::{Hosting, Replicas};
use millrace_wire::ErrorCode;
use millrace_wire::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use millrace_wire::messages::{DescribeLogDirsRequest, DescribeLogDirsResponse, TopicName};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

/// `None` is all of them.
type Asked = Option<HashMap<String, HashSet<i32>>>;

/// Sizes by directory, topic and partition.
type Sizes = HashMap<String, BTreeMap<String, Vec<DescribeLogDirsPartition>>>;

pub async fn handle(
    call: &Call,
    request: DescribeLogDirsRequest,
) -> Reply<DescribeLogDirsResponse> {
    let asked: Asked = request.topics.map(|topics| {
        let mut asked: HashMap<String, HashSet<i32>> = HashMap::new();
        for topic in topics {
            let partitions = asked.entry(topic.topic.to_string()).or_default();
            partitions.extend(topic.partitions);
        }
        asked
    });
    let replicas = call.broker.replicas.clone();
    let directories = call.broker.started_with.log_dirs.clone();
    let work = tokio::task::spawn_blocking(move || describe(&replicas, &directories, &asked));
    let mut response = DescribeLogDirsResponse::default();
    match work.await {
        Ok(results) => response.results = results,
        Err(error) => {
            tracing::error!(%error, "cannot describe the directories");
            response.error_code = code(ErrorCode::UnknownServerError);
        }
    }
    Reply::Answer(response)
}

/// Reads the disk.
fn describe(
    replicas: &Replicas,
    directories: &[PathBuf],
    asked: &Asked,
) -> Vec<DescribeLogDirsResult> {
    let open = replicas.engine().directories().into_iter();
    let online: BTreeSet<String> = open
        .filter(|directory| !directory.has_failed)
        .map(|directory| directory.path)
        .collect();
    let moves = replicas.engine().moves();
    let moves = moves
        .into_iter()
        .map(|on_its_way| (on_its_way.group, on_its_way));
    let mut sizes = sizes(&replicas.hosting(), &moves.collect(), asked);
    let describe_one = |path: &PathBuf| {
        let mut result = DescribeLogDirsResult::default();
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.clone());
        result.log_dir = text(absolute.display().to_string());
        result.total_bytes = -1;
        result.usable_bytes = -1;
        let name = path.display().to_string();
        let space = online.contains(&name).then(|| space(path)).flatten();
        let Some((total_bytes, usable_bytes)) = space else {
            result.error_code = code(ErrorCode::KafkaStorageError);
            return result;
        };
        result.total_bytes = total_bytes;
        result.usable_bytes = usable_bytes;
        let topics = sizes.remove(&name).unwrap_or_default().into_iter();
        result.topics = topics
            .map(|(name, partitions)| topic(name, partitions))
            .collect();
        result
    };
    directories.iter().map(describe_one).collect()
}

fn topic(name: String, partitions: Vec<DescribeLogDirsPartition>) -> DescribeLogDirsTopic {
    let mut topic = DescribeLogDirsTopic::default();
    topic.name = TopicName(text(name));
    topic.partitions = partitions;
    topic
}

fn sizes(hosting: &Hosting, moves: &HashMap<GroupId, Move>, asked: &Asked) -> Sizes {
    let mut sizes = Sizes::new();
    let mut add = |directory: String, name: &str, partition| {
        let topics = sizes.entry(directory).or_default();
        topics.entry(name.to_owned()).or_default().push(partition);
    };
    for (name, hosted) in &hosting.topics {
        let wanted = match asked {
            None => None,
            Some(asked) => match asked.get(&**name) {
                Some(partitions) => Some(partitions),
                None => continue,
            },
        };
        for (index, handle) in (0..).zip(&hosted.partitions) {
            let Some(handle) = handle else { continue };
            if wanted.is_some_and(|wanted| !wanted.contains(&index)) {
                continue;
            }
            // One that is being deleted is in no directory any more.
            let (Some(directory), Ok(bytes)) = (handle.directory(), handle.size_bytes()) else {
                continue;
            };
            let mut partition = DescribeLogDirsPartition::default();
            partition.partition_index = index;
            partition.partition_size = i64::try_from(bytes).unwrap_or(i64::MAX);
            add(directory.clone(), name, partition);
            // One that has just arrived is no future one any more.
            let on_its_way = moves.get(&handle.group());
            if let Some(on_its_way) = on_its_way.filter(|on_its_way| on_its_way.to != directory) {
                let mut future = DescribeLogDirsPartition::default();
                future.partition_index = index;
                future.partition_size = i64::try_from(on_its_way.bytes).unwrap_or(i64::MAX);
                future.offset_lag = on_its_way.lag;
                future.is_future_key = true;
                add(on_its_way.to.clone(), name, future);
            }
        }
    }
    sizes
}

/// Bytes of the file system, and those that can be written yet; `None` when it cannot be asked.
fn space(path: &Path) -> Option<(i64, i64)> {
    let stat = rustix::fs::statvfs(path)
        .inspect_err(|error| {
            tracing::error!(path = %path.display(), %error, "cannot ask for the free space");
        })
        .ok()?;
    let bytes =
        |blocks: u64| i64::try_from(blocks.saturating_mul(stat.f_frsize)).unwrap_or(i64::MAX);
    Some((bytes(stat.f_blocks), bytes(stat.f_bavail)))
}
