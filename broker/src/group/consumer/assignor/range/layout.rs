//! One way to lay out a class of topics: everybody's run.
//!
//! Members who had something keep their order, each as near as can be to where it was, and the others get the slots between them. A
//! run is at most one longer than another; the longer ones are where they keep the most runs in their places.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;

/// From where to where a member had partitions; at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    pub start: usize,
    pub end: usize,
}

pub struct Layout {
    /// By the seats.
    pub runs: Vec<Range<usize>>,
}

impl Layout {
    /// Without spans and racks it is Kafka's: in the order of the seats, the first ones get one more.
    pub fn new(
        len: usize,
        spans: &[Option<Span>],
        racks: &[Option<usize>],
        replicas: &[HashMap<usize, usize>],
    ) -> Layout {
        let mut slots = slots(len, spans);
        let lengths = runs(len, spans, &slots);
        let mut open: Vec<usize> = (0..slots.len()).filter(|at| slots[*at].is_none()).collect();
        // A class may have fewer partitions than members: those who come first in the order of the seats are to have one.
        open.sort_by_key(|slot| lengths[*slot].is_empty());
        let mut newcomers = Newcomers::new(spans, racks);
        open.retain(|slot| {
            let held = replicas.get(lengths[*slot].clone()).unwrap_or(&[]);
            slots[*slot] = newcomers.matching(held);
            slots[*slot].is_none()
        });
        for (slot, seat) in open.into_iter().zip(newcomers.rest()) {
            slots[slot] = Some(seat);
        }
        let mut runs = vec![0..0; spans.len()];
        for (seat, run) in slots.into_iter().zip(lengths) {
            if let Some(seat) = seat {
                runs[seat] = run;
            }
        }
        Layout { runs }
    }
}

/// Who comes where. An empty slot is a newcomer's. Where somebody left, the slot stays empty, because all others are where they were; where
/// nobody left, the middle is pushed apart, which moves less than a newcomer at an end would.
fn slots(len: usize, spans: &[Option<Span>]) -> Vec<Option<usize>> {
    let seats = spans.iter().enumerate();
    let mut placed: Vec<(Span, usize)> = seats
        .filter_map(|(seat, span)| span.map(|span| (span, seat)))
        .collect();
    placed.sort_unstable();
    let mut slots = vec![None; spans.len()];
    let mut next = 0;
    for (at, (span, seat)) in placed.iter().enumerate() {
        let behind = placed.len() - at - 1;
        let middle = (span.start + span.end) * slots.len() / (2 * len);
        let slot = middle.clamp(next, slots.len() - 1 - behind);
        slots[slot] = Some(*seat);
        next = slot + 1;
    }
    slots
}

/// The run of each slot.
fn runs(len: usize, spans: &[Option<Span>], slots: &[Option<usize>]) -> Vec<Range<usize>> {
    let (least, mut longer) = (len / slots.len(), len % slots.len());
    let ends = ends(len, spans, slots);
    let mut runs = Vec::with_capacity(slots.len());
    let mut start = 0;
    for (slot, end) in ends.into_iter().enumerate() {
        let must = longer == slots.len() - slot;
        let is_longer = longer > 0 && (must || end > start + least);
        let run = start..start + least + usize::from(is_longer);
        longer -= usize::from(is_longer);
        start = run.end;
        runs.push(run);
    }
    runs
}

/// Where each slot should end, for its own sake and its neighbour's; a newcomer does not mind, and leaves it to who comes after it.
fn ends(len: usize, spans: &[Option<Span>], slots: &[Option<usize>]) -> Vec<usize> {
    let span = |slot: usize| slots.get(slot).and_then(|seat| spans[(*seat)?]);
    let mut ends = vec![len; slots.len()];
    for slot in (0..slots.len().saturating_sub(1)).rev() {
        ends[slot] = match (span(slot), span(slot + 1)) {
            (Some(left), Some(right)) => usize::midpoint(left.end, right.start),
            (Some(left), None) => left.end,
            (None, Some(right)) => right.start,
            (None, None) => ends[slot + 1],
        };
    }
    ends
}

/// Those who had nothing, in the order of their seats.
struct Newcomers {
    is_waiting: Vec<bool>,
    by_rack: HashMap<usize, VecDeque<usize>>,
}

impl Newcomers {
    fn new(spans: &[Option<Span>], racks: &[Option<usize>]) -> Newcomers {
        let is_waiting: Vec<bool> = spans.iter().map(Option::is_none).collect();
        let mut by_rack: HashMap<usize, VecDeque<usize>> = HashMap::new();
        for (seat, rack) in racks
            .iter()
            .enumerate()
            .filter(|(seat, _)| is_waiting[*seat])
        {
            if let Some(rack) = rack {
                by_rack.entry(*rack).or_default().push_back(seat);
            }
        }
        Newcomers {
            is_waiting,
            by_rack,
        }
    }

    /// Whose rack holds the most of a run, if any of them holds any.
    fn matching(&mut self, held: &[HashMap<usize, usize>]) -> Option<usize> {
        let mut counts: HashMap<usize, usize> = HashMap::new();
        for (rack, count) in held.iter().flatten() {
            *counts.entry(*rack).or_insert(0) += count;
        }
        let waiting = |rack: &usize| self.by_rack.get(rack).map_or(0, VecDeque::len);
        let counts = counts.into_iter().filter(|(rack, _)| waiting(rack) > 0);
        // If it is all the same, where the most are waiting.
        let best = counts.max_by_key(|(rack, count)| (*count, waiting(rack), usize::MAX - rack));
        let seat = self.by_rack.get_mut(&best?.0)?.pop_front()?;
        self.is_waiting[seat] = false;
        Some(seat)
    }

    fn rest(&self) -> impl Iterator<Item = usize> {
        let seats = self.is_waiting.iter().enumerate();
        seats.filter_map(|(seat, is_waiting)| is_waiting.then_some(seat))
    }
}
