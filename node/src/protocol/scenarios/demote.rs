//! How long a leader goes on that has met a later one: `demote`.

use std::time::Duration;

use super::super::{Input, Request, RoleName};
use super::{Bench, N1, N2, N3};
use crate::config::Settings;

/// n1 leads and hears nothing while an operator makes n2 the leader of n3; then it hears n2.
fn an_old_leader_meets_a_later_one(demote: &str) -> Bench {
    let settings =
        Settings::resolve("async", &["election=manual".into(), format!("demote={demote}")]);
    let mut bench = Bench::with(3, &settings.expect("the settings make sense"));
    bench.elect(N1, &[N1, N2, N3]);
    bench.request(N2, 1, Request::Promote);
    bench.settle(&[N2, N3]);
    assert_eq!((bench.role(N1), bench.role(N2)), (RoleName::Leader, RoleName::Leader));
    bench.lose(|_, _| true);
    later(&mut bench, Duration::from_millis(200));
    bench
}

/// Time passes for both, and everybody hears what they say.
fn later(bench: &mut Bench, by: Duration) {
    bench.now += by;
    bench.step(N2, Input::Tick);
    bench.step(N1, Input::Tick);
    bench.settle(&[N1, N2, N3]);
}

#[test]
fn a_leader_gives_way_on_contact_or_after_a_while_or_never() {
    let bench = an_old_leader_meets_a_later_one("on-contact");
    assert_eq!(bench.role(N1), RoleName::Follower);

    let mut bench = an_old_leader_meets_a_later_one("after 3s");
    assert_eq!(bench.role(N1), RoleName::Leader);
    later(&mut bench, Duration::from_millis(2900));
    assert_eq!(bench.role(N1), RoleName::Leader);
    later(&mut bench, Duration::from_millis(200));
    assert_eq!(bench.role(N1), RoleName::Follower);

    let mut bench = an_old_leader_meets_a_later_one("never");
    for _ in 0..100 {
        later(&mut bench, Duration::from_secs(3600));
        assert_eq!(bench.role(N1), RoleName::Leader);
        bench.put(N1, 7);
        bench.settle(&[N1, N2, N3]);
        assert!(bench.is_done(7), "it goes on acknowledging");
        bench.replies.clear();
    }
}
