//! `meta.properties`: which cluster and which broker a directory belongs to, as Kafka writes it (version 1).

use crate::properties::{Properties, read_bounded};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::path::Path;

pub const FILE: &str = "meta.properties";

const VERSION: &str = "1";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetaProperties {
    pub cluster_id: String,
    pub node_id: i32,
    /// Empty where an old release wrote the file.
    pub directory_id: String,
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
        })
    }

    pub fn entries(&self) -> BTreeMap<String, String> {
        let entries = [
            ("cluster.id", self.cluster_id.clone()),
            ("directory.id", self.directory_id.clone()),
            ("node.id", self.node_id.to_string()),
            ("version", VERSION.to_owned()),
        ];
        entries.map(|(name, value)| (name.to_owned(), value)).into()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let root = tempfile::tempdir().expect("a directory");
        let directory = root.path().join("new");
        let meta = MetaProperties {
            cluster_id: "4L6g3nShT-eMCtK--X86sw".to_owned(),
            node_id: 7,
            directory_id: "N5oIhbO8M9E8XquQBgqrAQ".to_owned(),
        };
        assert_eq!(MetaProperties::read(&directory).expect("none"), None);
        meta.write(&directory).expect("written");
        let read = MetaProperties::read(&directory).expect("it is whole");
        assert_eq!(read, Some(meta));
        assert_eq!(fs::read_dir(&directory).expect("listed").count(), 1);
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
            "version=1\\u\n",
            "line 1: \\u must be followed by four hexadecimal digits, as in \\u00e9",
        );
    }
}
