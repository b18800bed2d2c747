//! Locks against the brute force over many random small histories, and golden texts: one history written
//! by hand for each anomaly, what is said of it, and whether the brute force agrees.

use rand::RngExt;

use crate::checker::golden::told;
use crate::checker::testing::{file, header, history, is_possible};
use crate::history::{History, Micros, Operation, OperationId, Operations, Stamp};
use crate::operation::{
    ClientId, Consistency, Key, NodeId, Op, Outcome, Reason, Reply, Token, Value,
};
use crate::seed::{Seed, Stream};
use crate::verdict::{Judgement, Verdict};
use crate::watch::tests::watched;
use crate::workload::{self, judge};

/// Enough to meet every anomaly often, in some seconds.
const CASES: usize = 20_000;

/// A lock service that is right, and the resource that its lock protects.
struct Service {
    held: Option<Held>,
    next_token: u64,
    value: Option<Value>,
    greatest: u64,
    /// Whether mostly the resource is asked, under any token.
    is_resource: bool,
}

struct Held {
    holder: ClientId,
    token: Token,
    ttl: u64,
    until: u64,
}

impl Service {
    /// What it answers to something sent at one time that takes effect at a later one.
    fn answer(&mut self, random: &mut Stream, op: &Op, (sent, now): (u64, u64)) -> Reply {
        let over = self.held.as_ref().is_some_and(|held| held.until <= now);
        if over && random.random_range(0..3) > 0 {
            self.held = None;
        }
        // A holder relies on the earlier one, and a service may be as late as it likes.
        let from = [sent, now][random.random_range(0..2)];
        match op {
            Op::Acquire { holder, ttl_ms, .. } => {
                let ttl = u64::from(*ttl_ms);
                let next = &mut self.next_token;
                let held = self.held.get_or_insert_with(|| {
                    *next += 1;
                    Held { holder: *holder, token: Token(*next), ttl, until: 0 }
                });
                if held.holder == *holder {
                    held.until = held.until.max(from + held.ttl);
                    return Reply::Granted { token: held.token };
                }
                Reply::Denied { holder: held.holder, token: held.token }
            }
            Op::Renew { holder, token, .. } => match &mut self.held {
                Some(held) if held.holder == *holder && held.token == *token => {
                    held.until = held.until.max(from + held.ttl);
                    Reply::WasHeld(true)
                }
                _ => Reply::WasHeld(false),
            },
            Op::Release { holder, token, .. } => {
                let is_it = |held: &mut Held| held.holder == *holder && held.token == *token;
                Reply::WasHeld(self.held.take_if(is_it).is_some())
            }
            Op::WriteGuarded { value, token, .. } if token.0 >= self.greatest => {
                self.greatest = token.0;
                self.value = Some(*value);
                Reply::Written
            }
            Op::WriteGuarded { .. } => Reply::StaleToken,
            _ => Reply::Read(self.value),
        }
    }

    /// What somebody asks next, who has heard of the last tokens.
    fn asked(&self, random: &mut Stream, number: u32, holders: &[(ClientId, Token)]) -> Op {
        let lock = Key::new("l0");
        let resource = Key::new("g0");
        let held = holders.get(random.random_range(0..=holders.len())).copied();
        let (holder, mut token) = held.unwrap_or((ClientId(number), Token(self.next_token)));
        if self.is_resource {
            token = Token(random.random_range(1..5));
        }
        match random.random_range(if self.is_resource { 6..10 } else { 0..10 }) {
            0..2 => {
                Op::Acquire { lock, holder: ClientId(number), ttl_ms: random.random_range(1..9) }
            }
            2..4 => Op::Acquire {
                lock,
                holder,
                ttl_ms: [3, random.random_range(1..9)][random.random_range(0..2)],
            },
            4..6 => Op::Renew { lock, holder, token },
            6 => Op::Release { lock, holder, token },
            7..9 => Op::WriteGuarded { resource, value: Value(i64::from(number) + 1), token },
            _ => Op::ReadGuarded { resource, consistency: Consistency::Linearizable },
        }
    }
}

/// A right history of at most eight operations, of which some are unknown; then perhaps with an answer
/// altered or an event moved.
fn random(random: &mut Stream) -> History {
    let count = random.random_range(3..=8);
    let mut times: Vec<u64> = (0..3 * count as u64).collect();
    // Three instants each, from a few neighbors: it begins, takes effect, ends.
    for index in (1..times.len()).rev() {
        let other = random.random_range(index.saturating_sub(6)..=index);
        times.swap(index, other);
    }
    let mut instants: Vec<[u64; 3]> = times.chunks(3).map(|it| [it[0], it[1], it[2]]).collect();
    instants.iter_mut().for_each(|it| it.sort_unstable());
    instants.sort_unstable_by_key(|it| it[1]);
    let mut service = Service {
        held: None,
        next_token: 0,
        value: None,
        greatest: 0,
        is_resource: random.random_range(0..4) == 0,
    };
    let mut holders: Vec<(ClientId, Token)> = Vec::new();
    let mut operations: Vec<Operation> = Vec::new();
    for (number, [begin, effect, end]) in instants.into_iter().enumerate() {
        let number = number as u32;
        let op = service.asked(random, number, &holders);
        let unknown = random.random_range(0..7) == 0;
        let mut outcome = Outcome::Info(Reason::new("timeout"));
        if !unknown || random.random_range(0..2) == 0 {
            let reply = service.answer(random, &op, (begin, effect));
            if let Reply::Granted { token } = reply {
                holders.push((ClientId(number), token));
            }
            if !unknown {
                outcome = Outcome::Ok(reply);
            }
        }
        let stamp = |seq| Stamp { seq, at: Micros(seq * 1000) };
        operations.push(Operation {
            id: OperationId(0),
            client: ClientId(100 + number),
            node: Some(NodeId(1)),
            op,
            is_final: false,
            invoked: stamp(begin),
            completed: Some(stamp(end)),
            outcome,
        });
    }
    if random.random_range(0..12) > 0 {
        // What cannot be altered as it was drawn is left to another draw.
        (0..4).any(|_| alter(random, &mut operations));
    }
    let operations = Operations::new(operations).unwrap();
    History { header: header("lock"), operations, complete: true }
}

/// Moves one event or alters one answer. Whether anything has changed.
fn alter(random: &mut Stream, operations: &mut [Operation]) -> bool {
    let index = random.random_range(0..operations.len());
    if random.random_range(0..3) == 0 {
        // Two ends change places, where both stay behind their beginnings.
        let other = random.random_range(0..operations.len());
        let (one, two) = (operations[index].completed, operations[other].completed);
        let fits = |end: Option<Stamp>, at: usize| {
            end.is_some_and(|end| end.seq > operations[at].invoked.seq)
        };
        if index == other || !fits(one, other) || !fits(two, index) {
            return false;
        }
        operations[index].completed = two;
        operations[other].completed = one;
        return true;
    }
    let step = [1, u64::MAX][random.random_range(0..2)];
    let before = operations[index].outcome.clone();
    match &mut operations[index].outcome {
        Outcome::Ok(Reply::Granted { token }) if random.random_range(0..4) == 0 => {
            token.0 = token.0.wrapping_add(step);
        }
        Outcome::Ok(Reply::Denied { holder, .. }) if random.random_range(0..4) == 0 => {
            holder.0 = holder.0.wrapping_add(step as u32);
        }
        // Granted although another holds it, under a token that nobody else has.
        Outcome::Ok(reply @ Reply::Denied { .. }) => *reply = Reply::Granted { token: Token(9) },
        Outcome::Ok(Reply::Granted { token }) => *token = Token(random.random_range(1..4)),
        Outcome::Ok(Reply::WasHeld(held)) => *held = !*held,
        Outcome::Ok(reply @ Reply::Written) => *reply = Reply::StaleToken,
        Outcome::Ok(reply @ Reply::StaleToken) => *reply = Reply::Written,
        Outcome::Ok(Reply::Read(value)) => {
            let others = [None, Some(Value(random.random_range(1..9)))];
            *value = others[random.random_range(0..2)];
        }
        outcome => *outcome = Outcome::Fail(Reason::new("no-leader")),
    }
    operations[index].outcome != before
}

#[test]
fn locks_are_judged_as_every_order_judges_them() {
    let mut stream = Seed(20_261_121).stream("locks");
    let mut kinds = std::collections::BTreeMap::new();
    let mut impossible = 0;
    for case in 0..CASES {
        let history = random(&mut stream);
        watched(&history).unwrap_or_else(|why| panic!("case {case}: {why}"));
        let judged = judged(&history, case).unwrap_or_else(|why| panic!("case {case}: {why}"));
        impossible += usize::from(judged);
        for judgement in &judge(&history)[..2] {
            for (kind, count) in &judgement.found {
                *kinds.entry(*kind).or_insert(0) += count;
            }
        }
    }
    assert!(impossible * 3 > CASES && impossible * 5 < CASES * 4, "{impossible} of {CASES}");
    assert!(kinds.len() >= 12, "{kinds:?}");
}

/// Judges one random history of locks; whether it is impossible. It asks for the verdict of every order and
/// for counterexamples that prove themselves.
pub(in crate::checker) fn lock_case(stream: &mut Stream, case: usize) -> Result<bool, String> {
    judged(&random(stream), case)
}

fn judged(history: &History, case: usize) -> Result<bool, String> {
    let is_impossible = !is_possible(history, false, case)?;
    let judgements = judge(history);
    // What is lost is a matter of final reads, which these have none of.
    let judgements = &judgements[..2];
    let fails = judgements.iter().any(|it| it.verdict == Verdict::Fail);
    let is_open =
        |it: &Judgement| it.verdict == Verdict::Unknown && !it.summary.contains("nothing is known");
    if fails != is_impossible || judgements.iter().any(is_open) {
        return Err(format!("{judgements:#?}, and {is_impossible}\n{}", file(history)));
    }
    for judgement in judgements {
        let told = judgement.anomalies.len().min(3);
        let Some(anomaly) = judgement.anomalies.get(case % told.max(1)) else { continue };
        if !anomaly.operations.contains(&anomaly.culprit) {
            return Err(format!("{anomaly:#?}\nof\n{}", file(history)));
        }
        let Ok(small) = workload::minimal(history, judgement, anomaly) else { continue };
        if is_possible(&small, true, case)? {
            return Err(format!("{anomaly:#?}\n{}\nof\n{}", file(&small), file(history)));
        }
    }
    Ok(is_impossible)
}

/// A history in which a lock is taken, lost to time, and taken by another.
#[test]
fn a_lock_that_ran_out_may_go_to_another_and_the_late_write_is_refused() {
    let history = history(
        "lock",
        "
        c1 n1 10-20 acquire l0 100 under 3
        c2 n2 30-40 acquire l0 100 held c1 3
        c1 n1 50-55 guarded g0=1 under 3
        c2 n2 111-120 acquire l0 100 under 7
        c2 n2 130-140 guarded g0=2 under 7
        c1 n1 150-160 guarded g0=3 under 3 stale
        c1 n1 170-180 renew l0 3 gone
        c2 n2 185-190 release l0 7
        c3 n3 191-199 protected g0=2
        c4 n3 200-? acquire l0 100
        c5 n3 205-210 acquire l0 100 held c4 9
        ",
    );
    let judgements = judge(&history);
    assert_eq!(judgements[0].verdict, Verdict::Pass, "{judgements:#?}");
    assert_eq!(judgements[1].verdict, Verdict::Pass, "{judgements:#?}");
    assert_eq!(judgements[0].counts["granted"], 2);
    assert_eq!(judgements[0].counts["refused"], 1);
}

#[test]
fn a_release_that_may_have_happened_makes_room_for_another() {
    let text = told(
        "lock",
        "
        c1 n1 10-20 acquire l0 500 under 3
        c1 n1 30-? release l0 3
        c2 n2 40-50 acquire l0 500 under 7
        ",
    );
    assert!(!text.contains("two-holders"), "{text}");
}

#[test]
fn two_clients_that_certainly_hold_one_lock_at_the_same_time_are_two_holders() {
    let text = told(
        "lock",
        "
        c1 n1 10-20 acquire l0 100 under 3
        c2 n2 50-60 acquire l0 100 under 7
        ",
    );
    insta::assert_snapshot!(text, @r"
    lock: two-holders of l0, culprit 1, operations 0 1
      c1 acquired l0 under token 3 at n1, acknowledged at 0.020 s; c1 holds it until 0.110 s at least, 100 ms from 0.010 s, when it asked for it.
      c2 acquired l0 under token 7 at n2, acknowledged at 0.060 s; c2 holds it until 0.150 s at least, 100 ms from 0.050 s, when it asked for it: c1 and c2 held it at the same time.
    ");
}

#[test]
fn a_renewal_prolongs_the_time_that_is_certain() {
    let text = told(
        "lock",
        "
        c1 n1 10-20 acquire l0 100 under 3
        c1 n1 90-95 renew l0 3
        c2 n2 150-160 acquire l0 100 under 7
        ",
    );
    insta::assert_snapshot!(text, @r"
    lock: two-holders of l0, culprit 2, operations 0 1 2
      c1 acquired l0 under token 3 at n1, acknowledged at 0.020 s; c1 holds it until 0.190 s at least, 100 ms from 0.090 s, when it asked for a renewal.
      c2 acquired l0 under token 7 at n2, acknowledged at 0.160 s; c2 holds it until 0.250 s at least, 100 ms from 0.150 s, when it asked for it: c1 and c2 held it at the same time.
    ");
}

#[test]
fn a_holder_that_somebody_names_is_a_holder_although_it_was_never_answered() {
    let text = told(
        "lock",
        "
        c1 n1 10-? acquire l0 100
        c2 n2 30-40 acquire l0 100 held c1 3
        c3 n3 50-60 acquire l0 100 under 7
        ",
    );
    insta::assert_snapshot!(text, @r"
    lock: two-holders of l0, culprit 2, operations 0 1 2
      c2 was denied l0, which c1 held under token 3, at n2 from 0.030 s to 0.040 s; c1 holds it until 0.110 s at least, 100 ms from 0.010 s, when it asked for it.
      c3 acquired l0 under token 7 at n3, acknowledged at 0.060 s; c3 holds it until 0.150 s at least, 100 ms from 0.050 s, when it asked for it: c1 and c3 held it at the same time.
    ");
}

#[test]
fn a_lock_that_is_gone_before_its_time_is_lost() {
    let text = told(
        "lock",
        "
        c1 n1 10-20 acquire l0 100 under 3
        c1 n1 30-40 renew l0 3 gone
        ",
    );
    insta::assert_snapshot!(text, @r"
    lock: lock-lost of l0, culprit 1, operations 0 1
      c1 acquired l0 under token 3 at n1, acknowledged at 0.020 s; c1 holds it until 0.110 s at least, 100 ms from 0.010 s, when it asked for it.
      But c1 found l0 no longer held under token 3 at n1 from 0.030 s to 0.040 s.
    ");
}

#[test]
fn a_later_grant_has_a_greater_token() {
    let text = told(
        "lock",
        "
        c1 n1 10-20 acquire l0 100 under 7
        c1 n1 30-40 release l0 7
        c2 n2 50-60 acquire l0 100 under 3
        ",
    );
    insta::assert_snapshot!(text, @r"
    lock: token-order of l0, culprit 2, operations 0 1 2
      c1 acquired l0 under token 7 at n1, acknowledged at 0.020 s; only then c2 acquired l0 under token 3 at n2, sent at 0.050 s and acknowledged at 0.060 s, and token 3 is smaller than 7.
    ");
}

#[test]
fn a_token_is_given_once() {
    let text = told(
        "lock",
        "
        c1 n1 10-20 acquire l0 100 under 7
        c1 n1 30-40 release l0 7
        c2 n2 35-60 acquire l0 100 under 7
        ",
    );
    insta::assert_snapshot!(text, @r"
    lock: duplicate of l0, culprit 2, operations 0 1 2
      c1 acquired l0 under token 7 at n1, acknowledged at 0.020 s; c2 acquired l0 under token 7 at n2, acknowledged at 0.060 s: 7 was given twice.
    ");
}

#[test]
fn a_holder_that_never_asked_is_a_phantom() {
    let text = told(
        "lock",
        "
        c1 n1 10-20 acquire l0 100 under 3
        c2 n2 30-40 acquire l0 100 held c9 2
        ",
    );
    insta::assert_snapshot!(text, @r"
    lock: phantom of l0, culprit 1, operations 1
      c2 was denied l0, which c9 held under token 2, at n2 from 0.030 s to 0.040 s; c9 never asked for it in a way that could have given it token 2.
    lock: two-holders of l0, culprit 1, operations 0 1
      c1 acquired l0 under token 3 at n1, acknowledged at 0.020 s; c1 holds it until 0.110 s at least, 100 ms from 0.010 s, when it asked for it.
      c2 was denied l0, which c9 held under token 2, at n2 from 0.030 s to 0.040 s: c1 and c9 held it at the same time.
    ");
}

#[test]
fn a_holder_that_had_given_the_lock_back_is_stale_news() {
    let text = told(
        "lock",
        "
        c1 n1 10-20 acquire l0 100 under 3
        c1 n1 30-40 release l0 3
        c2 n2 50-60 acquire l0 100 held c1 3
        ",
    );
    insta::assert_snapshot!(text, @r"
    lock: stale-read of l0, culprit 2, operations 0 1 2
      c1 released l0 under token 3 at n1, acknowledged at 0.040 s; only then c2 was denied l0, which c1 held under token 3, at n2 from 0.050 s to 0.060 s: c1 had given it back, and token 3 is never given again.
    ");
}

#[test]
fn a_smaller_token_is_over_before_a_greater_one_is_granted() {
    let text = told(
        "lock",
        "
        c2 n2 5-? acquire l0 10
        c1 n1 10-20 acquire l0 10 under 7
        c3 n3 30-40 acquire l0 10 held c2 3
        ",
    );
    insta::assert_snapshot!(text, @r"
    lock: token-order of l0, culprit 1, operations 0 1 2
      c1 acquired l0 under token 7 at n1, acknowledged at 0.020 s.
      Only then c3 was denied l0, which c2 held under token 3, at n3 from 0.030 s to 0.040 s; but 3 is smaller than 7, so c2's time under 3 was to be over before c1 was given 7.
    ");
}

#[test]
fn a_lock_found_gone_within_the_time_of_its_own_request_is_lost() {
    let text = told(
        "lock",
        "
        c1 n1 10-20 acquire l0 10 under 3
        c1 n1 40-50 acquire l0 500 under 8
        c1 n1 100-110 renew l0 8 gone
        ",
    );
    insta::assert_snapshot!(text, @r"
    lock: lock-lost of l0, culprit 2, operations 1 2
      c1 acquired l0 under token 8 at n1, acknowledged at 0.050 s; c1 holds it until 0.540 s at least, 500 ms from 0.040 s, when it asked for it.
      But c1 found l0 no longer held under token 8 at n1 from 0.100 s to 0.110 s.
    ");
}

#[test]
fn a_longer_time_to_live_of_a_second_request_is_kept() {
    let text = told(
        "lock",
        "
        c1 n1 10-20 acquire l0 10 under 3
        c1 n1 40-50 acquire l0 500 under 8
        c2 n2 100-110 acquire l0 10 under 9
        ",
    );
    insta::assert_snapshot!(text, @r"
    lock: two-holders of l0, culprit 2, operations 1 2
      c1 acquired l0 under token 8 at n1, acknowledged at 0.050 s; c1 holds it until 0.540 s at least, 500 ms from 0.040 s, when it asked for it.
      c2 acquired l0 under token 9 at n2, acknowledged at 0.110 s: c1 and c2 held it at the same time.
    ");
}

#[test]
fn a_request_without_an_answer_is_what_one_tenure_begins_with() {
    let text = told(
        "lock",
        "
        c1 n1 10-? acquire l0 5
        c2 n2 20-30 acquire l0 5 held c1 3
        c3 n3 50-60 acquire l0 5 held c1 4
        ",
    );
    insta::assert_snapshot!(text, @r"
    lock: phantom of l0, culprit 2, operations 0 1 2
      c3 was denied l0, which c1 held under token 4, at n3 from 0.050 s to 0.060 s; but each token takes a request of its own, and every request of c1 that could have led to 4 is needed for one of its smaller tokens.
    ");
}

#[test]
fn a_lock_is_not_denied_to_its_own_holder() {
    let text = told(
        "lock",
        "
        c1 n1 10-20 acquire l0 100 under 3
        c1 n1 30-40 acquire l0 100 held c1 3
        ",
    );
    insta::assert_snapshot!(text, @r"
    lock: spurious-mismatch of l0, culprit 1, operations 1
      c1 was denied l0, which c1 held under token 3, at n1 from 0.030 s to 0.040 s: it was denied its own lock.
    ");
}

#[test]
fn a_lock_is_given_back_once() {
    let text = told(
        "lock",
        "
        c1 n1 10-20 acquire l0 100 under 3
        c1 n1 30-40 release l0 3
        c9 n2 35-45 release l0 3 by=c1
        ",
    );
    insta::assert_snapshot!(text, @r"
    lock: duplicate of l0, culprit 2, operations 1 2
      c1 released l0 under token 3 at n1, acknowledged at 0.040 s; c9 released l0 under token 3 at n2, acknowledged at 0.045 s: one tenure was given back twice.
    ");
}

#[test]
fn a_write_that_only_a_write_of_unknown_outcome_can_have_fenced_off_shows_that_one() {
    let text = told(
        "lock",
        "
        c1 n1 30-40 guarded g0=1 under 3
        c2 n2 45-? guarded g0=2 under 7
        c3 n3 50-60 guarded g0=5 under 4 stale
        c4 n1 70-80 protected g0=1
        ",
    );
    insta::assert_snapshot!(text, @r"
    lock: non-linearizable of g0, culprit 3, operations 0 1 2 3
      No order explains these operations: c4 read g0=1 at n1 from 0.070 s to 0.080 s, but up to then g0 can only have held 2 under token 7.
    ");
}

#[test]
fn a_write_under_an_older_token_after_one_under_a_newer_is_stale() {
    let text = told(
        "lock",
        "
        c1 n1 10-20 acquire l0 100 under 3
        c2 n2 111-120 acquire l0 100 under 7
        c2 n2 130-140 guarded g0=2 under 7
        c1 n1 150-160 guarded g0=3 under 3
        c3 n3 170-180 protected g0=3
        ",
    );
    insta::assert_snapshot!(text, @r"
    lock: stale-token of g0, culprit 3, operations 2 3
      c2 wrote g0=2 under token 7 at n2, acknowledged at 0.140 s; only then c1 wrote g0=3 under token 3 at n1, sent at 0.150 s and acknowledged at 0.160 s.
    ");
}

#[test]
fn a_read_tells_when_a_write_of_an_older_token_came_second() {
    let text = told(
        "lock",
        "
        c1 n1 10-20 acquire l0 100 under 3
        c2 n2 111-120 acquire l0 100 under 7
        c2 n2 130-140 guarded g0=2 under 7
        c1 n1 135-160 guarded g0=3 under 3
        c3 n3 170-180 protected g0=3
        ",
    );
    insta::assert_snapshot!(text, @r"
    lock: stale-token of g0, culprit 4, operations 2 3 4
      c2 wrote g0=2 under token 7 at n2, acknowledged at 0.140 s; c1 wrote g0=3 under token 3 at n1, acknowledged at 0.160 s.
      c3 read g0=3 at n3 from 0.170 s to 0.180 s: token 3's write came after token 7's, and should have been refused.
    ");
}

#[test]
fn a_write_must_not_be_refused_for_nothing() {
    let text = told(
        "lock",
        "
        c1 n1 10-20 acquire l0 100 under 3
        c1 n1 30-40 guarded g0=1 under 3 stale
        ",
    );
    insta::assert_snapshot!(text, @r"
    lock: spurious-mismatch of g0, culprit 1, operations 1
      c1 was refused to write g0=1 under token 3 at n1 from 0.030 s to 0.040 s; nobody had sent a greater token by then.
    ");
}

#[test]
fn an_accepted_write_that_is_gone_is_lost() {
    let text = told(
        "lock",
        "
        c1 n1 10-20 acquire l0 100 under 3
        c1 n1 30-40 guarded g0=1 under 3
        c1 n1 50-60 guarded g0=2 under 3
        c9 n1 190-195 final protected g0=1
        ",
    );
    insta::assert_snapshot!(text, @r"
    linearizable: stale-read of g0, culprit 3, operations 1 2 3
      c1 wrote g0=2 at n1, acknowledged at 0.060 s; c9 read g0=1 at n1 from 0.190 s to 0.195 s, although 1 was in place before 2 was sent and so was overwritten.
    lost-write: lost-write of g0, culprit 2, operations 1 2 3
      c1 wrote g0=2 at n1, acknowledged at 0.060 s; at the end c9 read g0=1 at n1 from 0.190 s to 0.195 s, although 1 was in place before 2 was sent: 2 is gone and nothing overwrote it.
    ");
}

#[test]
fn the_last_culprit_is_told_although_only_the_first_hundred_are_listed() {
    let mut lines = String::from("c1 n1 1-2 acquire l0 100000 under 1\n");
    for number in 2..=150 {
        let at = number * 10;
        lines += &format!("c{number} n1 {at}-{} acquire l0 100000 under {number}\n", at + 5);
    }
    let judgement = &judge(&history("lock", &lines))[0];
    let kind = crate::verdict::AnomalyKind::TwoHolders;
    assert_eq!((judgement.found[&kind], judgement.anomalies.len()), (149, 100));
    assert_eq!(judgement.last[&kind], OperationId(149));
    let listed = judgement.anomalies.iter().map(|anomaly| anomaly.culprit).max();
    assert!(listed < Some(OperationId(149)), "{listed:?}");
}
