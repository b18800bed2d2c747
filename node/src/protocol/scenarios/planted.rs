//! The planted bugs that chance hardly ever punishes, each with the one schedule that does.

use super::*;

/// The same bench with a bug planted in every core, for the length of a story.
fn planted(bench: &mut Bench, plant: Plant) {
    for core in bench.cores.values_mut() {
        core.settings.plants = Plants::NONE.with(plant);
    }
}

/// A round is under way and n3 has answered it, slowly. Meanwhile n2 takes over and a write is
/// acknowledged there; then a read arrives at n1, and after it that answer.
fn a_read_after_its_round_was_answered(plant: Option<Plant>) -> Bench {
    let mut bench = Bench::new(3, &[]);
    if let Some(plant) = plant {
        planted(&mut bench, plant);
    }
    bench.elect(N1, &[N1, N2, N3]);
    bench.put(N1, 1);
    bench.settle(&[N1, N2, N3]);
    bench.read(N1, 10);
    bench.lose(|_, to| to == N2);
    let (from, to, round) = bench.take(N1, N3);
    bench.step(to, Input::Message { from, message: round });
    let slow = bench.take(N3, N1);
    bench.win(N2, N3);
    bench.put(N2, 2);
    bench.lose(|from, to| from == N1 || to == N1);
    bench.settle(&[N2, N3]);
    assert!(bench.is_done(2), "n2 leads with n3");
    bench.read(N1, 11);
    let (from, to, message) = slow;
    bench.step(to, Input::Message { from, message });
    bench
}

#[test]
fn a_read_that_joins_a_round_that_was_answered_is_stale() {
    let honest = a_read_after_its_round_was_answered(None);
    assert_eq!(honest.value(10).as_deref(), Some("1"), "it began before the write");
    assert!(!honest.is_done(11));
    let planted = a_read_after_its_round_was_answered(Some(Plant::StaleReadIndex));
    assert_eq!(planted.value(11).as_deref(), Some("1"), "the acknowledged 2 was overlooked");
}

#[test]
fn a_vote_that_was_not_written_down_is_given_again_after_a_restart() {
    for (plants, again) in
        [(Plants::NONE, false), (Plants::NONE.with(Plant::VoteNotPersisted), true)]
    {
        let mut settings = Settings::profile("raft").expect("it exists");
        settings.plants = plants;
        let mut disk = vec![Note::Member(Member::founder())];
        let mut granted = Vec::new();
        for candidate in [N1, N3] {
            let remembered = Remembered::replay(Saved::default(), false, disk.iter().cloned());
            let remembered = remembered.expect("its disk replays");
            let mut core =
                Core::new(N2, vec![N1, N3], settings.clone(), remembered, 2, Duration::ZERO);
            let message = Message::Vote { epoch: 7, last: EntryId::ORIGIN };
            core.step(Duration::ZERO, Input::Message { from: candidate, message });
            let effects = core.finish(Duration::ZERO);
            for effect in effects {
                match effect {
                    Effect::Persist { notes, token } => {
                        disk.extend(notes);
                        core.step(Duration::ZERO, Input::Flushed(token));
                    }
                    Effect::Send { to, message } => granted.push((to, message)),
                    _ => {}
                }
            }
            granted.extend(core.finish(Duration::ZERO).into_iter().filter_map(
                |effect| match effect {
                    Effect::Send { to, message } => Some((to, message)),
                    _ => None,
                },
            ));
        }
        let votes = [N1, N3]
            .map(|node| granted.contains(&(node, Message::VoteReply { epoch: 7, granted: true })));
        assert_eq!(votes, [true, again], "{plants:?}");
    }
}

#[test]
fn an_entry_of_an_older_epoch_that_was_counted_is_erased() {
    let mut settings = Settings::profile("raft").expect("it exists");
    settings.plants = Plants::NONE.with(Plant::CommitOlderEpoch);
    what_was_counted_is_erased(&settings);
}
