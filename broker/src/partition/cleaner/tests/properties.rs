//! What holds for any log.

use super::*;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    /// Of producer 0..3, or of none.
    Data(Option<i64>, Vec<(u8, Option<u8>)>, u8, i64),
    End(i64, bool),
}

fn step() -> impl Strategy<Value = Step> {
    let pairs = prop::collection::vec((0u8..12, prop::option::weighted(0.7, any::<u8>())), 1..6);
    prop_oneof![
        4 => (prop::option::of(0i64..3), pairs, 0u8..5, 0i64..3).prop_map(|(p, pairs, codec, gap)| Step::Data(p, pairs, codec, gap)),
        1 => (0i64..3, any::<bool>()).prop_map(|(producer, commits)| Step::End(producer, commits)),
    ]
}

/// A log in which every transaction has ended. Key 11 is no key.
fn log_of(steps: Vec<Step>) -> Log {
    let mut log = Log::default();
    let mut open: BTreeMap<i64, i64> = BTreeMap::new();
    let mut ranges = Vec::new();
    let mut next = 0;
    let ends = (0..3).map(|producer| Step::End(producer, producer != 1));
    for step in steps.into_iter().chain(ends) {
        match step {
            Step::Data(producer, pairs, codec, gap) => {
                next += gap;
                let settings = match producer {
                    Some(producer) => transactional(producer, next),
                    None => at(next),
                };
                let mut builder = BatchBuilder::new(BatchSettings {
                    compression: Compression::from_bits(codec).unwrap(),
                    ..settings
                });
                for (key, value) in pairs {
                    let key = [key];
                    let value = value.map(|value| [value]);
                    builder.push(
                        next * 3 % 7,
                        Some(&key[..]).filter(|_| key != [11]),
                        value.as_ref().map(|v| &v[..]),
                    );
                }
                let batch = read(builder.build().unwrap());
                if let Some(producer) = producer {
                    open.entry(producer).or_insert(next);
                    let last_offset = batch.header().last_offset();
                    log.last_of_producers
                        .insert(producer, LastOfProducer::Data { last_offset });
                }
                next = batch.header().next_offset();
                log.batches.push(batch);
            }
            Step::End(producer_id, commits) => {
                let Some(first_offset) = open.remove(&producer_id) else {
                    continue;
                };
                if !commits {
                    ranges.push(AbortedRange {
                        producer_id,
                        first_offset,
                        last_offset: next,
                    });
                }
                let control = if commits {
                    ControlType::Commit
                } else {
                    ControlType::Abort
                };
                log.batches.push(marker(producer_id, next, control));
                next += 1;
            }
        }
    }
    log.aborted = ranges.into_iter().collect();
    // One of them has expired.
    log.last_of_producers.remove(&2);
    log
}

proptest! {
    #[test]
    fn readers_of_the_clean_log_see_what_readers_of_the_whole_one_did(
        steps in prop::collection::vec(step(), 1..30),
        memory_bytes in 0usize..1000,
        rounds in prop::collection::vec(0i64..800, 1..6),
    ) {
        let original = log_of(steps);
        let mut log = original.clone();
        let mut now_ms = NOW_MS;
        let mut from = 0;
        for wait_ms in rounds {
            now_ms += wait_ms;
            let map = log.map(memory_bytes, from);
            let policy = Policy { now_ms, ..POLICY };
            log = log.cleaned(&map, policy);
            from = map.end();
            prop_assert_eq!(log.table(), original.table());
            prop_assert!(log.offsets().is_sorted_by(|a, b| a < b));
            let bounds: Vec<i64> = log.batches.iter().flat_map(|b| [b.header().base_offset, b.header().next_offset()]).collect();
            prop_assert!(bounds.is_sorted());
        }
        // What is left of each producer tells its last sequence.
        for (producer, last) in &original.last_of_producers {
            let is_there = log.batches.iter().any(|batch| {
                batch.header().producer_id == *producer
                    && *last == LastOfProducer::Data { last_offset: batch.header().last_offset() }
            });
            prop_assert!(is_there, "producer {}", producer);
        }
    }

    #[test]
    fn a_pass_with_the_same_map_changes_nothing_more(
        steps in prop::collection::vec(step(), 1..30),
        memory_bytes in 0usize..1000,
    ) {
        let log = log_of(steps);
        let map = log.map(memory_bytes, 0);
        let once = log.cleaned(&map, POLICY);
        let twice = once.cleaned(&map, POLICY);
        // A marker's horizon starts in the pass after its data is gone; records are settled at once.
        prop_assert_eq!(once.offsets(), twice.offsets());
        prop_assert_eq!(&twice.batches, &twice.cleaned(&map, POLICY).batches);
        if log.batches.iter().all(|batch| !batch.header().attributes.is_control()) {
            prop_assert_eq!(once.batches, twice.batches);
        }
    }

    #[test]
    fn a_fully_covered_log_keeps_one_record_of_each_key(steps in prop::collection::vec(step(), 1..30)) {
        let log = log_of(steps);
        let clean = log.cleaned(&log.map(1 << 16, 0), POLICY);
        let mut keys = std::collections::HashSet::new();
        for batch in &clean.batches {
            for record in batch.records(LIMIT_BYTES).unwrap().map(Result::unwrap) {
                if !batch.header().attributes.is_control() {
                    prop_assert!(keys.insert(record.key.unwrap()));
                }
            }
        }
        let settled = clean.cleaned_at(NOW_MS + RETENTION_MS);
        let data = settled.batches.iter().filter(|batch| !batch.header().attributes.is_control());
        let left: u32 = data.map(|batch| batch.header().record_count).sum();
        prop_assert_eq!(left as usize, log.table().len());
    }
}
