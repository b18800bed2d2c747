//! The timeline: a run cut into equally long columns, with what each saw.
//!
//! Pure data; `text/timeline.rs` gives it glyphs. A column without a single question has no data,
//! which is not the same as a column in which every question went unanswered.

use splitbrain_workloads::history::{History, Micros, Operation};
use splitbrain_workloads::operation::{NodeId, Outcome};

use super::Window;
use super::cluster::{Cluster, NodeState};
use super::latency::{Latencies, latency};
use crate::record::{EventRecord, FaultId, FaultRecord};

/// Column lengths that people can count in, in microseconds.
const LENGTHS: [u64; 16] = [
    50_000,
    100_000,
    200_000,
    250_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    15_000_000,
    30_000_000,
    60_000_000,
    120_000_000,
    300_000_000,
    600_000_000,
    1_800_000_000,
];

/// A run in columns.
#[derive(Clone, Debug, PartialEq)]
pub struct Timeline {
    /// What it spans.
    pub window: Window,
    /// How long a column is; the last may reach beyond the window.
    pub column: Micros,
    /// What clients saw, one entry per column.
    pub columns: Vec<Column>,
    /// What the nodes were, one state per column.
    pub nodes: Vec<(NodeId, Vec<NodeState>)>,
    /// The stretches of the faults that came into force.
    pub faults: Vec<Span>,
}

/// What clients saw in one column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Column {
    /// Operations that ended ok in it; `None` when none was open in it, so nobody asked.
    pub ok: Option<u64>,
    /// 99th percentile of their latency.
    pub p99: Option<Micros>,
}

/// A fault over the columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Which fault.
    pub fault: FaultId,
    /// Its kind.
    pub kind: String,
    /// The first column that it touches.
    pub first: usize,
    /// The last.
    pub last: usize,
}

impl Timeline {
    /// Cuts the window of a run into at most `columns_max` columns of a round length.
    pub fn of(
        history: &History,
        events: &[EventRecord],
        faults: &[FaultRecord],
        window: Window,
        columns_max: usize,
    ) -> Timeline {
        assert!(columns_max > 0, "a timeline needs a column");
        let length = window.length().0;
        let fits = |column: &&u64| length.div_ceil(**column) <= columns_max as u64;
        // Beyond the longest round length the columns are as long as they have to be.
        let column = LENGTHS.iter().find(fits).copied();
        let column = Micros(column.unwrap_or(length.div_ceil(columns_max as u64)));
        let cluster = Cluster::of(history.header.nodes, events, faults);
        let mut timeline = Timeline {
            window,
            column,
            columns: vec![Column::default(); length.div_ceil(column.0) as usize],
            nodes: Vec::new(),
            faults: Vec::new(),
        };
        timeline.fill_columns(&history.operations);
        timeline.nodes = cluster
            .nodes()
            .map(|node| {
                let columns = 0..timeline.columns.len();
                let mostly = columns.map(|at| cluster.mostly(node, timeline.window_of(at)));
                let mut states: Vec<NodeState> = mostly.collect();
                timeline.show_leading(&cluster, node, &mut states);
                (node, states)
            })
            .collect();
        timeline.faults = faults.iter().filter_map(|fault| timeline.span(fault)).collect();
        timeline
    }

    /// The column that a moment falls into.
    pub fn column_of(&self, at: Micros) -> Option<usize> {
        let column = (at.0.checked_sub(self.window.from.0)? / self.column.0) as usize;
        (column < self.columns.len()).then_some(column)
    }

    /// The moments of a column.
    pub fn window_of(&self, column: usize) -> Window {
        let from = self.window.from.0 + column as u64 * self.column.0;
        Window { from: Micros(from), to: Micros(from + self.column.0) }
    }

    /// Puts a stretch in which a node led, and which no column would show, into the column that has
    /// most of it: a leader that is killed some milliseconds after its election was one.
    fn show_leading(&self, cluster: &Cluster, node: NodeId, states: &mut [NodeState]) {
        for (led, state) in cluster.led_in(node, self.window) {
            let Some(first) = self.column_of(led.from) else { continue };
            let last = self.column_of(Micros(led.to.0 - 1)).unwrap_or(states.len() - 1);
            if states[first..=last].iter().any(|shown| shown.leads()) {
                continue;
            }
            let share = |column: &usize| {
                let column = self.window_of(*column);
                column.to.min(led.to).0.saturating_sub(column.from.max(led.from).0)
            };
            if let Some(most) = (first..=last).max_by_key(share) {
                states[most] = state;
            }
        }
    }

    fn fill_columns(&mut self, operations: &[Operation]) {
        let mut latencies = vec![Latencies::new(); self.columns.len()];
        for operation in operations.iter().filter(|operation| !operation.is_final) {
            // What never completed was open for as long as its client cared, which nobody wrote
            // down; it counts where it was invoked.
            let from = operation.invoked.at;
            let to = operation.completed.map_or(from, |stamp| stamp.at);
            let (Some(first), last) = (self.column_of(from), self.column_of(to)) else { continue };
            for column in &mut self.columns[first..=last.unwrap_or(first).max(first)] {
                column.ok.get_or_insert(0);
            }
            if let (Outcome::Ok(_), Some(last)) = (&operation.outcome, last) {
                *self.columns[last].ok.get_or_insert(0) += 1;
                latencies[last].add(latency(operation).unwrap_or_default());
            }
        }
        for (column, latencies) in self.columns.iter_mut().zip(&latencies) {
            column.p99 = latencies.quantile(0.99);
        }
    }

    fn span(&self, fault: &FaultRecord) -> Option<Span> {
        let from = fault.in_force?;
        let last_column = self.columns.len().checked_sub(1)?;
        if from >= self.window.to {
            return None;
        }
        let first = self.column_of(from).unwrap_or(0);
        let last = match fault.healed {
            Some(healed) if healed < self.window.from => return None,
            Some(healed) => self.column_of(healed).unwrap_or(last_column),
            None => last_column,
        };
        Some(Span { fault: fault.id, kind: fault.kind.clone(), first, last: last.max(first) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Role;
    use crate::samples::{Events, Tape, fault};

    const SECOND: u64 = 1_000_000;

    fn timeline(columns_max: usize) -> Timeline {
        let mut tape = Tape::new("register", 3);
        tape.write(0, 1, "r0", 1, 1_100_000, 1_102_000);
        tape.write(0, 1, "r0", 2, 1_200_000, 1_209_000);
        tape.write_unknown(0, 1, "r0", 3, 2_100_000, 3_100_000, "timeout");
        tape.final_read(0, 1, "r0", Some(2), 5_500_000, 5_501_000);
        let mut events = Events::default();
        events.role(0, 1, Role::Leader).role(0, 2, Role::Follower).role(2_100_000, 2, Role::Leader);
        let faults = [
            fault(1, "kill", &[1], 2_000_000, 3_500_000),
            fault(2, "pause", &[2], 9_000_000, 9_500_000),
        ];
        let window = Window { from: Micros(SECOND), to: Micros(6 * SECOND) };
        Timeline::of(&tape.history(), &events.records(), &faults, window, columns_max)
    }

    #[test]
    fn columns_have_a_round_length_and_cover_the_window() {
        assert_eq!(timeline(5).column, Micros(SECOND));
        assert_eq!(timeline(5).columns.len(), 5);
        assert_eq!(timeline(4).column, Micros(2 * SECOND));
        assert_eq!(timeline(4).columns.len(), 3);
        assert_eq!(timeline(70).column, Micros(100_000));
    }

    #[test]
    fn zero_is_not_the_same_as_no_data() {
        let timeline = timeline(5);
        let ok: Vec<_> = timeline.columns.iter().map(|column| column.ok).collect();
        assert_eq!(ok, [Some(2), Some(0), Some(0), None, None]);
        assert_eq!(timeline.columns[0].p99, Some(Micros(9_000)));
        assert_eq!(timeline.columns[1].p99, None);
    }

    #[test]
    fn faults_and_roles_fall_into_their_columns() {
        let timeline = timeline(5);
        let span = Span { fault: FaultId(1), kind: "kill".into(), first: 1, last: 2 };
        assert_eq!(timeline.faults, [span]);
        assert_eq!(timeline.nodes[0].1, [NodeState::Leader; 5]);
        assert_eq!(timeline.nodes[1].1[0], NodeState::Follower);
        assert_eq!(timeline.nodes[1].1[1..], [NodeState::Leader; 4]);
        assert_eq!(timeline.nodes[2].1, [NodeState::Unknown; 5]);
    }

    #[test]
    fn a_node_that_led_for_some_milliseconds_is_seen_to_have_led() {
        let mut events = Events::default();
        events.started(0, 2).role(0, 2, Role::Follower).role(3_100_000, 2, Role::Leader);
        events.exited(3_104_000, 2);
        let history = Tape::new("register", 3).history();
        let window = Window { from: Micros(SECOND), to: Micros(6 * SECOND) };
        let timeline = Timeline::of(&history, &events.records(), &[], window, 5);
        let (follows, leads, down) = (NodeState::Follower, NodeState::Leader, NodeState::Down);
        assert_eq!(timeline.nodes[1].1, [follows, follows, leads, down, down]);
    }
}
