//! Gigabytes of garbage against every reader: it must be refused after at most some megabytes, with line
//! and column, or, where it is none, such as events of nobody, be read in little memory.
//! `scripts/prove.sh garbage` reads all of it and says how much memory that took.

use std::io::{BufReader, Read, Write};

use super::*;
use crate::seed::Seed;
use rand::RngExt;

/// A gibibyte.
const LENGTH: u64 = 1 << 30;

/// What any reader may take before it refuses: its longest line or form, and a buffer.
const TAKEN_MAX: u64 = (jsonl::LINE_MAX + (1 << 20)) as u64;

/// A beginning and then the same again and again, of which nothing is held.
struct Flood {
    head: Vec<u8>,
    unit: Vec<u8>,
    taken: u64,
}

impl Flood {
    fn new(head: &str, unit: &[u8]) -> Self {
        Flood { head: head.as_bytes().to_vec(), unit: unit.to_vec(), taken: 0 }
    }
}

impl Read for Flood {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = buffer.len().min((LENGTH - self.taken.min(LENGTH)) as usize);
        for (place, byte) in (self.taken..).zip(&mut buffer[..count]) {
            let place = place as usize;
            *byte = match self.head.get(place) {
                Some(byte) => *byte,
                None => self.unit[(place - self.head.len()) % self.unit.len()],
            };
        }
        self.taken += count as u64;
        Ok(count)
    }
}

/// How reading it ended, and how much of it was taken.
fn read(flood: Flood, format: Option<Format>) -> (Result<usize, String>, u64) {
    let mut input = BufReader::with_capacity(1 << 16, flood);
    let reading = Reading { format, ..Reading::default() };
    let ended = open(&mut input, &reading).map(|(recording, _)| recording.operations());
    (ended.map_err(|error| error.to_string()), input.get_ref().taken)
}

const HEADER: &str = "{\"history\":1,\"workload\":\"register\",\"nodes\":3}\n";
const EVENT: &str = "{:process 0, :type :invoke, :f :read, :value nil}\n";

/// Garbage of every kind: what it is, how it begins, and how it goes on.
fn garbage() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let mut stream = Seed(20_261_121).stream("garbage");
    let random: Vec<u8> = (0..65_521).map(|_| stream.random_range(0..=255_u8)).collect();
    let letters: Vec<u8> = (0..65_521).map(|_| stream.random_range(b'a'..=b'z')).collect();
    vec![
        ("random bytes", "", random.clone()),
        ("random letters", "", letters.clone()),
        ("zeros", "", vec![0]),
        ("line feeds", "", b"\n".to_vec()),
        ("random bytes behind a header", HEADER, random),
        ("one endless line behind a header", HEADER, b" ".to_vec()),
        ("one endless key behind a header", "{\"history\":1,\"", letters.clone()),
        (
            "an endless list in one event",
            "{\"history\":1,\"workload\":\"set\",\"nodes\":3}\n{\"seq\":0,\"ok\":{\"listed\":[0",
            b",0".to_vec(),
        ),
        ("nesting behind a header", HEADER, b"[".to_vec()),
        (
            "the same event behind a header",
            HEADER,
            b"{\"seq\":0,\"us\":1,\"client\":1,\"ok\":\"written\"}\n".to_vec(),
        ),
        ("vectors in vectors", "", b"[".to_vec()),
        ("maps in maps", "", b"{:a ".to_vec()),
        ("dropped forms", "", b"#_ ".to_vec()),
        ("tags of tags", "", b"#a ".to_vec()),
        ("an endless string", "[{:a \"", letters.clone()),
        ("an endless word", "[{:a ", letters.clone()),
        ("an endless comment", ";", letters),
        ("an endless vector", "[{:value [", b"0 ".to_vec()),
        ("the same invocation", "", EVENT.as_bytes().to_vec()),
        ("objects without a type", "", b"{\"process\":0,\"f\":\"read\"}\n".to_vec()),
        ("an endless array", "[{\"value\":[", b"0,".to_vec()),
        ("lines of a log", "INFO  jepsen.util - ", b"x\n".to_vec()),
        ("an endless line of a log", "INFO  jepsen.util - ", b"x".to_vec()),
    ]
}

#[test]
fn a_gigabyte_of_garbage_is_refused_with_its_place_before_much_of_it_is_read() {
    for (what, head, unit) in garbage() {
        for format in [None].into_iter().chain(Format::ALL.map(Some)) {
            // A log may have empty lines; that it has no others is known at its end.
            if what == "line feeds" && format == Some(Format::JepsenLog) {
                continue;
            }
            let (ended, taken) = read(Flood::new(head, &unit), format);
            let Err(error) = ended else {
                panic!("{what} as {format:?} is a history of {ended:?} operations")
            };
            assert!(taken < TAKEN_MAX, "{what} as {format:?}: {taken} bytes were read: {error}");
            assert!(error.starts_with("line "), "{what} as {format:?}: {error}");
            assert!(error.contains(", column ") && error.len() < 400, "{what} {format:?}: {error}");
        }
    }
}

/// What is read to its end although nothing comes of it.
#[test]
#[ignore = "reads three gigabytes; see scripts/prove.sh"]
fn gigabytes_of_what_nobody_did_are_read_in_little_memory() {
    let nemesis = "{:process :nemesis, :type :info, :f :start, :value nil}\n";
    let cases = [
        ("events of the nemesis", nemesis, Some(Format::JepsenEdn)),
        ("the same in JSON", "{\"process\":\"nemesis\",\"type\":\"info\",\"f\":\"a\"}\n", None),
        ("empty lines of a log", "\n", Some(Format::JepsenLog)),
    ];
    for (what, unit, format) in cases {
        let (ended, taken) = read(Flood::new("", unit.as_bytes()), format);
        // The last event may be cut off.
        let is_read = ended.as_ref().is_ok_and(|operations| *operations == 0);
        let is_cut = ended.as_ref().is_err_and(|error| {
            error.contains("closed") || error.contains("cut off") || error.contains("empty")
        });
        assert!(is_read || is_cut, "{what}: {ended:?}");
        assert_eq!(taken, LENGTH, "{what}: {ended:?}");
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    let peak: u64 =
        peak.split_whitespace().nth(1).and_then(|kb| kb.parse().ok()).unwrap_or(0) / 1024;
    assert!(peak < 256, "{peak} MB at most");
    let figure = format!("3 GiB of what nobody did were read in at most {peak} MB\n");
    std::io::stderr().write_all(figure.as_bytes()).expect("a figure for scripts/prove.sh");
}
