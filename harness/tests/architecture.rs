//! Holds the invariants of ARCHITECTURE.md that a test can hold: who depends on whom, who may
//! print, which words stay in which file, and that every file says what it is.

use std::fs;
use std::path::{Path, PathBuf};

/// A file longer than this is more than one idea.
const LINES_MAX: usize = 800;

const MEMBERS: [&str; 4] = ["harness", "node", "reports", "workloads"];

struct Source {
    /// Relative to the workspace's root, with slashes.
    path: String,
    text: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the harness is a member of a workspace")
}

fn rust_files(directory: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn sources(folders: &[&str]) -> Vec<Source> {
    let mut paths = Vec::new();
    for folder in folders {
        rust_files(&root().join(folder), &mut paths);
    }
    paths.sort();
    assert!(!paths.is_empty(), "no source under {folders:?}");
    let source = |path: PathBuf| Source {
        text: fs::read_to_string(&path).unwrap(),
        path: path.strip_prefix(root()).unwrap().display().to_string(),
    };
    paths.into_iter().map(source).collect()
}

/// The names under `[dependencies]` of a member, without those for tests.
fn dependencies(member: &str) -> Vec<String> {
    let manifest = fs::read_to_string(root().join(member).join("Cargo.toml")).unwrap();
    let (_, rest) = manifest.split_once("[dependencies]").expect("a member has dependencies");
    let section = rest.split("\n[").next().unwrap_or(rest);
    let name = |line: &str| {
        let end = line.find(['.', ' ', '='])?;
        Some(line[..end].to_string()).filter(|name| !name.is_empty() && !name.starts_with('#'))
    };
    section.lines().filter_map(name).collect()
}

fn offenders(sources: &[Source], bad: impl Fn(&Source) -> bool) -> Vec<&str> {
    sources.iter().filter(|source| bad(source)).map(|source| source.path.as_str()).collect()
}

#[test]
fn dependencies_run_one_way() {
    let ours = |member| -> Vec<String> {
        let mut ours = dependencies(member);
        ours.retain(|name| name.starts_with("splitbrain"));
        ours
    };
    assert_eq!(ours("node"), Vec::<String>::new());
    assert_eq!(ours("workloads"), Vec::<String>::new());
    assert_eq!(ours("reports"), ["splitbrain-workloads"]);
    assert_eq!(ours("harness"), ["splitbrain-node", "splitbrain-reports", "splitbrain-workloads"]);
}

#[test]
fn workloads_and_reports_are_pure() {
    for member in ["workloads", "reports"] {
        for name in dependencies(member) {
            let world = ["tokio", "nix", "reqwest", "chrono", "libc", "axum"];
            assert!(!world.contains(&name.as_str()), "{member} depends on {name}");
        }
        let sources = sources(&[&format!("{member}/src")]);
        for word in ["std::time::Instant", "SystemTime", "std::process", "std::net", "std::thread"]
        {
            let bad = offenders(&sources, |source| source.text.contains(word));
            assert_eq!(bad, Vec::<&str>::new(), "{word} in a pure crate");
        }
    }
}

#[test]
fn only_the_command_links_the_node() {
    let harness = sources(&["harness/src"]);
    let bad = offenders(&harness, |source| {
        source.path != "harness/src/main.rs" && source.text.contains("splitbrain_node")
    });
    assert_eq!(bad, Vec::<&str>::new());
}

#[test]
fn only_the_command_prints() {
    // The node's library prints its own description; its log is a log.
    let sources = sources(&["harness/src", "reports/src", "workloads/src"]);
    let bad = offenders(&sources, |source| {
        let may = source.path.starts_with("harness/src/cli")
            || source.path == "harness/src/main.rs"
            || source.path.ends_with("/tests.rs");
        let prints = ["println!(", "print!(", "eprintln!(", "eprint!(", "io::stdout()"];
        let code = source.text.split("#[cfg(test)]").next().unwrap_or_default();
        !may && prints.iter().any(|print| code.contains(print))
    });
    assert_eq!(bad, Vec::<&str>::new());
}

#[test]
fn the_name_of_a_foreign_store_stands_in_its_own_file() {
    for source in sources(&["harness/src"]) {
        if source.path == "harness/src/target/etcd.rs" {
            continue;
        }
        for line in source.text.lines().filter(|line| line.to_lowercase().contains("etcd")) {
            let registry = source.path == "harness/src/target/mod.rs"
                && ["mod etcd;", "etcd = \"etcd\","].contains(&line.trim());
            let suite_file = line.contains("suites/etcd.yaml");
            assert!(registry || suite_file, "{}: {line}", source.path);
        }
    }
}

#[test]
fn one_file_knows_the_yaml_library() {
    let harness = sources(&["harness/src"]);
    let bad = offenders(&harness, |source| {
        source.path != "harness/src/suite/yaml.rs" && source.text.contains("serde_yaml::")
    });
    assert_eq!(bad, Vec::<&str>::new());
}

#[test]
fn a_checker_sees_the_history_alone() {
    let sources = sources(&["workloads/src/checker"]);
    let bad = offenders(&sources, |source| {
        let code = source.text.lines().filter(|line| !line.trim_start().starts_with("//"));
        let code = code.collect::<Vec<_>>().join("\n").to_lowercase().replace("default", "");
        ["fault", "nemesis", "epoch"].iter().any(|word| code.contains(word))
    });
    assert_eq!(bad, Vec::<&str>::new());
}

#[test]
fn every_file_says_what_it_is_and_is_one_idea() {
    let folders: Vec<String> =
        MEMBERS.iter().flat_map(|m| [format!("{m}/src"), format!("{m}/tests")]).collect();
    let folders: Vec<&str> = folders.iter().map(String::as_str).collect();
    let sources = sources(&folders);
    let bad = offenders(&sources, |source| !source.text.starts_with("//!"));
    assert_eq!(bad, Vec::<&str>::new(), "first line is no module doc");
    let bad = offenders(&sources, |source| source.text.lines().count() > LINES_MAX);
    assert_eq!(bad, Vec::<&str>::new(), "over {LINES_MAX} lines");
    let bad = offenders(&sources, |source| {
        let name = source.path.rsplit('/').next().unwrap_or_default();
        ["utils.rs", "util.rs", "common.rs", "helpers.rs", "imp.rs", "misc.rs"].contains(&name)
    });
    assert_eq!(bad, Vec::<&str>::new(), "a name that says nothing");
}

#[test]
fn the_top_level_is_what_the_readme_says() {
    let allowed = [
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "Cargo.lock",
        "Cargo.toml",
        "LICENSE",
        "README.md",
        "clippy.toml",
        "docs",
        "harness",
        "node",
        "reports",
        "runs",
        "rustfmt.toml",
        "scripts",
        "target",
        "workloads",
    ];
    for entry in fs::read_dir(root()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(name.starts_with('.') || allowed.contains(&name.as_str()), "{name}");
    }
}

#[test]
fn every_relative_link_of_the_documents_leads_somewhere() {
    let mut documents =
        vec![root().join("README.md"), root().join("ARCHITECTURE.md"), root().join("CHANGELOG.md")];
    for folder in ["docs", "docs/decisions"] {
        let entries = fs::read_dir(root().join(folder)).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        documents.extend(paths.filter(|path| path.extension().is_some_and(|e| e == "md")));
    }
    let mut links = 0;
    for document in documents {
        let text = fs::read_to_string(&document).unwrap();
        for (_, rest) in text.match_indices("](").map(|(at, _)| text.split_at(at + 2)) {
            let target = rest.split(')').next().unwrap_or_default();
            let file = target.split('#').next().unwrap_or_default();
            if file.is_empty() || file.contains("://") {
                continue;
            }
            links += 1;
            let path = document.parent().unwrap().join(file);
            assert!(path.exists(), "{}: {target}", document.display());
        }
    }
    assert!(links > 0, "no link was looked at");
}
