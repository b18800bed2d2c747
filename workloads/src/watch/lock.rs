//! Locks: nobody is granted what another holds for certain, tokens grow, and late writes are refused.
//!
//! A holder holds a lock from the answer to its request until its time to live is over, counted from
//! when it asked (or asked for the last renewal that was answered), unless it has begun to give it
//! back. So a grant to somebody else that is answered before that makes two holders. The time is that
//! of the recorder's clock, as in `checker::lock`, which knows more: it also hears of holders from
//! those that were denied. What locks protect is watched as registers. Called through `workload`.

use rustc_hash::{FxHashMap, FxHashSet};

use super::register::Registers;
use super::{Call, End, Mark, Notes, Watch};
use crate::operation::{ClientId, Key, Op, Outcome, Reason, Reply, Token};
use crate::verdict::AnomalyKind;

/// All locks of a history, and what they protect.
#[derive(Default)]
pub(crate) struct Locks {
    locks: FxHashMap<Key, Lock>,
    /// The greatest token that each resource has shown to have seen.
    seen: FxHashMap<Key, u64>,
    values: Registers,
}

#[derive(Default)]
struct Lock {
    granted: FxHashMap<Token, ClientId>,
    greatest: u64,
    held: Option<Held>,
    /// What somebody has begun to give back.
    released: FxHashSet<(ClientId, Token)>,
    /// For whom how many requests are open, or of unknown outcome: a token may be that of any of
    /// them.
    asking: FxHashMap<ClientId, u32>,
    /// The shortest time to live that each has asked for: a grant may be a renewal of what another
    /// request of the same holder began.
    shortest_ms: FxHashMap<ClientId, u32>,
}

#[derive(Clone, Copy)]
struct Held {
    holder: ClientId,
    token: Token,
    ttl_us: u64,
    /// Until when, in microseconds, for certain.
    until_us: u64,
}

impl Watch for Locks {
    fn begins(&mut self, call: &Call<'_>, notes: &mut Notes) -> Mark {
        match call.op {
            Op::Acquire { lock, holder, ttl_ms } => {
                let lock = self.locks.entry(lock.clone()).or_default();
                *lock.asking.entry(*holder).or_default() += 1;
                let shortest = lock.shortest_ms.entry(*holder).or_insert(*ttl_ms);
                *shortest = (*shortest).min(*ttl_ms);
                lock.greatest
            }
            Op::Release { lock, holder, token } => {
                let lock = self.locks.entry(lock.clone()).or_default();
                let is_it = |held: &Held| (held.holder, held.token) == (*holder, *token);
                lock.held = lock.held.filter(|held| !is_it(held));
                lock.released.insert((*holder, *token));
                0
            }
            Op::WriteGuarded { resource, .. } => {
                let mark = self.seen.get(resource).copied().unwrap_or(0);
                self.as_register(call, |values, call| values.begins(call, notes));
                mark
            }
            _ => 0,
        }
    }

    fn ends(&mut self, call: &Call<'_>, end: &End<'_>, notes: &mut Notes) {
        match (call.op, end.outcome) {
            (Op::Acquire { lock, holder, .. }, outcome) => {
                let known = self.locks.entry(lock.clone()).or_default();
                if let (Some(asking), false) =
                    (known.asking.get_mut(holder), matches!(outcome, Outcome::Info(_)))
                {
                    *asking -= 1;
                }
                if let Outcome::Ok(Reply::Granted { token }) = outcome {
                    let shortest_ms = known.shortest_ms.get(holder).copied().unwrap_or(0);
                    let ttl_us = u64::from(shortest_ms) * 1000;
                    known.grant(call, end, (*holder, *token, ttl_us), lock, notes);
                }
            }
            (Op::Renew { lock, holder, token }, Outcome::Ok(Reply::WasHeld(true))) => {
                let known = self.locks.entry(lock.clone()).or_default();
                let is_it = |held: &&mut Held| (held.holder, held.token) == (*holder, *token);
                if let Some(held) = known.held.as_mut().filter(is_it) {
                    held.until_us = held.until_us.max(call.invoked.at.0 + held.ttl_us);
                }
            }
            (Op::WriteGuarded { resource, token, .. }, Outcome::Ok(reply)) => {
                let is_refused = *reply == Reply::StaleToken;
                if !is_refused && token.0 < end.mark {
                    let what = format!(
                        "{}, accepted, although {resource} had seen token {} before it began",
                        call.op, end.mark
                    );
                    notes.proven(AnomalyKind::StaleToken, resource, what);
                }
                let shown = token.0.saturating_add(u64::from(is_refused));
                let seen = self.seen.entry(resource.clone()).or_default();
                *seen = shown.max(*seen);
            }
            _ => {}
        }
        if matches!(call.op, Op::WriteGuarded { .. } | Op::ReadGuarded { .. }) {
            let stale = Outcome::Fail(Reason::new("stale-token"));
            let outcome = match end.outcome {
                Outcome::Ok(Reply::StaleToken) => &stale,
                other => other,
            };
            let end = End { stamp: end.stamp, outcome, mark: 0 };
            self.as_register(call, |values, call| values.ends(call, &end, notes));
        }
    }

    fn values(&self) -> usize {
        let grants: usize = self.locks.values().map(|lock| lock.granted.len()).sum();
        self.values.values() + grants
    }
}

impl Locks {
    /// Hands a guarded operation on as one of a register.
    fn as_register<T>(
        &mut self,
        call: &Call<'_>,
        hand: impl FnOnce(&mut Registers, &Call<'_>) -> T,
    ) -> Option<T> {
        let op = match call.op {
            Op::WriteGuarded { resource, value, .. } => {
                Op::Write { key: resource.clone(), value: *value }
            }
            Op::ReadGuarded { resource, consistency } => {
                Op::Read { key: resource.clone(), consistency: *consistency }
            }
            _ => return None,
        };
        Some(hand(&mut self.values, &Call { op: &op, ..*call }))
    }
}

impl Lock {
    fn grant(
        &mut self,
        call: &Call<'_>,
        end: &End<'_>,
        (holder, token, ttl_us): (ClientId, Token, u64),
        key: &Key,
        notes: &mut Notes,
    ) {
        let now = end.stamp.at.0;
        let until_us = call.invoked.at.0.saturating_add(ttl_us);
        let what = |what: String| format!("{} was granted under {token}, {what}", call.op);
        // Whoever holds it and asks again is granted the same.
        match self.granted.insert(token, holder) {
            Some(before) if before != holder => {
                let what = what(format!("and so was {before}"));
                notes.proven(AnomalyKind::Duplicate, key, what);
            }
            None if token.0 < end.mark && self.asking.get(&holder) == Some(&0) => {
                let what = what(format!("and {} had been granted before it began", end.mark));
                notes.proven(AnomalyKind::TokenOrder, key, what);
            }
            _ => {}
        }
        self.greatest = self.greatest.max(token.0);
        if let Some(held) = self.held.filter(|held| held.holder != holder)
            && now < held.until_us
            && now < until_us
        {
            let (other, left) = (held.holder, (held.until_us - now) / 1000);
            let what = what(format!("and {other} holds it for {left} ms more at least"));
            notes.proven(AnomalyKind::TwoHolders, key, what);
        }
        if self.released.contains(&(holder, token)) {
            return;
        }
        let is_later = |held: &Held| held.until_us > until_us && held.holder != holder;
        if !self.held.as_ref().is_some_and(is_later) {
            self.held = Some(Held { holder, token, ttl_us, until_us });
        }
    }
}
