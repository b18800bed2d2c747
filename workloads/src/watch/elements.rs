//! Elements that are added once and never removed, and what a read of all of them may look like.
//!
//! An element is *there* from the first event that shows it: the end of its add, or of a read that
//! holds it. From then on whatever begins must see it, so a read must hold as many of those that are
//! there as were there when it began. Called by `set` and `list`.

use rustc_hash::FxHashMap;

use super::{NEVER, Place};
use crate::checker::plants::{Plant, is_planted};
use crate::operation::Value;
use crate::verdict::AnomalyKind;

/// Everything that was added to one set or list.
#[derive(Debug, Default)]
pub(super) struct Elements {
    by_value: FxHashMap<Value, Element>,
    /// Since when the elements are there, in that order.
    there: Vec<Place>,
    /// How many reads were held against this.
    reads: u64,
}

/// An element that somebody has sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Element {
    /// Where the add began.
    pub(super) begin: Place,
    /// Where it was first acknowledged; [`NEVER`] if it was not yet.
    pub(super) acknowledged: Place,
    /// How many were there before it; `None` if it is not there for certain.
    there: Option<usize>,
    /// How many adds of it have not failed: more than one for a request that is sent again.
    sendings: u32,
    /// The last read that held it.
    read: u64,
}

/// Why a read or the end of an add has no explanation.
pub(super) type Broken = (AnomalyKind, String);

impl Elements {
    pub(super) fn len(&self) -> usize {
        self.by_value.len()
    }

    pub(super) fn get(&self, value: Value) -> Option<&Element> {
        self.by_value.get(&value)
    }

    /// Somebody sends an element; how often that has been done and has not failed.
    pub(super) fn send(&mut self, value: Value, begin: Place) -> u32 {
        let element = self.by_value.entry(value).or_insert(Element {
            begin,
            acknowledged: NEVER,
            there: None,
            sendings: 0,
            read: 0,
        });
        if element.sendings == 0 {
            element.begin = begin;
        }
        element.sendings += 1;
        element.sendings
    }

    /// The add of an element was acknowledged.
    pub(super) fn acknowledge(&mut self, value: Value, now: Place) {
        let Some(element) = self.by_value.get_mut(&value) else { return };
        element.acknowledged = element.acknowledged.min(now);
        if element.there.is_none() {
            element.there = Some(self.there.len());
            self.there.push(now);
        }
    }

    /// An add certainly did not happen.
    pub(super) fn fail(&mut self, value: Value) -> Result<(), Broken> {
        let Some(element) = self.by_value.get_mut(&value) else { return Ok(()) };
        element.sendings = element.sendings.saturating_sub(1);
        match element.sendings == 0 && element.there.is_some() {
            true => Err((AnomalyKind::AbortedRead, format!("{value} had been read"))),
            false => Ok(()),
        }
    }

    /// Somebody read these, from one place to another, which is now.
    pub(super) fn read(
        &mut self,
        values: &[Value],
        begin: Place,
        now: Place,
    ) -> Result<(), Broken> {
        self.reads += 1;
        let expected = match is_planted(Plant::WatchesAhead) {
            true => self.there.len(),
            false => self.there.partition_point(|since| *since < begin),
        };
        let mut held = 0;
        for value in values {
            let element = self.by_value.get_mut(value);
            let Some(element) = element.filter(|element| element.sendings > 0) else {
                let why = format!("and {value} among them, which nobody has sent");
                return Err((AnomalyKind::Phantom, why));
            };
            if std::mem::replace(&mut element.read, self.reads) == self.reads {
                return Err((AnomalyKind::Duplicate, format!("and {value} twice")));
            }
            held += usize::from(element.there.is_some_and(|there| there < expected));
        }
        if held < expected {
            let missing = self.by_value.iter().filter(|(_, it)| it.read != self.reads);
            let missing = missing.filter(|(_, it)| it.there.is_some_and(|there| there < expected));
            let first = missing.min_by_key(|(_, it)| it.there).map(|(value, _)| *value);
            let first = first.map_or("one".to_string(), |value| value.to_string());
            let why = format!("without {first}, which was there before it began");
            return Err((AnomalyKind::StaleRead, why));
        }
        for value in values {
            let Some(element) = self.by_value.get_mut(value) else { continue };
            if element.there.is_none() {
                element.there = Some(self.there.len());
                self.there.push(now);
            }
        }
        Ok(())
    }
}
