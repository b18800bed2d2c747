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
//! - **Waiting.** A call takes effect no earlier than some end demands (Lowe).

use std::collections::{BTreeSet, VecDeque};

use rustc_hash::FxHashMap;

use super::configuration::{Configuration, Frontier, Slots, StateId, Steps, Used, shared, without};
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

/// The same without looking ahead, so that a refusal tells of every state there can be. Takes longer.
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
}

/// Never-answered calls that ask the same.
struct Class {
    kind: KindId,
    /// How many have begun and are not used up in every configuration.
    available: usize,
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
    visited: u64,
    certain: Option<(u64, StateId)>,
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
                let classes = &mut self.classes;
                let class = *self.class_of.entry(kind).or_insert_with(|| {
                    classes.push(Class { kind, available: 0 });
                    classes.len() as u32 - 1
                });
                self.classes[class as usize].available += 1;
            }
            return Ok(());
        };
        let only_looks = self.space.model.only_looks(&call.input, call.output.as_ref());
        let open = Some(Open { call: index, kind, end, only_looks });
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
        if let [only] = found.as_slice()
            && self.open.is_empty()
        {
            self.certain = Some((place, only.state));
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
            self.follow(&configuration, &mut reached);
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

    /// All that can come next.
    fn follow(&mut self, from: &Configuration, reached: &mut Vec<Configuration>) {
        for slot in 0..self.open.len() {
            let Some(open) = self.open[slot] else { continue };
            let bit: Slots = 1 << slot;
            // What only looks has been looked at.
            if open.only_looks || from.done & bit != 0 || self.has_earlier_twin(slot, from.done) {
                continue;
            }
            let state = self.space.step(from.state, open.kind);
            if state != NOT_ALLOWED {
                let done = from.done | bit;
                let trail = self.steps.push(from.trail, open.call);
                reached.push(Configuration { state, done, used: from.used.clone(), trail });
            }
        }
        for index in 0..self.classes.len() {
            let Class { kind, available, .. } = self.classes[index];
            let class = index as u32;
            let at = from.used.partition_point(|used| *used <= class);
            let taken = at - from.used[..at].partition_point(|used| *used < class);
            let more = usize::from(is_planted(Plant::HappensAgain) && available > 0);
            if taken >= available + more {
                continue;
            }
            let state = self.space.step(from.state, kind);
            if state != NOT_ALLOWED && state != from.state {
                let mut used = Used::with_capacity(from.used.len() + 1);
                used.extend_from_slice(&from.used);
                used.insert(at, class);
                // Any call of the class will do; which ones, is said at the end.
                let trail = self.steps.push(from.trail, self.space.kinds[kind as usize]);
                reached.push(Configuration { state, done: from.done, used, trail });
            }
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
        Overrun { from: self.certain.map_or(0, |(place, _)| place), to, why }
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
