//! The words of locks: fencing tokens, and by which name a store knows a holder.
//!
//! Part of the vocabulary, so all of it is used through `operation`. It knows no store: what a target
//! makes of a lock stands in the target's file, and what must hold of locks in `checker/lock.rs`.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::ClientId;

/// A fencing token: the number that a lock service gives to a grant of a lock, greater than those of
/// all grants before it, so that whatever the lock protects can tell an old holder from the newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(pub u64);

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The name under which a client holds locks. A client that goes on under a new id is a new holder,
/// as a process that was started again should be.
pub fn holder_name(client: ClientId) -> String {
    client.to_string()
}

/// The client that a holder's name is of; `None` for a name that [`holder_name`] does not make.
pub fn holder_of(name: &str) -> Option<ClientId> {
    name.strip_prefix('c')?.parse().ok().map(ClientId)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_holder_is_that_of_one_client() {
        assert_eq!(holder_of(&holder_name(ClientId(7))), Some(ClientId(7)));
        assert_eq!(holder_of("n7"), None);
        assert_eq!(holder_of("c"), None);
    }
}
