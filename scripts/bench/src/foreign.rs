//! What other programs take of the machine meanwhile, from `/proc`: a busy machine measures itself.

use std::fs;

use anyhow::{Context, Result};

/// Clock ticks since the machine started.
#[derive(Clone, Copy)]
pub struct Sample {
    /// Of all processors, idle or not.
    total: u64,
    /// Of them spent on something.
    busy: u64,
    /// Of them spent on the measurement.
    ours: u64,
}

/// Looks at the machine and at some processes.
pub fn sample(pids: &[u32]) -> Result<Sample> {
    let stat = fs::read_to_string("/proc/stat").context("cannot read /proc/stat")?;
    let first = stat.lines().next().unwrap_or_default();
    let ticks: Vec<u64> =
        first.split_whitespace().skip(1).filter_map(|field| field.parse().ok()).collect();
    // user, nice, system, idle, iowait, irq, softirq, steal; see proc_stat(5).
    anyhow::ensure!(ticks.len() >= 8, "/proc/stat: expected eight columns, got \"{first}\"");
    let total: u64 = ticks[..8].iter().sum();
    let busy = total - ticks[3] - ticks[4];
    let ours = pids.iter().filter_map(|pid| process(*pid)).sum();
    Ok(Sample { total, busy, ours })
}

/// User and system time of a process; `None` if it has ended.
fn process(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold spaces; it ends with the last parenthesis.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    Some(fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?)
}

impl Sample {
    /// The load of other programs since an earlier sample, in percent of all processors.
    pub fn since(self, before: Sample) -> f64 {
        self.load_since(before).percent()
    }

    /// The same as a part of the time in between, to be added up.
    pub fn load_since(self, before: Sample) -> Load {
        let busy = self.busy - before.busy;
        let others = busy.saturating_sub(self.ours.saturating_sub(before.ours));
        Load { others, total: self.total - before.total }
    }
}

/// The load of other programs over some time. Interrupts count as theirs, although some are ours.
#[derive(Clone, Copy)]
pub struct Load {
    /// Clock ticks that they took.
    others: u64,
    /// Of so many.
    total: u64,
}

impl Load {
    /// In percent of all processors.
    pub fn percent(self) -> f64 {
        100.0 * self.others as f64 / self.total.max(1) as f64
    }
}

impl std::ops::Add for Load {
    type Output = Load;

    fn add(self, other: Load) -> Load {
        Load { others: self.others + other.others, total: self.total + other.total }
    }
}
