//! Bugs that can be planted in the checkers, to prove that the tests of the checkers find them. Each is
//! one line at the place that it breaks. Only tests can plant one; in every other build the answer to
//! [`is_planted`] is a constant.

/// A bug of a checker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plant {
    /// The first look forgets that a read began late.
    ReadsBeginEarly,
    /// The first look lets a value lie inside the time of another.
    LetsInside,
    /// The first look lets the times of two values overlap.
    LetsOverlap,
    /// The first look lets two compare-and-sets swap one value.
    LetsSwapTwice,
    /// The first look does not look at what a refused compare-and-set saw.
    SkipsRefusals,
    /// The first look lets a key be absent at any time.
    LetsVanish,
    /// Chains may be in any order.
    AnyChain,
    /// Conflicts of blocks that all overlap are not looked for.
    OneSidedZones,
    /// Of two configurations the one that used more stays.
    KeepsTheWorse,
    /// Of equal calls neither goes first.
    TwinsWait,
    /// What looks may look whenever it likes.
    LooksAway,
    /// A never-answered call may happen once more than it was called.
    HappensAgain,
    /// At the end of a call it is forgotten which others took effect.
    ForgetsOpen,
    /// A put that is still open excuses nothing.
    NoExcuse,
    /// A state that comes again is held for whoever needs it.
    HoldsForGood,
    /// What avoids a state may miss one that came and went.
    PassesUnmissed,
    /// A never-answered call whose state nobody needs never takes effect.
    NeverIdle,
    /// A lock that was given back is held until its time is over.
    ForgetsReleases,
    /// Three tenures of a lock need not fit together if any two do.
    AnySuccession,
    /// A write may be refused although no order explains that.
    RefusesAnyway,
    /// Sets are judged element by element, without their order.
    SetsUnordered,
    /// An element that is listed before it was added is let through.
    SetsForesee,
    /// A watch of registers looks only at values that were there before.
    WatchesBackward,
    /// A watch of elements takes what is missing from the first read on for lost.
    WatchesAhead,
    /// A watch of registers takes every compare-and-set for one from absence, and cries wolf.
    WatchesTooMuch,
}

impl Plant {
    /// Every bug.
    #[cfg(test)]
    pub(crate) const ALL: [Plant; 25] = [
        Plant::ReadsBeginEarly,
        Plant::LetsInside,
        Plant::LetsOverlap,
        Plant::LetsSwapTwice,
        Plant::SkipsRefusals,
        Plant::LetsVanish,
        Plant::AnyChain,
        Plant::OneSidedZones,
        Plant::KeepsTheWorse,
        Plant::TwinsWait,
        Plant::LooksAway,
        Plant::HappensAgain,
        Plant::ForgetsOpen,
        Plant::NoExcuse,
        Plant::HoldsForGood,
        Plant::PassesUnmissed,
        Plant::NeverIdle,
        Plant::ForgetsReleases,
        Plant::AnySuccession,
        Plant::RefusesAnyway,
        Plant::SetsUnordered,
        Plant::SetsForesee,
        Plant::WatchesBackward,
        Plant::WatchesAhead,
        Plant::WatchesTooMuch,
    ];
}

#[cfg(test)]
thread_local! {
    static PLANTED: std::cell::Cell<Option<Plant>> = const { std::cell::Cell::new(None) };
}

/// Plants a bug in the checkers of this thread, or none.
#[cfg(test)]
pub(crate) fn plant(plant: Option<Plant>) {
    PLANTED.set(plant);
}

/// Whether a bug is planted.
#[cfg(test)]
pub(crate) fn is_planted(plant: Plant) -> bool {
    PLANTED.get() == Some(plant)
}

/// Whether a bug is planted: never.
#[cfg(not(test))]
#[inline(always)]
pub(crate) const fn is_planted(_: Plant) -> bool {
    false
}
