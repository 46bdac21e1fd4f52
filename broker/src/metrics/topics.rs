//! Traffic by topic, for as many topics as may have a label of their own.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The label of all topics that have none of their own. A topic of this name is counted with them.
pub const OTHER: &str = "_other";

#[derive(Debug)]
pub struct Topics {
    max: usize,
    /// At most `max`.
    named: Mutex<BTreeMap<Arc<str>, Arc<TopicCounters>>>,
    other: Arc<TopicCounters>,
}

/// Held by the topic that is hosted, so that a request looks nothing up.
#[derive(Debug)]
pub struct TopicCounters {
    /// What it is called in metrics.
    pub label: Arc<str>,
    produced_bytes: AtomicU64,
    produced_batches: AtomicU64,
    produced_records: AtomicU64,
    fetched_bytes: AtomicU64,
}

/// The same at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traffic {
    pub label: Arc<str>,
    pub produced_bytes: u64,
    pub produced_batches: u64,
    pub produced_records: u64,
    pub fetched_bytes: u64,
}

impl Topics {
    pub fn new(max: usize) -> Topics {
        Topics {
            max,
            named: Mutex::default(),
            other: Arc::new(TopicCounters::new(OTHER)),
        }
    }

    /// First come, first served: beyond `max` topics share [`OTHER`], until one of them comes again when another was deleted.
    pub fn of(&self, name: &str) -> Arc<TopicCounters> {
        let mut named = self.named();
        if let Some(counters) = named.get(name) {
            return counters.clone();
        }
        if named.len() >= self.max || name == OTHER {
            return self.other.clone();
        }
        let counters = Arc::new(TopicCounters::new(name));
        named.insert(counters.label.clone(), counters.clone());
        counters
    }

    /// Forgets deleted topics.
    pub fn retain(&self, is_there: impl Fn(&str) -> bool) {
        self.named().retain(|name, _| is_there(name));
    }

    /// By label; the topics without a label of their own come last.
    pub fn read(&self) -> Vec<Traffic> {
        let named = self.named();
        named
            .values()
            .chain([&self.other])
            .map(|counters| counters.read())
            .collect()
    }

    fn named(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Arc<TopicCounters>>> {
        self.named.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TopicCounters {
    fn new(label: &str) -> TopicCounters {
        TopicCounters {
            label: label.into(),
            produced_bytes: AtomicU64::new(0),
            produced_batches: AtomicU64::new(0),
            produced_records: AtomicU64::new(0),
            fetched_bytes: AtomicU64::new(0),
        }
    }

    /// One batch was appended.
    pub fn produced(&self, bytes: usize, records: u64) {
        self.produced_bytes
            .fetch_add(bytes as u64, Ordering::Relaxed);
        self.produced_batches.fetch_add(1, Ordering::Relaxed);
        self.produced_records.fetch_add(records, Ordering::Relaxed);
    }

    pub fn fetched(&self, bytes: usize) {
        self.fetched_bytes
            .fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn read(&self) -> Traffic {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Traffic {
            label: self.label.clone(),
            produced_bytes: get(&self.produced_bytes),
            produced_batches: get(&self.produced_batches),
            produced_records: get(&self.produced_records),
            fetched_bytes: get(&self.fetched_bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(topics: &Topics) -> Vec<String> {
        topics
            .read()
            .iter()
            .map(|traffic| traffic.label.to_string())
            .collect()
    }

    #[test]
    fn topics_beyond_the_bound_are_counted_together() {
        let topics = Topics::new(2);
        topics.of("a").produced(10, 1);
        topics.of("b");
        topics.of("c").produced(30, 3);
        topics.of("d").produced(40, 4);
        topics.of("a").produced(1, 1);
        assert_eq!(labels(&topics), ["a", "b", OTHER]);
        let bytes: Vec<u64> = topics
            .read()
            .iter()
            .map(|traffic| traffic.produced_bytes)
            .collect();
        assert_eq!(bytes, [11, 0, 70]);
    }

    #[test]
    fn a_deleted_topic_gives_its_place_away() {
        let topics = Topics::new(1);
        topics.of("a").produced(10, 1);
        topics.retain(|name| name != "a");
        topics.of("b");
        assert_eq!(labels(&topics), ["b", OTHER]);
        assert_eq!(&*topics.of("a").label, OTHER);
    }

    #[test]
    fn a_topic_with_the_name_of_the_rest_makes_no_second_series() {
        let topics = Topics::new(5);
        topics.of(OTHER).produced(1, 1);
        assert_eq!(labels(&topics), [OTHER]);
    }
}
