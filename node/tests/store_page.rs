//! Holds docs/store.md to the code: the files and functions that it names are there, and every
//! switch is looked at where its table says and nowhere else.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use splitbrain_node::config::{PROFILES, SWITCHES};

const PAGE: &str = include_str!("../../docs/store.md");

/// A file below `src`, and a function in it.
type Place = (String, String);

fn source_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn rust_files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Every file below `src` by its path there, without its tests.
fn sources() -> BTreeMap<String, String> {
    let mut paths = Vec::new();
    rust_files(&source_root(), &mut paths);
    let source = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("a source");
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default().to_string();
        let name = path.strip_prefix(source_root()).expect("it is below").display().to_string();
        (name, code)
    };
    paths.into_iter().map(source).collect()
}

/// What stands between backticks, outside of blocks of code.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

fn defines(code: &str, function: &str) -> bool {
    let defined = |end| code.contains(&format!("fn {function}{end}"));
    defined("(") || defined("<")
}

fn is_name(word: &str) -> bool {
    !word.is_empty() && word.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_')
}

#[test]
fn every_file_and_function_that_the_page_names_is_there() {
    let sources = sources();
    let named: BTreeSet<&str> = SWITCHES.iter().map(|switch| switch.name).collect();
    let profiles: BTreeSet<&str> = PROFILES.iter().map(|profile| profile.name).collect();
    let (mut files, mut functions) = (0, 0);
    let mut file: Option<&str> = None;
    for word in words(PAGE).filter(|word| !word.starts_with("node/src")) {
        if word.ends_with(".rs") {
            // A bare name stands in the folder of the one before it.
            let beside = |at: &str| {
                let folder = file.and_then(|file| file.rsplit_once('/')).map_or("", |(dir, _)| dir);
                sources.keys().find(|known| **known == format!("{folder}/{at}"))
            };
            let known = sources.keys().find(|known| *known == word).or_else(|| beside(word));
            let known = known.unwrap_or_else(|| panic!("there is no node/src/{word}"));
            file = Some(known.as_str());
            files += 1;
        } else if is_name(word) && !named.contains(word) && !profiles.contains(word) {
            let holds = |code: &String| defines(code, word);
            assert!(sources.values().any(holds), "no function in node/src is called {word}");
            functions += 1;
        }
    }
    assert!(files > 40 && functions > 40, "{files} files, {functions} functions");
}

/// The places that a row of the table names: in its second column one, in its third the others.
fn places(cell: &str) -> Vec<Place> {
    let mut file = None;
    let mut places = Vec::new();
    for word in words(cell) {
        if word.ends_with(".rs") {
            file = Some(word.to_string());
        } else {
            let file = file.clone().expect("a file stands before its functions");
            places.push((file, word.to_string()));
        }
    }
    places
}

/// Where the value of a switch is looked at.
fn looked_at(sources: &BTreeMap<String, String>, switch: &str) -> BTreeSet<Place> {
    let field = format!("settings.{}", switch.replace('-', "_"));
    let is_test = |file: &str| {
        ["scenarios", "simulation", "model_check", "differential", "config"]
            .iter()
            .any(|folder| file.contains(folder))
    };
    let mut places = BTreeSet::new();
    for (file, code) in sources.iter().filter(|(file, _)| !is_test(file)) {
        for (at, _) in code.match_indices(&field) {
            let next = code[at + field.len()..].chars().next();
            if next.is_some_and(|next| next == '_' || next == '(' || next.is_alphanumeric()) {
                continue;
            }
            let begin = code[..at].rfind("fn ").expect("it stands in a function");
            let function = code[begin + 3..].split(['(', '<']).next().unwrap_or_default();
            places.insert((file.clone(), function.to_string()));
        }
    }
    places
}

#[test]
fn every_switch_is_looked_at_where_the_table_says_and_nowhere_else() {
    let sources = sources();
    for switch in SWITCHES {
        let row = format!("| `{}` | ", switch.name);
        let row = PAGE.lines().find_map(|line| line.strip_prefix(&row));
        let row = row.unwrap_or_else(|| panic!("{} is not in the table", switch.name));
        let (first, others) = row.split_once(" | ").expect("three columns");
        let first = places(first);
        assert_eq!(first.len(), 1, "{}: decided in one place", switch.name);
        let named: BTreeSet<Place> = first.into_iter().chain(places(others)).collect();
        assert_eq!(named, looked_at(&sources, switch.name), "{}", switch.name);
    }
}
