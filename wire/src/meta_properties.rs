//! `meta.properties`: which cluster and which broker a directory belongs to, as Kafka writes it (version 1).
//!
//! Kafka keeps the first voters in the metadata's own log; here they are two properties more, which Kafka passes over:
//! `millrace.metadata.replica` and `millrace.initial.controllers`. They count in the first of `log.dirs`, which holds the metadata.

use crate::dynamic_voter::{self, DynamicVoter};
use crate::properties::{Properties, read_bounded};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::path::Path;

pub const FILE: &str = "meta.properties";

const VERSION: &str = "1";
const REPLICA: &str = "millrace.metadata.replica";
const CONTROLLERS: &str = "millrace.initial.controllers";
const NO_CONTROLLERS: &str = "none";

/// The replica of the metadata in directories that releases formatted before they drew numbers.
const FIRST_REPLICA: u64 = 1;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetaProperties {
    pub cluster_id: String,
    pub node_id: i32,
    /// Empty where an old release wrote the file.
    pub directory_id: String,
    /// Raft's peer id of the replica of the metadata in this directory: drawn anew by each formatting, so that an empty volume never votes
    /// in the place of the one before it. `None` where an old release wrote the file; see [`MetaProperties::replica`].
    pub metadata_replica: Option<u64>,
    /// Those that `format` was told; empty is `--no-initial-controllers`, `None` that nothing was said.
    pub initial_controllers: Option<Vec<DynamicVoter>>,
}

/// A number for a replica of the metadata: of 63 bits, and none that was ever given without drawing it.
pub fn draw_replica() -> u64 {
    loop {
        // Not all bits of an id are random, but its first six bytes and its last seven are.
        let [a, b, c, d, e, f, .., x, y] = crate::uuid::random().into_bytes();
        let drawn = u64::from_be_bytes([a, b, c, d, e, f, x, y]) >> 1;
        if drawn > FIRST_REPLICA {
            return drawn;
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{path}: {error}")]
    Io { path: String, error: io::Error },
    #[error("{path}: {reason}")]
    Malformed { path: String, reason: String },
}

impl MetaProperties {
    /// `None` where `directory` has none, or is none.
    pub fn read(directory: &Path) -> Result<Option<MetaProperties>, Error> {
        let path = directory.join(FILE);
        let shown = path.display().to_string();
        let bytes = match File::open(&path).and_then(read_bounded) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::Io { path: shown, error }),
        };
        let meta = Properties::parse_bytes(&bytes)
            .map_err(|error| error.to_string())
            .and_then(|properties| MetaProperties::parse(&properties));
        let malformed = |reason| Error::Malformed {
            path: shown,
            reason,
        };
        meta.map(Some).map_err(malformed)
    }

    /// Or what is wrong with them.
    fn parse(properties: &Properties) -> Result<MetaProperties, String> {
        let get = |name: &str| {
            let value = properties.get(name).map(str::trim);
            value.filter(|value| !value.is_empty())
        };
        let need = |name: &str| get(name).ok_or_else(|| format!("{name} is missing"));
        let version = need("version")?;
        if version != VERSION {
            return Err(format!(
                "version is {version}, this release reads {VERSION}"
            ));
        }
        let node_id = need("node.id")?;
        Ok(MetaProperties {
            cluster_id: need("cluster.id")?.to_owned(),
            node_id: node_id
                .parse()
                .map_err(|_| format!("node.id is {node_id}, which is no number"))?,
            directory_id: get("directory.id").unwrap_or_default().to_owned(),
            metadata_replica: get(REPLICA).map(replica).transpose()?,
            initial_controllers: get(CONTROLLERS).map(controllers).transpose()?,
        })
    }

    /// Raft's peer id of the replica of the metadata in this directory.
    pub fn replica(&self) -> u64 {
        self.metadata_replica.unwrap_or(FIRST_REPLICA)
    }

    pub fn entries(&self) -> BTreeMap<String, String> {
        let replica = self.metadata_replica.map(|replica| replica.to_string());
        let controllers = self
            .initial_controllers
            .as_ref()
            .map(|voters| match &voters[..] {
                [] => NO_CONTROLLERS.to_owned(),
                voters => dynamic_voter::list_to_text(voters),
            });
        let optional = [(REPLICA, replica), (CONTROLLERS, controllers)];
        let optional = optional
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)));
        let entries = [
            ("cluster.id", self.cluster_id.clone()),
            ("directory.id", self.directory_id.clone()),
            ("node.id", self.node_id.to_string()),
            ("version", VERSION.to_owned()),
        ];
        let entries = entries.into_iter().chain(optional);
        entries
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }

    /// Whole or not at all, also when the machine stops in between: written beside its place, made durable, then renamed.
    pub fn write(&self, directory: &Path) -> Result<(), Error> {
        let path = directory.join(FILE);
        let text = Properties::from_iter(self.entries()).to_text();
        let save = || {
            fs::create_dir_all(directory)?;
            let temporary = directory.join("meta.properties.tmp");
            let mut file = File::create(&temporary)?;
            file.write_all(b"#\n")?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&temporary, &path)?;
            File::open(directory)?.sync_all()
        };
        save().map_err(|error| Error::Io {
            path: path.display().to_string(),
            error,
        })
    }
}

fn replica(text: &str) -> Result<u64, String> {
    let number = text
        .parse()
        .ok()
        .filter(|number| (1..=i64::MAX as u64).contains(number));
    number.ok_or_else(|| {
        format!(
            "{REPLICA} is {text}, which is no number from 1 to {}",
            i64::MAX
        )
    })
}

fn controllers(text: &str) -> Result<Vec<DynamicVoter>, String> {
    if text == NO_CONTROLLERS {
        return Ok(Vec::new());
    }
    dynamic_voter::parse_list(text)
        .map_err(|error| format!("{CONTROLLERS} is {text}: {error} It is {NO_CONTROLLERS}, or id@host:port:directory-id,..."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let root = tempfile::tempdir().expect("a directory");
        let directory = root.path().join("new");
        let mut meta = MetaProperties {
            cluster_id: "4L6g3nShT-eMCtK--X86sw".to_owned(),
            node_id: 7,
            directory_id: "N5oIhbO8M9E8XquQBgqrAQ".to_owned(),
            metadata_replica: Some(draw_replica()),
            initial_controllers: None,
        };
        assert_eq!(MetaProperties::read(&directory).expect("none"), None);
        meta.write(&directory).expect("written");
        for controllers in [
            "none",
            "7@a:9093:N5oIhbO8M9E8XquQBgqrAQ,8@[::1]:9094:P5oIhbO8M9E8XquQBgqrAQ",
        ] {
            let read = MetaProperties::read(&directory).expect("it is whole");
            assert_eq!(read.as_ref(), Some(&meta));
            let controllers = super::controllers(controllers).expect("a list");
            meta.initial_controllers = Some(controllers);
            meta.write(&directory).expect("written again");
        }
        let read = MetaProperties::read(&directory).expect("it is whole");
        assert_eq!(read, Some(meta));
        assert_eq!(fs::read_dir(&directory).expect("listed").count(), 1);
    }

    #[test]
    fn a_directory_of_an_earlier_release_holds_the_first_replica() {
        let root = tempfile::tempdir().expect("a directory");
        let text = "version=1\nnode.id=3\ncluster.id=x\nof.a.later.release=1\n";
        fs::write(root.path().join(FILE), text).expect("written");
        let meta = MetaProperties::read(root.path())
            .expect("read")
            .expect("there");
        assert_eq!((meta.replica(), meta.initial_controllers), (1, None));
    }

    #[test]
    fn every_replica_has_a_number_of_its_own() {
        let drawn: std::collections::BTreeSet<u64> = (0..1000).map(|_| draw_replica()).collect();
        assert_eq!(drawn.len(), 1000);
        assert!(
            drawn
                .iter()
                .all(|&drawn| drawn > 1 && drawn <= i64::MAX as u64)
        );
        // Every bit is drawn.
        let (ones, zeros) = drawn.iter().fold((0, 0), |(ones, zeros), drawn| {
            (ones | drawn, zeros | !drawn)
        });
        assert_eq!(
            (ones, zeros & i64::MAX as u64),
            (i64::MAX as u64, i64::MAX as u64)
        );
    }

    #[test]
    fn what_cannot_be_understood_is_not_guessed_at() {
        let root = tempfile::tempdir().expect("a directory");
        let check = |text: &str, reason: &str| {
            fs::write(root.path().join(FILE), text).expect("written");
            let refused = MetaProperties::read(root.path()).expect_err("refused");
            let path = root.path().join(FILE);
            assert_eq!(refused.to_string(), format!("{}: {reason}", path.display()));
        };
        check("version=1\nnode.id=3\n", "cluster.id is missing");
        check(
            "version=7\nnode.id=3\ncluster.id=x\n",
            "version is 7, this release reads 1",
        );
        check(
            "version=1\nnode.id=three\ncluster.id=x\n",
            "node.id is three, which is no number",
        );
        check(
            "version=1\nnode.id=3\ncluster.id=x\nmillrace.metadata.replica=0\n",
            "millrace.metadata.replica is 0, which is no number from 1 to 9223372036854775807",
        );
        check(
            "version=1\nnode.id=3\ncluster.id=x\nmillrace.initial.controllers=1@h:9093\n",
            "millrace.initial.controllers is 1@h:9093: No colon following port could be found. It is none, or id@host:port:directory-id,...",
        );
        check(
            "version=1\\u\n",
            "line 1: \\u must be followed by four hexadecimal digits, as in \\u00e9",
        );
    }
}
