//! `meta.properties`: who a directory belongs to, as Kafka writes it (version 1).

use crate::failure::Failure;
use millrace_client::properties::Properties;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

const FILE: &str = "meta.properties";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetaProperties {
    pub cluster_id: String,
    pub node_id: i32,
    pub directory_id: String,
}

pub enum Found {
    Nothing,
    Unreadable(String),
    Formatted(MetaProperties),
}

impl MetaProperties {
    pub fn find(directory: &Path) -> Result<Found, Failure> {
        let path = directory.join(FILE);
        if !path.exists() {
            return Ok(Found::Nothing);
        }
        let properties = Properties::read(&path)?;
        Ok(match MetaProperties::parse(&properties) {
            Ok(meta) => Found::Formatted(meta),
            Err(reason) => Found::Unreadable(reason),
        })
    }

    fn parse(properties: &Properties) -> Result<MetaProperties, String> {
        let get = |name: &str| {
            properties
                .get(name)
                .map(str::trim)
                .filter(|value| !value.is_empty())
        };
        let need = |name: &str| get(name).ok_or_else(|| format!("{name} is missing"));
        if need("version")? != "1" {
            return Err(format!("version is {}, 1 is known", need("version")?));
        }
        Ok(MetaProperties {
            cluster_id: need("cluster.id")?.to_owned(),
            node_id: need("node.id")?
                .parse()
                .map_err(|_| "node.id is no number".to_owned())?,
            directory_id: get("directory.id").unwrap_or_default().to_owned(),
        })
    }

    pub fn entries(&self) -> BTreeMap<String, String> {
        let entries = [
            ("cluster.id", self.cluster_id.clone()),
            ("directory.id", self.directory_id.clone()),
            ("node.id", self.node_id.to_string()),
            ("version", "1".to_owned()),
        ];
        entries.map(|(name, value)| (name.to_owned(), value)).into()
    }

    /// Whole or not at all, also when the machine stops in between: written beside its place, made durable, then renamed.
    pub fn write(&self, directory: &Path) -> io::Result<()> {
        fs::create_dir_all(directory)?;
        let mut properties = Properties::default();
        for (name, value) in self.entries() {
            properties.set(name, value);
        }
        let temporary = directory.join("meta.properties.tmp");
        let mut file = File::create(&temporary)?;
        file.write_all(b"#\n")?;
        file.write_all(properties.to_text().as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, directory.join(FILE))?;
        File::open(directory)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_found_again() {
        let dir = tempfile::tempdir().expect("a directory");
        let meta = MetaProperties {
            cluster_id: "4L6g3nShT-eMCtK--X86sw".to_owned(),
            node_id: 7,
            directory_id: "N5oIhbO8M9E8XquQBgqrAQ".to_owned(),
        };
        assert!(matches!(
            MetaProperties::find(dir.path()),
            Ok(Found::Nothing)
        ));
        meta.write(dir.path()).expect("written");
        match MetaProperties::find(dir.path()) {
            Ok(Found::Formatted(found)) => assert_eq!(found, meta),
            _ => panic!("it is there"),
        }
    }

    #[test]
    fn an_unknown_version_is_not_guessed_at() {
        let parse = |text: &str| MetaProperties::parse(&Properties::parse(text));
        assert_eq!(
            parse("version=2\ncluster.id=x\nnode.id=1"),
            Err("version is 2, 1 is known".to_owned())
        );
        assert_eq!(
            parse("version=1\nnode.id=1"),
            Err("cluster.id is missing".to_owned())
        );
    }
}
