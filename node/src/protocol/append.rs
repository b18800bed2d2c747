//! How a client's write gets into the leader's log: when it is refused before, and what of it the
//! log then holds: `idempotency`, `resource-tokens`, `log-format`.

use super::leader::Origin;
use super::{Core, Encoded, Entry, EntryId, Failure, FailureKind, Note, Outcome, Plant, Role};
use crate::config::LogFormat;
use crate::state::{Change, Command, Surroundings};

/// Most entries that a leader appends beyond the last committed one. A leader that cannot commit
/// would otherwise fill its memory with writes nobody can acknowledge.
const UNCOMMITTED_MAX: u64 = 65_536;

impl Core {
    /// Appends a client's change and remembers who waits for it. Whether it was already carried
    /// out is found out where it is applied, behind everything that was appended before it:
    /// `idempotency`. So it is with the token of a write to a resource: `resource-tokens`.
    pub(super) fn append_for(&mut self, origin: Origin, mut change: Change) {
        if self.entries.last_index() - self.committed >= UNCOMMITTED_MAX {
            let message = "too many writes wait for other nodes";
            let failure = Failure::definite(FailureKind::Overloaded, message);
            return self.reply(origin, Outcome::Failed(failure));
        }
        if self.lacks_in_sync() {
            let message = "fewer nodes keep up than min-in-sync asks for";
            let failure = Failure::definite(FailureKind::NotEnoughReplicas, message);
            return self.reply(origin, Outcome::Failed(failure));
        }
        if !self.settings.idempotency {
            change.key = None;
        }
        if let Command::Resource(write) = &mut change.command
            && !self.settings.resource_tokens
        {
            write.token = None;
        }
        change.command = self.as_logged(change.command);
        let id = self.append(&change);
        if self.plant(Plant::CompareBeforeReplication) {
            self.compared.extend(self.compare_early(&change).map(|answer| (id, answer)));
        }
        if let Role::Leader(leader) = &mut self.role {
            leader.pending.push_back((id, origin));
        }
    }

    /// What the log is to hold of a command: `log-format`. A statement that is logged as such is
    /// evaluated by every node that applies it; a row is what the leader found, here and once.
    fn as_logged(&mut self, command: Command) -> Command {
        let Command::Statement(statement) = command else { return command };
        let as_row = match self.settings.log_format {
            LogFormat::Statement => false,
            LogFormat::Mixed => !statement.is_deterministic(),
            LogFormat::Row => true,
        };
        if !as_row {
            return Command::Statement(statement);
        }
        let row = statement.row(&mut Surroundings { now: self.wall.0, dice: &mut self.dice });
        Command::Row { statement, row }
    }

    pub(super) fn append(&mut self, change: &Change) -> EntryId {
        let claim = match &self.role {
            Role::Leader(leader) => leader.claim,
            _ => unreachable!("only a leader appends"),
        };
        let id = EntryId { claim, index: self.entries.last_index() + 1 };
        let entry = Entry { id, written: self.wall, change: Encoded::new(change) };
        self.entries.push(entry.clone());
        self.configure_by(&entry);
        self.barrier.write(Note::Entry(entry));
        self.counters.appended += 1;
        id
    }
}
