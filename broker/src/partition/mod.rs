//! One replicated topic-partition.
