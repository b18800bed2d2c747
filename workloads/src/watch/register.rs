//! Registers: the same question as `checker::linearizable`, asked again with every answer.
//!
//! Values are written once, so an answer names the write that it saw. A value *takes effect* with
//! the first answer that shows that it was there; a compare-and-set then stands directly behind the
//! value that it expected, and both are of one chain. What can be wrong:
//!
//! - an answer names what nobody sent, or contradicts itself;
//! - two compare-and-sets stand behind one value, or each behind the other;
//! - inside a chain, something began after a later value was there;
//! - two chains must each come before the other ([`super::zones`]).
//!
//! All of these rest on beginnings and ends that are past when they are noticed, and nothing that
//! comes later takes them back. Every answer is held against all that came before it, so the first
//! event with which there is no order any more is the one that is reported: what ends later begins
//! nothing that is older. Exact for keys whose values are written once; a key with a delete or with a
//! value sent twice is left to the checkers, and of a refusal that does not say what it saw nothing
//! is made. Called through `workload`, and by `lock` for what locks protect.

use rustc_hash::{FxHashMap, FxHashSet};

use super::zones::{ChainId, Zones};
use super::{Call, End, Mark, NEVER, Notes, Place, Watch, place};
use crate::checker::plants::{Plant, is_planted};
use crate::history::MISMATCH;
use crate::operation::{Key, Op, Outcome, Reply, Value};
use crate::verdict::AnomalyKind;

/// All registers of a history.
#[derive(Default)]
pub(crate) struct Registers {
    keys: FxHashMap<Key, Register>,
    values: usize,
    /// Whether something else than a register was asked of the store.
    is_aside: bool,
}

impl Watch for Registers {
    fn begins(&mut self, call: &Call<'_>, notes: &mut Notes) -> Mark {
        let (value, came) = match call.op {
            Op::Write { value, .. } => (*value, Came::Plain),
            Op::CompareAndSet { expect, value, .. } => (*value, Came::From(*expect)),
            Op::Read { .. } | Op::List { .. } => return 0,
            Op::Delete { key } => {
                self.register(key).is_aside = true;
                notes.aside(|| format!("{key} may be deleted"));
                return 0;
            }
            other => {
                self.is_aside = true;
                notes.aside(|| format!("\"{other}\" is not of registers"));
                return 0;
            }
        };
        let key = call.op.key();
        let begin = place(call.invoked);
        self.values += 1;
        let register = self.register(key);
        if !register.send(value, begin, came) {
            register.is_aside = true;
            notes.aside(|| format!("{value} was sent to {key} twice"));
        }
        0
    }

    fn ends(&mut self, call: &Call<'_>, end: &End<'_>, notes: &mut Notes) {
        if self.is_aside || call.op.is_local() || matches!(call.op, Op::List { .. }) {
            return;
        }
        let key = call.op.key();
        let register = self.register(key);
        if register.is_aside {
            return;
        }
        if matches!(end.outcome, Outcome::Fail(reason) if &*reason.0 == MISMATCH) {
            notes.aside(|| format!("{} was refused and does not say over what", call.op));
        }
        let times = Times { begin: place(call.invoked), end: place(end.stamp) };
        if let Err(broken) = register.take(call.op, end.outcome, times) {
            register.is_aside = true;
            let (kind, why) = broken.told();
            notes.proven(kind, key, format!("{}, {why}", told(call.op, end.outcome)));
        }
    }

    fn values(&self) -> usize {
        self.values
    }
}

impl Registers {
    fn register(&mut self, key: &Key) -> &mut Register {
        // Looked up first: to make an entry takes a key of its own.
        if !self.keys.contains_key(key) {
            self.keys.insert(key.clone(), Register::default());
        }
        self.keys.get_mut(key).expect("it was just made")
    }
}

/// What an operation saw, such as "read r1 saw 5".
fn told(op: &Op, outcome: &Outcome) -> String {
    let seen = |seen: &Option<Value>| seen.map_or("absent".to_string(), |it| it.to_string());
    match outcome {
        Outcome::Ok(Reply::Read(value)) => format!("{op} saw {}", seen(value)),
        Outcome::Ok(Reply::Compared { swapped: false, observed }) => {
            format!("{op} was refused over {}", seen(observed))
        }
        Outcome::Ok(Reply::Compared { swapped: true, observed }) => {
            format!("{op} swapped {}", seen(observed))
        }
        Outcome::Ok(_) => format!("{op} was acknowledged"),
        Outcome::Fail(_) => format!("{op} certainly failed"),
        Outcome::Info(_) => op.to_string(),
    }
}

#[derive(Clone, Copy)]
struct Times {
    begin: Place,
    end: Place,
}

/// Why an answer has no explanation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Broken {
    /// Nobody sent what it shows.
    Unsent,
    /// Who sent what it shows certainly failed.
    Aborted,
    /// It was refused although it saw what it expected.
    RefusedMatch,
    /// It swapped something else than it expected.
    SwappedMismatch,
    /// Two swapped one value.
    TwoFromOne,
    /// Each expected what the other wrote, perhaps by way of more.
    Circle,
    /// It began when a later value of the chain was there.
    Overtaken,
    /// Two chains that must each come before the other.
    Conflict,
}

impl Broken {
    fn told(self) -> (AnomalyKind, &'static str) {
        match self {
            Broken::Unsent => (AnomalyKind::Phantom, "which rests on what nobody has sent"),
            Broken::Aborted => (AnomalyKind::AbortedRead, "though its write certainly failed"),
            Broken::RefusedMatch => (AnomalyKind::SpuriousMismatch, "which is what it expected"),
            Broken::SwappedMismatch => (AnomalyKind::LostUpdate, "which is not what it expected"),
            Broken::TwoFromOne => {
                (AnomalyKind::LostUpdate, "and another compare-and-set swapped the same value")
            }
            Broken::Circle => {
                (AnomalyKind::CyclicCas, "which came from itself by compare-and-sets")
            }
            Broken::Overtaken => {
                (AnomalyKind::StaleRead, "which a compare-and-set had replaced before it began")
            }
            Broken::Conflict => {
                (AnomalyKind::StaleRead, "and another value was there in between, written once")
            }
        }
    }
}

type SlotId = u32;

/// The slot of the initial absence.
const ABSENT: SlotId = 0;
const NONE: u32 = u32::MAX;

/// How a value came about.
#[derive(Clone, Copy, Debug)]
enum Came {
    Plain,
    /// By a compare-and-set that expected this.
    From(Option<Value>),
}

/// A value that was sent.
#[derive(Clone, Copy, Debug)]
struct Slot {
    begin: Place,
    came: Came,
    /// The first end of anything of a later value of its chain.
    overtaken: Place,
    /// Of one that took effect.
    chain: ChainId,
    /// What it stands behind in its chain.
    before: SlotId,
    /// Whether anything stands behind it.
    is_swapped: bool,
    is_effective: bool,
    /// Whether the write or a read of it has ended.
    has_ended: bool,
}

struct Register {
    slots: Vec<Slot>,
    by_value: FxHashMap<Value, SlotId>,
    failed: FxHashSet<Value>,
    zones: Zones,
    is_aside: bool,
}

impl Default for Register {
    fn default() -> Self {
        let mut zones = Zones::default();
        let absent = Slot {
            begin: 0,
            came: Came::Plain,
            overtaken: NEVER,
            chain: zones.push(0, 0),
            before: NONE,
            is_swapped: false,
            is_effective: true,
            has_ended: true,
        };
        Register {
            slots: vec![absent],
            by_value: FxHashMap::default(),
            failed: FxHashSet::default(),
            zones,
            is_aside: false,
        }
    }
}

impl Register {
    /// Somebody sends a value; whether nobody has before.
    fn send(&mut self, value: Value, begin: Place, came: Came) -> bool {
        let slot = Slot {
            begin,
            came,
            overtaken: NEVER,
            chain: 0,
            before: NONE,
            is_swapped: false,
            is_effective: false,
            has_ended: false,
        };
        self.slots.push(slot);
        self.by_value.insert(value, (self.slots.len() - 1) as SlotId).is_none()
    }

    fn take(&mut self, op: &Op, outcome: &Outcome, times: Times) -> Result<(), Broken> {
        match (op, outcome) {
            (Op::Read { .. }, Outcome::Ok(Reply::Read(seen))) => self.read(*seen, times),
            (Op::Write { value, .. }, Outcome::Ok(Reply::Written)) => self.write(*value, times),
            (Op::Write { value, .. }, Outcome::Fail(_)) => self.fail(*value),
            (
                Op::CompareAndSet { expect, value, .. },
                Outcome::Ok(Reply::Compared { swapped, observed }),
            ) => match (swapped, observed == expect) {
                (true, true) => self.write(*value, times),
                (true, false) => Err(Broken::SwappedMismatch),
                (false, true) => Err(Broken::RefusedMatch),
                (false, false) => {
                    self.fail(*value)?;
                    self.read(*observed, times)
                }
            },
            (Op::CompareAndSet { value, .. }, Outcome::Fail(_)) => self.fail(*value),
            _ => Ok(()),
        }
    }

    /// The slot of a value that somebody may have written.
    fn sent(&self, value: Option<Value>) -> Result<SlotId, Broken> {
        let Some(value) = value else { return Ok(ABSENT) };
        self.by_value.get(&value).copied().ok_or_else(|| match self.failed.contains(&value) {
            true => Broken::Aborted,
            false => Broken::Unsent,
        })
    }

    fn read(&mut self, seen: Option<Value>, times: Times) -> Result<(), Broken> {
        let slot = self.sent(seen)?;
        self.take_effect(slot, times.end)?;
        if self.slots[slot as usize].overtaken < times.begin {
            return Err(Broken::Overtaken);
        }
        self.ended(slot, times.end);
        self.began(slot, times.begin)
    }

    fn write(&mut self, value: Value, times: Times) -> Result<(), Broken> {
        let slot = self.sent(Some(value))?;
        self.take_effect(slot, times.end)?;
        self.ended(slot, times.end);
        Ok(())
    }

    /// A write certainly did not happen, and never will.
    fn fail(&mut self, value: Value) -> Result<(), Broken> {
        let slot = self.sent(Some(value))?;
        self.by_value.remove(&value);
        self.failed.insert(value);
        match self.slots[slot as usize].is_effective {
            true => Err(Broken::Aborted),
            false => Ok(()),
        }
    }

    /// A value was certainly there by now, and with it all that it came from.
    fn take_effect(&mut self, slot: SlotId, now: Place) -> Result<(), Broken> {
        let mut path = Vec::new();
        let mut at = slot;
        while !self.slots[at as usize].is_effective {
            path.push(at);
            match self.slots[at as usize].came {
                Came::Plain => break,
                Came::From(Some(_)) if is_planted(Plant::WatchesTooMuch) => at = ABSENT,
                Came::From(expect) => at = self.sent(expect)?,
            }
            if path.len() > self.slots.len() {
                return Err(Broken::Circle);
            }
        }
        while let Some(next) = path.pop() {
            let Slot { begin, came, .. } = self.slots[next as usize];
            if let Came::From(_) = came {
                let before = &mut self.slots[at as usize];
                if std::mem::replace(&mut before.is_swapped, true) {
                    return Err(Broken::TwoFromOne);
                }
                let chain = before.chain;
                let it = &mut self.slots[next as usize];
                (it.chain, it.before) = (chain, at);
            } else {
                self.slots[next as usize].chain = self.zones.push(now, begin);
            }
            self.slots[next as usize].is_effective = true;
            self.began(next, begin)?;
            at = next;
        }
        Ok(())
    }

    /// Something of a value has ended: whatever begins from now on is behind all that stand before
    /// it in its chain. The first end counts, and those of later values have come to them before.
    fn ended(&mut self, slot: SlotId, now: Place) {
        if std::mem::replace(&mut self.slots[slot as usize].has_ended, true) {
            return;
        }
        let mut at = self.slots[slot as usize].before;
        while at != NONE && self.slots[at as usize].overtaken == NEVER {
            self.slots[at as usize].overtaken = now;
            at = self.slots[at as usize].before;
        }
    }

    fn began(&mut self, slot: SlotId, at: Place) -> Result<(), Broken> {
        match self.zones.began(self.slots[slot as usize].chain, at) {
            true => Err(Broken::Conflict),
            false => Ok(()),
        }
    }
}
