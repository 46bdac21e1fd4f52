//! The groups of a worker: found by their number once for each event, and by their place from there on.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::ports::GroupId;

/// Spreads numbers that others handed out in sequence. Nobody outside chooses them.
#[derive(Default)]
struct Multiply(u64);

impl Hasher for Multiply {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, value: u64) {
        let product = (self.0 ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = product ^ (product >> 32);
    }
}

/// A place is given to another group when its own is removed.
pub(super) struct Slots<G> {
    places: HashMap<GroupId, usize, BuildHasherDefault<Multiply>>,
    groups: Vec<Option<G>>,
    free: Vec<usize>,
}

impl<G> Slots<G> {
    pub(super) fn new() -> Self {
        Slots {
            places: HashMap::default(),
            groups: Vec::new(),
            free: Vec::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    pub(super) fn place(&self, id: GroupId) -> Option<usize> {
        self.places.get(&id).copied()
    }

    pub(super) fn at(&self, place: usize) -> Option<&G> {
        self.groups.get(place)?.as_ref()
    }

    pub(super) fn at_mut(&mut self, place: usize) -> Option<&mut G> {
        self.groups.get_mut(place)?.as_mut()
    }

    pub(super) fn get(&self, id: GroupId) -> Option<&G> {
        self.at(self.place(id)?)
    }

    pub(super) fn get_mut(&mut self, id: GroupId) -> Option<&mut G> {
        self.at_mut(self.place(id)?)
    }

    /// Of a group that is not here. Returns its place.
    pub(super) fn insert(&mut self, id: GroupId, group: G) -> usize {
        let place = self.free.pop().unwrap_or_else(|| {
            self.groups.push(None);
            self.groups.len() - 1
        });
        self.groups[place] = Some(group);
        self.places.insert(id, place);
        place
    }

    pub(super) fn remove(&mut self, id: GroupId) -> Option<(usize, G)> {
        let place = self.places.remove(&id)?;
        self.free.push(place);
        Some((place, self.groups[place].take()?))
    }

    /// In no order that means anything, but the same each time.
    pub(super) fn iter(&self) -> impl Iterator<Item = &G> {
        self.groups.iter().flatten()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut G> {
        self.groups.iter_mut().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_keeps_its_place_until_it_is_removed() {
        let mut slots = Slots::new();
        let places: Vec<usize> = (0..100).map(|id| slots.insert(GroupId(id), id)).collect();
        assert_eq!(slots.remove(GroupId(7)), Some((places[7], 7)));
        assert_eq!(slots.remove(GroupId(7)), None);
        assert_eq!(slots.at(places[7]), None);
        assert_eq!(slots.insert(GroupId(500), 500), places[7]);
        for id in (0..100).filter(|id| *id != 7).chain([500]) {
            assert_eq!(slots.get(GroupId(id)), Some(&id));
        }
        assert_eq!((slots.len(), slots.iter().count()), (100, 100));
    }
}
