//! One directed link: whether bytes may pass, and what was seen of them.
//!
//! Every chunk passes [`Gate::pass`], which costs two atomic additions and takes no lock. A cut
//! first closes the gate, then waits until whoever was inside has left; from then on no byte
//! passes. A [`Shape`] makes it slow instead. The counters are of the target's own traffic: a cut that was never really made shows
//! bytes passed and none offered. Used by [`pump`](super::pump); cut and healed by
//! [`Network`](super::Network).

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant as StdInstant};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::link::{Link, Party};
use super::shape::{Due, Shape, Shaping};

/// What becomes of a new connection over a cut link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dials {
    /// It is accepted and waits, silent, for the heal.
    #[default]
    Hold,
    /// It is accepted by the kernel, which cannot be helped, and reset at once.
    Refuse,
}

/// Set while the link is cut.
const CUT: u64 = 1 << 63;
/// Set while the link is cut and nobody is inside any more.
const IN_FORCE: u64 = 1 << 62;
/// The remaining bits count who is inside.
const INSIDE: u64 = IN_FORCE - 1;

/// What was seen on one directed link since it was made. Counters only grow, so the evidence of a
/// window is the difference of two snapshots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkEvidence {
    /// Bytes handed on to the receiver.
    pub passed: u64,
    /// Bytes that the sender sent while the link was cut, and that were held.
    pub offered_while_cut: u64,
    /// Bytes handed on after a cut was reported in force. Anything but zero is a bug.
    pub passed_while_cut: u64,
    /// Connections that were opened while this link was cut, and so were held back. A dial counts
    /// on the link from its dialler to its acceptor if that is cut, else on the reverse.
    pub dials_held: u64,
    /// Connections from the dialler to the acceptor that were carried through.
    pub dials_passed: u64,
    /// Connections that the acceptor refused.
    pub dials_refused: u64,
    /// Connections that were reset because this link was cut with [`Dials::Refuse`].
    pub dials_turned_away: u64,
    /// Connections over this link, dialled by either end, that a fault has reset.
    pub connections_reset: u64,
    /// Connections over this link, dialled by either end, that a fault has left half open.
    pub connections_half_open: u64,
    /// Bytes that the sender sent into the silence of such a connection.
    pub into_silence: u64,
    /// What passed while the link was slow.
    pub slowed: Slowed,
}

/// What was seen of the chunks that passed a slow link, by the clock, from the moment each was
/// read to the moment the receiver's kernel had it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slowed {
    /// How many there were.
    pub chunks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How late all of them together were, in microseconds.
    pub late: u64,
    /// How late all of them together were to be, in microseconds.
    pub asked: u64,
    /// How many found the link busy with another chunk.
    pub waited: u64,
    /// How many were handed on before they were due. Anything but zero is a bug.
    pub early: u64,
    /// Ends of connections that were handed on.
    pub ends: u64,
    /// How late all of them together were, in microseconds.
    pub ends_late: u64,
}

impl Slowed {
    fn since(self, earlier: Slowed) -> Slowed {
        Slowed {
            chunks: self.chunks.saturating_sub(earlier.chunks),
            bytes: self.bytes.saturating_sub(earlier.bytes),
            late: self.late.saturating_sub(earlier.late),
            asked: self.asked.saturating_sub(earlier.asked),
            waited: self.waited.saturating_sub(earlier.waited),
            early: self.early.saturating_sub(earlier.early),
            ends: self.ends.saturating_sub(earlier.ends),
            ends_late: self.ends_late.saturating_sub(earlier.ends_late),
        }
    }

    /// Adds what was seen of another link.
    pub fn add(&mut self, other: Slowed) {
        self.chunks += other.chunks;
        self.bytes += other.bytes;
        self.late += other.late;
        self.asked += other.asked;
        self.waited += other.waited;
        self.early += other.early;
        self.ends += other.ends;
        self.ends_late += other.ends_late;
    }
}

impl LinkEvidence {
    /// What was seen since an earlier snapshot of the same link.
    pub fn since(self, earlier: LinkEvidence) -> LinkEvidence {
        LinkEvidence {
            passed: self.passed.saturating_sub(earlier.passed),
            offered_while_cut: self.offered_while_cut.saturating_sub(earlier.offered_while_cut),
            passed_while_cut: self.passed_while_cut.saturating_sub(earlier.passed_while_cut),
            dials_held: self.dials_held.saturating_sub(earlier.dials_held),
            dials_passed: self.dials_passed.saturating_sub(earlier.dials_passed),
            dials_refused: self.dials_refused.saturating_sub(earlier.dials_refused),
            dials_turned_away: self.dials_turned_away.saturating_sub(earlier.dials_turned_away),
            connections_reset: self.connections_reset.saturating_sub(earlier.connections_reset),
            connections_half_open: self
                .connections_half_open
                .saturating_sub(earlier.connections_half_open),
            into_silence: self.into_silence.saturating_sub(earlier.into_silence),
            slowed: self.slowed.since(earlier.slowed),
        }
    }

    /// Whether the target tried to use the link while it was cut, and nothing came through.
    pub fn proves_a_cut(self) -> bool {
        let tried = self.offered_while_cut + self.dials_held + self.dials_turned_away;
        self.passed_while_cut == 0 && tried > 0
    }
}

/// The state of one directed link.
#[derive(Debug)]
pub(crate) struct Gate {
    link: Link,
    state: AtomicU64,
    /// How many faults hold the link cut: the heal of one does not heal the other.
    cuts: Mutex<Cuts>,
    /// Told whenever the gate opens or closes; the value is whether it is open.
    open: watch::Sender<bool>,
    passed: AtomicU64,
    offered_while_cut: AtomicU64,
    passed_while_cut: AtomicU64,
    dials_held: AtomicU64,
    dials_passed: AtomicU64,
    dials_refused: AtomicU64,
    dials_turned_away: AtomicU64,
    /// What every connection over this link listens to; whoever ends them replaces it.
    endings: Mutex<watch::Sender<Option<Ending>>>,
    connections_reset: AtomicU64,
    connections_half_open: AtomicU64,
    into_silence: AtomicU64,
    /// Whether `shaping` holds anything: the only look at it while the link is not slow.
    is_slow: AtomicBool,
    shaping: Mutex<(Shaping, Slowed)>,
}

/// The faults that hold a link cut.
#[derive(Debug, Default)]
struct Cuts {
    holding: u32,
    refusing: u32,
}

impl Cuts {
    fn of(&mut self, dials: Dials) -> &mut u32 {
        match dials {
            Dials::Hold => &mut self.holding,
            Dials::Refuse => &mut self.refusing,
        }
    }

    fn all(&self) -> u32 {
        self.holding + self.refusing
    }
}

impl Gate {
    pub(crate) fn new(link: Link) -> Gate {
        Gate {
            link,
            state: AtomicU64::new(0),
            cuts: Mutex::default(),
            open: watch::Sender::new(true),
            passed: AtomicU64::new(0),
            offered_while_cut: AtomicU64::new(0),
            passed_while_cut: AtomicU64::new(0),
            dials_held: AtomicU64::new(0),
            dials_passed: AtomicU64::new(0),
            dials_refused: AtomicU64::new(0),
            dials_turned_away: AtomicU64::new(0),
            endings: Mutex::new(watch::Sender::new(None)),
            connections_reset: AtomicU64::new(0),
            connections_half_open: AtomicU64::new(0),
            into_silence: AtomicU64::new(0),
            is_slow: AtomicBool::new(false),
            shaping: Mutex::default(),
        }
    }

    pub(crate) fn link(&self) -> Link {
        self.link
    }

    /// Lets one write that does not block pass, or returns `None` if the link is cut.
    pub(crate) fn pass(
        &self,
        write: impl FnOnce() -> io::Result<usize>,
    ) -> Option<io::Result<usize>> {
        if self.state.fetch_add(1, Ordering::SeqCst) & CUT != 0 {
            self.state.fetch_sub(1, Ordering::SeqCst);
            return None;
        }
        let written = write();
        let bytes = written.as_ref().map_or(0, |bytes| *bytes as u64);
        // Before it is outside: who waits for that finds all of it counted.
        self.passed.fetch_add(bytes, Ordering::Relaxed);
        if self.state.fetch_sub(1, Ordering::SeqCst) & IN_FORCE != 0 {
            self.passed_while_cut.fetch_add(bytes, Ordering::Relaxed);
        }
        Some(written)
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.state.load(Ordering::SeqCst) & CUT != 0
    }

    /// Hears of every cut and heal.
    pub(crate) fn watch(&self) -> watch::Receiver<bool> {
        self.open.subscribe()
    }

    /// Closes the gate. Those inside may still be there: see [`in_force`](Gate::in_force).
    pub(crate) fn cut(&self, dials: Dials) {
        let mut cuts = self.cuts.lock().unwrap_or_else(PoisonError::into_inner);
        *cuts.of(dials) += 1;
        if cuts.all() == 1 {
            self.state.fetch_or(CUT, Ordering::SeqCst);
            self.open.send_replace(false);
        }
    }

    /// Waits until nobody is inside; from then on no byte passes. `false` if that takes longer
    /// than `bound`. Who is inside is in a write that does not block, so it takes microseconds.
    pub(crate) async fn in_force(&self, bound: Duration) -> bool {
        let deadline = Instant::now() + bound;
        loop {
            let state = self.state.load(Ordering::SeqCst);
            if state & CUT == 0 {
                return false;
            }
            if state & INSIDE == 0 {
                let settled = self.state.compare_exchange(
                    state,
                    state | IN_FORCE,
                    Ordering::SeqCst,
                    Ordering::SeqCst,
                );
                if settled.is_ok() {
                    return true;
                }
            }
            if Instant::now() > deadline {
                return false;
            }
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// Takes one cut back, and opens the gate if it was the last.
    pub(crate) fn heal(&self, dials: Dials) {
        let mut cuts = self.cuts.lock().unwrap_or_else(PoisonError::into_inner);
        *cuts.of(dials) = cuts.of(dials).saturating_sub(1);
        if cuts.all() == 0 {
            self.open_gate();
        }
    }

    /// Takes all cuts and shapes back.
    pub(crate) fn heal_all(&self) {
        let mut cuts = self.cuts.lock().unwrap_or_else(PoisonError::into_inner);
        *cuts = Cuts::default();
        self.open_gate();
        drop(cuts);
        self.shaping().0.clear();
        self.is_slow.store(false, Ordering::SeqCst);
    }

    /// Whether a fault that turns new connections away holds the link cut.
    pub(crate) fn refuses(&self) -> bool {
        self.cuts.lock().unwrap_or_else(PoisonError::into_inner).refusing > 0
    }

    /// Makes the link slow; applies to every chunk read from now on.
    pub(crate) fn shape(&self, shape: Shape) {
        self.shaping().0.add(shape);
        self.is_slow.store(true, Ordering::SeqCst);
    }

    /// Takes one such shape back. What is on its way keeps its time.
    pub(crate) fn unshape(&self, shape: Shape) {
        let mut shaping = self.shaping();
        let left = shaping.0.remove(shape);
        self.is_slow.store(left, Ordering::SeqCst);
    }

    pub(crate) fn is_slow(&self) -> bool {
        self.is_slow.load(Ordering::Relaxed)
    }

    /// How many bytes to read at once from a slow link.
    pub(crate) fn chunk(&self) -> usize {
        self.shaping().0.chunk()
    }

    /// When a chunk that was read now is to be handed on.
    pub(super) fn due(&self, bytes: usize, now: StdInstant) -> Due {
        self.shaping().0.due(bytes, now)
    }

    /// When the end of a connection that was seen now is to be handed on.
    pub(super) fn end_due(&self, now: StdInstant) -> Due {
        self.shaping().0.end_due(now)
    }

    /// Counts an end of a connection of a slow link that was handed on now.
    pub(super) fn count_end(&self, seen: StdInstant) {
        let late = StdInstant::now().saturating_duration_since(seen).as_micros() as u64;
        self.shaping().1.add(Slowed { ends: 1, ends_late: late, ..Slowed::default() });
    }

    /// Counts a chunk of a slow link that was handed on now.
    pub(super) fn count_slowed(&self, bytes: usize, read: StdInstant, due: Due) {
        let now = StdInstant::now();
        let micros = |to: StdInstant| to.saturating_duration_since(read).as_micros() as u64;
        let mut shaping = self.shaping();
        shaping.1.add(Slowed {
            chunks: 1,
            bytes: bytes as u64,
            late: micros(now),
            asked: micros(due.at),
            waited: u64::from(due.waited),
            early: u64::from(now < due.at),
            ..Slowed::default()
        });
    }

    fn shaping(&self) -> MutexGuard<'_, (Shaping, Slowed)> {
        self.shaping.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hears how a fault ends this link's connections, by a change or by the loss of the sender. To
    /// be kept until the connection has ended, or is half open.
    pub(crate) fn endings(&self) -> watch::Receiver<Option<Ending>> {
        self.endings.lock().unwrap_or_else(PoisonError::into_inner).subscribe()
    }

    /// Tells every connection over this link to end. The sender that is returned closes when all
    /// have.
    pub(crate) fn end(&self, how: Ending) -> watch::Sender<Option<Ending>> {
        let mut endings = self.endings.lock().unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::replace(&mut *endings, watch::Sender::new(None));
        old.send_replace(Some(how));
        old
    }

    pub(crate) fn count_reset(&self) {
        self.connections_reset.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn count_half_open(&self) {
        self.connections_half_open.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn count_into_silence(&self, bytes: usize) {
        self.into_silence.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn open_gate(&self) {
        self.state.fetch_and(INSIDE, Ordering::SeqCst);
        self.open.send_if_modified(|open| !std::mem::replace(open, true));
    }

    pub(crate) fn count_offered(&self, bytes: usize) {
        self.offered_while_cut.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn count_dial(&self, dial: Dial) {
        let counter = match dial {
            Dial::Held => &self.dials_held,
            Dial::Passed => &self.dials_passed,
            Dial::Refused => &self.dials_refused,
            Dial::TurnedAway => &self.dials_turned_away,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn evidence(&self) -> LinkEvidence {
        LinkEvidence {
            passed: self.passed.load(Ordering::Relaxed),
            offered_while_cut: self.offered_while_cut.load(Ordering::Relaxed),
            passed_while_cut: self.passed_while_cut.load(Ordering::Relaxed),
            dials_held: self.dials_held.load(Ordering::Relaxed),
            dials_passed: self.dials_passed.load(Ordering::Relaxed),
            dials_refused: self.dials_refused.load(Ordering::Relaxed),
            dials_turned_away: self.dials_turned_away.load(Ordering::Relaxed),
            connections_reset: self.connections_reset.load(Ordering::SeqCst),
            connections_half_open: self.connections_half_open.load(Ordering::SeqCst),
            into_silence: self.into_silence.load(Ordering::Relaxed),
            slowed: self.shaping().1,
        }
    }
}

/// How a fault ends connections.
#[derive(Clone, Debug)]
pub(crate) enum Ending {
    /// Both ends are reset.
    Reset,
    /// The end of one party is reset. The other one hears nothing of it until the fault is healed,
    /// and is reset then.
    HalfOpen {
        /// Who forgets the connection.
        by: Party,
        /// Closes with the heal.
        healed: watch::Receiver<()>,
    },
}

/// What became of a connection attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dial {
    /// It waits for a heal.
    Held,
    /// It was carried through.
    Passed,
    /// Nobody listens at the acceptor.
    Refused,
    /// It was reset instead of waiting for a heal.
    TurnedAway,
}

#[cfg(test)]
mod tests {
    use splitbrain_workloads::operation::NodeId;

    use super::*;

    fn gate() -> Gate {
        Gate::new(Link::peers(NodeId(1), NodeId(2)))
    }

    #[tokio::test]
    async fn a_cut_is_in_force_only_when_the_last_one_inside_has_left() {
        let gate = gate();
        let inside = gate.pass(|| {
            gate.cut(Dials::Hold);
            // Nobody can leave while this runs, so it must not be in force.
            assert_eq!(gate.state.load(Ordering::SeqCst) & INSIDE, 1);
            Ok(3)
        });
        assert_eq!(inside.unwrap().unwrap(), 3);
        assert!(gate.in_force(Duration::from_secs(5)).await);
        assert!(gate.pass(|| panic!("passed a cut link")).is_none());
        assert_eq!(gate.evidence().passed, 3);
        assert_eq!(gate.evidence().passed_while_cut, 0);
    }

    #[tokio::test]
    async fn a_cut_with_somebody_inside_is_not_reported_in_force() {
        let gate = gate();
        gate.state.fetch_add(1, Ordering::SeqCst);
        gate.cut(Dials::Hold);
        assert!(!gate.in_force(Duration::from_millis(5)).await);
    }

    #[test]
    fn the_heal_of_one_fault_leaves_the_cut_of_another() {
        let gate = gate();
        gate.cut(Dials::Hold);
        gate.cut(Dials::Refuse);
        assert!(gate.refuses());
        gate.heal(Dials::Refuse);
        assert!(gate.is_cut() && !gate.refuses());
        gate.heal(Dials::Hold);
        assert!(!gate.is_cut());
        assert!(gate.pass(|| Ok(1)).is_some());
    }
}
