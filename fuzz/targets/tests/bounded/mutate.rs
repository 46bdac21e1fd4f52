//! Changes of inputs that are likely to matter to decoders of lengths and counts.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};

/// Longer inputs find nothing that shorter ones do not.
const LONGEST: usize = 4096;

/// What lengths, counts and texts stumble over.
const AWKWARD: &[&[u8]] = &[
    &[0],
    &[1],
    &[0x7f],
    &[0x80],
    &[0xff],
    &[0xff, 0xff],
    &[0x7f, 0xff],
    &[0x80, 0x00],
    &[0xff, 0xff, 0xff, 0xff],
    &[0x7f, 0xff, 0xff, 0xff],
    &[0x80, 0, 0, 0],
    &[0, 0, 0, 0],
    &[0xff, 0xff, 0xff, 0xff, 0x0f],
    &[0xfe, 0xff, 0xff, 0xff, 0x0f],
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
    &[0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    &[0x80, 0, 0, 0, 0, 0, 0, 0],
    b"=",
    b"\n",
    b"\\",
    b"\\u00",
    b",",
    b"-1",
    b"9223372036854775808",
    &[0xc3, 0x28],
    &[0xf0, 0x9f, 0x92, 0xa7],
];

pub struct Mutator<'a> {
    random: StdRng,
    seeds: &'a [Vec<u8>],
}

impl Mutator<'_> {
    pub fn new(seed: u64, seeds: &[Vec<u8>]) -> Mutator<'_> {
        assert!(!seeds.is_empty());
        Mutator {
            random: StdRng::seed_from_u64(seed),
            seeds,
        }
    }

    pub fn next(&mut self) -> Vec<u8> {
        let mut input = self.seed().to_vec();
        for _ in 0..1 << self.random.random_range(0..4) {
            self.change(&mut input);
        }
        input.truncate(LONGEST);
        input
    }

    fn seed(&mut self) -> &[u8] {
        self.seeds.choose(&mut self.random).expect("there are some")
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let at = self.random.random_range(0..=input.len());
        let to = (at + self.random.random_range(0..16)).min(input.len());
        match self.random.random_range(0..8) {
            0 => {
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << self.random.random_range(0..8);
                }
            }
            1 => {
                if let Some(byte) = input.get_mut(at) {
                    *byte = self.random.random();
                }
            }
            2 => self.random.fill(&mut input[at..to]),
            3 => drop(input.drain(at..to)),
            4 => {
                let again = input[at..to].to_vec();
                input.splice(at..at, again);
            }
            5 => {
                let awkward = *AWKWARD.choose(&mut self.random).expect("there are some");
                let end = (at + awkward.len()).min(input.len());
                input.splice(at..end, awkward.iter().copied());
            }
            6 => {
                let awkward = *AWKWARD.choose(&mut self.random).expect("there are some");
                input.splice(at..at, awkward.iter().copied());
            }
            _ => {
                let other = self.seed().to_vec();
                let from = self.random.random_range(0..=other.len());
                match self.random.random() {
                    true => input.truncate(at),
                    false => input.extend_from_slice(&other[from..]),
                }
            }
        }
    }
}
