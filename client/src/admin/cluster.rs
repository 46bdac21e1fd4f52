//! The cluster itself: its brokers, their versions and their directories.

use crate::client::{Client, Topics};
use crate::wire::messages::{
    DescribeClusterRequest, DescribeLogDirsRequest, UnregisterBrokerRequest,
};
use crate::{Error, TopicPartition, Versions};
use millrace_wire::ErrorCode;

#[derive(Clone, Debug)]
pub struct DescribedBroker {
    pub id: i32,
    pub host: String,
    pub port: i32,
    pub rack: Option<String>,
    pub is_fenced: bool,
}

#[derive(Clone, Debug)]
pub struct ClusterDescription {
    pub cluster_id: String,
    pub controller: Option<i32>,
    pub brokers: Vec<DescribedBroker>,
}

#[derive(Clone, Debug)]
pub struct LogDirReplica {
    pub partition: TopicPartition,
    pub size_bytes: i64,
    pub offset_lag: i64,
    pub is_future: bool,
}

#[derive(Clone, Debug)]
pub struct LogDir {
    pub path: String,
    pub error: ErrorCode,
    pub total_bytes: Option<i64>,
    pub usable_bytes: Option<i64>,
    pub replicas: Vec<LogDirReplica>,
}

impl Client {
    pub async fn describe_cluster(&self, with_fenced: bool) -> Result<ClusterDescription, Error> {
        self.retry("describeCluster", async || {
            let connection = self.any().await?;
            let version = connection.version_of::<DescribeClusterRequest>(i16::MAX)?;
            let mut request = DescribeClusterRequest::default();
            if with_fenced {
                if version < 2 {
                    return Err(Error::of(ErrorCode::UnsupportedVersion, None));
                }
                request.include_fenced_brokers = true;
            }
            let response = connection.send_version(version, &request).await?;
            Error::check(response.error_code, response.error_message.as_deref())?;
            let brokers = response.brokers.iter().map(|broker| DescribedBroker {
                id: broker.broker_id.0,
                host: broker.host.to_string(),
                port: broker.port,
                rack: broker.rack.as_ref().map(|rack| rack.to_string()),
                is_fenced: broker.is_fenced,
            });
            let mut brokers: Vec<DescribedBroker> = brokers.collect();
            brokers.sort_by_key(|broker| broker.id);
            Ok(ClusterDescription {
                cluster_id: response.cluster_id.to_string(),
                controller: Some(response.controller_id.0).filter(|&id| id >= 0),
                brokers,
            })
        })
        .await
    }

    /// What one broker answered to ApiVersions.
    pub async fn broker_versions(&self, id: i32) -> Result<Versions, Error> {
        self.retry("apiVersions", async || {
            Ok(self.broker(id).await?.versions().clone())
        })
        .await
    }

    pub async fn describe_log_dirs(&self, broker: i32) -> Result<Vec<LogDir>, Error> {
        if self.metadata().brokers.is_empty() {
            self.retry("metadata", async || self.refresh(Topics::None, false).await)
                .await?;
        }
        let mut request = DescribeLogDirsRequest::default();
        request.topics = None;
        let response = self.ask_broker("describeLogDirs", broker, &request).await?;
        Error::check(response.error_code, None)?;
        let known = |bytes: i64| Some(bytes).filter(|&bytes| bytes >= 0);
        let dirs = response.results.into_iter().map(|dir| {
            let mut replicas = Vec::new();
            for topic in &dir.topics {
                for partition in &topic.partitions {
                    replicas.push(LogDirReplica {
                        partition: TopicPartition::new(
                            topic.name.as_str(),
                            partition.partition_index,
                        ),
                        size_bytes: partition.partition_size,
                        offset_lag: partition.offset_lag,
                        is_future: partition.is_future_key,
                    });
                }
            }
            LogDir {
                path: dir.log_dir.to_string(),
                error: ErrorCode::from(dir.error_code),
                total_bytes: known(dir.total_bytes),
                usable_bytes: known(dir.usable_bytes),
                replicas,
            }
        });
        Ok(dirs.collect())
    }

    pub async fn unregister_broker(&self, id: i32) -> Result<(), Error> {
        let mut request = UnregisterBrokerRequest::default();
        request.broker_id = crate::wire::messages::BrokerId(id);
        self.retry("unregisterBroker", async || {
            let response = self.any().await?.send(&request).await?;
            Error::check(response.error_code, response.error_message.as_deref())
        })
        .await
    }
}
