//! A clock for delays: wakes at an instant, some ten microseconds late, where the runtime's own
//! timer rounds up to its next whole millisecond.
//!
//! One thread for the whole process, started with the first delay, sleeps on a condition variable
//! until the next instant (a futex with a timeout in nanoseconds; prctl(2), `PR_SET_TIMERSLACK`).
//! Used by [`pump`](super::pump) alone, for bytes that are to be late.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Instant;

use tokio::sync::oneshot;

/// Waits until an instant. Dropping it before costs nothing but an entry until then.
pub(crate) fn at(instant: Instant) -> oneshot::Receiver<()> {
    static TIMER: OnceLock<Arc<Timer>> = OnceLock::new();
    let timer = TIMER.get_or_init(Timer::start);
    let (wake, woken) = oneshot::channel();
    let mut alarms = timer.alarms();
    alarms.count += 1;
    let alarm = Alarm { instant, number: alarms.count, wake };
    let is_next = alarms.heap.peek().is_none_or(|Reverse(next)| alarm < *next);
    alarms.heap.push(Reverse(alarm));
    drop(alarms);
    if is_next {
        timer.changed.notify_one();
    }
    woken
}

struct Timer {
    alarms: Mutex<Alarms>,
    changed: Condvar,
}

#[derive(Default)]
struct Alarms {
    heap: BinaryHeap<Reverse<Alarm>>,
    /// How many there ever were: of two for the same instant the earlier rings first.
    count: u64,
}

struct Alarm {
    instant: Instant,
    number: u64,
    wake: oneshot::Sender<()>,
}

impl Timer {
    fn start() -> Arc<Timer> {
        let timer = Arc::new(Timer { alarms: Mutex::default(), changed: Condvar::new() });
        let served = Arc::clone(&timer);
        thread::Builder::new()
            .name("delays".to_string())
            .spawn(move || served.serve())
            .expect("a process that runs a cluster can start one more thread");
        timer
    }

    fn alarms(&self) -> MutexGuard<'_, Alarms> {
        self.alarms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self) {
        // Fifty microseconds otherwise. Refused only where there is no such thing.
        let _ = nix::sys::prctl::set_timerslack(1);
        let mut alarms = self.alarms();
        loop {
            let now = Instant::now();
            while alarms.heap.peek().is_some_and(|Reverse(alarm)| alarm.instant <= now) {
                if let Some(Reverse(alarm)) = alarms.heap.pop() {
                    // Who waited may have gone.
                    let _ = alarm.wake.send(());
                }
            }
            alarms = match alarms.heap.peek().map(|Reverse(alarm)| alarm.instant - now) {
                Some(time) => {
                    let waited = self.changed.wait_timeout(alarms, time);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.changed.wait(alarms).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

impl Ord for Alarm {
    fn cmp(&self, other: &Alarm) -> std::cmp::Ordering {
        (self.instant, self.number).cmp(&(other.instant, other.number))
    }
}

impl PartialOrd for Alarm {
    fn partial_cmp(&self, other: &Alarm) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Alarm {
    fn eq(&self, other: &Alarm) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Alarm {}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn alarms_ring_in_the_order_of_their_instants_and_never_early() {
        let now = Instant::now();
        let late = at(now + Duration::from_millis(12));
        let soon = at(now + Duration::from_millis(3));
        soon.await.unwrap();
        assert!(now.elapsed() >= Duration::from_millis(3));
        late.await.unwrap();
        assert!(now.elapsed() >= Duration::from_millis(12));
    }
}
