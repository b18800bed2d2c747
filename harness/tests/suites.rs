//! Every suite that ships with the project makes sense.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use splitbrain::suite::target::{Sense, Setting, TargetKind};
use splitbrain::suite::{plan, units::Time};
use splitbrain_workloads::operation::Capability;
use splitbrain_workloads::seed::Seed;

/// What both the built-in store and etcd can do.
const BOTH: [Capability; 7] = [
    Capability::CompareAndSet,
    Capability::Delete,
    Capability::AtomicList,
    Capability::LocalRead,
    Capability::Transaction,
    Capability::Lock,
    Capability::FencingToken,
];

fn kind(name: &str, settings: Vec<Setting>, switches: Option<Vec<String>>) -> TargetKind {
    let mut capabilities = BOTH.to_vec();
    if name == "store" {
        capabilities.extend([
            Capability::SessionRead,
            Capability::BoundedRead,
            Capability::Increment,
            Capability::ListAppend,
            Capability::IdempotencyKey,
        ]);
    }
    TargetKind {
        name: name.to_string(),
        summary: String::new(),
        capabilities,
        settings,
        switches,
        refuses: Vec::new(),
        needs: Vec::new(),
        sense: Sense::ANY,
    }
}

/// What the store says it accepts, and what the others do.
fn kinds() -> Vec<TargetKind> {
    let program = env!("CARGO_BIN_EXE_splitbrain");
    let output = Command::new(program).args(["node", "--describe"]).output().unwrap();
    let described: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let names = |what: &str| -> Vec<String> {
        let named = described[what].as_array().unwrap().iter();
        named.map(|named| named["name"].as_str().unwrap().to_string()).collect()
    };
    let setting = |name: &str, default: &str, values| Setting {
        name: name.to_string(),
        default: default.to_string(),
        values,
        meaning: String::new(),
    };
    let profile = setting("profile", "raft", names("profiles"));
    let plant = setting("plant", "", names("plants"));
    let locks = setting("lock-service", "", vec!["store".to_string()]);
    let spares = setting("spares", "", vec!["1".to_string(), "2".to_string()]);
    let writes = setting("writes", "", vec!["timed-statements".to_string()]);
    let weak = setting("weak-reads", "", vec!["as-local".to_string()]);
    let clocks = setting("clocks", "", vec!["libfaketime".to_string()]);
    let settings = vec![profile, plant, writes, weak, spares, locks, clocks];
    vec![kind("store", settings, Some(names("switches"))), kind("etcd", Vec::new(), None)]
}

fn suites() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../workloads/suites")
}

/// The files of a folder and those of the folders in it.
fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_in(&path) } else { vec![path] }).collect()
}

/// A fault that nobody runs is one that nobody knows to work.
#[test]
fn every_registered_fault_has_a_suite_of_its_own_that_insists_on_its_effect() {
    let kinds = kinds();
    for fault in splitbrain::nemesis::KINDS {
        let file = format!("{}.yaml", fault.name);
        let text = fs::read_to_string(suites().join("faults").join(&file)).unwrap_or_else(|error| {
            panic!(
                "the fault `{}` is registered and workloads/suites/faults/{file} cannot be read \
                 ({error}): write it, with a short run for each form of the fault and \
                 `require: [{{ fault: {} }}]` in each",
                fault.name, fault.name
            )
        });
        let suite = splitbrain::suite::parse(&file, &text, &kinds)
            .unwrap_or_else(|error| panic!("{error}"));
        for run in &suite.runs {
            let insists = run.require.iter().any(|required| required.fault == fault.name);
            assert!(
                insists,
                "{file}: {} does not require that its `{}` takes hold",
                run.name, fault.name
            );
        }
    }
}

#[test]
fn every_shipped_suite_makes_sense_and_heals_its_faults_before_the_end() {
    let kinds = kinds();
    let mut count = 0;
    for path in files_in(&suites()) {
        let text = fs::read_to_string(&path).unwrap();
        let file = path.file_name().unwrap().to_str().unwrap();
        let suite =
            splitbrain::suite::parse(file, &text, &kinds).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(file, format!("{}.yaml", suite.suite), "a suite's file has its name");
        for run in plan::expand(&suite, &kinds, Seed(1), None).unwrap() {
            for fault in &run.faults {
                let latest = match &fault.end {
                    plan::End::After(time) => *time,
                    plan::End::Until { at_most, .. } => *at_most,
                };
                let healed = fault.start.earliest().plus(latest).plus(Time::from_millis(500));
                assert!(healed <= run.duration, "{file}: {}: fault {:?}", run.name, fault.id);
            }
        }
        count += 1;
    }
    assert!(count >= 3, "only {count} suites");
}

#[test]
fn every_value_of_every_switch_is_exercised_by_a_run_of_a_shipped_suite() {
    let program = env!("CARGO_BIN_EXE_splitbrain");
    let output = Command::new(program).args(["node", "--describe"]).output().unwrap();
    let described: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let profiles = described["profiles"].as_array().unwrap();
    let word = |value: &serde_json::Value| value.as_str().unwrap().to_string();

    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut suites = String::new();
    let mut folders = vec![root.join("workloads/suites")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                suites.push_str(&fs::read_to_string(path).unwrap());
            }
        }
    }
    // What a profile sets counts when a suite uses the profile.
    let used = profiles.iter().filter(|profile| {
        word(&profile["name"]) == "raft"
            || suites.contains(&format!("profile: {}", word(&profile["name"])))
    });
    let used: Vec<&serde_json::Value> = used.map(|profile| &profile["settings"]).collect();

    let mut missing = Vec::new();
    for switch in described["switches"].as_array().unwrap() {
        let (name, values) = (word(&switch["name"]), word(&switch["values"]));
        for value in values.split(',').map(str::trim) {
            let value = value.strip_prefix("or ").unwrap_or(value);
            // `after <duration>` is any duration; `a number such as 3` any number.
            let free = ["a ", "nodes such", "n2"].iter().any(|word| value.starts_with(word));
            let value = if free { "" } else { value.split(" <").next().unwrap() };
            let set = suites.contains(&format!(" {name}: {value}"));
            let by_profile = used
                .iter()
                .any(|settings| settings[&name].as_str().is_some_and(|set| set.starts_with(value)));
            if !(set || (by_profile && !free)) {
                missing.push(format!("{name}={}", if free { "..." } else { value }));
            }
        }
    }
    assert!(missing.is_empty(), "no run of a shipped suite has {missing:?}");
}

/// A bug that nobody is shown to catch proves nothing of those who look for bugs.
#[test]
fn every_plant_has_the_run_that_the_docs_name_or_schedules_or_tests() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = fs::read_to_string(root.join("docs/plants.md")).unwrap();
    let read = |name: &str| fs::read_to_string(suites().join(name)).unwrap();
    let (plants, disk) = (read("plants.yaml"), read("disk.yaml"));
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| `")).collect();
    assert!(rows.len() >= 15, "only {} plants", rows.len());
    for row in rows {
        let name = row.split('`').nth(1).unwrap();
        let caught = row.rsplit('|').nth(1).unwrap();
        let others = ["schedules", "written out", "log", "model"];
        let planted = format!("plant: {name}");
        let shown = if caught.contains("suite `disk`") {
            disk.contains(&planted)
        } else if caught.contains("suite") {
            plants.contains(&format!("- name: {name}\n")) && plants.contains(&planted)
        } else {
            others.iter().any(|how| caught.contains(how))
        };
        assert!(shown, "{name}: no run and no test is what the page says: {caught}");
    }
}

#[test]
fn one_file_alone_calls_the_archived_yaml_crate() {
    fn sources(folder: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, found);
            } else if fs::read_to_string(&path).is_ok_and(|text| text.contains("serde_yaml::")) {
                found.push(path.file_name().unwrap().to_string_lossy().into_owned());
            }
        }
    }
    let mut found = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    assert_eq!(found, ["yaml.rs"]);
}
