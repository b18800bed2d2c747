//! Damaged files against every reader: none may panic, and what is refused must be refused with a
//! line that the file has. `scripts/fuzz-checker.sh 600 parsers` runs as many as somebody has time for.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rand::RngExt;

use super::tests::{FILE, FOREIGN, LOG};
use super::{Format, HistoryError, Reading, jepsen_edn, open};
use crate::checker::frontier::{Budget, Decision};
use crate::checker::testing::{Model, file, random};
use crate::recording::Recording;
use crate::seed::{Seed, Stream};
use crate::workload;

/// Damages a file and reads it; whether it was refused, or what is wrong with how it was.
pub(crate) fn parser_case(stream: &mut Stream, case: usize) -> Result<bool, String> {
    let mut bytes = whole(stream, case);
    for _ in 0..stream.random_range(0..5) {
        damage(stream, &mut bytes);
    }
    let format = match stream.random_range(0..4) {
        0 => Some(Format::ALL[stream.random_range(0..Format::ALL.len())]),
        _ => None,
    };
    let text = || String::from_utf8_lossy(&bytes).into_owned();
    let read = || {
        let reading = Reading { format, ..Reading::default() };
        let (recording, _) = open(&mut &bytes[..], &reading)?;
        let budget = Budget { at_once: 1000, in_all: 10_000 };
        if let Recording::Operations(history) = &recording {
            workload::judge(history);
        } else if let Decision::Impossible(refusal) = recording.decide(budget) {
            recording.explain(&refusal);
        }
        Ok(())
    };
    let told = match catch_unwind(AssertUnwindSafe(read)) {
        Err(_) => return Err(format!("a panic, format {format:?}, of:\n{}", text())),
        Ok(Ok(())) => return Ok(false),
        Ok(Err(error)) => error,
    };
    let lines = bytes.split(|byte| *byte == b'\n').count() as u64;
    let is_clear = match &told {
        HistoryError::Malformed { line, column, what } => {
            (1..=lines).contains(line) && *column > 0 && !what.is_empty()
        }
        _ => true,
    };
    let told = told.to_string();
    match is_clear && !told.contains('\n') && told.chars().count() < 1000 {
        true => Ok(true),
        false => Err(format!("\"{told}\" is not clear, format {format:?}, of:\n{}", text())),
    }
}

/// A file that can be read.
fn whole(stream: &mut Stream, case: usize) -> Vec<u8> {
    let known = [FILE, LOG].into_iter().chain(FOREIGN);
    match case % 9 {
        0 => file(&random(stream, Model::Set)).into_bytes(),
        1 => {
            let history = random(stream, Model::Registers { keys: 2 });
            let mut bytes = Vec::new();
            match jepsen_edn::write(&history, &mut bytes) {
                Ok(_) => bytes,
                Err(_) => file(&history).into_bytes(),
            }
        }
        index => known.skip(index - 2).map(|it| it.as_bytes().to_vec()).next().unwrap_or_default(),
    }
}

fn damage(stream: &mut Stream, bytes: &mut Vec<u8>) {
    if bytes.is_empty() {
        return;
    }
    let at = stream.random_range(0..bytes.len());
    let mut lines: Vec<Vec<u8>> = bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    let (from, to) = (stream.random_range(0..lines.len()), stream.random_range(0..lines.len()));
    match stream.random_range(0..9) {
        // Cut off.
        0 => return bytes.truncate(at),
        // Of one thing too much, too little, or in another order: an end without a beginning.
        1 => lines.swap(from, to),
        2 => lines.insert(to, lines[from].clone()),
        3 => {
            lines.remove(from);
        }
        // Another number: an id twice, or far too large.
        4 | 5 => {
            let digits: Vec<usize> =
                (0..bytes.len()).filter(|it| bytes[*it].is_ascii_digit()).collect();
            if digits.is_empty() {
                return;
            }
            let at = digits[stream.random_range(0..digits.len())];
            let number =
                ["0", "1", "-7", "18446744073709551615", "9e99", ""][stream.random_range(0..6)];
            bytes.splice(at..=at, number.bytes());
            return;
        }
        // Garbage.
        6 => {
            let count = stream.random_range(1..20);
            let garbage: Vec<u8> = (0..count).map(|_| stream.random_range(0..=255_u8)).collect();
            bytes.splice(at..at, garbage);
            return;
        }
        7 => {
            bytes[at] = b"{}[]()\"#;:\\ 0-n\n"[stream.random_range(0..16)];
            return;
        }
        // Nested far too deep.
        _ => {
            let bracket = b"[{(\"#"[stream.random_range(0..5)];
            bytes.splice(at..at, std::iter::repeat_n(bracket, 300));
            return;
        }
    }
    *bytes = lines.join(&b'\n');
}

#[test]
fn damaged_files_are_read_or_refused_with_a_line_and_never_more() {
    let mut stream = Seed(20_261_121).stream("parsers");
    let mut refused = 0;
    for case in 0..6000 {
        refused +=
            usize::from(parser_case(&mut stream, case).unwrap_or_else(|why| panic!("{why}")));
    }
    assert!((2000..5500).contains(&refused), "{refused} of 6000 were refused");
}
