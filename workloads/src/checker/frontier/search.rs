//! The walk along the events of one part, and what happens at the end of a call.
//!
//! Why the shortcuts lose no order:
//!
//! - **Classes.** Never-answered calls all end after everything, so two that ask the same and have
//!   both begun can stand in for each other.
//! - **Looking.** A call that leaves every state as it is and would be answered rightly now may as
//!   well take effect now: whatever follows without it follows with it too.
//! - **Twins.** Of open calls with equal inputs and outputs, the one that must end first goes first:
//!   in an order in which it does not, the two can be exchanged.
//! - **Unnoticed.** A never-answered call that explains no answer of the part is left out: an order
//!   with it is one without it.
//! - **Looking ahead.** The next calls that look say what they will see; until something can
//!   overwrite the state, a state that cannot become those leads nowhere. If none leads on, the last
//!   of those calls is the one refused, as it would be when its own end comes.
//! - **Holding.** A state that comes but once is not left as long as somebody needs it who has not
//!   taken effect. Who is blamed is whoever is held for, as above.
//! - **Passing.** A call takes effect that leaves its own state whatever was there before. Right
//!   before it, every open call may do so as well whose state all who need it have begun to look at,
//!   and they with it: in an order in which it comes later, it can be moved here with those who see
//!   it, since what came in between did not need it. Not so where somebody near avoids a state that
//!   would then stay for longer ([`Known::may_pass`]). Such a call therefore needs no turn of its own.
//! - **Idle.** A never-answered call whose state nobody needs takes effect only for an open call that
//!   avoids the state that is there; and of those that may come in every state and lead to one that
//!   nobody avoids, the first will do.
//! - **Waiting.** A call takes effect no earlier than some end demands (Lowe).

use std::collections::{BTreeSet, VecDeque};

use rustc_hash::FxHashMap;

use super::configuration::{Configuration, Frontier, Slots, StateId, Steps, Used, shared, without};
use super::known::Known;
use super::{Budget, Decision, LastState, OPEN_MAX, Overrun, Refusal};
use crate::checker::plants::{Plant, is_planted};
use crate::model::{Asked, CallOf, Model};

/// Index of an input and an output of the part.
type KindId = u32;

/// A step that the model does not allow.
const NOT_ALLOWED: StateId = StateId::MAX;

/// Forgotten states are thrown away when there are more than this many of them. A long history of
/// growing lists has one per event.
const STATES_KEPT: usize = 4096;

/// So are remembered steps, some tens of megabytes of them.
const STEPS_KEPT: usize = 1 << 20;

/// Finding out which never-answered calls nobody can have noticed compares each of their kinds with
/// every other; beyond this many comparisons, a tenth of a second, they are all kept.
const COMPARISONS_MAX: usize = 20_000_000;

/// Looks for an order of the calls of one part, given by their indices in order of beginning.
pub(super) fn search<M: Model + ?Sized>(
    model: &M,
    calls: &[CallOf<M>],
    part: &[usize],
    budget: Budget,
) -> Decision {
    let mut search = Search::new(model, calls, part, budget, Steps::default());
    search.known = Known::of(model, calls, part);
    walk(&mut search, part, &Ahead::new(model, calls, part))
        .err()
        .map_or(Decision::Possible, |it| *it)
}

/// The same, giving an order of the calls.
///
/// # Errors
///
/// Any other decision than that one exists.
pub(super) fn order<M: Model + ?Sized>(
    model: &M,
    calls: &[CallOf<M>],
    part: &[usize],
    budget: Budget,
) -> Result<Vec<usize>, Box<Decision>> {
    let mut search = Search::new(model, calls, part, budget, Steps::written());
    search.known = Known::of(model, calls, part);
    walk(&mut search, part, &Ahead::new(model, calls, part))?;
    let trail = search.frontier.first().map_or(0, |configuration| configuration.trail);
    let mut order = search.steps.calls(trail);
    // Of never-answered calls that ask the same, those that began first come first.
    let mut members: FxHashMap<KindId, VecDeque<usize>> = FxHashMap::default();
    for index in part.iter().filter(|index| calls[**index].ended.is_none()) {
        members.entry(search.space.kind_of(*index)).or_default().push_back(*index);
    }
    for call in order.iter_mut().filter(|call| calls[**call].ended.is_none()) {
        let next = members.get_mut(&search.space.kind_of(*call)).and_then(VecDeque::pop_front);
        *call = next.expect("a class has no more calls than began");
    }
    Ok(order)
}

/// The same without knowing anything in advance, so that a refusal tells of every state there can be.
/// Takes longer.
pub(super) fn search_plainly<M: Model + ?Sized>(
    model: &M,
    calls: &[CallOf<M>],
    part: &[usize],
    budget: Budget,
) -> Decision {
    let mut search = Search::new(model, calls, part, budget, Steps::default());
    walk(&mut search, part, &Ahead::default()).err().map_or(Decision::Possible, |it| *it)
}

fn walk<M: Model + ?Sized>(
    search: &mut Search<'_, M>,
    part: &[usize],
    ahead: &Ahead,
) -> Result<(), Box<Decision>> {
    let calls = search.calls;
    let mut ends: Vec<(u64, usize)> =
        part.iter().filter_map(|index| Some((calls[*index].ended?, *index))).collect();
    ends.sort_unstable();
    let mut begins = part.iter().copied().peekable();
    for (end, index) in ends {
        // Of equal places, beginnings come first: the calls then overlap.
        while let Some(next) = begins.next_if(|next| calls[*next].began <= end) {
            search.begin(next).map_err(|overrun| Box::new(Decision::Undecided(overrun)))?;
        }
        search.ahead = ahead.from(search.space.model, calls, (end, index));
        search.end(index, end)?;
    }
    Ok(())
}

/// Which answers are known in advance.
#[derive(Default)]
struct Ahead {
    /// The calls that look, by their ends.
    looks: Vec<(u64, usize)>,
    /// The calls that overwrite, by their beginnings: each with its beginning, and the last end of
    /// all up to it.
    overwrites: Vec<(u64, u64, usize)>,
}

/// So many calls that may overwrite are looked at; with more, nothing is known in advance.
const OVERWRITES_MAX: usize = 64;

/// So many answers are known in advance. One for each open call is about what helps.
const AHEAD_MAX: usize = 64;

impl Ahead {
    fn new<M: Model + ?Sized>(model: &M, calls: &[CallOf<M>], part: &[usize]) -> Ahead {
        let (mut looks, mut overwrites) = (Vec::new(), Vec::new());
        if !model.looks_ahead() {
            return Ahead::default();
        }
        let mut last_end = 0;
        for index in part.iter().copied() {
            let call = &calls[index];
            let (input, output) = asked::<M>(call);
            if let Some(end) = call.ended.filter(|_| model.only_looks(input, output)) {
                looks.push((end, index));
            } else if model.overwrites(input, output) {
                last_end = last_end.max(call.ended.unwrap_or(u64::MAX));
                overwrites.push((call.began, last_end, index));
            }
        }
        looks.sort_unstable();
        Ahead { looks, overwrites }
    }

    /// The calls that look and end next, by their ends.
    fn from<M: Model + ?Sized>(
        &self,
        model: &M,
        calls: &[CallOf<M>],
        ending: (u64, usize),
    ) -> Vec<Look> {
        // Of those that end at this place, the ones of smaller indices have ended.
        let next = self.looks.partition_point(|look| *look < ending);
        let looks = self.looks[next..].iter().take(AHEAD_MAX);
        looks
            .map_while(|(end, call)| {
                let unless = self.resets(model, calls, ending, (*end, *call))?;
                Some(Look { end: *end, call: *call, unless })
            })
            .collect()
    }

    /// The calls still open at an end that can make a state anew that becomes what a look sees.
    /// `None` if they are too many.
    fn resets<M: Model + ?Sized>(
        &self,
        model: &M,
        calls: &[CallOf<M>],
        ending: (u64, usize),
        (end, look): (u64, usize),
    ) -> Option<Vec<usize>> {
        let begun = self.overwrites.partition_point(|(began, ..)| *began <= end);
        let pending = self.overwrites[..begun].iter().rev();
        let pending = pending.take_while(|(_, last_end, _)| *last_end >= ending.0);
        let mut resets = Vec::new();
        for (count, (_, _, index)) in pending.enumerate() {
            let call = &calls[*index];
            if call.ended.is_some_and(|ended| ended < ending.0) {
                continue;
            }
            // What overwrites leads to one state, wherever it comes from.
            let (input, output) = asked::<M>(call);
            let after = model.step(&model.initial(), input, output);
            if after.is_none_or(|after| model.may_become(&after, asked::<M>(&calls[look]))) {
                resets.push(*index);
            }
            if count == OVERWRITES_MAX {
                return None;
            }
        }
        Some(resets)
    }
}

/// An answer that is known in advance.
struct Look {
    end: u64,
    call: usize,
    /// Whatever the state is, these can lead to the answer if they have not taken effect.
    unless: Vec<usize>,
}

/// A call that has begun and must have taken effect when it ends.
#[derive(Clone, Copy)]
struct Open {
    call: usize,
    kind: KindId,
    end: u64,
    only_looks: bool,
    /// Whether it avoids a state, and needs luck for it.
    is_hazard: bool,
}

/// An open call that may take effect right before another one, and so needs no turn of its own.
struct Passing {
    slot: usize,
    /// The open calls that look and are answered rightly in its state.
    looks: Slots,
}

/// Never-answered calls that ask the same.
struct Class {
    kind: KindId,
    /// How many have begun and are not used up in every configuration.
    available: usize,
    /// Whether nobody needs its state.
    is_idle: bool,
    /// Whether nobody avoids it either, and it may come in every state: one such is as good as another.
    is_free: bool,
}

struct Search<'c, M: Model + ?Sized> {
    calls: &'c [CallOf<M>],
    budget: Budget,
    space: Space<'c, M>,
    steps: Steps,
    /// By slot.
    open: Vec<Option<Open>>,
    classes: Vec<Class>,
    class_of: FxHashMap<KindId, u32>,
    frontier: Vec<Configuration>,
    /// Since [`Search::single`].
    visited: u64,
    certain: Option<(u64, StateId)>,
    /// The last place at which there was one configuration: all before it is explained.
    single: u64,
    known: Known<M>,
    /// At the end at hand.
    passing: Vec<Passing>,
    /// The calls whose answers are known in advance, by their ends.
    ahead: Vec<Look>,
    /// States of which it was found at this end that they cannot become what one of those sees.
    astray: BTreeSet<StateId>,
    /// The last of those that ruled a configuration out, until it ends.
    ruled_out_by: Option<(u64, usize)>,
}

impl<'c, M: Model + ?Sized> Search<'c, M> {
    fn new(
        model: &'c M,
        calls: &'c [CallOf<M>],
        part: &[usize],
        budget: Budget,
        steps: Steps,
    ) -> Self {
        let mut space = Space::new(model, calls, part);
        let state = space.state(model.initial());
        let initial = Configuration { state, done: 0, used: Used::new(), trail: 0 };
        Search {
            calls,
            budget,
            space,
            steps,
            open: Vec::new(),
            classes: Vec::new(),
            class_of: FxHashMap::default(),
            frontier: vec![initial],
            visited: 0,
            certain: None,
            single: 0,
            known: Known::default(),
            passing: Vec::new(),
            ahead: Vec::new(),
            astray: BTreeSet::new(),
            ruled_out_by: None,
        }
    }

    fn begin(&mut self, index: usize) -> Result<(), Overrun> {
        let call = &self.calls[index];
        let kind = self.space.kind_of(index);
        let Some(end) = call.ended else {
            if self.space.is_noticed[kind as usize] {
                let (classes, known) = (&mut self.classes, &self.known);
                let model = self.space.model;
                let class = *self.class_of.entry(kind).or_insert_with(|| {
                    let made = model.makes(&call.input, None);
                    let is_idle = made.as_ref().is_some_and(|state| known.is_idle(state));
                    let is_plain = model.needs(&call.input, None).is_none();
                    let is_free = is_plain && made.is_some_and(|state| !known.is_avoided(&state));
                    classes.push(Class { kind, available: 0, is_idle, is_free });
                    classes.len() as u32 - 1
                });
                self.classes[class as usize].available += 1;
            }
            return Ok(());
        };
        let only_looks = self.space.model.only_looks(&call.input, call.output.as_ref());
        let is_hazard = self.known.is_hazard(index);
        let open = Some(Open { call: index, kind, end, only_looks, is_hazard });
        match self.open.iter().position(Option::is_none) {
            Some(slot) => self.open[slot] = open,
            None if self.open.len() < OPEN_MAX => self.open.push(open),
            None => {
                let why = format!("more than {OPEN_MAX} calls are open at once");
                return Err(self.overrun(call.began, why));
            }
        }
        Ok(())
    }

    /// Finds every configuration in which the call has taken effect, and forgets the call.
    fn end(&mut self, index: usize, place: u64) -> Result<(), Box<Decision>> {
        let is_it = |open: &Option<Open>| open.is_some_and(|open| open.call == index);
        let slot = self.open.iter().position(is_it).expect("a call begins before it ends");
        self.passing = self.passing_at(place);
        let (seen, found) = self.expand(slot, place)?;
        if found.len() == 0 {
            let refused = self.ruled_out_by.map_or(index, |(_, look)| look);
            let mut states = seen.states();
            states.extend(&self.astray);
            return Err(Box::new(Decision::Impossible(self.refusal(refused, &states))));
        }
        self.astray.clear();
        self.ruled_out_by = self.ruled_out_by.filter(|(end, _)| *end > place);
        self.open[slot] = None;
        while self.open.last().is_some_and(Option::is_none) {
            self.open.pop();
        }
        let mut found = found.into_configurations();
        let shared = shared(&found);
        if !shared.is_empty() {
            for configuration in &mut found {
                configuration.used = without(&configuration.used, &shared);
            }
            for class in &shared {
                self.classes[*class as usize].available -= 1;
            }
        }
        if let [only] = found.as_slice() {
            (self.single, self.visited) = (place, 0);
            if self.open.is_empty() {
                self.certain = Some((place, only.state));
            }
        }
        self.frontier = found;
        self.forget();
        Ok(())
    }

    /// Lets open and never-answered calls take effect until the one of `slot` has. Gives everything
    /// that was reached without it, and everything with it.
    ///
    /// Configurations are visited in the order of how many never-answered calls they took, so that
    /// the best of those that can be compared mostly come first.
    fn expand(&mut self, slot: usize, place: u64) -> Result<(Frontier, Frontier), Box<Decision>> {
        let target: Slots = 1 << slot;
        let (mut seen, mut found) = (Frontier::default(), Frontier::default());
        let mut starts = std::mem::take(&mut self.frontier);
        starts.sort_by_key(|configuration| configuration.used.len());
        let mut queue: VecDeque<Configuration> = VecDeque::with_capacity(starts.len());
        let mut reached = Vec::new();
        for configuration in starts {
            reached.push(configuration);
            self.sort_in(&mut reached, target, &mut seen, &mut found, &mut queue);
        }
        while let Some(configuration) = queue.pop_front() {
            if !seen.contains(&configuration) {
                continue;
            }
            self.visited += 1;
            self.follow(&configuration, (slot, place), &mut reached);
            self.sort_in(&mut reached, target, &mut seen, &mut found, &mut queue);
            let held = seen.len() + found.len();
            if held > self.budget.at_once || self.visited > self.budget.in_all {
                let why = match held > self.budget.at_once {
                    true => format!("more than {} configurations at once", self.budget.at_once),
                    false => format!("more than {} configurations in all", self.budget.in_all),
                };
                return Err(Box::new(Decision::Undecided(self.overrun(place, why))));
            }
        }
        Ok((seen, found))
    }

    fn sort_in(
        &mut self,
        reached: &mut Vec<Configuration>,
        target: Slots,
        seen: &mut Frontier,
        found: &mut Frontier,
        queue: &mut VecDeque<Configuration>,
    ) {
        for mut configuration in reached.drain(..) {
            self.look(&mut configuration);
            if !self.leads_on(&configuration) {
                continue;
            }
            if configuration.done & target != 0 {
                configuration.done &= !target;
                if is_planted(Plant::ForgetsOpen) {
                    configuration.done = 0;
                }
                found.insert(&configuration);
            } else if seen.insert(&configuration) {
                queue.push_back(configuration);
            }
        }
    }

    /// Lets everything that only looks and finds what it answered take effect.
    fn look(&mut self, configuration: &mut Configuration) {
        for slot in 0..self.open.len() {
            let Some(open) = self.open[slot].filter(|open| open.only_looks) else { continue };
            let bit: Slots = 1 << slot;
            if configuration.done & bit == 0
                && (self.space.step(configuration.state, open.kind) != NOT_ALLOWED
                    || is_planted(Plant::LooksAway))
            {
                configuration.done |= bit;
                configuration.trail = self.steps.push(configuration.trail, open.call);
            }
        }
    }

    /// Whether the state can still become what each of the next calls that look has seen.
    fn leads_on(&mut self, configuration: &Configuration) -> bool {
        if self.ahead.is_empty() {
            return true;
        }
        let is_done = |call: usize| {
            let mut open = self.open.iter().enumerate();
            open.any(|(slot, open)| {
                configuration.done & (1 << slot) != 0 && open.is_some_and(|open| open.call == call)
            })
        };
        let state = &self.space.states[configuration.state as usize];
        let refusing = self.ahead.iter().find(|look| {
            !self.space.model.may_become(state, asked::<M>(&self.calls[look.call]))
                && (look.unless.iter().all(|reset| is_done(*reset)) || is_planted(Plant::NoExcuse))
                && !is_done(look.call)
        });
        let refusing = refusing.map(|look| (look.end, look.call));
        if refusing.is_some() {
            self.astray.insert(configuration.state);
            self.ruled_out_by = self.ruled_out_by.max(refusing);
        }
        refusing.is_none()
    }

    /// The open calls that may take effect right before another one that ends at this place or later.
    fn passing_at(&mut self, place: u64) -> Vec<Passing> {
        let mut passing = Vec::new();
        for slot in 0..self.open.len() {
            let Some(open) = self.open[slot].filter(|open| !open.only_looks) else { continue };
            let (input, output) = asked::<M>(&self.calls[open.call]);
            let model = self.space.model;
            let Some(state) = model.makes(input, output) else { continue };
            if model.needs(input, output).is_some() || !self.known.may_pass(&state, place, open.end)
            {
                continue;
            }
            let state = self.space.state(state);
            let mut looks = 0;
            for (other, it) in self.open.iter().enumerate() {
                let Some(it) = it.filter(|it| it.only_looks) else { continue };
                if self.space.step(state, it.kind) != NOT_ALLOWED {
                    looks |= 1 << other;
                }
            }
            passing.push(Passing { slot, looks });
        }
        passing
    }

    /// Lets what may pass right before this call, perhaps of a slot, do so.
    fn pass(&mut self, configuration: &mut Configuration, before: KindId, of: Option<usize>) {
        if self.passing.is_empty() {
            return;
        }
        // A call that needs a state must find it there.
        let (input, output) = asked::<M>(&self.calls[self.space.kinds[before as usize]]);
        if self.space.model.needs(input, output).is_some() {
            return;
        }
        for passing in &self.passing {
            let bit: Slots = 1 << passing.slot;
            if configuration.done & bit != 0 || of == Some(passing.slot) {
                continue;
            }
            let mut new = bit | passing.looks & !configuration.done;
            configuration.done |= new;
            // The call first, then who looks.
            let mut slot = passing.slot;
            while new != 0 {
                if let Some(open) = self.open[slot] {
                    configuration.trail = self.steps.push(configuration.trail, open.call);
                }
                new &= !(1 << slot);
                slot = new.trailing_zeros() as usize;
            }
        }
    }

    /// Whether a state may be left for another one by a call, perhaps of an open one's bit, as far as
    /// those are concerned who still need it.
    fn may_leave(&mut self, from: &Configuration, by: Slots, to: StateId, place: u64) -> bool {
        let is_done = |call: usize| {
            let mut open = self.open.iter().enumerate();
            open.any(|(slot, open)| {
                (from.done | by) & (1 << slot) != 0 && open.is_some_and(|open| open.call == call)
            })
        };
        let state = &self.space.states[from.state as usize];
        let held_for = self.known.holding(state, place, is_done);
        if held_for.is_some() {
            self.astray.insert(to);
            self.ruled_out_by = self.ruled_out_by.max(held_for);
            return false;
        }
        true
    }

    /// All that can come next, at the end of the call of a slot.
    fn follow(
        &mut self,
        from: &Configuration,
        (target, place): (usize, u64),
        reached: &mut Vec<Configuration>,
    ) {
        for slot in 0..self.open.len() {
            let Some(open) = self.open[slot] else { continue };
            let bit: Slots = 1 << slot;
            // What only looks has been looked at.
            if open.only_looks || from.done & bit != 0 || self.has_earlier_twin(slot, from.done) {
                continue;
            }
            let is_in_passing = |it: &Passing| it.slot == slot && it.looks & (1 << target) == 0;
            if slot != target && self.passing.iter().any(is_in_passing) {
                continue;
            }
            let state = self.space.step(from.state, open.kind);
            if state == NOT_ALLOWED
                || state != from.state && !self.may_leave(from, bit, state, place)
            {
                continue;
            }
            let mut next = from.clone();
            self.pass(&mut next, open.kind, Some(slot));
            next.done |= bit;
            next.state = state;
            next.trail = self.steps.push(next.trail, open.call);
            reached.push(next);
        }
        let is_missed = self.open.iter().enumerate().any(|(slot, open)| {
            from.done & (1 << slot) == 0 && open.is_some_and(|open| open.is_hazard)
        });
        let mut has_free = false;
        for index in 0..self.classes.len() {
            let Class { kind, available, is_idle, is_free } = self.classes[index];
            if is_idle && (!is_missed || has_free && is_free || is_planted(Plant::NeverIdle)) {
                continue;
            }
            let class = index as u32;
            let at = from.used.partition_point(|used| *used <= class);
            let taken = at - from.used[..at].partition_point(|used| *used < class);
            let more = usize::from(is_planted(Plant::HappensAgain) && available > 0);
            if taken >= available + more {
                continue;
            }
            has_free |= is_idle && is_free;
            let state = self.space.step(from.state, kind);
            if state == NOT_ALLOWED || state != from.state && !self.may_leave(from, 0, state, place)
            {
                continue;
            }
            let mut next = from.clone();
            self.pass(&mut next, kind, None);
            // What changes nothing may still let others pass.
            if state == from.state && next.done == from.done {
                continue;
            }
            next.state = state;
            next.used.insert(at, class);
            // Any call of the class will do; which ones, is said at the end.
            next.trail = self.steps.push(next.trail, self.space.kinds[kind as usize]);
            reached.push(next);
        }
    }

    /// Whether an equal call that ends earlier has not taken effect either.
    fn has_earlier_twin(&self, slot: usize, done: Slots) -> bool {
        let Some(open) = self.open[slot] else { return false };
        self.open.iter().enumerate().any(|(other, twin)| {
            twin.is_some_and(|twin| {
                twin.kind == open.kind
                    && done & (1 << other) == 0
                    && (twin.end, other) < (open.end, slot)
                    || is_planted(Plant::TwinsWait) && twin.kind == open.kind && other != slot
            })
        })
    }

    /// Throws away states that no configuration has, once there are many.
    fn forget(&mut self) {
        if self.space.steps.len() > STEPS_KEPT {
            self.space.steps.clear();
        }
        if self.space.states.len() <= STATES_KEPT.max(4 * self.frontier.len()) {
            return;
        }
        let mut kept: Vec<StateId> = self.frontier.iter().map(|it| it.state).collect();
        kept.extend(self.certain.map(|(_, state)| state));
        kept.sort_unstable();
        kept.dedup();
        self.space.keep(&kept);
        let new = |old: StateId| kept.partition_point(|kept| *kept < old) as StateId;
        for configuration in &mut self.frontier {
            configuration.state = new(configuration.state);
        }
        if let Some((_, state)) = &mut self.certain {
            *state = new(*state);
        }
    }

    fn refusal(&mut self, refused: usize, states: &[StateId]) -> Refusal {
        let open: Vec<Open> = self.open.iter().flatten().copied().collect();
        let mut last = Vec::new();
        for state in states.iter().copied().take(Refusal::STATES_MAX) {
            let mut refuses: Vec<usize> = open
                .iter()
                .filter(|open| self.space.step(state, open.kind) == NOT_ALLOWED)
                .map(|open| open.call)
                .collect();
            refuses.sort_unstable();
            last.push(LastState { state: self.space.show(state), refuses });
        }
        let since = self.certain.map(|(place, state)| (place, self.space.show(state)));
        Refusal { refused, since, last, states: states.len() }
    }

    fn overrun(&self, to: u64, why: String) -> Overrun {
        Overrun { from: self.single, to, why }
    }
}

/// What a call asked and was answered. What one without end answered is not known.
pub(super) fn asked<M: Model + ?Sized>(call: &CallOf<M>) -> Asked<'_, M> {
    (&call.input, call.output.as_ref().filter(|_| call.ended.is_some()))
}

/// For each kind, of which one call is given, whether a call of it can matter that was never
/// answered. Kinds that are answered are `false`, and nobody asks.
fn is_noticed<M: Model + ?Sized>(model: &M, calls: &[CallOf<M>], kinds: &[usize]) -> Vec<bool> {
    let is_class = |kind: &&usize| calls[**kind].ended.is_none();
    let compared = kinds.iter().filter(is_class).count().saturating_mul(kinds.len());
    let explains = |kind: usize| {
        let cause = asked::<M>(&calls[kind]);
        let mut others = kinds.iter();
        compared > COMPARISONS_MAX
            || others.any(|other| model.explains(cause, asked::<M>(&calls[*other])))
    };
    kinds
        .iter()
        .map(|kind| {
            // Whether it looked or not, nobody knows what it saw.
            let changes = !model.only_looks(&calls[*kind].input, None);
            calls[*kind].ended.is_none() && changes && explains(*kind)
        })
        .collect()
}

/// The states and steps of the model that have been met, by number.
struct Space<'c, M: Model + ?Sized> {
    model: &'c M,
    calls: &'c [CallOf<M>],
    states: Vec<M::State>,
    index: FxHashMap<M::State, StateId>,
    /// One call of each kind.
    kinds: Vec<usize>,
    /// The kind of each call of the part, by its index.
    kind_of: FxHashMap<usize, KindId>,
    /// By kind, whether a never-answered call of it can matter.
    is_noticed: Vec<bool>,
    steps: FxHashMap<(StateId, KindId), StateId>,
}

impl<'c, M: Model + ?Sized> Space<'c, M> {
    fn new(model: &'c M, calls: &'c [CallOf<M>], part: &[usize]) -> Self {
        let mut numbers: FxHashMap<Asked<'_, M>, KindId> = FxHashMap::default();
        let mut kinds = Vec::new();
        let mut kind_of = FxHashMap::default();
        kind_of.reserve(part.len());
        for index in part {
            let call = &calls[*index];
            let kind = *numbers.entry(asked::<M>(call)).or_insert_with(|| {
                kinds.push(*index);
                kinds.len() as KindId - 1
            });
            kind_of.insert(*index, kind);
        }
        let is_noticed = is_noticed(model, calls, &kinds);
        Space {
            model,
            calls,
            states: Vec::new(),
            index: FxHashMap::default(),
            kinds,
            kind_of,
            is_noticed,
            steps: FxHashMap::default(),
        }
    }

    fn kind_of(&self, call: usize) -> KindId {
        self.kind_of[&call]
    }

    fn state(&mut self, state: M::State) -> StateId {
        if let Some(id) = self.index.get(&state) {
            return *id;
        }
        let id = self.states.len() as StateId;
        self.states.push(state.clone());
        self.index.insert(state, id);
        id
    }

    /// The state after a call of this kind, or [`NOT_ALLOWED`].
    fn step(&mut self, state: StateId, kind: KindId) -> StateId {
        if let Some(next) = self.steps.get(&(state, kind)) {
            return *next;
        }
        let (input, output) = asked::<M>(&self.calls[self.kinds[kind as usize]]);
        let next = self.model.step(&self.states[state as usize], input, output);
        let next = next.map_or(NOT_ALLOWED, |next| self.state(next));
        self.steps.insert((state, kind), next);
        next
    }

    fn show(&self, state: StateId) -> String {
        self.model.show_state(&self.states[state as usize])
    }

    /// Forgets all states but these, which are sorted, and numbers them anew in their order.
    fn keep(&mut self, kept: &[StateId]) {
        self.states = kept.iter().map(|id| self.states[*id as usize].clone()).collect();
        let numbered = self.states.iter().cloned().zip(0..);
        self.index = numbered.collect();
        self.steps.clear();
    }
}
