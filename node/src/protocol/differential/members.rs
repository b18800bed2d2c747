//! The same second opinion on who counts while members change: what a leader commits, who is
//! elected, and when a second change has to wait.
//!
//! raft-rs changes its members in another way, but one voter at a time it can: a change of a single
//! node is *simple* and needs no joint consensus (`ConfChangeV2::enter_joint`,
//! `Changer::simple`). It is proposed as an entry; the owner of the library applies it once that
//! entry is committed (`RawNode::apply_conf_change`), where this core counts it from when it is
//! appended (Raft thesis, section 4.1). Between the two moments the two count by different
//! configurations, and both are right. So here every change is confirmed by everybody before
//! anything else happens, and from then on both must count alike: whatever members, learners,
//! removed ones and strangers confirm or vote, in whatever order.
//!
//! Two more places where they differ, both safe. A new leader of raft-rs whose log is applied to
//! its end may begin a change at once (`become_leader` puts `pending_conf_index` there), where this
//! core first commits an entry of its own, since it counts what is not committed. And a leader of
//! raft-rs that is removed goes on leading (`post_conf_change` has a note on that); so none is.

use std::net::SocketAddr;

use raft::eraftpb::{ConfChangeSingle, ConfChangeType, ConfChangeV2, EntryType};
use raft::{GetEntriesContext, RawNode};

use super::*;
use crate::config::Settings;

/// Most nodes there are, members or not.
const NODES: u16 = 6;

/// What happens to both.
#[derive(Clone, Copy, Debug)]
enum Step {
    Write,
    /// A node has the leader's log up to an index on its disk.
    Confirm {
        from: NodeId,
        upto: u64,
    },
    /// A node is added, as a learner and then a voter, or removed.
    Change(NodeId),
    /// The leader hears of a later epoch, and stands again.
    Stand,
    Vote(NodeId),
}

/// What must be the same in both.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Standing {
    leads: bool,
    epoch: u64,
    last: u64,
    committed: u64,
    voters: Vec<u64>,
}

struct Ours {
    core: Core,
    now: Now,
    requests: RequestId,
    /// What became of the last request.
    outcome: Option<Outcome>,
}

impl Ours {
    fn new(founders: u16, settings: &Settings) -> Self {
        let others = (2..=founders).map(NodeId).collect();
        let core = Core::new(ME, others, settings.clone(), Remembered::founder(), 1, Now::ZERO);
        Ours { core, now: Now::ZERO, requests: 0, outcome: None }
    }

    fn feed(&mut self, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            self.core.step(self.now, input);
            for effect in self.core.finish(self.now) {
                match effect {
                    Effect::Persist { token, .. } => inputs.push(Input::Flushed(token)),
                    Effect::Reply { outcome, .. } => self.outcome = Some(outcome),
                    _ => {}
                }
            }
        }
    }

    fn ask(&mut self, request: Request) {
        (self.requests, self.outcome) = (self.requests + 1, None);
        let deadline = self.now + Duration::from_secs(60);
        self.feed(Input::Request { id: self.requests, request, deadline });
    }

    fn write(&mut self) {
        let value = self.requests.to_string().into();
        self.ask(Request::Write(Command::Put { key: "k".into(), value }.into()));
    }

    fn change(&mut self, node: NodeId) {
        let address = SocketAddr::from(([127, 0, 0, 1], node.0));
        let change = match self.core.configured.members.seat(node) {
            Some(_) => ConfigurationChange::Remove { node },
            None => ConfigurationChange::Add { node, address },
        };
        self.ask(Request::Configure(change));
    }

    /// Whether the last request was refused, for now.
    fn is_put_off(&self) -> bool {
        matches!(&self.outcome,
            Some(Outcome::Failed(failure)) if failure.kind == FailureKind::ChangeInProgress)
    }

    fn confirm(&mut self, from: NodeId, upto: u64) {
        let Role::Leader(leader) = &self.core.role else { return };
        let upto = self.core.entries.id_at(upto).expect("it is in the log");
        let message = Message::Matched { claim: leader.claim, round: 1, life: 1, upto };
        self.feed(Input::Message { from, message });
    }

    fn stand(&mut self) {
        let epoch = self.core.hard.epoch + 1;
        let message = Message::VoteReply { epoch, granted: false };
        self.feed(Input::Message { from: NodeId(2), message });
        self.ask(Request::Promote);
    }

    fn vote(&mut self, from: NodeId) {
        let message = Message::VoteReply { epoch: self.core.hard.epoch, granted: true };
        self.feed(Input::Message { from, message });
    }

    fn look(&self) -> Standing {
        Standing {
            leads: matches!(self.core.role, Role::Leader(_)),
            epoch: self.core.hard.epoch,
            last: self.core.entries.last_index(),
            committed: self.core.committed,
            voters: self.core.configured.members.voters().map(|node| node.0.into()).collect(),
        }
    }
}

/// Theirs, with its owner: what is unstable is on disk at once, and what is committed is applied.
struct Theirs {
    node: RawNode<MemStorage>,
    /// Changes that were proposed, by index.
    proposed: Vec<(u64, ConfChangeV2)>,
}

impl Theirs {
    fn new(founders: u16) -> Self {
        let voters: Vec<u64> = (1..=u64::from(founders)).collect();
        let storage = MemStorage::new_with_conf_state((voters, vec![]));
        let logger = slog::Logger::root(slog::Discard, slog::o!());
        let node = RawNode::new(&raft::Config::new(ME.0.into()), storage, &logger);
        Theirs { node: node.expect("it makes sense"), proposed: Vec::new() }
    }

    /// What an owner does after every step.
    fn settle(&mut self) {
        let raft = &mut self.node.raft;
        raft.msgs.clear();
        let unstable = raft.raft_log.unstable_entries().to_vec();
        if let Some(last) = unstable.last() {
            raft.mut_store().wl().append(&unstable).expect("it follows");
            raft.raft_log.stable_entries(last.index, last.term);
            raft.on_persist_entries(last.index, last.term);
        }
        while let Some((_, change)) =
            self.proposed.pop_if(|(at, _)| *at <= self.node.raft.raft_log.committed)
        {
            self.node.apply_conf_change(&change).expect("a simple change");
        }
        let committed = self.node.raft.raft_log.committed;
        self.node.raft.commit_apply(committed);
    }

    fn write(&mut self) {
        self.node.propose(Vec::new(), Vec::new()).expect("it leads");
        self.settle();
    }

    /// Proposes a change of one node. Whether it was put off: an empty entry takes its place then.
    fn propose(&mut self, node: NodeId, kind: ConfChangeType) -> bool {
        let mut single = ConfChangeSingle { node_id: node.0.into(), ..Default::default() };
        single.set_change_type(kind);
        let change = ConfChangeV2 { changes: vec![single].into(), ..Default::default() };
        assert_eq!(change.enter_joint(), None, "one node at a time is simple");
        self.node.propose_conf_change(Vec::new(), change.clone()).expect("it leads");
        let at = self.node.raft.raft_log.last_index();
        let entry =
            self.node.raft.raft_log.slice(at, at + 1, None, GetEntriesContext::empty(false));
        let put_off = entry.expect("it was appended")[0].get_entry_type() == EntryType::EntryNormal;
        if !put_off {
            self.proposed.push((at, change));
        }
        self.settle();
        put_off
    }

    fn confirm(&mut self, from: NodeId, upto: u64) {
        self.tell(from, MessageType::MsgAppendResponse, self.node.raft.term, upto);
    }

    fn stand(&mut self) {
        let mut refusal = TheirMessage { from: 2, to: ME.0.into(), ..Default::default() };
        refusal.set_msg_type(MessageType::MsgRequestVoteResponse);
        (refusal.term, refusal.reject) = (self.node.raft.term + 1, true);
        self.node.raft.step(refusal).expect("it is heard");
        self.node.campaign().expect("it may");
        self.settle();
    }

    fn vote(&mut self, from: NodeId) {
        self.tell(from, MessageType::MsgRequestVoteResponse, self.node.raft.term, 0);
    }

    fn tell(&mut self, from: NodeId, kind: MessageType, term: u64, index: u64) {
        let mut message = TheirMessage {
            from: from.0.into(),
            to: ME.0.into(),
            term,
            index,
            ..Default::default()
        };
        message.set_msg_type(kind);
        self.node.raft.step(message).expect("it is heard, or not");
        self.settle();
    }

    fn look(&self) -> Standing {
        let raft = &self.node.raft;
        let mut voters: Vec<u64> = raft.prs().conf().voters().ids().iter().collect();
        voters.sort_unstable();
        Standing {
            leads: raft.state == StateRole::Leader,
            epoch: raft.term,
            last: raft.raft_log.last_index(),
            committed: raft.raft_log.committed,
            voters,
        }
    }
}

/// What came, so that an empty comparison does not count as one.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    /// Commits that waited for more than one confirmation.
    committed: u32,
    elected: u32,
    added: u32,
    removed: u32,
    put_off: u32,
    /// Confirmations and votes of nodes that are no voters.
    strangers: u32,
}

struct Pair {
    ours: Ours,
    theirs: Theirs,
}

impl Pair {
    fn both(&mut self, ours: impl FnOnce(&mut Ours), theirs: impl FnOnce(&mut Theirs)) {
        ours(&mut self.ours);
        theirs(&mut self.theirs);
    }

    fn everybody_confirms(&mut self) {
        let last = self.theirs.look().last;
        for from in (2..=NODES).map(NodeId) {
            self.both(|ours| ours.confirm(from, last), |theirs| theirs.confirm(from, last));
        }
    }

    /// Adds or removes a node; a second change, of another, has to wait in both. `Err` says that it
    /// had to in one only.
    fn change(&mut self, node: NodeId, other: NodeId, tally: &mut Tally) -> Result<(), String> {
        self.everybody_confirms();
        let before = self.ours.core.configured.voters;
        let adds = self.ours.core.configured.members.seat(node).is_none();
        self.ours.change(node);
        if self.ours.look().last == self.theirs.look().last {
            // It would leave nobody, or is another that this core refuses for good.
            return Ok(());
        }
        let kind = if adds { ConfChangeType::AddLearnerNode } else { ConfChangeType::RemoveNode };
        if self.theirs.propose(node, kind) {
            return Err(format!("raft-rs puts the change of {node} off"));
        }
        // Whoever is alone after a removal has settled it at once, since it counts already.
        if adds && before > 1 || before > 2 {
            self.ours.change(other);
            let put_off = self.theirs.propose(other, ConfChangeType::AddLearnerNode);
            if put_off != self.ours.is_put_off() {
                return Err(format!("a second change is put off in one: {put_off} in raft-rs"));
            }
            tally.put_off += 1;
            self.ours.write();
        }
        self.everybody_confirms();
        if adds {
            // The leader has made the learner a voter; of raft-rs that is its owner's business.
            if self.theirs.propose(node, ConfChangeType::AddNode) {
                return Err(format!("raft-rs puts the seat of {node} off"));
            }
            self.everybody_confirms();
        }
        if adds {
            tally.added += 1
        } else {
            tally.removed += 1
        }
        Ok(())
    }

    fn step(
        &mut self,
        step: Step,
        random: &mut Xoshiro256PlusPlus,
        tally: &mut Tally,
    ) -> Result<(), String> {
        let before = self.ours.look();
        let is_stranger = |node: NodeId| !before.voters.contains(&node.0.into());
        match step {
            Step::Write => self.both(Ours::write, Theirs::write),
            Step::Confirm { from, upto } => {
                self.both(|ours| ours.confirm(from, upto), |theirs| theirs.confirm(from, upto));
                tally.strangers += u32::from(is_stranger(from));
                tally.committed += u32::from(self.ours.look().committed > before.committed);
            }
            Step::Change(node) => {
                let other = NodeId(random.random_range(2..=NODES) + NODES);
                self.change(node, other, tally)?;
            }
            Step::Stand => self.both(Ours::stand, Theirs::stand),
            Step::Vote(from) => {
                self.both(|ours| ours.vote(from), |theirs| theirs.vote(from));
                tally.strangers += u32::from(is_stranger(from));
                tally.elected += u32::from(self.ours.look().leads);
            }
        }
        let (ours, theirs) = (self.ours.look(), self.theirs.look());
        if ours == theirs {
            return Ok(());
        }
        Err(format!("before {before:?}\n  this core {ours:?}\n  raft-rs   {theirs:?}"))
    }
}

/// One situation and what comes of it, in both.
fn compare(seed: u64, settings: &Settings, tally: &mut Tally) -> Result<(), String> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let founders = random.random_range(1..=5);
    let mut pair = Pair { ours: Ours::new(founders, settings), theirs: Theirs::new(founders) };
    let mut story = Vec::new();
    for _ in 0..random.random_range(10..40) {
        let other = NodeId(random.random_range(2..=NODES));
        let Standing { leads, last, .. } = pair.ours.look();
        let step = match random.random_range(0..10) {
            _ if !leads => match story.last() {
                Some(Step::Stand | Step::Vote(_)) if random.random_range(0..8) > 0 => {
                    Step::Vote(other)
                }
                _ => Step::Stand,
            },
            0..3 => Step::Write,
            3..8 => Step::Confirm { from: other, upto: random.random_range(1..=last) },
            8 => Step::Change(other),
            _ => Step::Stand,
        };
        story.push(step);
        pair.step(step, &mut random, tally)
            .map_err(|why| format!("seed {seed}: {founders} founders, {story:?}\n  {why}"))?;
    }
    Ok(())
}

#[test]
fn raft_rs_counts_the_same_confirmations_and_votes_while_members_change() {
    let (settings, mut tally) = (raft_with(Plants::NONE), Tally::default());
    for seed in 0..SITUATIONS {
        if let Err(difference) = compare(seed, &settings, &mut tally) {
            panic!("{difference}");
        }
    }
    let Tally { committed, elected, added, removed, put_off, strangers } = tally;
    let seldom = [committed, elected, added, removed, put_off, strangers].into_iter().min();
    assert!(seldom > Some(300), "{tally:?}");
}

#[test]
fn raft_rs_differs_from_a_core_that_counts_wrongly() {
    for plant in [
        Plant::ElectByHalf,
        Plant::AcknowledgeBeforeReplication,
        Plant::CommitOlderEpoch,
        Plant::ChangeTwiceAtOnce,
    ] {
        let settings = raft_with(Plants::NONE.with(plant));
        let differs = |seed| compare(seed, &settings, &mut Tally::default()).is_err();
        assert!((0..SITUATIONS).any(differs), "{plant:?} makes no difference");
    }
}
