//! Which faults to suspect first: those around the operation that the proof names.
//!
//! A hint says where to look and decides nothing, so that it may use what the judge may not: when
//! which fault was in force.

use splitbrain_reports::record::{FaultId, FaultRecord};
use splitbrain_workloads::history::Micros;

/// Parts of the faults to try first, given when a violated operation began and ended: those that
/// were in force then; where none was, the last one before, whose heal may have left two leaders,
/// and the next one, for a crash loses what was acknowledged just before. Then these and
/// everything before.
pub fn hints(faults: &[FaultRecord], from: Micros, to: Micros) -> Vec<Vec<FaultId>> {
    let begun = |fault: &&FaultRecord| fault.requested.is_some();
    let mut begun: Vec<&FaultRecord> = faults.iter().filter(begun).collect();
    begun.sort_by_key(|fault| fault.requested);
    let in_force = |fault: &&&FaultRecord| {
        fault.requested.is_some_and(|at| at <= to) && fault.healed.is_none_or(|at| at >= from)
    };
    let mut suspects: Vec<FaultId> = begun.iter().filter(in_force).map(|fault| fault.id).collect();
    if suspects.is_empty() {
        let later = |fault: &&&FaultRecord| fault.requested.is_some_and(|at| at > to);
        suspects.extend(begun.iter().rfind(|fault| !later(fault)).map(|fault| fault.id));
        suspects.extend(begun.iter().find(later).map(|fault| fault.id));
    }
    let last = begun.iter().rposition(|fault| suspects.contains(&fault.id));
    let mut before: Vec<FaultId> =
        begun.iter().take(last.map_or(0, |last| last + 1)).map(|fault| fault.id).collect();
    suspects.sort();
    before.sort();
    let mut hints = vec![suspects, before];
    hints.dedup();
    hints.retain(|hint| !hint.is_empty());
    hints
}

#[cfg(test)]
mod tests {
    use splitbrain_reports::record::Effect;

    use super::*;

    fn fault(id: u32, from: u64, to: u64) -> FaultRecord {
        FaultRecord {
            requested: Some(Micros(from)),
            in_force: Some(Micros(from)),
            heal_requested: Some(Micros(to)),
            healed: Some(Micros(to)),
            effect: Effect::Seen(String::new()),
            ..FaultRecord::to_come(FaultId(id), "kill")
        }
    }

    #[test]
    fn the_faults_around_the_violated_operation_are_suspected_first() {
        let faults = [fault(1, 10, 20), fault(2, 30, 40), fault(3, 35, 60), fault(4, 70, 80)];
        let hints = |from, to| {
            let hints = hints(&faults, Micros(from), Micros(to)).into_iter();
            hints.map(|hint| hint.iter().map(|id| id.0).collect()).collect::<Vec<Vec<u32>>>()
        };
        assert_eq!(hints(36, 38), [vec![2, 3], vec![1, 2, 3]]);
        assert_eq!(hints(12, 14), [vec![1]], "nothing was before");
        assert_eq!(hints(62, 65), [vec![3, 4], vec![1, 2, 3, 4]], "around it, where none was");
        assert_eq!(hints(90, 95), [vec![4], vec![1, 2, 3, 4]], "the last one, after all");
        assert!(super::hints(&[], Micros(1), Micros(2)).is_empty(), "nothing to suspect");
    }
}
