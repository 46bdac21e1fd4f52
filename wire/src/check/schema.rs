//! Kafka's schema as tables: what the checker walks along. `build/checker.rs` makes them of `schema/`.

pub struct Message {
    /// As Kafka names it: `MetadataRequest`.
    pub name: &'static str,
    pub first_flexible: i16,
    pub fields: &'static [Field],
}

pub struct Field {
    pub name: &'static str,
    pub kind: Kind,
    pub is_array: bool,
    pub versions: Versions,
    /// The versions in which it may be null.
    pub null: Versions,
    /// A tagged field has its tag in all its versions.
    pub tag: Option<u32>,
}

/// From the first to the last, both included; none where the last is less.
pub type Versions = (i16, i16);

#[derive(Clone, Copy)]
pub enum Kind {
    /// A number, a boolean or an id of so many bytes.
    Fixed(usize),
    String,
    /// Records, too: what is in them is not looked at here.
    Bytes,
    Structure(&'static Structure),
}

pub struct Structure {
    pub fields: &'static [Field],
    /// By version: the bytes that one has at least.
    pub min_bytes: &'static [usize],
    /// The bytes that one has in memory, without what its fields point to.
    pub decoded_bytes: usize,
}

impl Field {
    pub fn is_in(&self, version: i16) -> bool {
        contains(self.versions, version)
    }

    pub fn is_nullable_in(&self, version: i16) -> bool {
        contains(self.null, version)
    }
}

fn contains((first, last): Versions, version: i16) -> bool {
    (first..=last).contains(&version)
}

include!(concat!(env!("OUT_DIR"), "/checker.rs"));

pub mod group_records {
    use super::{Field, Kind, Message, Structure};

    include!(concat!(env!("OUT_DIR"), "/group_records_checker.rs"));
}
