//! Protected resources: values that are written under a fencing token.
//!
//! A resource stands for whatever a lock protects outside of the lock service: a file server, an
//! object store, a device. It knows nothing of locks. It remembers the greatest token that it has
//! seen and refuses a smaller one, so a holder that was paused until its lock had gone to another
//! cannot overwrite what the other wrote; before the other's first write it still can, as nobody
//! knows better (Kleppmann, "How to do distributed locking", 2016).
//!
//! Resources are part of the replicated state, because such a check is worth no more than the
//! memory it relies on: a server that forgot the greatest token, or two that remember different
//! ones, would let the old holder in. With `resource-tokens=ignored` the leader drops the tokens
//! before it appends, and the last write wins, whoever sent it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::command::{Answer, Refusal};

/// A write to a resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceWrite {
    /// Which.
    pub name: Arc<str>,
    /// Its new value.
    pub value: Arc<str>,
    /// The token of the writer's lock; `None` is one that is not checked.
    pub token: Option<u64>,
}

/// What a resource remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Resource {
    value: Arc<str>,
    /// The greatest token that was checked.
    greatest: Option<u64>,
}

/// All resources.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Resources(BTreeMap<Arc<str>, Resource>);

impl Resources {
    /// Writes, unless a greater token was seen.
    pub(super) fn write(&mut self, write: ResourceWrite) -> Answer {
        let ResourceWrite { name, value, token } = write;
        let resource = self.0.entry(name).or_default();
        if let (Some(token), Some(greatest)) = (token, resource.greatest)
            && token < greatest
        {
            return Answer::Refused(Refusal::StaleToken { token, greatest });
        }
        resource.value = value;
        resource.greatest = resource.greatest.max(token);
        Answer::Written
    }

    pub(super) fn read(&self, name: &str) -> Answer {
        let resource = self.0.get(name);
        Answer::Resource {
            value: resource.map(|resource| Arc::clone(&resource.value)),
            greatest: resource.and_then(|resource| resource.greatest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(resources: &mut Resources, value: &str, token: Option<u64>) -> Answer {
        resources.write(ResourceWrite { name: "r".into(), value: value.into(), token })
    }

    #[test]
    fn a_smaller_token_than_the_greatest_is_refused_and_the_same_is_not() {
        let mut resources = Resources::default();
        for token in [3, 3, 7] {
            let value = token.to_string();
            assert_eq!(write(&mut resources, &value, Some(token)), Answer::Written);
        }
        let refused = Refusal::StaleToken { token: 3, greatest: 7 };
        assert_eq!(write(&mut resources, "late", Some(3)), Answer::Refused(refused));
        let seven = Answer::Resource { value: Some("7".into()), greatest: Some(7) };
        assert_eq!(resources.read("r"), seven);
    }

    #[test]
    fn a_write_that_is_not_checked_overwrites() {
        let mut resources = Resources::default();
        write(&mut resources, "7", Some(7));
        assert_eq!(write(&mut resources, "late", None), Answer::Written);
        let late = Answer::Resource { value: Some("late".into()), greatest: Some(7) };
        assert_eq!(resources.read("r"), late);
        let nothing = Answer::Resource { value: None, greatest: None };
        assert_eq!(resources.read("another"), nothing);
    }
}
