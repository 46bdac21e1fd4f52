//! Which offset is the last of each key, in a bounded amount of memory.

use super::{AbortedRanges, Error, offset_of};
use millrace_wire::Batch;
use siphasher::sip128::SipHasher13;

/// Room for a few keys, however little memory is granted: cleaning must get ahead.
const MIN_SLOTS: usize = 16;
const SLOT_BYTES: usize = size_of::<Slot>();
/// Beyond this a search visits too many slots: 13 on average for a key that is not there, at 9/10 already 50.
const MAX_LOAD: (usize, usize) = (4, 5);

/// A key's 128-bit hash and its last offset + 1; all zeros is an empty slot, so that a large table is untouched memory.
type Slot = [u64; 3];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapSettings {
    /// As Kafka's `log.cleaner.dedupe.buffer.size`, at 24 bytes a key.
    pub memory_bytes: usize,
    /// There are no more: a short round takes no more memory than it needs.
    pub max_keys: u64,
    /// Fresh randomness for each map, see [`OffsetMap`].
    pub hash_key: [u64; 2],
    /// Where the log is not yet clean.
    pub from: i64,
    /// Of one batch, decompressed.
    pub limit_bytes: usize,
}

/// The last offset of each key in `from..end`.
///
/// Keys are known by their hash alone, and two keys of one hash would cost the earlier one its record. SipHash-1-3 with a
/// secret key and 128 bits makes that a matter of chance, 2^-65 for four billion keys, which no producer can better; Kafka's
/// MD5 has known collisions.
#[derive(Debug)]
pub struct OffsetMap {
    slots: Vec<Slot>,
    keys: usize,
    hasher: SipHasher13,
    from: i64,
    end: i64,
    is_full: bool,
}

impl OffsetMap {
    /// Reads `batches`, ascending and from the one that holds `from` on, until they end or the map is full.
    ///
    /// They must end at or before the last stable offset: what is in no aborted range counts as committed.
    pub fn build<E: From<Error>>(
        settings: MapSettings,
        aborted: &AbortedRanges,
        batches: impl IntoIterator<Item = Result<Batch, E>>,
    ) -> Result<OffsetMap, E> {
        let [k0, k1] = settings.hash_key;
        let needed = (settings.max_keys / MAX_LOAD.0 as u64 + 2).saturating_mul(MAX_LOAD.1 as u64);
        let slots = (settings.memory_bytes / SLOT_BYTES)
            .min(usize::try_from(needed).unwrap_or(usize::MAX))
            .max(MIN_SLOTS);
        let mut map = OffsetMap {
            slots: vec![[0; 3]; slots],
            keys: 0,
            hasher: SipHasher13::new_with_keys(k0, k1),
            from: settings.from,
            end: settings.from,
            is_full: false,
        };
        for batch in batches {
            map.add(&batch?, aborted, settings.limit_bytes)?;
            if map.is_full {
                break;
            }
        }
        Ok(map)
    }

    /// The first offset that the map does not cover: how far it got.
    pub fn end(&self) -> i64 {
        self.end
    }

    /// Whether it stopped for lack of room: then the log needs another round from `end` on.
    pub fn is_full(&self) -> bool {
        self.is_full
    }

    /// How many keys there are in `from..end`.
    pub fn keys(&self) -> usize {
        self.keys
    }

    /// What its table takes.
    pub fn memory_bytes(&self) -> usize {
        self.slots.len() * SLOT_BYTES
    }

    /// The last offset of `key` in `from..end`.
    pub fn last_offset(&self, key: &[u8]) -> Option<i64> {
        let slot = self.slots[self.find(self.hash(key))];
        (slot[2] != 0).then(|| (slot[2] - 1) as i64)
    }

    fn add(
        &mut self,
        batch: &Batch,
        aborted: &AbortedRanges,
        limit_bytes: usize,
    ) -> Result<(), Error> {
        let header = batch.header();
        if header.next_offset() <= self.end {
            return Ok(());
        }
        if !header.attributes.is_control() && !aborted.contain(header) {
            let base_offset = header.base_offset;
            let records = batch
                .records(limit_bytes)
                .map_err(|error| Error::Records { base_offset, error })?;
            for record in records {
                let record = record.map_err(|error| Error::Records {
                    base_offset,
                    error: error.into(),
                })?;
                let offset = offset_of(header, &record)?;
                let Some(key) = record.key.filter(|_| offset >= self.from) else {
                    continue;
                };
                if self.keys >= self.slots.len() / MAX_LOAD.1 * MAX_LOAD.0 {
                    self.is_full = true;
                    self.end = offset;
                    return Ok(());
                }
                self.put(&key, offset);
            }
        }
        self.end = header.next_offset();
        Ok(())
    }

    fn put(&mut self, key: &[u8], offset: i64) {
        let hash = self.hash(key);
        let at = self.find(hash);
        self.keys += usize::from(self.slots[at][2] == 0);
        // Offsets are not negative, so the sum is neither zero nor too large.
        self.slots[at] = [hash[0], hash[1], offset as u64 + 1];
    }

    /// The slot that holds `hash`, or the empty one where it belongs. There is one: the map is never filled.
    fn find(&self, hash: [u64; 2]) -> usize {
        let slots = self.slots.len();
        let mut at = ((u128::from(hash[0]) * slots as u128) >> 64) as usize;
        loop {
            let slot = self.slots[at];
            if slot[2] == 0 || slot[..2] == hash {
                return at;
            }
            at = if at + 1 == slots { 0 } else { at + 1 };
        }
    }

    fn hash(&self, key: &[u8]) -> [u64; 2] {
        let hash = self.hasher.hash(key);
        [hash.h1, hash.h2]
    }
}
