//! Kafka's bytes.
