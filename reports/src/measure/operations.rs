//! The operations of a run counted by kind: how many ended how, why not, and how fast.
//!
//! Final reads are left out, for no client waited for them under load. Latency is that of the
//! operations that ended `ok`, from their invocation stamp. A compare-and-set that did not match
//! ended `ok`: the store answered.

use std::collections::BTreeMap;

use splitbrain_workloads::history::History;
use splitbrain_workloads::operation::{OpKind, Outcome, Reason};

use super::latency::{Latencies, latency};
use crate::record::CountedOperations;

/// Counts the operations of a history, one entry per kind that occurred.
pub fn count(history: &History) -> Vec<CountedOperations> {
    let mut kinds: BTreeMap<OpKind, Tally> = BTreeMap::new();
    for operation in history.operations.iter().filter(|operation| !operation.is_final) {
        let tally = kinds.entry(operation.op.kind()).or_default();
        match &operation.outcome {
            Outcome::Ok(_) => {
                tally.ok += 1;
                if let Some(latency) = latency(operation) {
                    tally.latencies.add(latency);
                }
            }
            Outcome::Fail(reason) => {
                tally.fail += 1;
                *tally.reasons.entry(reason.clone()).or_default() += 1;
            }
            Outcome::Info(reason) => {
                tally.info += 1;
                *tally.reasons.entry(reason.clone()).or_default() += 1;
            }
        }
    }
    kinds.into_iter().map(|(kind, tally)| tally.record(kind)).collect()
}

#[derive(Default)]
struct Tally {
    ok: u64,
    fail: u64,
    info: u64,
    latencies: Latencies,
    reasons: BTreeMap<Reason, u64>,
}

impl Tally {
    fn record(self, kind: OpKind) -> CountedOperations {
        CountedOperations {
            kind,
            ok: self.ok,
            fail: self.fail,
            info: self.info,
            p50: self.latencies.quantile(0.5),
            p99: self.latencies.quantile(0.99),
            max: self.latencies.longest(),
            reasons: self.reasons,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::Tape;

    #[test]
    fn operations_are_counted_by_kind_and_final_reads_are_left_out() {
        let mut tape = Tape::new("register", 3);
        tape.write(0, 1, "r0", 1, 1_000, 2_000);
        tape.write(1, 2, "r0", 2, 1_500, 4_500);
        tape.write_unknown(2, 3, "r0", 3, 2_000, 3_000, "timeout");
        tape.read(0, 1, "r0", Some(2), 5_000, 5_500);
        tape.read_failed(1, 2, "r0", 5_000, 6_000, "no-leader");
        tape.final_read(0, 1, "r0", Some(2), 9_000, 9_100);
        let counted = count(&tape.history());

        assert_eq!(counted.len(), 2);
        let (read, write) = (&counted[0], &counted[1]);
        assert_eq!((read.kind, read.ok, read.fail, read.info), (OpKind::Read, 1, 1, 0));
        assert_eq!(read.reasons, BTreeMap::from([(Reason::new("no-leader"), 1)]));
        assert_eq!((write.kind, write.ok, write.fail, write.info), (OpKind::Write, 2, 0, 1));
        assert_eq!(write.max.unwrap().0, 3_000);
        assert_eq!(write.p50.unwrap().0, 1_000);
        assert_eq!(write.reasons, BTreeMap::from([(Reason::new("timeout"), 1)]));
    }

    #[test]
    fn a_history_without_operations_counts_nothing() {
        assert!(count(&Tape::new("register", 3).history()).is_empty());
    }
}
