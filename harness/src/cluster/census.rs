//! What `/proc` tells about processes: parents, groups, states, start times.
//!
//! A reading of the whole machine, one file per process, some milliseconds on a busy host; nothing
//! on a hot path calls it. Used to find the descendants of a node and to see that all of a process
//! group is stopped. It signals nobody.

use std::collections::BTreeSet;
use std::fs;

/// One line of the census.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Process id.
    pub pid: u32,
    /// Process id of its parent.
    pub parent: u32,
    /// Its process group.
    pub group: u32,
    /// The kernel's letter: `R`, `S`, `T` for stopped, `Z` for a zombie, ...
    pub state: char,
    /// When it started, in clock ticks since boot. Together with `pid` it names one process for
    /// ever, since ids are used again.
    pub started: u64,
}

impl Entry {
    /// Reads the line of one process; `None` when there is no such process.
    pub fn of(pid: u32) -> Option<Entry> {
        parse(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// Whether it can run no more instruction, now: it is stopped, or dead.
    pub fn is_still(&self) -> bool {
        matches!(self.state, 'T' | 't') || self.is_dead()
    }

    /// Whether it is dead and at most waits for its parent to notice.
    pub fn is_dead(&self) -> bool {
        matches!(self.state, 'Z' | 'X' | 'x')
    }
}

/// All processes at about one moment; those that come or go while it is taken may be missed.
#[derive(Clone, Debug)]
pub struct Census {
    entries: Vec<Entry>,
}

impl Census {
    /// Takes the census. Without a readable `/proc` it is empty.
    pub fn take() -> Census {
        let entries = fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter_map(Entry::of)
            .collect();
        Census { entries }
    }

    /// The processes of a node whose first process is `root`: itself, its descendants, and what is
    /// still in its process group though its parents are gone. Sorted by process id.
    pub fn family(&self, root: u32) -> Vec<Entry> {
        let mut members: BTreeSet<u32> = self
            .entries
            .iter()
            .filter(|entry| entry.pid == root || entry.group == root)
            .map(|entry| entry.pid)
            .collect();
        loop {
            let before = members.len();
            for entry in &self.entries {
                if members.contains(&entry.parent) {
                    members.insert(entry.pid);
                }
            }
            if members.len() == before {
                break;
            }
        }
        let mut family: Vec<Entry> =
            self.entries.iter().filter(|entry| members.contains(&entry.pid)).copied().collect();
        family.sort_by_key(|entry| entry.pid);
        family
    }

    /// The processes in a process group.
    pub fn group(&self, group: u32) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| entry.group == group)
    }

    /// The children of a process.
    pub fn children(&self, parent: u32) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| entry.parent == parent)
    }
}

/// Parses `/proc/<pid>/stat` (proc_pid_stat(5)). The name stands in parentheses and may itself
/// hold spaces and parentheses, so counting starts after the last one.
fn parse(pid: u32, stat: &str) -> Option<Entry> {
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    Some(Entry {
        pid,
        state: fields.first()?.chars().next()?,
        parent: fields.get(1)?.parse().ok()?,
        group: fields.get(2)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let stat = "7 (a) b (c)) T 1 7 7 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 4711 99";
        let entry = parse(7, stat).unwrap();
        assert_eq!(entry, Entry { pid: 7, parent: 1, group: 7, state: 'T', started: 4711 });
    }

    #[test]
    fn we_are_in_our_own_family() {
        let me = std::process::id();
        assert!(Census::take().family(me).iter().any(|entry| entry.pid == me));
    }
}
