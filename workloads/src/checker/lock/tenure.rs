//! Tenures: one holder's time with a lock, from a grant to its end.
//!
//! Every answer that names a holder and a token shows that the lock was held under that token at some
//! moment while the question was open. A token is granted once, so its tenure has no gap, and
//!
//! ```text
//!   |--acquire--|        |--renew--|          |--denied: c1 holds it--|
//!               F.........................L                                  evidence
//!                        |<------- time to live ------->|
//!               F......................................U                     held for certain
//! ```
//!
//! - it has begun by **F**, the first end of such an answer;
//! - it is not over before **U**: the last beginning of such an answer, or the end of the time to live
//!   counted from the last grant or renewal that was *sent* (a release that may have happened ends it
//!   at its own beginning).
//!
//! Two tenures of one lock can follow one another only if one may be over before the other must have
//! begun. So they contradict each other exactly if F1 < U2 and F2 < U1: if not, one of them fits before
//! the other. (Without the time to live this is the condition of Gibbons and Korach, "Testing shared
//! memories", 1997, for values that are written once, with tenures as their zones.) Whether all of them fit
//! together is asked where any two do: [`succession`](super::succession).
//!
//! The time to live is counted by the recorder's clock, which must run as fast as that of the store; on
//! one host it is the same clock. It counts from when a request was *sent*: that is all that a holder can
//! rely on, and all that a store promises that makes its lease before it takes the lock.
//! Called by [`super::check`].

use rustc_hash::FxHashMap;

use super::succession::{Asked, Request, Succession, Turn, walk};
use super::{Clock, Hold, Proof, push};
use crate::checker::findings::Findings;
use crate::checker::plants::{Plant, is_planted};
use crate::checker::versions::{Place, begin, end};
use crate::history::{Operation, OperationId};
use crate::operation::{ClientId, Op, Outcome, Reply, Token};
use crate::verdict::AnomalyKind;

/// What happened to one lock.
#[derive(Default)]
pub(super) struct Lock {
    tenures: FxHashMap<(ClientId, Token), Tenure>,
    acquires: FxHashMap<ClientId, Vec<Acquire>>,
    /// Answers that the lock was no longer held under a token.
    missed: Vec<(ClientId, Token, Asked)>,
    /// The first release of each tenure that may have happened.
    released: FxHashMap<(ClientId, Token), Asked>,
    /// Answers that name a tenure whose holder had given the lock back.
    late: Vec<Late>,
    /// Answers that a lock was denied to its own holder.
    own: Vec<Asked>,
    /// Two releases of one tenure that were answered.
    twice: Vec<(Asked, Asked)>,
    granted: u64,
    denied: u64,
}

/// An answer that names a tenure that was over.
struct Late {
    holder: ClientId,
    token: Token,
    asked: Asked,
    released: OperationId,
    is_denial: bool,
}

#[derive(Clone, Copy, Debug)]
struct Acquire {
    request: Request,
    /// What is known of its answer.
    got: Got,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Got {
    Granted(Token),
    /// Nobody knows.
    Unknown,
    /// Denied, or failed for certain.
    Nothing,
}

/// One holder's time with the lock under one token.
#[derive(Clone, Copy, Debug)]
struct Tenure {
    /// By whose end it had begun.
    first: Asked,
    /// At whose beginning it was not over.
    last: Asked,
    /// The last renewal that certainly happened, and when it was sent.
    renewed: Option<(u64, OperationId)>,
    /// The first end of a release that certainly happened.
    given_back: Option<Asked>,
}

/// A tenure with its bounds.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    /// F: the place by which it had begun.
    from: Place,
    /// U: the place before which it was not over.
    until: Place,
    /// When it was asked for.
    asked: Place,
    hold: Hold,
}

impl Lock {
    /// Takes an operation on this lock in. To be called in the order of invocation.
    pub(super) fn take(&mut self, operation: &Operation) {
        let asked = Asked { begin: begin(operation), end: end(operation), by: operation.id };
        let at = operation.invoked.at.0;
        match (&operation.op, &operation.outcome) {
            (Op::Acquire { holder, ttl_ms, .. }, outcome) => {
                let got = match outcome {
                    Outcome::Ok(Reply::Granted { token }) => Got::Granted(*token),
                    Outcome::Info(_) => Got::Unknown,
                    _ => Got::Nothing,
                };
                let request = Request { asked, at, ttl_ms: *ttl_ms };
                self.acquires.entry(*holder).or_default().push(Acquire { request, got });
                match outcome {
                    Outcome::Ok(Reply::Granted { token }) => {
                        self.granted += 1;
                        self.held(*holder, *token, asked, false);
                    }
                    Outcome::Ok(Reply::Denied { holder: by, token }) => {
                        self.denied += 1;
                        self.own.extend((by == holder).then_some(asked));
                        self.held(*by, *token, asked, true);
                    }
                    _ => {}
                }
            }
            (Op::Renew { holder, token, .. }, Outcome::Ok(Reply::WasHeld(true))) => {
                self.held(*holder, *token, asked, false).renewed = Some((at, operation.id));
            }
            (Op::Release { holder, token, .. }, Outcome::Ok(Reply::WasHeld(true))) => {
                let tenure = self.held(*holder, *token, asked, false);
                let before = tenure.given_back;
                tenure.given_back = match before {
                    Some(before) if before.end < asked.end => Some(before),
                    _ => Some(asked),
                };
                // Of two after one another the later one names a tenure that was over.
                let overlaps = |before: &Asked| before.end > asked.begin;
                self.twice.extend(before.filter(overlaps).map(|before| (before, asked)));
                self.released.entry((*holder, *token)).or_insert(asked);
            }
            (Op::Release { holder, token, .. }, Outcome::Info(_)) => {
                self.released.entry((*holder, *token)).or_insert(asked);
            }
            (
                Op::Renew { holder, token, .. } | Op::Release { holder, token, .. },
                Outcome::Ok(Reply::WasHeld(false)),
            ) => self.missed.push((*holder, *token, asked)),
            _ => {}
        }
    }

    /// Takes note that it was held under a token at some moment of an operation.
    fn held(
        &mut self,
        holder: ClientId,
        token: Token,
        asked: Asked,
        is_denial: bool,
    ) -> &mut Tenure {
        let tenure = self.tenures.entry((holder, token)).or_insert(Tenure {
            first: asked,
            last: asked,
            renewed: None,
            given_back: None,
        });
        if asked.end < tenure.first.end {
            tenure.first = asked;
        }
        match tenure.given_back.filter(|given_back| given_back.end < asked.begin) {
            // It is judged by itself, and prolongs nothing.
            Some(given_back) => {
                let released = given_back.by;
                self.late.push(Late { holder, token, asked, released, is_denial });
            }
            None if asked.begin > tenure.last.begin => tenure.last = asked,
            None => {}
        }
        tenure
    }

    pub(super) fn counts(&self) -> [(&'static str, u64); 2] {
        [("granted", self.granted), ("denied", self.denied)]
    }

    /// Finds what is wrong with this lock. Whether it could be decided.
    pub(super) fn check(&self, clock: &Clock, findings: &mut Findings<Proof>) -> bool {
        let before = findings.count();
        let mut all: Vec<Bounds> = Vec::with_capacity(self.tenures.len());
        for ((holder, token), tenure) in &self.tenures {
            all.push(self.bounds(*holder, *token, tenure, clock, findings));
        }
        all.sort_unstable_by_key(|bounds| (bounds.from, bounds.hold.token, bounds.hold.holder));
        self.overlaps(&all, findings);
        tokens(&all, findings);
        let by_name: FxHashMap<(ClientId, Token), &Bounds> =
            all.iter().map(|it| ((it.hold.holder, it.hold.token), it)).collect();
        for late in &self.late {
            let kind = match late.is_denial {
                true => AnomalyKind::StaleRead,
                false => AnomalyKind::Resurrected,
            };
            let (holder, token, released) = (late.holder, late.token, late.released);
            let acquire = by_name.get(&(holder, token)).and_then(|bounds| bounds.hold.acquire);
            let proof = Proof::GivenBack { holder, token, acquire, released };
            let span = late.asked.end - late.asked.begin;
            push(findings, kind, late.asked.by, (2, span), proof);
        }
        for (holder, token, missed) in &self.missed {
            let Some(held) = by_name.get(&(*holder, *token)) else { continue };
            if held.from < missed.begin && missed.end < held.until {
                let span = missed.end - held.from;
                let proof = Proof::Gone(held.hold);
                push(findings, AnomalyKind::LockLost, missed.by, (3, span), proof);
            }
        }
        for denied in &self.own {
            let kind = AnomalyKind::SpuriousMismatch;
            push(findings, kind, denied.by, (1, 0), Proof::OwnLock);
        }
        for (one, other) in &self.twice {
            let proof = Proof::GivenBackTwice { one: one.by };
            let span = other.begin - one.begin;
            push(findings, AnomalyKind::Duplicate, other.by, (2, span), proof);
        }
        // Two tenures that contradict each other are the better story.
        findings.count() > before || self.succession(&all, clock, findings)
    }

    /// Looks for an order of all tenures together. Whether it could be decided.
    fn succession(&self, all: &[Bounds], clock: &Clock, findings: &mut Findings<Proof>) -> bool {
        let mut missed: FxHashMap<(ClientId, Token), Vec<Asked>> = FxHashMap::default();
        for (holder, token, asked) in &self.missed {
            missed.entry((*holder, *token)).or_default().push(*asked);
        }
        let unanswered = self.acquires.iter().map(|(holder, acquires)| {
            let of_it = acquires.iter().filter(|acquire| acquire.got == Got::Unknown);
            (*holder, of_it.map(|acquire| acquire.request).collect())
        });
        let unanswered: FxHashMap<ClientId, Vec<Request>> = unanswered.collect();
        let mut granted: FxHashMap<(ClientId, Token), Vec<Request>> = FxHashMap::default();
        for (holder, acquires) in &self.acquires {
            for acquire in acquires {
                let Got::Granted(token) = acquire.got else { continue };
                granted.entry((*holder, token)).or_default().push(acquire.request);
            }
        }
        let turn = |bounds: &Bounds| {
            let name = (bounds.hold.holder, bounds.hold.token);
            let tenure = &self.tenures[&name];
            let granted = granted.remove(&name).unwrap_or_default();
            let again = granted.iter().map(|request| (request.at, request.asked.by)).max();
            Turn {
                holder: name.0,
                token: name.1,
                first: tenure.first,
                last: tenure.last,
                renewed: again.max(tenure.renewed),
                granted,
                given_back: tenure.given_back,
                may_be_given_back: self.released.get(&name).copied(),
                missed: missed.remove(&name).unwrap_or_default(),
                until: bounds.until,
                acquire: bounds.hold.acquire,
            }
        };
        let mut turns: Vec<Turn> = all.iter().map(turn).collect();
        turns.sort_unstable_by_key(|turn| turn.token);
        match walk(&turns, &unanswered, clock) {
            Succession::Possible => true,
            Succession::Impossible(kind, culprit, proof) => {
                push(findings, kind, culprit, (4, 0), proof);
                true
            }
            Succession::Undecided => false,
        }
    }

    /// What is certain of a tenure; and whether anybody asked for it.
    fn bounds(
        &self,
        holder: ClientId,
        token: Token,
        tenure: &Tenure,
        clock: &Clock,
        findings: &mut Findings<Proof>,
    ) -> Bounds {
        let acquires = self.acquires.get(&holder).map_or(&[][..], Vec::as_slice);
        let granted = |it: &&Acquire| it.got == Got::Granted(token);
        let may = |it: &&Acquire| granted(it) || it.got == Got::Unknown;
        let first = acquires.iter().filter(granted).min_by_key(|it| it.request.asked.begin);
        // The first that may have been the grant: nothing is certain before it.
        let earliest = acquires.iter().filter(may).min_by_key(|it| it.request.asked.begin);
        let in_time = earliest.filter(|it| it.request.asked.begin < tenure.first.end);
        if in_time.is_none() {
            let (kind, by) = match earliest {
                Some(late) => (AnomalyKind::FutureRead, Some(late.request.asked.by)),
                None => (AnomalyKind::Phantom, None),
            };
            let proof = Proof::Unasked { holder, token, asked: by };
            push(findings, kind, tenure.first.by, (2, 0), proof);
        }
        // Whoever was granted it twice renewed it with the later request.
        let ttl_ms = acquires.iter().map(|it| it.request.ttl_ms).min().unwrap_or(0);
        let again = acquires.iter().filter(granted).max_by_key(|it| it.request.at);
        let sent = |it: &Acquire| (it.request.at, it.request.asked.by);
        let begun = [again.map(sent), tenure.renewed];
        let begun = begun.into_iter().flatten().max().or(in_time.map(sent));
        let released = self.released.get(&(holder, token));
        let released = released.filter(|_| !is_planted(Plant::ForgetsReleases));
        let seen = (tenure.last.begin, tenure.last.by, None, None);
        let ends = begun.map(|(at, by)| {
            let end = clock.place(at.saturating_add(u64::from(ttl_ms) * 1000));
            match released.filter(|released| released.begin < end) {
                Some(released) => (released.begin, released.by, None, Some(by)),
                None => (end, by, Some(ttl_ms), None),
            }
        });
        let (until, last, ttl_ms, renewed) = ends.filter(|end| end.0 > seen.0).unwrap_or(seen);
        let acquire = first.or(in_time).map(|it| it.request.asked.by);
        let hold = Hold { holder, token, first: tenure.first.by, last, ttl_ms, renewed, acquire };
        let asked = in_time.map_or(0, |it| it.request.asked.begin);
        Bounds { from: tenure.first.end, until, asked, hold }
    }

    /// Two tenures of which neither can have been over when the other began. Of those that had begun
    /// before this one might be over, which lasted longest?
    fn overlaps(&self, all: &[Bounds], findings: &mut Findings<Proof>) {
        let mut longest: Vec<usize> = Vec::with_capacity(all.len());
        for (index, later) in all.iter().enumerate() {
            let begun = all[..index].partition_point(|it| it.from < later.until);
            if let Some(earlier) = begun.checked_sub(1).map(|last| &all[longest[last]])
                && earlier.until > later.from
            {
                let kind = match earlier.hold.holder == later.hold.holder {
                    true => AnomalyKind::LockLost,
                    false => AnomalyKind::TwoHolders,
                };
                let span = later.from - earlier.from;
                let proof = Proof::Overlap(earlier.hold, later.hold);
                push(findings, kind, later.hold.first, (4, span), proof);
            }
            let best = match longest.last() {
                Some(best) if all[*best].until >= later.until => *best,
                _ => index,
            };
            longest.push(best);
        }
    }
}

/// Grants with tokens that are not greater than those of grants before them.
fn tokens(all: &[Bounds], findings: &mut Findings<Proof>) {
    let mut by_token: Vec<&Bounds> = all.iter().collect();
    by_token.sort_by_key(|bounds| (bounds.hold.token, bounds.from));
    for pair in by_token.windows(2).filter(|pair| pair[0].hold.token == pair[1].hold.token) {
        let span = pair[1].from - pair[0].from;
        let proof = Proof::SameToken(pair[0].hold, pair[1].hold);
        push(findings, AnomalyKind::Duplicate, pair[1].hold.first, (2, span), proof);
    }
    let mut by_asked: Vec<&Bounds> = all.iter().collect();
    by_asked.sort_by_key(|bounds| bounds.asked);
    let (mut before, mut greatest) = (all.iter().peekable(), None::<&Bounds>);
    for later in by_asked {
        while let Some(earlier) = before.next_if(|earlier| earlier.from < later.asked) {
            if greatest.is_none_or(|greatest| greatest.hold.token < earlier.hold.token) {
                greatest = Some(earlier);
            }
        }
        if let Some(earlier) = greatest.filter(|it| it.hold.token > later.hold.token) {
            let span = later.from.abs_diff(earlier.from);
            let proof = Proof::Smaller { earlier: earlier.hold, later: later.hold };
            push(findings, AnomalyKind::TokenOrder, later.hold.first, (2, span), proof);
        }
    }
}
