//! The succession: all tenures of a lock together, one after the other.
//!
//! Tokens grow from grant to grant, so they say in which order the tenures of a lock followed one another,
//! and all that is left to choose is where each begins and ends:
//!
//! ```text
//!  token 3  |--granted--|      |--denied: c1 holds it--|
//!                              U3: not over before
//!  token 5       |--denied: c2 holds it--|                        U3 < F5, and
//!                                        F5: has begun by         U3 < F7, and
//!  token 7                           |--granted--|                U5 < F7
//!                                                F7
//! ```
//!
//! A tenure begins at its request at the earliest, once all before it are over; then come its answers; it is
//! over when the last of them has begun, and its time to live has passed or it may have been given back. To
//! begin as early and to end as early as that is never worse, since whatever follows only waits for it. So one
//! walk in the order of tokens finds an order, or the first tenure that must have begun before those with
//! smaller tokens can be over.
//!
//! *An answer that it is not held* under a token belongs before that tenure or behind its end. Behind, if it
//! ends late enough; else before, and the tenure begins no earlier than that question. This may put off its
//! end, so it is asked again until nothing changes; each time the answer has no other place, so the earliest
//! beginning is found. To others such an answer does no harm: it stands right before the first thing that
//! waits for longer than it does.
//!
//! *A request that was never answered* may be what one tenure began with. A tenure that no answer names
//! explains nothing and is left out, and so is a renewal of unknown outcome. Of two such requests for the same
//! time to live the earlier one is never worse. Where the times differ, each way is walked, and the better one
//! of any two kept; there may be [`WAYS_MAX`] at once, beyond which the lock is undecided.
//!
//! But for those ways it takes O(n log n). The tests hold it against every order. Called by
//! [`super::tenure`], for locks of which no two tenures contradict each other alone: a pair is the better
//! story.

use rustc_hash::FxHashMap;

use super::{Clock, Proof};
use crate::checker::plants::{Plant, is_planted};
use crate::checker::versions::Place;
use crate::history::OperationId;
use crate::operation::{ClientId, Token};
use crate::verdict::AnomalyKind;

/// So many ways to give requests without an answer to tenures are walked side by side. A run has one: its
/// clients ask for one time to live, and go on under a new name after a request that was not answered.
const WAYS_MAX: usize = 1000;

/// An operation and its places.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) begin: Place,
    pub(super) end: Place,
    pub(super) by: OperationId,
}

/// A request that a tenure may have begun with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    pub(super) asked: Asked,
    /// When it was sent, in microseconds.
    pub(super) at: u64,
    pub(super) ttl_ms: u32,
}

/// One tenure, and everything that was said about it.
#[derive(Clone, Debug)]
pub(super) struct Turn {
    pub(super) holder: ClientId,
    pub(super) token: Token,
    /// The answer by whose end it had begun.
    pub(super) first: Asked,
    /// The answer at whose beginning it was not over.
    pub(super) last: Asked,
    /// The last grant or renewal that was answered, and when it was sent.
    pub(super) renewed: Option<(u64, OperationId)>,
    /// The requests that were granted it.
    pub(super) granted: Vec<Request>,
    /// A release that was answered.
    pub(super) given_back: Option<Asked>,
    /// The first release that may have happened.
    pub(super) may_be_given_back: Option<Asked>,
    /// Answers that it was not held.
    pub(super) missed: Vec<Asked>,
    /// Before this place it is not over, whatever it began with.
    pub(super) until: Place,
    /// A request that it may have begun with.
    pub(super) acquire: Option<OperationId>,
}

/// What a tenure waits for that has no place, for the story.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wait {
    /// Who holds the lock before it.
    pub(super) holder: ClientId,
    pub(super) token: Token,
    /// Why that cannot be over, and which operation says so.
    pub(super) why: Why,
    pub(super) by: OperationId,
    /// The request that it began with.
    pub(super) begun: OperationId,
    /// The first answer that shows it.
    pub(super) first: OperationId,
    /// What shows that it lasted, where `by` alone does not.
    pub(super) shown: [Option<OperationId>; 2],
}

/// What the walk found.
pub(super) enum Succession {
    /// An order exists.
    Possible,
    /// None exists: the first tenure without a place.
    Impossible(AnomalyKind, OperationId, Proof),
    /// It was not found out.
    Undecided,
}

/// The first place at which a tenure can be over, and why.
#[derive(Clone, Copy, Debug)]
struct Over {
    place: Place,
    turn: usize,
    /// What it began with.
    begun: OperationId,
    why: Why,
    by: OperationId,
}

/// What the end of a tenure waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// Its request was only then sent.
    Asked,
    /// Nobody held it under this token until this question began.
    Missed,
    /// Somebody who asked only then was answered that it was held.
    Seen,
    /// Its time to live, in milliseconds from when this was sent.
    TimeToLive(u32),
    /// This was the first release that may have happened.
    GivenBack,
}

/// Why a tenure has no place.
#[derive(Clone, Copy, Debug)]
enum Stuck {
    /// It must have begun before another one can be over.
    Before(Over),
    /// It must be held where it was answered that it was not.
    Held { missed: Asked, over: Over },
    /// Nobody can have asked for it.
    Unasked,
}

/// One way to give requests to the tenures so far.
struct Way {
    /// The last place at which one of them can be over first.
    over: Option<Over>,
    /// Requests without an answer that were used, of those who hold it again later.
    used: Vec<OperationId>,
}

impl Way {
    fn place(&self) -> Place {
        self.over.map_or(0, |over| over.place)
    }

    /// Whether it can do all that another one can.
    fn is_no_worse(&self, other: &Way) -> bool {
        self.place() <= other.place() && self.used.iter().all(|id| other.used.contains(id))
    }
}

/// Walks along the tenures of one lock, in the order of their tokens, each of which has one holder.
/// `unanswered` are the requests of each holder whose answers nobody knows, by their beginnings.
pub(super) fn walk(
    turns: &[Turn],
    unanswered: &FxHashMap<ClientId, Vec<Request>>,
    clock: &Clock,
) -> Succession {
    let last_of: FxHashMap<ClientId, usize> =
        turns.iter().enumerate().map(|(index, turn)| (turn.holder, index)).collect();
    let mut ways = vec![Way { over: None, used: Vec::new() }];
    let mut was_one_way = true;
    for (index, turn) in turns.iter().enumerate() {
        let unanswered = unanswered.get(&turn.holder).map_or(&[][..], Vec::as_slice);
        let mut next: Vec<Way> = Vec::new();
        let mut stuck = Stuck::Unasked;
        for way in &ways {
            let granted = turn.granted.iter().map(|request| (request, false));
            let others = unused(unanswered, &way.used).map(|request| (request, true));
            let in_time = |(request, _): &(&Request, bool)| request.asked.begin < turn.first.end;
            for (request, is_unanswered) in granted.chain(others).filter(in_time) {
                match turn.follow(index, way.over, request, clock) {
                    Ok(over) => {
                        let mut used = way.used.clone();
                        used.extend(is_unanswered.then_some(request.asked.by));
                        keep(&mut next, Way { over: Some(over), used });
                    }
                    Err(why) => stuck = why,
                }
            }
        }
        if next.is_empty() {
            let (kind, culprit, proof) = match was_one_way {
                true => name(turns, index, stuck),
                false => (AnomalyKind::NonLinearizable, turn.first.by, Proof::NoOrder),
            };
            return Succession::Impossible(kind, culprit, proof);
        }
        if next.len() > WAYS_MAX {
            return Succession::Undecided;
        }
        was_one_way &= next.len() == 1;
        ways = next;
        if last_of[&turn.holder] == index {
            for way in &mut ways {
                way.used.retain(|id| !unanswered.iter().any(|request| request.asked.by == *id));
            }
        }
    }
    Succession::Possible
}

/// The requests without an answer that are left: the first one for each time to live.
fn unused<'r>(
    unanswered: &'r [Request],
    used: &'r [OperationId],
) -> impl Iterator<Item = &'r Request> {
    let mut times: Vec<u32> = Vec::new();
    unanswered.iter().filter(|request| !used.contains(&request.asked.by)).filter(move |request| {
        let is_first = !times.contains(&request.ttl_ms);
        times.push(request.ttl_ms);
        is_first
    })
}

/// Takes a way in, unless one that is no worse is there.
fn keep(ways: &mut Vec<Way>, way: Way) {
    if !ways.iter().any(|kept| kept.is_no_worse(&way)) {
        ways.retain(|kept| !way.is_no_worse(kept));
        ways.push(way);
    }
}

impl Turn {
    /// When this tenure and all before it can be over, if it began with this request.
    fn follow(
        &self,
        turn: usize,
        before: Option<Over>,
        request: &Request,
        clock: &Clock,
    ) -> Result<Over, Stuck> {
        let must_begin = self.first.end;
        if let Some(before) = before.filter(|before| before.place > must_begin)
            && !is_planted(Plant::AnySuccession)
        {
            return Err(Stuck::Before(before));
        }
        let over = |place, why, by| Over { place, turn, begun: request.asked.by, why, by };
        let asked = over(request.asked.begin, Why::Asked, request.asked.by);
        let mut begin = later(asked, before);
        loop {
            let end = later(self.end(turn, request, clock), Some(begin));
            let begun = begin.place;
            let in_between = |missed: &&Asked| missed.begin > begun && missed.end < end.place;
            let Some(missed) = self.missed.iter().filter(in_between).max_by_key(|it| it.begin)
            else {
                return Ok(end);
            };
            if missed.begin > must_begin {
                return Err(Stuck::Held { missed: *missed, over: end });
            }
            begin = over(missed.begin, Why::Missed, missed.by);
        }
    }

    /// When its own answers and its time to live let it be over.
    fn end(&self, turn: usize, request: &Request, clock: &Clock) -> Over {
        let over = |place, why, by| Over { place, turn, begun: request.asked.by, why, by };
        let seen = over(self.last.begin, Why::Seen, self.last.by);
        if self.given_back.is_some() {
            return seen;
        }
        let sent = (request.at, request.asked.by);
        let (at, by) = self.renewed.map_or(sent, |renewed| renewed.max(sent));
        let ttl_ms = request.ttl_ms;
        let until = clock.place(at.saturating_add(u64::from(ttl_ms) * 1000));
        let mut end = over(until, Why::TimeToLive(ttl_ms), by);
        if let Some(release) = self.may_be_given_back.filter(|it| it.begin < until) {
            end = over(release.begin, Why::GivenBack, release.by);
        }
        // Of two reasons what was seen is the better one: it does not depend on the request.
        later(seen, Some(end))
    }
}

/// The later of two places.
fn later(one: Over, other: Option<Over>) -> Over {
    other.filter(|other| other.place > one.place).unwrap_or(one)
}

/// What it is called that a tenure has no place, and what proves it.
fn name(turns: &[Turn], index: usize, stuck: Stuck) -> (AnomalyKind, OperationId, Proof) {
    let turn = &turns[index];
    let (holder, token, first) = (turn.holder, turn.token, turn.first.by);
    let waits = |over: Over| {
        let Over { why, by, begun, .. } = over;
        let before = &turns[over.turn];
        let renewed = before.renewed.map(|(_, by)| by);
        let shown = match why {
            Why::Missed => [Some(before.last.by), renewed],
            Why::GivenBack => [None, renewed],
            Why::Asked | Why::Seen | Why::TimeToLive(_) => [None, None],
        };
        let (holder, token, first) = (before.holder, before.token, before.first.by);
        Wait { holder, token, why, by, begun, first, shown }
    };
    match stuck {
        Stuck::Unasked => (AnomalyKind::Phantom, first, Proof::TooFewRequests { holder, token }),
        Stuck::Held { missed, over } => {
            (AnomalyKind::LockLost, missed.by, Proof::HeldThroughout { wait: waits(over) })
        }
        Stuck::Before(over) => {
            let before = &turns[over.turn];
            // Were it not for their tokens, would the other one fit behind this one?
            let fits_behind = turn.until <= before.first.end;
            let kind = match (fits_behind, before.holder == holder) {
                (true, _) => AnomalyKind::TokenOrder,
                (false, true) => AnomalyKind::LockLost,
                (false, false) => AnomalyKind::TwoHolders,
            };
            let (wait, acquire) = (waits(over), turn.acquire);
            (kind, first, Proof::Succession { wait, acquire, holder, token })
        }
    }
}
