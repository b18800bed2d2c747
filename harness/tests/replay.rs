//! A replay of many short faults on a real cluster: the order is that of the recorded run, and what
//! the report says of the times is what the events of both runs say.
//!
//! How far a replay misses depends on what else the machine does, so no bound on it is asserted
//! here: `scripts/bench-replay.sh` shows it on a quiet one.

use std::collections::BTreeMap;
use std::fs;
use std::io::BufReader;
use std::path::Path;
use std::process::Command;

use splitbrain_reports::json;
use splitbrain_reports::measure::schedule::{self, Lived};
use splitbrain_reports::record::FaultId;
use splitbrain_reports::units;
use splitbrain_workloads::history::Micros;

/// Faults on the leader come while the one before is still being replaced, and faults of different
/// kinds meet on one node.
const SUITE: &str = "\
suite: many
target: store
runs:
  - name: many
    workload: register
    clients: 4
    rate: 100
    duration: 12s
    faults:
      - kill: { node: leader, every: 2300ms, jitter: 200ms, for: 150ms }
      - pause: { node: follower, every: 1500ms, jitter: 200ms, for: 200ms }
      - partition: { isolate: leader, every: 2900ms, for: 400ms }
      - delay: { node: all, by: 5ms, at: 5s, for: 300ms }
";

fn run(folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_splitbrain"));
    let output = command.current_dir(folder).args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    // Whatever came of it: on a busy machine there may be too little evidence.
    assert!(matches!(output.status.code(), Some(0 | 1 | 3)), "{stdout}\n{stderr}");
    stdout
}

fn lived(folder: &Path, run: &str) -> BTreeMap<FaultId, Lived> {
    let events = fs::File::open(folder.join(run).join("events.jsonl")).unwrap();
    schedule::lived(&json::read_events(BufReader::new(events)).unwrap().records)
}

/// The faults that began, in the order in which they did.
fn order(faults: &BTreeMap<FaultId, Lived>) -> Vec<FaultId> {
    let began = |(id, lived): (&FaultId, &Lived)| Some((lived.requested?, *id));
    let mut begun: Vec<(Micros, FaultId)> = faults.iter().filter_map(began).collect();
    begun.sort();
    begun.into_iter().map(|(_, id)| id).collect()
}

/// The line of a text that begins with a word, with the one that it goes on in.
fn row(text: &str, word: &str) -> String {
    let mut lines = text.lines().skip_while(|line| !line.trim_start().starts_with(word));
    let first = lines.next().unwrap_or_else(|| panic!("no line begins with {word}:\n{text}"));
    let rest = lines.take_while(|line| line.starts_with("            "));
    rest.fold(first.to_string(), |row, line| format!("{row} {}", line.trim()))
}

#[test]
fn a_replay_keeps_the_order_of_many_faults_and_reports_by_how_much_it_missed_each() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("many.yaml"), SUITE).unwrap();
    run(folder, &["run", "many.yaml", "--seed", "3", "--quiet", "--out", "first"]);
    let then = lived(folder, "first/latest/many");
    // What the replay plans: who began, in the order in which they did.
    let were = order(&then);
    assert!(were.len() >= 10, "only {} faults began: {then:?}", were.len());

    // A fault that begins late again has as much time as it needs, though the last one had little.
    let plan = folder.join("first/latest/many/plan.yaml");
    let recorded = fs::read_to_string(&plan).unwrap();
    assert!(recorded.contains("duration: 12s"), "{recorded}");
    fs::write(&plan, recorded.replace("duration: 12s", "duration: 17s")).unwrap();

    for how in [&["--quiet"][..], &["--quiet", "--by-name"]] {
        let arguments = [&["replay", "first/latest/many", "--out", "again"][..], how].concat();
        let report = run(folder, &arguments);
        let now = lived(folder, "again/latest/many");
        let again: Vec<FaultId> = (1..).map(FaultId).take(were.len()).collect();
        assert_eq!(order(&now), again, "{how:?}: {report}");
        let said = row(&report, "order");
        assert!(said.contains(&format!("the same, {} faults", again.len())), "{said}");

        let off = |now_id: &FaultId, was: &FaultId| {
            let (now, then) = (now[now_id].requested.unwrap(), then[was].requested.unwrap());
            Micros(now.0.abs_diff(then.0))
        };
        let offs: Vec<Micros> = again.iter().zip(&were).map(|(now, was)| off(now, was)).collect();
        let on_time = offs.iter().filter(|off| off.0 <= 50_000).count();
        let times = row(&report, "times");
        let (most, all) = (units::duration(*offs.iter().max().unwrap()), offs.len());
        assert!(
            times.contains(&format!("{on_time} of {all} faults began within 50 ms")),
            "{times}"
        );
        assert!(times.contains(&format!("most {most} (fault ")), "{times}: {offs:?}");
        for (id, off) in again.iter().zip(&offs) {
            let line = row(&report, &format!("{} ", id.0));
            assert!(line.contains(&format!(" {} ", units::duration(*off))), "{line}: {off:?}");
        }
    }
}
