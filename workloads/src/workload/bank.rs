//! The `bank` workload: accounts that hold the same at first, transfers between two of them, and
//! reads of all. Whatever order they come in, the sum of all accounts stays the same.
//!
//! A transfer says what it takes the two balances to be and what they become, so that any target
//! with conditional transactions can carry it out; where the balances are others it reads them and
//! changes nothing. A balance may become negative. Called through `workload`.

use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::Generator;
use crate::checker::{self, Checker};
use crate::operation::{
    Capability, ClientId, Condition, Consistency, Key, Op, OpKind, Outcome, Reply, Step, StepReply,
    Transaction, Value,
};
use crate::seed::{Seed, Stream};

/// The name in suites and headers.
pub(super) const NAME: &str = "bank";

/// What clients do, in one line.
pub(super) const SUMMARY: &str = "transfers between accounts and reads of all; the sum must stay";

/// What must hold of a history of a bank.
pub(super) const CHECKERS: &[Checker] = &[
    Checker { name: "bank", check: checker::bank::check },
    Checker { name: "agreement", check: checker::agreement::check },
];

/// Parameters of the `bank` workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct BankSpec {
    /// How many accounts, `a0` upwards.
    pub accounts: u8,
    /// How many of 100 operations are reads of all accounts.
    pub reads: u8,
}

impl Default for BankSpec {
    fn default() -> Self {
        BankSpec { accounts: 8, reads: 40 }
    }
}

/// All accounts are read in one transaction, of which the built-in store and etcd take 128 steps.
const ACCOUNTS_MAX: u8 = 64;

/// What an account holds at first.
const OPENING: i64 = 100;

/// What a transfer moves, at most.
const AMOUNT_MAX: i64 = 5;

impl BankSpec {
    pub(super) fn describe(&self) -> String {
        format!("bank, {} accounts", self.accounts)
    }

    pub(super) fn validate(&self) -> Result<(), String> {
        let accounts = u32::from(self.accounts);
        super::in_ranges(&[
            ("accounts", accounts, 2, u32::from(ACCOUNTS_MAX), "all are read at once"),
            ("reads", u32::from(self.reads), 1, 99, "both are needed"),
        ])
    }

    pub(super) fn needs(&self) -> Vec<Capability> {
        vec![Capability::Transaction]
    }

    pub(super) fn kinds(&self) -> Vec<OpKind> {
        vec![OpKind::Transaction, OpKind::ReadTransaction]
    }

    pub(super) fn generator(&self, seed: Seed) -> BankGenerator {
        let balances = vec![None; usize::from(self.accounts)];
        BankGenerator { spec: self.clone(), random: seed.stream("workload"), balances }
    }

    /// All accounts in one transaction; what a node holds by itself, account by account.
    pub(super) fn reads_of_all(&self, consistency: Consistency) -> Vec<Op> {
        match consistency {
            Consistency::Linearizable => vec![self.read_all()],
            _ => self.keys().map(|key| Op::Read { key, consistency }).collect(),
        }
    }

    fn read_all(&self) -> Op {
        let then = self.keys().map(Step::Read).collect();
        Op::Transaction(Box::new(Transaction { then, ..Transaction::default() }))
    }

    fn keys(&self) -> impl Iterator<Item = Key> + use<> {
        (0..usize::from(self.accounts)).map(key)
    }
}

fn key(account: usize) -> Key {
    Key::new(format!("a{account}"))
}

/// The generator of the `bank` workload.
pub(super) struct BankGenerator {
    spec: BankSpec,
    random: Stream,
    /// What was last seen of each account.
    balances: Vec<Option<Value>>,
}

impl BankGenerator {
    /// Opens all accounts, if they are not open.
    fn open(&self) -> Op {
        let opened = self.spec.keys().map(|key| Step::Write(key, Value(OPENING)));
        Op::Transaction(Box::new(Transaction {
            conditions: self.spec.keys().map(|key| Condition(key, None)).collect(),
            then: opened.collect(),
            otherwise: self.spec.keys().map(Step::Read).collect(),
        }))
    }

    fn transfer(&mut self) -> Option<Op> {
        let count = self.balances.len();
        let from = self.random.random_range(0..count);
        let to = (from + self.random.random_range(1..count)) % count;
        let (held, other) = (self.balances[from]?, self.balances[to]?);
        let amount = self.random.random_range(1..=AMOUNT_MAX);
        Some(Op::Transaction(Box::new(Transaction {
            conditions: vec![Condition(key(from), Some(held)), Condition(key(to), Some(other))],
            then: vec![
                Step::Write(key(from), Value(held.0 - amount)),
                Step::Write(key(to), Value(other.0 + amount)),
            ],
            otherwise: vec![Step::Read(key(from)), Step::Read(key(to))],
        })))
    }
}

impl Generator for BankGenerator {
    fn next(&mut self, _client: ClientId) -> Option<Op> {
        if self.random.random_range(0..100) < self.spec.reads {
            return Some(self.spec.read_all());
        }
        Some(self.transfer().unwrap_or_else(|| self.open()))
    }

    fn completed(&mut self, _client: ClientId, op: &Op, outcome: &Outcome) {
        let (Op::Transaction(transaction), Outcome::Ok(Reply::Transacted { succeeded, results })) =
            (op, outcome)
        else {
            return;
        };
        for (step, result) in transaction.side(*succeeded).iter().zip(results) {
            let seen = match (step, result) {
                (Step::Write(_, value), _) => Some(*value),
                (_, StepReply::Read(value)) => *value,
                _ => continue,
            };
            // The accounts are a0, a1, ...: the number is the index.
            let account = step.key().as_str().strip_prefix('a').and_then(|it| it.parse().ok());
            if let Some(held) = account.and_then(|it: usize| self.balances.get_mut(it)) {
                *held = seen;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn one_client_opens_transfers_and_keeps_the_sum() {
        let spec = BankSpec::default();
        let mut generator = spec.generator(Seed(2));
        let mut store: BTreeMap<Key, Value> = BTreeMap::new();
        let mut transfers = 0;
        for _ in 0..500 {
            let op = generator.next(ClientId(0)).unwrap();
            let Op::Transaction(transaction) = &op else { panic!("expected a transaction") };
            let holds = |it: &Condition| store.get(&it.0).copied() == it.1;
            let succeeded = transaction.conditions.iter().all(holds);
            let mut results = Vec::new();
            for step in transaction.side(succeeded) {
                results.push(match step {
                    Step::Write(key, value) => {
                        store.insert(key.clone(), *value);
                        StepReply::Done
                    }
                    step => StepReply::Read(store.get(step.key()).copied()),
                });
            }
            transfers += u32::from(succeeded && !op.is_read());
            let outcome = Outcome::Ok(Reply::Transacted { succeeded, results });
            generator.completed(ClientId(0), &op, &outcome);
        }
        assert!(transfers > 200, "{transfers}");
        assert_eq!(store.values().map(|value| value.0).sum::<i64>(), 800);
    }

    #[test]
    fn nonsense_is_refused_with_the_field() {
        insta::assert_snapshot!(
            BankSpec { accounts: 1, ..Default::default() }.validate().unwrap_err(),
            @"accounts: expected 2 to 64 (all are read at once), got 1"
        );
    }
}
