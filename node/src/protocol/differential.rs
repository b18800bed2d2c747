//! A second opinion: the same messages to this core and to raft-rs, the library of TiKV, and the
//! same answers expected of both.
//!
//! A situation is drawn from a seed: what a follower remembers, and the log of a leader that shares
//! a beginning with it. Then messages come, requests for a vote and entries, and after each of them
//! both must have given the same answer and hold the same epoch, vote, log and commit. Only the
//! receiver's side is compared; there raft-rs can be asked one message at a time.
//!
//! In two places raft-rs is known to do otherwise, and both are safe. It does not look at entries
//! behind its commit, so none are sent. And it refuses its vote in an epoch whose leader it has
//! heard, where the Raft paper (figure 2) and this core give it to whoever asks first, too late to
//! elect anybody; the situation ends there.
//!
//! Who counts while members change is put to both in `members.rs`.

mod members;

use std::time::Duration;

use raft::StateRole;
use raft::eraftpb::{Entry as TheirEntry, HardState as TheirHardState};
use raft::eraftpb::{Message as TheirMessage, MessageType};
use raft::storage::MemStorage;
use rand::RngExt;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;

use super::*;
use crate::state::Command;

const ME: NodeId = NodeId(1);
const OTHERS: [NodeId; 2] = [NodeId(2), NodeId(3)];

/// Who leads in an epoch, in every situation.
fn leader_of(epoch: u64) -> NodeId {
    OTHERS[(epoch / 2 % 2) as usize]
}

fn claim_of(epoch: u64) -> Claim {
    match epoch {
        0 => Claim::NONE,
        epoch => Claim { epoch, leader: leader_of(epoch) },
    }
}

/// The identity of an entry by index, in a log that is given by the epochs of its entries.
fn id_at(log: &[u64], index: usize) -> EntryId {
    let epoch = index.checked_sub(1).map_or(0, |at| log[at]);
    EntryId { claim: claim_of(epoch), index: index as u64 }
}

fn entry_at(log: &[u64], index: usize) -> Entry {
    let change = Encoded::new(&Command::Noop.into());
    Entry { id: id_at(log, index), written: WallTime::default(), change }
}

/// What a follower remembers, and whose messages it will get. Logs are the epochs of their entries.
#[derive(Clone, Debug)]
struct Situation {
    log: Vec<u64>,
    epoch: u64,
    voted_for: Option<NodeId>,
    leaders_log: Vec<u64>,
    leaders_epoch: u64,
}

/// A message to both.
#[derive(Clone, Debug)]
enum Told {
    Vote {
        from: NodeId,
        epoch: u64,
        last: EntryId,
    },
    /// So many of the leader's entries behind an index.
    Append {
        prev: usize,
        count: usize,
        committed: usize,
    },
}

/// What both must answer, and be then.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Answered {
    /// The vote was given.
    granted: bool,
    /// The last index up to which the log is said to be the leader's.
    matched: Option<u64>,
    epoch: u64,
    voted_for: Option<NodeId>,
    log: Vec<u64>,
    committed: u64,
}

impl Situation {
    fn drawn(random: &mut Xoshiro256PlusPlus) -> Self {
        let mut shared = Vec::new();
        let mut epoch = 1;
        for _ in 0..random.random_range(0..5) {
            epoch += random.random_range(0..3);
            shared.push(epoch);
        }
        // Behind what they share, no epoch is in both logs.
        let mut branch = |first: u64| {
            let (mut log, mut epoch) = (shared.clone(), first);
            for _ in 0..random.random_range(0..4) {
                log.push(epoch);
                epoch += 2 * random.random_range(0..2);
            }
            log
        };
        let (odd, even) = (epoch + 1 + epoch % 2, epoch + 2 - epoch % 2);
        let (log, leaders_log) = (branch(odd), branch(even));
        let last = |log: &[u64]| log.last().copied().unwrap_or(0);
        let leaders_epoch = last(&leaders_log).max(even) + 2 * random.random_range(0..3);
        let voted_for = [None, Some(OTHERS[0]), Some(OTHERS[1])][random.random_range(0..3)];
        Situation {
            epoch: last(&log).max(1) + random.random_range(0..5),
            voted_for,
            log,
            leaders_log,
            leaders_epoch,
        }
    }

    /// A message that could come now.
    fn told(&self, random: &mut Xoshiro256PlusPlus, now: &Answered) -> Told {
        if random.random_range(0..2) == 0 {
            let logs = [&now.log, &self.leaders_log];
            let log = logs[random.random_range(0..2)];
            let mut last = id_at(log, random.random_range(0..=log.len()));
            if random.random_range(0..4) == 0 {
                last.index += random.random_range(1..3);
            }
            let epoch = (now.epoch + random.random_range(0..4)).saturating_sub(1);
            let epoch = epoch.max(last.claim.epoch).max(1);
            return Told::Vote { from: OTHERS[random.random_range(0..2)], epoch, last };
        }
        let length = self.leaders_log.len();
        let prev = random.random_range((now.committed as usize).min(length)..=length);
        let count = random.random_range(0..=length - prev);
        Told::Append { prev, count, committed: random.random_range(0..=length) }
    }
}

/// This core.
struct Ours {
    core: Core,
    now: Now,
}

impl Ours {
    fn new(situation: &Situation, settings: &Settings) -> Self {
        let Situation { log, epoch, voted_for, .. } = situation;
        let claim = id_at(log, log.len()).claim;
        let hard =
            HardState { epoch: *epoch, voted_for: *voted_for, claim, ..HardState::default() };
        let entries = (1..=log.len()).map(|index| Note::Entry(entry_at(log, index)));
        let notes = [Note::Member(Member::founder()), Note::Hard(hard)].into_iter().chain(entries);
        let remembered = Remembered::replay(Saved::default(), false, notes);
        let remembered = remembered.expect("a situation makes sense");
        let now = Duration::ZERO;
        Ours { core: Core::new(ME, OTHERS.into(), settings.clone(), remembered, 1, now), now }
    }

    fn look(&self, granted: bool, matched: Option<u64>) -> Answered {
        let core = &self.core;
        Answered {
            granted,
            matched,
            epoch: core.hard.epoch,
            voted_for: core.hard.voted_for,
            log: core.entries.after(0).map(|entry| entry.id.claim.epoch).collect(),
            committed: core.committed,
        }
    }

    fn hear(&mut self, situation: &Situation, told: &Told) -> Answered {
        let (from, message) = match told {
            Told::Vote { from, epoch, last } => {
                (*from, Message::Vote { epoch: *epoch, last: *last })
            }
            Told::Append { prev, count, committed } => {
                let log = &situation.leaders_log;
                let claim = claim_of(situation.leaders_epoch);
                let entries = (prev + 1..=prev + count).map(|index| entry_at(log, index));
                let message = Message::Append {
                    claim,
                    round: 1,
                    prev: id_at(log, *prev),
                    entries: entries.collect(),
                    committed: *committed as u64,
                    vouched: Vouched::default(),
                };
                (claim.leader, message)
            }
        };
        let (mut granted, mut matched) = (false, None);
        let mut inputs = vec![Input::Message { from, message }];
        while let Some(input) = inputs.pop() {
            self.core.step(self.now, input);
            for effect in self.core.finish(self.now) {
                match effect {
                    Effect::Persist { token, .. } => inputs.push(Input::Flushed(token)),
                    Effect::Send { message: Message::VoteReply { granted: is, .. }, .. } => {
                        granted = is;
                    }
                    Effect::Send { message: Message::Matched { upto, .. }, .. } => {
                        matched = Some(upto.index);
                    }
                    _ => {}
                }
            }
        }
        self.look(granted, matched)
    }
}

/// Theirs.
struct Theirs(raft::Raft<MemStorage>);

impl Theirs {
    fn new(situation: &Situation) -> Self {
        let Situation { log, epoch, voted_for, .. } = situation;
        let storage = MemStorage::new_with_conf_state((vec![1, 2, 3], vec![]));
        let hard = TheirHardState {
            term: *epoch,
            vote: voted_for.map_or(0, |node| node.0.into()),
            ..TheirHardState::default()
        };
        storage.wl().set_hardstate(hard);
        let entries: Vec<TheirEntry> =
            (1..=log.len()).map(|index| their_entry(log, index)).collect();
        storage.wl().append(&entries).expect("a situation makes sense");
        let config = raft::Config::new(ME.0.into());
        let logger = slog::Logger::root(slog::Discard, slog::o!());
        let raft = raft::Raft::new(&config, storage, &logger);
        Theirs(raft.expect("a situation makes sense"))
    }

    fn hear(&mut self, situation: &Situation, told: &Told) -> Answered {
        let mut message = TheirMessage { to: ME.0.into(), ..TheirMessage::default() };
        match told {
            Told::Vote { from, epoch, last } => {
                message.set_msg_type(MessageType::MsgRequestVote);
                (message.from, message.term) = (from.0.into(), *epoch);
                (message.index, message.log_term) = (last.index, last.claim.epoch);
            }
            Told::Append { prev, count, committed } => {
                let log = &situation.leaders_log;
                message.set_msg_type(MessageType::MsgAppend);
                let epoch = situation.leaders_epoch;
                (message.from, message.term) = (leader_of(epoch).0.into(), epoch);
                let prev_id = id_at(log, *prev);
                (message.index, message.log_term) = (prev_id.index, prev_id.claim.epoch);
                message.commit = *committed as u64;
                let entries = (prev + 1..=prev + count).map(|index| their_entry(log, index));
                message.set_entries(entries.collect::<Vec<_>>().into());
            }
        }
        self.0.step(message).expect("a message from a member");
        assert_eq!(self.0.state, StateRole::Follower);
        let (mut granted, mut matched) = (false, None);
        for answer in std::mem::take(&mut self.0.msgs) {
            match answer.get_msg_type() {
                MessageType::MsgRequestVoteResponse => granted = !answer.reject,
                MessageType::MsgAppendResponse if !answer.reject => matched = Some(answer.index),
                _ => {}
            }
        }
        Answered {
            granted,
            matched,
            epoch: self.0.term,
            voted_for: (self.0.vote != 0).then(|| NodeId(self.0.vote as u16)),
            log: self.0.raft_log.all_entries().iter().map(|entry| entry.term).collect(),
            committed: self.0.raft_log.committed,
        }
    }
}

fn their_entry(log: &[u64], index: usize) -> TheirEntry {
    TheirEntry { term: log[index - 1], index: index as u64, ..TheirEntry::default() }
}

/// How often what came, so that an empty comparison does not count as one.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    granted: u32,
    refused: u32,
    matched: u32,
    mismatched: u32,
    cut: u32,
    /// The vote that only raft-rs refuses.
    stricter: u32,
}

/// One situation and what comes of it, in both.
fn compare(seed: u64, settings: &Settings, tally: &mut Tally) -> Result<(), String> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let situation = Situation::drawn(&mut random);
    let (mut ours, mut theirs) = (Ours::new(&situation, settings), Theirs::new(&situation));
    let mut now = ours.look(false, None);
    let mut story = Vec::new();
    for _ in 0..random.random_range(1..6) {
        let told = situation.told(&mut random, &now);
        story.push(told.clone());
        let leader_is_heard = theirs.0.leader_id != 0;
        let (our, their) = (ours.hear(&situation, &told), theirs.hear(&situation, &told));
        if our != their {
            let knows_leader = leader_is_heard && now.epoch == our.epoch;
            let late = Answered { granted: false, voted_for: None, ..our.clone() };
            if our.granted && now.voted_for.is_none() && knows_leader && their == late {
                tally.stricter += 1;
                return Ok(());
            }
            return Err(format!(
                "seed {seed}: {situation:?}, told {story:?}\n  before {now:?}\n  this core {our:?}\n  \
                 raft-rs   {their:?}"
            ));
        }
        match (&told, our.matched) {
            (Told::Vote { .. }, _) if our.granted => tally.granted += 1,
            (Told::Vote { .. }, _) => tally.refused += 1,
            (Told::Append { .. }, Some(_)) => tally.matched += 1,
            (Told::Append { .. }, None) => tally.mismatched += 1,
        }
        tally.cut += u32::from(!our.log.starts_with(&now.log));
        now = our;
    }
    Ok(())
}

const SITUATIONS: u64 = 5000;

fn raft_with(plants: Plants) -> Settings {
    Settings { plants, ..Settings::profile("raft").expect("it exists") }
}

#[test]
fn raft_rs_gives_the_same_votes_and_joins_and_cuts_logs_at_the_same_places() {
    let (settings, mut tally) = (raft_with(Plants::NONE), Tally::default());
    for seed in 0..SITUATIONS {
        if let Err(difference) = compare(seed, &settings, &mut tally) {
            panic!("{difference}");
        }
    }
    let Tally { granted, refused, matched, mismatched, cut, stricter } = tally;
    let seldom = [granted, refused, matched, mismatched, cut].into_iter().min();
    assert!(seldom > Some(300), "{tally:?}");
    assert!(stricter < granted / 10, "{tally:?}");
}

#[test]
fn raft_rs_differs_from_a_core_with_a_planted_bug() {
    for plant in [
        Plant::VoteTwice,
        Plant::LongerLogWins,
        Plant::AcceptLowerEpoch,
        Plant::TruncateWithoutConflict,
        Plant::CommitUnmatched,
    ] {
        let settings = raft_with(Plants::NONE.with(plant));
        let differs = |seed| compare(seed, &settings, &mut Tally::default()).is_err();
        assert!((0..SITUATIONS).any(differs), "{plant:?} makes no difference");
    }
}
