//! What each anomaly is, for somebody who meets its name in a report: what a client saw, an
//! example, and what usually lets it happen. Read by `splitbrain explain`; no checker depends on it.

use super::AnomalyKind;

/// What the circles have in common that only the order of time closes.
macro_rules! only_by_time {
    ($example:literal) => {
        concat!(
            "\
The circle closes only because one transaction had ended before another began, so the
transactions have an order, and it is not that of time. Serializability allows that,
strict serializability does not.\n\n",
            $example
        )
    };
}

impl AnomalyKind {
    /// A few lines of at most 90 columns each: what happened, an example, the usual cause.
    pub fn explain(self) -> &'static str {
        match self {
            AnomalyKind::LostWrite => {
                "\
A client was told that its write had happened, and later nobody can read it although
no later write replaced it. What was lost in a run stands in the section LOSS.

Example   c1 writes x=7 at n1 and gets ok; n1 dies; every later read of x gives 3.
Cause     the write was acknowledged before enough replicas held it, or a replica that
          lacked it was elected, or a disk lost what was not synced.
Counted   by the checker lost-write: acknowledged writes alone. The checker linearizable
          of a set also counts what nobody acknowledged and somebody had already read."
            }
            AnomalyKind::StaleRead => {
                "\
A read was promised to be current and returned what had been overwritten before the
read began.

Example   c1 writes x=7, ok; then c2 begins to read x and gets 3, the value before.
Cause     a replica, or a leader that does not know of its successor, answered from its
          own state without asking a majority."
            }
            AnomalyKind::FlipFlop => {
                "\
Reads see two values by turns although each was written once, so neither can have been
last.

Example   reads one after the other: x=3, x=7, x=3.
Cause     two nodes answer with states of their own (split brain), or a state was rolled
          back."
            }
            AnomalyKind::FutureRead => {
                "\
A read returned a value and ended before the write of that value had begun.

Cause     a clock or a log that runs ahead in the store; or a recording whose order is
          wrong, if it was made by another tool."
            }
            AnomalyKind::Phantom => {
                "\
A read returned something that no client ever sent in this run.

Cause     damaged data that was believed, data of another cluster or an earlier run, or a
          sum that no set of increments can leave."
            }
            AnomalyKind::AbortedRead => {
                "\
A client was told that its write had certainly not happened, and somebody read it.

Example   c1 writes x=7 and gets \"failed: no leader\"; c2 reads x=7.
Cause     a store said \"failed\" where it could only say \"I do not know\": what it had
          already passed on was committed later."
            }
            AnomalyKind::LostUpdate => {
                "\
Two compare-and-sets succeeded from one and the same value, so one of them overwrote the
other without having seen it.

Example   x is 3; c1 swaps 3 for 7, ok; c2 swaps 3 for 9, ok.
Cause     two leaders at once, or an answer given before the command was replicated."
            }
            AnomalyKind::ChainOrder => {
                "\
Compare-and-sets make a chain of versions, and an operation that saw or made a later
version ended before one on an earlier version began.

Example   x goes 3, 7, 9 by swaps; c1 reads 9; then c2 begins to swap 3 for 7, ok.
Cause     answers from an old state: a stale read among compare-and-sets."
            }
            AnomalyKind::CyclicCas => {
                "\
Each of some successful compare-and-sets expected what the next one wrote, around in a
circle, so none of them can have been first.

Example   c1 swaps 7 for 9, c2 swaps 9 for 7, both ok, and nobody else wrote a 7 or a 9.
Cause     compare-and-sets answered by several nodes with states of their own."
            }
            AnomalyKind::SpuriousMismatch => {
                "\
A compare-and-set was refused although the value it expected certainly stood there for
as long as it took.

Cause     it was compared with an old state."
            }
            AnomalyKind::Duplicate => {
                "\
What was added, taken, or given out once was seen twice.

Example   one append of 7 to a list, and a read of [3 7 7].
Cause     a request that was sent or applied twice and not recognised: idempotency keys
          that are off or forgotten, a log applied again after a restart."
            }
            AnomalyKind::Resurrected => {
                "\
An element was seen, then it was absent, then it was seen again; nobody removed it.

Cause     reads answered by nodes of which one had it and one had not, or a state that was
          rolled back and caught up again."
            }
            AnomalyKind::NonLinearizable => {
                "\
No order of the operations explains every answer, and no narrower name fits. Every answer
of a linearizable store can be explained by one order of all operations in which each
takes place at one moment between its call and its answer."
            }
            AnomalyKind::Divergence => {
                "\
After the heal, when all nodes had applied all that was committed, each was asked for what
it holds by itself, and they do not hold the same.

Cause     a replica skipped, repeated or cut something that the others have; a statement
          that means something else on each node, such as now() or rand()."
            }
            AnomalyKind::OutOfOrder => {
                "\
Elements of a list stand, or those of a queue come out, in an order that contradicts when
they were added: the later one had begun only after the earlier one was acknowledged.

Cause     appends acknowledged by one node and put in order by another."
            }
            AnomalyKind::IncompatibleOrder => {
                "\
Two reads of one list have the same beginning and then go on differently. A list only
grows, so one of two reads must be the beginning of the other.

Example   one read gives [1 2 3], another one [1 3].
Cause     two nodes appended to lists of their own (split brain)."
            }
            AnomalyKind::WrongTotal => {
                "\
A read of all accounts saw another sum than there was at first, although money was only
moved between accounts.

Cause     a transfer that was seen, or survived, by half."
            }
            AnomalyKind::Overdraft => {
                "\
A transfer took more from an account than it had, although it may only take what is there.

Example   an account holds 5; two transfers of 4 both succeed, and it holds -3.
Cause     a transfer was decided by an old balance."
            }
            AnomalyKind::ReadYourWrites => {
                "\
A session wrote a value, was told ok, and then read an older one.

Cause     its read went to a replica that lags, and neither the client nor the store
          remembered how far the session had been.
Term      one of the session guarantees of Terry et al., 1994."
            }
            AnomalyKind::MonotonicReads => {
                "\
A session read a value, and then an older one: time went backwards for it.

Cause     two reads at two replicas of which the second lags behind the first.
Term      one of the session guarantees of Terry et al., 1994."
            }
            AnomalyKind::MonotonicWrites => {
                "\
A session wrote twice, and somebody saw the later write without the earlier one.

Example   c1 writes x=1, ok, and then y=2, ok; c2 reads y=2 and after that x without 1.
Cause     writes of one session applied in another order, or one of them lost.
Term      one of the session guarantees of Terry et al., 1994."
            }
            AnomalyKind::G0 => {
                "\
Transactions wrote the same keys in orders that contradict each other: dirty write.
Forbidden by every isolation level (Adya, Liskov, O'Neil 2000)."
            }
            AnomalyKind::G1a => {
                "\
A transaction read what another one had written that certainly failed: aborted read.
Forbidden by read committed and above (Adya, Liskov, O'Neil 2000)."
            }
            AnomalyKind::G1b => {
                "\
A transaction read a state in which another one was not done with its writes:
intermediate read. Forbidden by read committed and above (Adya, Liskov, O'Neil 2000)."
            }
            AnomalyKind::G1c => {
                "\
Transactions depend on each other in a circle of writes and reads: each saw or replaced
something of the next. Forbidden by read committed and above (Adya, Liskov, O'Neil 2000)."
            }
            AnomalyKind::GSingle => {
                "\
One transaction saw a part of another one and missed the rest: read skew.
Forbidden by snapshot isolation and above (Adya 1999).

Example   T1 writes x and y; T2 reads the new x and the old y."
            }
            AnomalyKind::G2 => {
                "\
Several transactions each missed what the next one wrote: write skew.
Forbidden by serializability (Adya 1999).

Example   T1 reads x and writes y while T2 reads y and writes x; neither saw the other."
            }
            AnomalyKind::G0RealTime => {
                only_by_time!(
                    "Example   T1 writes x=1 and ends; then T2 begins and writes x=2; in the end x is 1."
                )
            }
            AnomalyKind::G1cRealTime => {
                only_by_time!(
                    "Example   T1 reads x=7 and ends; then T2 begins, and it is T2 that writes x=7."
                )
            }
            AnomalyKind::GSingleRealTime => {
                only_by_time!(
                    "Example   T1 writes x=1 and ends; then T2 begins and reads x as it was before T1."
                )
            }
            AnomalyKind::G2RealTime => {
                only_by_time!(
                    "\
Example   T3 runs beside T1, and beside T2, which began when T1 had ended; T2 misses what
          T3 wrote, and T3 misses what T1 wrote."
                )
            }
            AnomalyKind::Internal => {
                "\
A transaction read something else than what its own steps before the read had left.

Example   T writes x=7 and then, in the same transaction, reads x=3.
Cause     steps of one transaction that do not see each other, or two states under one
          transaction."
            }
            AnomalyKind::TwoHolders => {
                "\
Two clients were both told that they hold one lock, at a time at which neither lease can
have been over and neither had released it.

Cause     two lock servers that both think they lead, or a clock that runs too fast."
            }
            AnomalyKind::LockLost => {
                "\
A client held a lock, nobody had released it, its time to live was certainly not over, and
the lock was free or another's.

Cause     the grant was acknowledged before enough replicas held it, and they elected a
          leader without it."
            }
            AnomalyKind::TokenOrder => {
                "\
Every grant of a lock carries a fencing token that must grow, and a later grant has a
smaller one, so what the token protects cannot tell who came last.

Example   c1 is granted the lock with token 5 and gives it back; c2 is granted it with 4.
Cause     a counter that was rolled back with the state of a leader."
            }
            AnomalyKind::StaleToken => {
                "\
A write under an older fencing token took effect after one under a newer token.

Cause     the resource does not check tokens, or the check and the write are not one step.
Term      Kleppmann, How to do distributed locking, 2016."
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Columns of a line, as `explain` prints it.
    const WIDTH: usize = 90;

    #[test]
    fn every_anomaly_is_explained_in_lines_that_fit() {
        for kind in AnomalyKind::ALL {
            let text = kind.explain();
            assert!(text.lines().count() >= 2, "{kind} is hardly explained");
            for line in text.lines() {
                assert!(line.chars().count() <= WIDTH, "{kind}: too wide: {line}");
                assert_eq!(line, line.trim_end(), "{kind}");
            }
        }
    }
}
