//! A growing set: every list holds what was there before it began, once, and nothing that nobody
//! sent.
//!
//! What is right element by element may still be wrong as a whole: lists that do not include one
//! another, and adds that were overtaken. Those are left to `checker::linearizable`. Called through
//! `workload`.

use super::elements::Elements;
use super::{Call, End, Mark, Notes, Watch, place};
use crate::operation::{Key, Op, Outcome, Reply};

/// The set of a history.
#[derive(Default)]
pub(crate) struct Set {
    elements: Elements,
    prefix: Option<Key>,
    is_aside: bool,
}

impl Set {
    fn leave(&mut self, notes: &mut Notes, why: impl FnOnce() -> String) {
        self.is_aside = true;
        notes.aside(why);
    }
}

impl Watch for Set {
    fn begins(&mut self, call: &Call<'_>, notes: &mut Notes) -> Mark {
        match call.op {
            op if op.is_local() => {}
            Op::List { prefix, .. }
                if self.prefix.get_or_insert_with(|| prefix.clone()) == prefix => {}
            Op::Write { value, .. } => {
                if self.elements.send(*value, place(call.invoked)) > 1 {
                    self.leave(notes, || format!("{value} was added more than once"));
                }
            }
            other => self.leave(notes, || format!("\"{other}\" is not of this set")),
        }
        0
    }

    fn ends(&mut self, call: &Call<'_>, end: &End<'_>, notes: &mut Notes) {
        if self.is_aside || call.op.is_local() {
            return;
        }
        let held = match (call.op, end.outcome) {
            (Op::Write { value, .. }, Outcome::Ok(_)) => {
                self.elements.acknowledge(*value, place(end.stamp));
                Ok(())
            }
            (Op::Write { value, .. }, Outcome::Fail(_)) => self.elements.fail(*value),
            (Op::List { .. }, Outcome::Ok(Reply::Listed(values))) => {
                self.elements.read(values, place(call.invoked), place(end.stamp))
            }
            _ => Ok(()),
        };
        if let Err((kind, why)) = held {
            let key = self.prefix.as_ref().unwrap_or(call.op.key());
            notes.proven(kind, key, format!("{}, {why}", call.op));
        }
    }

    fn values(&self) -> usize {
        self.elements.len()
    }
}
