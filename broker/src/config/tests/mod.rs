//! What of the configuration is promised, by subject.

mod table;
