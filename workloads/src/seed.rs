//! Randomness: named streams of one seed.
//!
//! Each user of randomness draws from a stream of its own name, so that adding a client does not
//! reshuffle the faults. The generator is xoshiro256++ from `rand_xoshiro`, whose algorithm is
//! fixed; what is drawn with it may change with a release of `rand`, which is why a run writes its
//! concrete plan down and replay follows the plan, not the seed.

use std::fmt;
use std::str::FromStr;

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};

/// The generator that streams are made of.
pub type Stream = Xoshiro256PlusPlus;

/// The root of all randomness of a run, written in hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Seed(pub u64);

impl Seed {
    /// The stream of a name, such as `nemesis` or `client-3`.
    pub fn stream(self, name: &str) -> Stream {
        Stream::seed_from_u64(self.child(name).0)
    }

    /// A seed of its own for a part with streams of its own, such as one run of a suite.
    pub fn child(self, name: &str) -> Seed {
        // FNV-1a, 64 bits, over the root and the name: fixed by its specification, and good
        // enough to keep names apart; xoshiro's own seeding mixes the result.
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        for byte in self.0.to_le_bytes().iter().chain(name.as_bytes()) {
            hash ^= u64::from(*byte);
            hash = hash.wrapping_mul(0x0000_0100_0000_01b3);
        }
        Seed(hash)
    }
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl FromStr for Seed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = match text.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16),
            None => text.parse(),
        };
        parsed.map(Seed).map_err(|_| {
            format!("expected a seed such as \"42\" or \"0x5eed\", below 2^64, got \"{text}\"")
        })
    }
}

impl TryFrom<String> for Seed {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Seed> for String {
    fn from(seed: Seed) -> String {
        seed.to_string()
    }
}

#[cfg(test)]
mod tests {
    use rand_xoshiro::rand_core::Rng;

    use super::*;

    #[test]
    fn streams_of_one_seed_differ_by_name_and_repeat_by_name() {
        let seed = Seed(7);
        assert_eq!(seed.stream("nemesis").next_u64(), seed.stream("nemesis").next_u64());
        assert_ne!(seed.stream("nemesis").next_u64(), seed.stream("client-1").next_u64());
        assert_ne!(seed.stream("nemesis").next_u64(), Seed(8).stream("nemesis").next_u64());
    }

    #[test]
    fn a_seed_reads_what_it_writes() {
        for seed in [Seed(0), Seed(42), Seed(u64::MAX)] {
            assert_eq!(seed.to_string().parse(), Ok(seed));
        }
        assert_eq!("42".parse(), Ok(Seed(42)));
        assert!("0xzz".parse::<Seed>().is_err());
    }
}
