//! Global transaction identifiers, as clients, reports and operators see entries.
//!
//! A GTID is `source:sequence`, such as `n1@3:17`. The source is a claim: it names a node *and* the
//! epoch in which it led, so no source is ever used again, and two leaders that share an epoch are
//! two sources. The sequence is the entry's index: it rises by one within a source, and begins
//! where that leadership began. So a GTID is the identity of an entry in another spelling, and
//! needs no counter that could be lost or reused. (MySQL's source is a server's UUID, and its
//! sequence begins with one.)
//!
//! Replication and truncation compare identities; nothing is decided by the text.

use std::fmt;
use std::str::FromStr;

use super::entry::{Claim, EntryId};

/// The identity of an entry, written `n1@3:17`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gtid(pub EntryId);

impl fmt::Display for Gtid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", Source(self.0.claim), self.0.index)
    }
}

impl FromStr for Gtid {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let gtid = text.split_once(':').and_then(|(source, sequence)| {
            let (Source(claim), index) = (source.parse().ok()?, sequence.parse().ok()?);
            (index > 0).then_some(Gtid(EntryId { claim, index }))
        });
        gtid.ok_or_else(|| format!("expected a GTID such as \"n1@3:17\", got \"{text}\""))
    }
}

/// A claim as the source of GTIDs, written `n1@3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Source(pub(super) Claim);

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.0.leader, self.0.epoch)
    }
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let claim = text.split_once('@').and_then(|(leader, epoch)| {
            let (leader, epoch) = (leader.parse().ok()?, epoch.parse().ok()?);
            (epoch > 0).then_some(Claim { epoch, leader })
        });
        let wrong = || format!("expected a source such as \"n1@3\", got \"{text}\"");
        claim.map(Source).ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::super::NodeId;
    use super::*;

    #[test]
    fn a_gtid_names_the_leader_the_epoch_and_the_place() {
        let claim = Claim { epoch: 3, leader: NodeId(1) };
        let gtid = Gtid(EntryId { claim, index: 17 });
        assert_eq!(gtid.to_string(), "n1@3:17");
        assert_eq!("n1@3:17".parse(), Ok(gtid));
        for bad in ["", "n1:17", "n1@3", "n1@3:", "n1@0:1", "n1@3:0", "1@3:17", "n1@3:17-18"] {
            bad.parse::<Gtid>().expect_err(bad);
        }
    }
}
