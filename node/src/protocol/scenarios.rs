//! Written-out schedules: the known traps of replication, one test each, and the two protections
//! whose absence chance alone hardly ever punishes.

mod acknowledge;
mod carried;
mod configuration;
mod demote;
mod elections;
mod lease;
mod membership;
mod paxos;
mod planted;
mod reads;
mod relay;
mod suspicion;
mod topology;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::*;
use crate::state::{Answer, Command, Query};

/// Cores on a bench: every message and every flush happens when the test says so.
struct Bench {
    cores: BTreeMap<NodeId, Core>,
    wires: VecDeque<(NodeId, NodeId, Message)>,
    unflushed: VecDeque<(NodeId, Token)>,
    /// Snapshots on their way to disk.
    unsaved: VecDeque<(NodeId, u64)>,
    /// What was asked of the lock service.
    locks: Vec<(NodeId, u64, LockAsk)>,
    replies: BTreeMap<RequestId, Outcome>,
    now: Now,
}

const N1: NodeId = NodeId(1);
const N2: NodeId = NodeId(2);
const N3: NodeId = NodeId(3);

impl Bench {
    fn new(nodes: u16, overrides: &[&str]) -> Self {
        let overrides: Vec<String> = overrides.iter().map(ToString::to_string).collect();
        let settings = Settings::resolve("raft", &overrides).expect("the settings make sense");
        Bench::with(nodes, &settings)
    }

    fn with(nodes: u16, settings: &Settings) -> Self {
        let all = || (1..=nodes).map(NodeId);
        let core = |me: NodeId| {
            let peers = all().filter(|peer| *peer != me).collect();
            let remembered = Remembered::founder();
            Core::new(me, peers, settings.clone(), remembered, me.0.into(), Duration::ZERO)
        };
        Bench {
            cores: all().map(|me| (me, core(me))).collect(),
            wires: VecDeque::new(),
            unflushed: VecDeque::new(),
            unsaved: VecDeque::new(),
            locks: Vec::new(),
            replies: BTreeMap::new(),
            now: Duration::ZERO,
        }
    }

    fn step(&mut self, node: NodeId, input: Input) {
        let core = self.cores.get_mut(&node).expect("it exists");
        core.step(self.now, input);
        for effect in core.finish(self.now) {
            match effect {
                Effect::Send { to, message } => self.wires.push_back((node, to, message)),
                Effect::Persist { token, .. } => self.unflushed.push_back((node, token)),
                Effect::Reply { id, outcome } => drop(self.replies.insert(id, outcome)),
                Effect::Save { number, .. } => self.unsaved.push_back((node, number)),
                Effect::Lock { number, ask } => self.locks.push((node, number, ask)),
                Effect::Archive { .. }
                | Effect::Purge { .. }
                | Effect::Members(_)
                | Effect::Report(_) => {}
            }
        }
    }

    fn flush(&mut self, node: NodeId) {
        let (due, rest) = self.unflushed.drain(..).partition(|(owner, _)| *owner == node);
        self.unflushed = rest;
        let due: VecDeque<(NodeId, Token)> = due;
        for (_, token) in due {
            self.step(node, Input::Flushed(token));
        }
    }

    /// Delivers what is on the wires among some nodes, and flushes their disks, until all is quiet
    /// among them. Everything else stays on the wires.
    fn settle(&mut self, among: &[NodeId]) {
        loop {
            for node in among {
                self.flush(*node);
            }
            let at = self.wires.iter().position(|(a, b, _)| among.contains(a) && among.contains(b));
            let Some(at) = at else { return };
            let (from, to, message) = self.wires.remove(at).expect("it was found");
            self.step(to, Input::Message { from, message });
        }
    }

    /// The first message on the wires from one node to another.
    fn take(&mut self, from: NodeId, to: NodeId) -> (NodeId, NodeId, Message) {
        let at = self.wires.iter().position(|(a, b, _)| (*a, *b) == (from, to));
        at.and_then(|at| self.wires.remove(at)).expect("it was sent")
    }

    fn lose(&mut self, lost: impl Fn(NodeId, NodeId) -> bool) {
        self.wires.retain(|(from, to, _)| !lost(*from, *to));
    }

    /// Lets a node lose patience and stand for election among some nodes.
    fn elect(&mut self, node: NodeId, among: &[NodeId]) {
        let patience = self.cores[&node].settings.election_timeout_max();
        self.now = (self.now + patience).max(self.cores[&node].next_timer());
        self.cores.get_mut(&node).expect("it exists").suspicion.deadline = self.now;
        self.step(node, Input::Tick);
        self.settle(among);
    }

    /// Lets a node win an election with the vote of one other, and stops as soon as it leads: what
    /// it then says is still on the wires.
    fn win(&mut self, node: NodeId, voter: NodeId) {
        self.now += self.cores[&node].settings.election_timeout_max();
        self.cores.get_mut(&node).expect("it exists").suspicion.deadline = self.now;
        self.step(node, Input::Tick);
        let both = [node, voter];
        for _ in 0..20 {
            self.flush(node);
            self.flush(voter);
            if self.role(node) == RoleName::Leader {
                return;
            }
            let at = self.wires.iter().position(|(a, b, _)| both.contains(a) && both.contains(b));
            let (from, to, message) =
                at.and_then(|at| self.wires.remove(at)).expect("an election goes on");
            self.step(to, Input::Message { from, message });
        }
        panic!("{node} does not win");
    }

    fn put(&mut self, node: NodeId, id: RequestId) {
        let command = Command::Put { key: "k".into(), value: id.to_string().into() };
        self.request(node, id, Request::Write(command.into()));
    }

    fn read(&mut self, node: NodeId, id: RequestId) {
        self.request(node, id, Request::Read(Query::Get { key: "k".into() }));
    }

    fn request(&mut self, node: NodeId, id: RequestId, request: Request) {
        let deadline = self.now + Duration::from_secs(1);
        self.step(node, Input::Request { id, request, deadline });
    }

    fn role(&self, node: NodeId) -> RoleName {
        self.cores[&node].role_name()
    }

    fn value(&self, id: RequestId) -> Option<String> {
        match self.replies.get(&id)? {
            Outcome::Done { answer: Answer::Value(value), .. } => value.as_deref().map(Into::into),
            _ => None,
        }
    }

    fn is_done(&self, id: RequestId) -> bool {
        matches!(self.replies.get(&id), Some(Outcome::Done { .. }))
    }
}

/// n1 leads and is cut off from n2. n3 votes for n2, which wins, but n2's first message to n3 is
/// slow: then n3 is sent an entry by n1.
fn a_deposed_leader_reaches_a_voter_first(fencing: &[&str]) -> Bench {
    let mut bench = Bench::new(3, fencing);
    bench.elect(N1, &[N1, N2, N3]);
    bench.put(N1, 1);
    bench.settle(&[N1, N2, N3]);
    assert!(bench.is_done(1));
    bench.win(N2, N3);
    bench.lose(|from, to| from == N2 && to == N1);
    bench.put(N1, 2);
    bench.settle(&[N1, N3]);
    bench
}

#[test]
fn with_fencing_a_deposed_leader_acknowledges_nothing() {
    let bench = a_deposed_leader_reaches_a_voter_first(&[]);
    assert!(!bench.is_done(2));
    assert_eq!(bench.role(N1), RoleName::Follower);
    let Some(Outcome::Failed(failure)) = bench.replies.get(&2) else { panic!("it was refused") };
    assert_eq!((failure.kind, failure.definite), (FailureKind::LeadershipLost, false));
}

#[test]
fn without_fencing_a_deposed_leader_acknowledges_what_its_successor_erases() {
    let overrides = ["fencing=off"];
    let mut bench = a_deposed_leader_reaches_a_voter_first(&overrides);
    assert!(bench.is_done(2), "n1 has a majority with n3");
    bench.now += Duration::from_millis(100);
    bench.step(N2, Input::Tick);
    bench.settle(&[N1, N2, N3]);
    bench.read(N2, 3);
    bench.settle(&[N1, N2, N3]);
    assert_eq!(bench.value(3).as_deref(), Some("1"), "the acknowledged 2 is gone");
}

/// Figure 8 of the Raft paper. n1 leads epoch 1 and its entry reaches only n2; n5 leads epoch 2
/// and its entry reaches nobody; n1 leads again and its old entry reaches n3, so a majority holds
/// it; then n5 leads again, elected by nodes whose last entry is older than its own.
fn figure_8(settings: &Settings) -> Bench {
    let (n4, n5) = (NodeId(4), NodeId(5));
    let all = [N1, N2, N3, n4, n5];
    let mut bench = Bench::with(5, settings);
    bench.elect(N1, &all);
    bench.put(N1, 1);
    bench.settle(&[N1, N2]);
    bench.wires.clear();
    assert!(!bench.is_done(1));

    bench.elect(n5, &[N3, n4, n5]);
    assert_eq!(bench.role(n5), RoleName::Leader);
    bench.put(n5, 2);
    bench.flush(n5);
    bench.wires.clear();

    bench.elect(N1, &[N1, N2, N3]);
    if bench.role(N1) != RoleName::Leader {
        // Its first try only taught it the epoch.
        bench.elect(N1, &[N1, N2, N3]);
    }
    assert_eq!(bench.role(N1), RoleName::Leader);
    bench
}

#[test]
fn without_commit_own_epoch_what_was_counted_is_erased() {
    let settings = Settings::resolve("raft", &["commit-own-epoch=off".to_string()]);
    what_was_counted_is_erased(&settings.expect("the settings make sense"));
}

fn what_was_counted_is_erased(settings: &Settings) {
    let (n4, n5) = (NodeId(4), NodeId(5));
    let mut bench = figure_8(settings);
    let counted = bench.cores[&N1].entries.last();
    let epoch = bench.cores[&N1].epoch();
    assert!(counted.claim.epoch < epoch, "without an entry of its own");
    assert_eq!(bench.cores[&N1].committed, counted.index, "the old entry was counted");
    bench.wires.clear();
    for _ in 0..5 {
        if bench.role(n5) != RoleName::Leader || bench.cores[&n5].epoch() < epoch {
            bench.elect(n5, &[N2, N3, n4, n5]);
        }
    }
    assert!(bench.role(n5) == RoleName::Leader && bench.cores[&n5].epoch() > epoch);
    assert!(!bench.cores[&N2].entries.contains(counted), "a committed entry is gone");
}

#[test]
fn an_entry_of_an_earlier_epoch_is_committed_only_together_with_one_of_the_leaders_own() {
    let mut bench = Bench::new(3, &[]);
    bench.elect(N1, &[N1, N2, N3]);
    bench.put(N1, 1);
    bench.lose(|_, to| to == N3);
    let (from, to, message) = bench.wires.pop_front().expect("n2 is sent the entry");
    bench.step(to, Input::Message { from, message });
    bench.flush(N2);
    bench.wires.clear();
    bench.win(N2, N3);
    bench.wires.clear();
    let (claim, before) = (bench.cores[&N2].hard.claim, bench.cores[&N2].committed);
    let own = bench.cores[&N2].entries.last();
    let old = bench.cores[&N2].entries.id_at(own.index - 1).expect("the entry of n1");
    assert!(old.claim < claim && own.claim == claim && before < old.index);
    for (upto, committed) in [(old, before), (own, own.index)] {
        let message = Message::Matched { claim, round: 1, life: 0, upto };
        bench.step(N2, Input::Message { from: N3, message });
        bench.flush(N2);
        assert_eq!(bench.cores[&N2].committed, committed);
    }
}

#[test]
fn a_vote_is_given_when_it_is_on_disk_and_not_before() {
    let mut bench = Bench::new(3, &[]);
    let vote = Message::Vote { epoch: 7, last: EntryId::ORIGIN };
    bench.step(N2, Input::Message { from: N1, message: vote });
    assert!(bench.wires.is_empty(), "the vote waits for the disk");
    bench.flush(N2);
    let granted = Message::VoteReply { epoch: 7, granted: true };
    assert_eq!(bench.wires.pop_front(), Some((N2, N1, granted)));
}

#[test]
fn an_acknowledgement_waits_for_the_disk_and_the_leader_counts_its_own_disk_too() {
    let mut bench = Bench::new(3, &[]);
    bench.elect(N1, &[N1, N2, N3]);
    bench.put(N1, 1);
    bench.lose(|_, to| to == N3);
    let (from, to, message) = bench.wires.pop_front().expect("n2 is sent the entry at once");
    bench.step(to, Input::Message { from, message });
    let acks = |bench: &Bench| {
        bench.wires.iter().filter(|(_, _, m)| matches!(m, Message::Matched { .. })).count()
    };
    assert_eq!(acks(&bench), 0, "n2's disk has not got it");
    bench.flush(N2);
    assert_eq!(acks(&bench), 1);
    let (from, to, message) = bench.wires.pop_back().expect("the acknowledgement");
    bench.step(to, Input::Message { from, message });
    assert!(!bench.is_done(1), "one disk is no majority");
    bench.flush(N1);
    assert!(bench.is_done(1));
}

#[test]
fn a_late_short_message_cuts_nothing_that_is_present() {
    let mut bench = Bench::new(3, &[]);
    bench.elect(N1, &[N1, N2, N3]);
    bench.put(N1, 1);
    let late = bench.wires.iter().find(|(_, to, _)| *to == N2).cloned().expect("an append");
    bench.settle(&[N1, N2, N3]);
    bench.put(N1, 2);
    bench.settle(&[N1, N2, N3]);
    let last = bench.cores[&N2].entries.last();
    let (from, to, message) = late;
    bench.step(to, Input::Message { from, message });
    assert_eq!(bench.cores[&N2].entries.last(), last);
    assert_eq!(bench.cores[&N2].counters.truncated, 0);
}

#[test]
fn an_acknowledgement_of_an_earlier_leadership_moves_nothing() {
    let mut bench = Bench::new(3, &[]);
    bench.elect(N1, &[N1, N2, N3]);
    bench.put(N1, 1);
    bench.settle(&[N1, N2]);
    bench.wires.clear();
    let claim = bench.cores[&N1].hard.claim;
    let upto = bench.cores[&N1].entries.last();
    bench.elect(N2, &[N1, N2, N3]);
    bench.elect(N1, &[N1, N2, N3]);
    assert_eq!(bench.role(N1), RoleName::Leader);
    bench.wires.clear();
    bench.put(N1, 2);
    let before = bench.cores[&N1].view().followers;
    let later = EntryId { index: upto.index + 50, ..upto };
    for upto in [upto, later] {
        let message = Message::Matched { claim, round: u64::MAX, life: 0, upto };
        bench.step(N1, Input::Message { from: N3, message });
    }
    assert_eq!(bench.cores[&N1].view().followers, before);
}

#[test]
fn a_round_confirms_only_the_reads_that_arrived_before_it_was_sent() {
    let mut bench = Bench::new(3, &[]);
    bench.elect(N1, &[N1, N2, N3]);
    bench.put(N1, 1);
    bench.settle(&[N1, N2, N3]);
    bench.read(N1, 10);
    bench.lose(|_, to| to == N3);
    // The round of the first read is answered, and the answer is slow.
    let (from, to, message) = bench.wires.pop_front().expect("a round began");
    bench.step(to, Input::Message { from, message });
    bench.read(N1, 11);
    let (from, to, message) = bench.wires.pop_front().expect("the round's answer");
    bench.step(to, Input::Message { from, message });
    assert_eq!(bench.value(10).as_deref(), Some("1"));
    assert!(!bench.is_done(11), "its leader was confirmed before it arrived");
    bench.settle(&[N1, N2, N3]);
    assert_eq!(bench.value(11).as_deref(), Some("1"));
}

#[test]
fn a_leader_without_a_majority_answers_no_read_and_gives_up() {
    let mut bench = Bench::new(3, &[]);
    bench.elect(N1, &[N1, N2, N3]);
    bench.put(N1, 1);
    bench.settle(&[N1, N2, N3]);
    bench.read(N1, 10);
    for _ in 0..20 {
        bench.now += Duration::from_millis(50);
        bench.step(N1, Input::Tick);
        bench.wires.clear();
    }
    assert!(!bench.is_done(10));
    assert_eq!(bench.role(N1), RoleName::Follower);
    let Some(Outcome::Failed(failure)) = bench.replies.get(&10) else { panic!("it ended") };
    assert!(failure.definite, "a read that failed has no effect");
}

#[test]
fn a_forward_is_definite_only_if_it_was_not_sent() {
    let mut bench = Bench::new(3, &[]);
    bench.elect(N1, &[N1, N2, N3]);
    bench.settle(&[N1, N2, N3]);
    for (id, lost) in [(1, false), (2, true)] {
        bench.put(N2, id);
        let Some((_, _, Message::Forward { id: forward, .. })) = bench.wires.pop_back() else {
            panic!("n2 passes it on");
        };
        let input = if lost { Input::LinkLost(N1) } else { Input::Unsent(forward) };
        bench.step(N2, input);
        let Some(Outcome::Failed(failure)) = bench.replies.get(&id) else { panic!("it ended") };
        assert_eq!(failure.definite, !lost);
    }
}
