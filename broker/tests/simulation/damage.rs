//! Bits that turn where they lie.

use crate::world::World;
use rand::Rng;

/// Where a block of the shared log begins: magic, two checksums and salt, its segment, its place, up to where all was synced.
struct Block {
    number: u64,
    offset: u32,
    synced: u32,
}

fn block(bytes: &[u8]) -> Option<Block> {
    let header = bytes.get(..40)?;
    let u32_at = |at: usize| {
        u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
    };
    (header[..4] == *b"mrbk").then(|| Block {
        number: u64::from(u32_at(16)) | u64::from(u32_at(20)) << 32,
        offset: u32_at(24),
        synced: u32_at(28),
    })
}

impl World {
    /// Turns one bit in a place of the log that is known to be synced. (In the very last group it would look like a tear.)
    pub fn flip_bit(&mut self, broker: usize) {
        use millrace_broker::storage::disk::Disk as _;
        let disk = self.brokers[broker].disk.clone();
        let mut names: Vec<String> = disk.list().unwrap_or_default();
        names.retain(|name| name.ends_with(".log"));
        names.sort();
        if names.is_empty() {
            return;
        }
        let name = names[self.rng.random_range(0..names.len())].clone();
        let number: u64 = name[..20].parse().unwrap_or(0);
        let contents = disk.contents(&name).unwrap_or_default();
        let blocks: Vec<(usize, usize)> = (4096..contents.len())
            .step_by(8)
            .filter_map(|at| {
                let block = block(&contents[at..])?;
                let is_here = (block.number, block.offset as usize) == (number, at);
                is_here.then_some((at, block.synced as usize))
            })
            .collect();
        // Said by a block that is itself known to be synced, or a crash takes it away, and what it said.
        let known = blocks.iter().map(|(_, synced)| *synced).max().unwrap_or(0);
        let says = blocks.iter().filter(|(at, _)| *at < known);
        let synced = says.map(|(_, synced)| *synced).max().unwrap_or(0);
        if synced <= 4096 {
            return;
        }
        let offset = self.rng.random_range(4096..synced) as u64;
        let bit = self.rng.random_range(0..8);
        self.note(format!(
            "broker {broker}: bit {bit} turns at {offset} of {name}"
        ));
        disk.flip_bit(&name, offset, bit);
        self.brokers[broker].is_flipped = true;
    }
}
