//! `events.jsonl`: what happened around the clients, written as it happens.
//!
//! Phases, processes, roles and faults; never an operation. Everything that acts on the cluster
//! reports here, and nothing reads it during a run except whoever waits for the end.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};

use splitbrain_reports::json;
use splitbrain_reports::record::{Event, EventRecord, FaultStep};
use splitbrain_workloads::history::Micros;

use super::recorder::{Clock, Recorder};

/// Told of each event as it comes, and how many operations have succeeded by then.
pub type Listener = Box<dyn Fn(&EventRecord, u64) + Send + Sync>;

/// Takes events of a run, in the order in which they are reported.
pub struct Journal {
    clock: Clock,
    recorder: Arc<Recorder>,
    lines: Mutex<Lines>,
    listener: Listener,
}

struct Lines {
    file: File,
    events: Vec<EventRecord>,
    broken: Option<io::Error>,
}

impl Journal {
    /// Opens an event file for writing.
    ///
    /// # Errors
    ///
    /// When the file cannot be created.
    pub fn create(
        path: &Path,
        clock: Clock,
        recorder: Arc<Recorder>,
        listener: Listener,
    ) -> io::Result<Journal> {
        let file = File::create(path)?;
        json::write_events_header(&file)?;
        let lines = Mutex::new(Lines { file, events: Vec::new(), broken: None });
        Ok(Journal { clock, recorder, lines, listener })
    }

    /// Reports an event. Events are rare, so each is written at once.
    pub fn report(&self, event: Event) {
        let record = {
            let mut lines = self.lines.lock().expect("no holder of this lock panics");
            let record = EventRecord { us: self.clock.now(), event };
            // One write a line, so that a killed run tears at most its last one.
            let mut line = Vec::new();
            let written =
                json::write_event(&record, &mut line).and_then(|()| lines.file.write_all(&line));
            if let (Err(error), None) = (written, &lines.broken) {
                lines.broken = Some(error);
            }
            lines.events.push(record.clone());
            record
        };
        (self.listener)(&record, self.recorder.succeeded());
    }

    /// When the first fault was in force, if one was.
    pub fn first_in_force(&self) -> Option<Micros> {
        let lines = self.lines.lock().expect("no holder of this lock panics");
        let in_force = |record: &&EventRecord| {
            matches!(record.event, Event::Fault { step: FaultStep::InForce, .. })
        };
        lines.events.iter().find(in_force).map(|record| record.us)
    }

    /// All events so far.
    ///
    /// # Errors
    ///
    /// The first error of any write of the file; a full disk, most likely.
    pub fn events(&self) -> io::Result<Vec<EventRecord>> {
        let mut lines = self.lines.lock().expect("no holder of this lock panics");
        match lines.broken.take() {
            Some(error) => Err(error),
            None => Ok(lines.events.clone()),
        }
    }
}
