//! The first look at a history of registers: one pass, in any order, that proves keys right or leaves
//! them to whoever can say what is wrong.
//!
//! It folds every operation into the slot of the value that it wrote or saw, 48 bytes for each value,
//! nothing for a read, and in the end compares the intervals of the chains as `blocks` and `zones`
//! do. It names nothing and keeps no operation, which is what makes it fast. What it cannot prove is
//! judged again by those two, or by the general search. Called by `linearizable`, and by whoever has
//! operations one by one and no room for all of them.

use rustc_hash::FxHashMap;

use crate::checker::plants::{Plant, is_planted};
use crate::checker::versions::{NEVER, Place, begin, end};
use crate::history::{MISMATCH, Operation};
use crate::operation::{Key, Op, Outcome, Reply, Value};

/// Index of the slot of a value; zero is the initial absence.
type SlotId = u32;

/// The slot of the initial absence.
const ABSENT: SlotId = 0;

/// No slot.
const NONE: SlotId = SlotId::MAX;

/// Registers, as far as their operations were taken.
#[derive(Debug, Default)]
pub struct Screen {
    keys: Vec<Register>,
    index: FxHashMap<Key, usize>,
    last: usize,
    /// Lists that were answered, which belong to no key and are not judged here.
    pub(super) lists: u64,
    /// Whether anything but local reads was answered.
    pub(super) is_answered: bool,
    operations: u64,
}

impl Screen {
    /// Takes an operation, in whichever order they come.
    pub fn take(&mut self, operation: &Operation) {
        self.operations += 1;
        if operation.op.is_local() {
            return;
        }
        let is_ok = matches!(operation.outcome, Outcome::Ok(_));
        self.is_answered |= is_ok;
        if matches!(operation.op, Op::List { .. }) {
            self.lists += u64::from(is_ok);
            return;
        }
        let key = operation.op.key();
        let is_last = self.keys.get(self.last).is_some_and(|last| last.key == *key);
        if !is_last {
            self.last = match self.index.get(key) {
                Some(index) => *index,
                None => {
                    self.keys.push(Register::new(key.clone()));
                    self.index.insert(key.clone(), self.keys.len() - 1);
                    self.keys.len() - 1
                }
            };
        }
        self.keys[self.last].take(operation);
    }

    /// How many operations were taken.
    pub fn operations(&self) -> u64 {
        self.operations
    }

    /// The keys in order of first use, each with whether one order of its operations certainly
    /// exists. Of the others nothing is known yet.
    pub fn finish(self) -> impl Iterator<Item = (Key, bool)> {
        self.keys.into_iter().map(|register| {
            let key = register.key.clone();
            (key, register.prove())
        })
    }
}

/// What was done to one value, or seen of it.
#[derive(Clone, Copy, Debug)]
struct Slot {
    value: Value,
    /// Of the writer; [`NEVER`] if there is none so far.
    begin: Place,
    /// Of the writer.
    end: Place,
    first_read_end: Place,
    last_read_begin: Place,
    /// What a compare-and-set that wrote it expected.
    parent: SlotId,
    /// What the compare-and-set that expected it wrote.
    next: SlotId,
}

impl Slot {
    fn new(value: Value) -> Self {
        Slot {
            value,
            begin: NEVER,
            end: NEVER,
            first_read_end: NEVER,
            last_read_begin: 0,
            parent: NONE,
            next: NONE,
        }
    }

    fn is_seen(&self) -> bool {
        self.first_read_end != NEVER || self.next != NONE
    }

    fn is_effective(&self) -> bool {
        self.end != NEVER || self.is_seen()
    }
}

#[derive(Debug)]
struct Register {
    key: Key,
    slots: Vec<Slot>,
    table: Table,
    /// Compare-and-sets that were never answered.
    pending: Vec<SlotId>,
    /// Whether something was seen that is not for this pass to judge.
    is_odd: bool,
}

impl Register {
    fn new(key: Key) -> Self {
        // No table leads to the absent slot, so its value is never compared.
        let absent = Slot { begin: 0, end: 0, ..Slot::new(Value(0)) };
        let table = Table::default();
        Register { key, slots: vec![absent], table, pending: Vec::new(), is_odd: false }
    }

    #[inline]
    fn take(&mut self, operation: &Operation) {
        if self.is_odd {
            return;
        }
        // Whoever gives operations one by one may give such as no history can hold.
        self.is_odd |= end(operation) < begin(operation);
        match (&operation.op, &operation.outcome) {
            (Op::Read { .. }, Outcome::Ok(Reply::Read(seen))) => self.read(operation, *seen),
            (Op::Write { value, .. }, Outcome::Ok(Reply::Written) | Outcome::Info(_)) => {
                self.write(operation, *value);
            }
            (Op::CompareAndSet { expect, value, .. }, outcome) => {
                self.compare_and_set(operation, *expect, *value, outcome);
            }
            (Op::Delete { .. }, outcome) => self.is_odd |= !matches!(outcome, Outcome::Fail(_)),
            (Op::Read { .. }, Outcome::Fail(_) | Outcome::Info(_))
            | (Op::Write { .. }, Outcome::Fail(_)) => {}
            // Not for registers, or no answer to what was asked.
            _ => self.is_odd = true,
        }
    }

    fn compare_and_set(
        &mut self,
        operation: &Operation,
        expect: Option<Value>,
        value: Value,
        outcome: &Outcome,
    ) {
        match outcome {
            Outcome::Ok(Reply::Compared { swapped, observed }) => {
                if *swapped != (*observed == expect) {
                    self.is_odd = true;
                } else if !swapped {
                    if !is_planted(Plant::SkipsRefusals) {
                        self.read(operation, *observed);
                    }
                } else {
                    let parent = self.slot(expect);
                    let slot = self.write(operation, value);
                    self.slots[slot as usize].parent = parent;
                    self.link(parent, slot);
                }
            }
            Outcome::Info(_) => {
                let parent = self.slot(expect);
                let slot = self.write(operation, value);
                self.slots[slot as usize].parent = parent;
                self.pending.push(slot);
            }
            Outcome::Fail(reason) => self.is_odd |= &*reason.0 == MISMATCH,
            Outcome::Ok(_) => self.is_odd = true,
        }
    }

    #[inline]
    fn read(&mut self, operation: &Operation, seen: Option<Value>) {
        if seen.is_none() && is_planted(Plant::LetsVanish) {
            return;
        }
        let slot = self.slot(seen);
        let slot = &mut self.slots[slot as usize];
        let end = end(operation);
        self.is_odd |= end == NEVER;
        slot.first_read_end = slot.first_read_end.min(end);
        slot.last_read_begin = slot.last_read_begin.max(begin(operation));
    }

    #[inline]
    fn write(&mut self, operation: &Operation, value: Value) -> SlotId {
        let id = self.slot(Some(value));
        let slot = &mut self.slots[id as usize];
        // A value written twice.
        self.is_odd |= slot.begin != NEVER;
        slot.begin = begin(operation);
        slot.end = end(operation);
        self.is_odd |= matches!(operation.outcome, Outcome::Ok(_)) && slot.end == NEVER;
        id
    }

    /// Notes that a compare-and-set from one to the other happened.
    fn link(&mut self, parent: SlotId, slot: SlotId) {
        let next = &mut self.slots[parent as usize].next;
        // Two from one value.
        self.is_odd |= *next != NONE && !is_planted(Plant::LetsSwapTwice);
        *next = slot;
    }

    #[inline]
    fn slot(&mut self, value: Option<Value>) -> SlotId {
        let Some(value) = value else { return ABSENT };
        let (place, found) = self.table.find(value, &self.slots);
        if let Some(id) = found {
            return id;
        }
        let id = self.slots.len() as SlotId;
        if id == NONE {
            self.is_odd = true;
            return ABSENT;
        }
        self.slots.push(Slot::new(value));
        self.table.insert(place, id, &self.slots);
        id
    }

    fn prove(mut self) -> bool {
        // A compare-and-set that was seen happened, and so did the one before it.
        let mut pending = std::mem::take(&mut self.pending);
        pending.retain(|slot| self.slots[*slot as usize].is_seen());
        while let Some(slot) = pending.pop() {
            let parent = self.slots[slot as usize].parent;
            let before = self.slots[parent as usize];
            self.link(parent, slot);
            if self.is_odd {
                return false;
            }
            if !before.is_seen() && before.end == NEVER && before.parent != NONE {
                pending.push(parent);
            }
        }
        if self.is_odd {
            return false;
        }
        let (mut forward, mut backward) = (Vec::new(), Vec::new());
        let (mut effective, mut in_chains) = (0, 0);
        for head in 0..self.slots.len() {
            let slot = &self.slots[head];
            if !slot.is_effective() {
                continue;
            }
            effective += 1;
            if slot.begin == NEVER {
                // Nobody wrote what was seen.
                return false;
            }
            if slot.parent != NONE {
                continue;
            }
            let Some(zone) = self.walk(head, &mut in_chains) else { return false };
            if zone.first_end < zone.last_begin {
                forward.push(zone);
            } else {
                backward.push(zone);
            }
        }
        // What is in no chain that has a beginning is in a circle.
        (effective == in_chains || is_planted(Plant::LetsSwapTwice))
            && !conflict(&mut forward, &backward)
    }

    /// The interval of a chain, if it is in order by itself.
    #[inline]
    fn walk(&self, head: usize, count: &mut usize) -> Option<Zone> {
        let mut first_end = NEVER;
        let mut latest = 0;
        let mut at = head;
        loop {
            *count += 1;
            let slot = &self.slots[at];
            if slot.end < latest {
                return None;
            }
            first_end = first_end.min(slot.end);
            latest = latest.max(slot.begin);
            if slot.first_read_end < latest {
                return None;
            }
            first_end = first_end.min(slot.first_read_end);
            if !is_planted(Plant::ReadsBeginEarly) {
                latest = latest.max(slot.last_read_begin);
            }
            if slot.next == NONE {
                return Some(Zone { first_end, last_begin: latest });
            }
            at = slot.next as usize;
        }
    }
}

#[derive(Clone, Copy)]
struct Zone {
    first_end: Place,
    last_begin: Place,
}

/// Whether two of the chains must each precede the other.
fn conflict(forward: &mut [Zone], backward: &[Zone]) -> bool {
    // They are nearly sorted, of which a stable sort makes use.
    forward.sort_by_key(|zone| zone.first_end);
    let overlap = |pair: &[Zone]| pair[1].first_end < pair[0].last_begin;
    if forward.windows(2).any(overlap) && !is_planted(Plant::LetsOverlap) {
        return true;
    }
    // The first that begins no earlier than the zone at hand; the next zone is mostly near.
    let mut at = 0;
    backward.iter().any(|zone| {
        let limit = zone.last_begin;
        let is_earlier = |other: &Zone| other.first_end < limit;
        if forward[..at].last().is_none_or(is_earlier) {
            let mut step = 1;
            while at + step <= forward.len() && is_earlier(&forward[at + step - 1]) {
                step *= 2;
            }
            let end = (at + step).min(forward.len());
            at += forward[at..end].partition_point(is_earlier);
        } else {
            let mut step = 1;
            while step <= at && !is_earlier(&forward[at - step]) {
                step *= 2;
            }
            let start = at.saturating_sub(step);
            at = start + forward[start..at].partition_point(is_earlier);
        }
        forward[..at].last().is_some_and(|other| zone.first_end < other.last_begin)
            && !is_planted(Plant::LetsInside)
    })
}

/// From values to slots. Sixteen neighbouring values stand side by side in one line of the cache,
/// since most workloads count; groups of sixteen are spread by a hash.
#[derive(Debug)]
struct Table {
    ids: Vec<SlotId>,
    shift: u32,
}

const GROUP: usize = 16;

impl Default for Table {
    fn default() -> Self {
        Table { ids: vec![NONE; GROUP], shift: 64 }
    }
}

impl Table {
    #[inline]
    fn home(&self, value: Value) -> usize {
        let value = value.0 as u64;
        let group = (value >> 4).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        // A shift by all bits is none; with one group there is nothing to spread.
        let group = group.checked_shr(self.shift).unwrap_or(0) as usize;
        group * GROUP + (value & 15) as usize
    }

    /// Where a value stands, or where it would.
    #[inline]
    fn find(&self, value: Value, slots: &[Slot]) -> (usize, Option<SlotId>) {
        let mask = self.ids.len() - 1;
        let mut place = self.home(value);
        loop {
            match self.ids[place] {
                NONE => return (place, None),
                id if slots[id as usize].value == value => return (place, Some(id)),
                _ => place = (place + 1) & mask,
            }
        }
    }

    /// Takes the newest slot in, at the place where it would stand.
    #[inline]
    fn insert(&mut self, place: usize, id: SlotId, slots: &[Slot]) {
        self.ids[place] = id;
        if slots.len() * 2 > self.ids.len() {
            self.grow(slots);
        }
    }

    fn grow(&mut self, slots: &[Slot]) {
        self.ids = vec![NONE; self.ids.len() * 2];
        self.shift = 64 - (self.ids.len() / GROUP).trailing_zeros();
        for (slot, id) in slots.iter().zip(0..).skip(1) {
            let (place, _) = self.find(slot.value, slots);
            self.ids[place] = id;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_found_again_however_values_are_spread() {
        for stride in [1, 16, 1 << 20, 0x0123_4567_89AB_CDEF, -3] {
            let mut register = Register::new(Key::new("r"));
            let value = |i: i64| Some(Value(i.wrapping_mul(stride)));
            let slots: Vec<SlotId> = (1..5000).map(|i| register.slot(value(i))).collect();
            let again: Vec<SlotId> = (1..5000).map(|i| register.slot(value(i))).collect();
            assert_eq!(slots, again);
            assert_eq!(slots, (1..5000).collect::<Vec<SlotId>>(), "each has a slot of its own");
        }
    }
}
