//! How a partition is written: the form is the one key of the forms that is given.

use serde::{Deserialize, Serialize};
use splitbrain_workloads::operation::NodeId;

use super::{Direction, Drawn, Flap, OneWay, Partition, PartitionForm, Scope, Side};
use crate::nemesis::Selector;
use crate::network::Dials;
use crate::network::link::Link;

/// The parameters as they are written.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Keys {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    isolate: Option<Selector>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    halves: Option<Drawn>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    groups: Option<Drawn<Vec<NodeId>>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    links: Option<Drawn<Link>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    leader_side: Option<Side>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    majorities_ring: Option<Drawn>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bridge: Option<Selector>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    one_way: Option<OneWay>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    direction: Option<Direction>,
    #[serde(default)]
    scope: Scope,
    #[serde(default, skip_serializing_if = "is_hold")]
    dials: Dials,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    flap: Option<Flap>,
}

fn is_hold(dials: &Dials) -> bool {
    *dials == Dials::Hold
}

impl TryFrom<Keys> for Partition {
    type Error = String;

    fn try_from(keys: Keys) -> Result<Self, String> {
        let Keys { direction, scope, dials, flap, .. } = keys;
        let forms = [
            keys.isolate.map(PartitionForm::Isolate),
            keys.halves.map(PartitionForm::Halves),
            keys.groups.map(PartitionForm::Groups),
            keys.links.map(PartitionForm::Links),
            keys.leader_side.map(PartitionForm::LeaderSide),
            keys.majorities_ring.map(PartitionForm::MajoritiesRing),
            keys.bridge.map(PartitionForm::Bridge),
            keys.one_way.map(PartitionForm::OneWay),
        ];
        let mut given = forms.into_iter().flatten();
        match (given.next(), given.next()) {
            (Some(form), None) => Ok(Partition { form, direction, scope, dials, flap }),
            (first, _) => Err(format!(
                "expected exactly one of `isolate`, `halves`, `groups`, `links`, `leader-side`, \
                 `majorities-ring`, `bridge`, `one-way`, got {}",
                if first.is_none() { "none" } else { "several" }
            )),
        }
    }
}

impl From<Partition> for Keys {
    fn from(partition: Partition) -> Keys {
        let Partition { form, direction, scope, dials, flap } = partition;
        let mut keys = Keys { direction, scope, dials, flap, ..Keys::default() };
        match form {
            PartitionForm::Isolate(node) => keys.isolate = Some(node),
            PartitionForm::Halves(halves) => keys.halves = Some(halves),
            PartitionForm::Groups(groups) => keys.groups = Some(groups),
            PartitionForm::Links(links) => keys.links = Some(links),
            PartitionForm::LeaderSide(side) => keys.leader_side = Some(side),
            PartitionForm::MajoritiesRing(ring) => keys.majorities_ring = Some(ring),
            PartitionForm::Bridge(node) => keys.bridge = Some(node),
            PartitionForm::OneWay(one_way) => keys.one_way = Some(one_way),
        }
        keys
    }
}
