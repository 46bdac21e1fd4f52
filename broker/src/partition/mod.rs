//! One replicated topic-partition.

pub mod cleaner;
