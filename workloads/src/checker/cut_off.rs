//! Histories without their end: what the part that is there proves all the same.
//!
//! A file that was cut off is never passed: what is missing could change that. But a violation in the
//! part before the cut stays one, however the run went on: what is open there may still happen, as in
//! any history, and what was answered was answered. That holds as long as nothing is missing before the
//! cut, which the numbers of the events tell ([`History::is_beginning`]).
//!
//! Not so for what is said of the end: a write that no later read has may be in a later one. Those
//! kinds are left out. Called by [`super::run_all`] and `promise`; a checker that is called by itself
//! judges no history without its end.

use super::findings::counted;
use super::unjudged;
use crate::history::History;
use crate::verdict::{AnomalyKind, Judgement, Verdict};

/// What a later event may explain.
const OF_THE_END: [AnomalyKind; 2] = [AnomalyKind::LostWrite, AnomalyKind::Divergence];

/// A history that is cut off as if that were its end, once for all checkers; `None` if it is not cut
/// off, or if nothing can be said of it.
pub(super) fn as_whole(history: &History) -> Option<History> {
    let some = !history.complete && history.is_beginning() && !history.operations.is_empty();
    some.then(|| History { complete: true, ..history.clone() })
}

/// Judges a history that is cut off: fails it, or says nothing.
pub(super) fn judge(
    name: &str,
    history: &History,
    as_whole: Option<&History>,
    check: impl FnOnce(&History) -> Judgement,
) -> Judgement {
    let unknown = |why: &str| {
        let mut unknown = unjudged(name, history)
            .unwrap_or_else(|| Judgement::unknown(name, "the history is cut off"));
        unknown.summary.push_str(why);
        unknown
    };
    if !history.is_beginning() {
        return unknown("; events before its end are missing too, so nothing in it can be judged");
    }
    let Some(beginning) = as_whole else { return unknown("") };
    let mut judgement = check(beginning);
    judgement.anomalies.retain(|anomaly| !OF_THE_END.contains(&anomaly.kind));
    judgement.found.retain(|kind, _| !OF_THE_END.contains(kind));
    judgement.last.retain(|kind, _| !OF_THE_END.contains(kind));
    if judgement.verdict != Verdict::Fail || judgement.anomalies.is_empty() {
        return unknown("; nothing before is proven wrong");
    }
    judgement.summary = format!("{}, before the file was cut off", counted(&judgement.found));
    judgement
}

#[cfg(test)]
mod tests {
    use crate::checker::testing::{file, history};
    use crate::history::{History, jsonl};
    use crate::verdict::Verdict;
    use crate::workload::judge;

    /// The file of a history without its last lines.
    fn cut(workload: &str, lines: &str, missing: usize) -> History {
        let text = file(&history(workload, lines));
        let lines: Vec<&str> = text.lines().collect();
        let mut text = lines[..lines.len() - missing].join("\n");
        text.push('\n');
        jsonl::read(text.as_bytes()).unwrap()
    }

    fn told(history: &History) -> String {
        let told = judge(history);
        told.iter().map(|it| format!("{}: {}: {}\n", it.checker, it.verdict, it.summary)).collect()
    }

    const STALE: &str = "
        c1 n1 10-20 write r1=1
        c1 n1 30-40 write r1=2
        c2 n2 50-60 read r1=1
        c3 n2 70-80 final read r1=1
        ";

    #[test]
    fn what_is_wrong_before_the_cut_stays_wrong_and_nothing_is_lost_or_passed() {
        insta::assert_snapshot!(told(&cut("register", STALE, 1)), @r"
        linearizable: fail: 1 stale-read, before the file was cut off
        lost-write: unknown: the history is cut off after 4 operations: its trailer is missing; nothing before is proven wrong
        agreement: unknown: the history is cut off after 4 operations: its trailer is missing; nothing before is proven wrong
        ");
        // Without the answer of the stale read nothing is wrong.
        insta::assert_snapshot!(told(&cut("register", STALE, 4)), @r"
        linearizable: unknown: the history is cut off after 3 operations: its trailer is missing; nothing before is proven wrong
        lost-write: unknown: the history is cut off after 3 operations: its trailer is missing; nothing before is proven wrong
        agreement: unknown: the history is cut off after 3 operations: its trailer is missing; nothing before is proven wrong
        ");
    }

    #[test]
    fn a_list_without_an_acknowledged_element_at_the_cut_may_be_a_lost_or_a_stale_one() {
        let lines = "
            c1 n1 10-20 write s/1=1
            c2 n2 30-40 list s/
            ";
        assert!(judge(&history("set", lines))[0].verdict == Verdict::Fail);
        let judged = judge(&cut("set", lines, 1));
        assert!(judged.iter().all(|it| it.verdict == Verdict::Unknown), "{judged:?}");
    }

    #[test]
    fn a_cut_history_with_a_hole_before_its_end_is_not_judged() {
        let whole = file(&history("register", STALE));
        // The second write, whose value nobody read, and the trailer are gone.
        let lines = whole.lines().filter(|line| !line.contains("\"end\"")).collect::<Vec<_>>();
        let holed = [&lines[..3], &lines[5..]].concat().join("\n");
        let holed = jsonl::read(holed.as_bytes()).unwrap();
        assert!(!holed.complete && !holed.is_beginning());
        insta::assert_snapshot!(told(&holed), @r"
        linearizable: unknown: the history is cut off after 3 operations: its trailer is missing; events before its end are missing too, so nothing in it can be judged
        lost-write: unknown: the history is cut off after 3 operations: its trailer is missing; events before its end are missing too, so nothing in it can be judged
        agreement: unknown: the history is cut off after 3 operations: its trailer is missing; events before its end are missing too, so nothing in it can be judged
        ");
        assert!(cut("register", STALE, 1).is_beginning());
    }
}
