//! What clients do to a store, what they saw, and whether it may be so.
//!
//! This crate is pure: no processes, no sockets, no clock, no async. It is written to be depended
//! on by other tools that record histories and want a verdict.
//!
//! Read in this order: [`operation`] (the closed vocabulary), [`history`] (operations in one
//! order, and their file format), [`verdict`] (what a checker may say), [`checker`] (how it finds
//! out), [`workload`] (a generator and its checkers under one name), [`watch`] (what is certain while
//! a history still grows).
//!
//! A history is read from bytes or made of [`history::Operation`]s, and judged without further ado:
//!
//! ```
//! use splitbrain_workloads::checker::{linearizable, promise::Promise};
//! use splitbrain_workloads::history::{Reading, open};
//! use splitbrain_workloads::recording::Recording;
//! use splitbrain_workloads::verdict::{AnomalyKind, Verdict};
//!
//! let file = r#"{"history":1,"workload":"register","nodes":3}
//! {"seq":0,"us":1000,"client":1,"node":"n1","invoke":{"write":{"key":"x","value":1}}}
//! {"seq":1,"us":2000,"client":1,"ok":"written"}
//! {"seq":2,"us":3000,"client":1,"node":"n1","invoke":{"write":{"key":"x","value":2}}}
//! {"seq":3,"us":4000,"client":1,"ok":"written"}
//! {"seq":4,"us":9000,"client":2,"node":"n2","invoke":{"read":{"key":"x"}}}
//! {"seq":5,"us":9500,"client":2,"ok":{"read":1}}
//! {"end":{"events":6}}
//! "#;
//! let (recording, _) = open(&mut file.as_bytes(), &Reading::default())?;
//! let Recording::Operations(history) = recording else { panic!("a history of registers") };
//!
//! // The read saw a value that had been overwritten before it began.
//! let judgement = linearizable::check_registers(&history);
//! assert_eq!(judgement.verdict, Verdict::Fail);
//! assert_eq!(judgement.anomalies[0].kind, AnomalyKind::StaleRead);
//! assert!(judgement.anomalies[0].story[0].contains("c2 read x=1 at n2 from 0.009 s"));
//!
//! // A store that promises reads of the last five milliseconds has kept its word.
//! let promise: Promise = "bounded-staleness=5ms".parse()?;
//! assert_eq!(promise.judge(&history).verdict, Verdict::Pass);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod checker;
pub mod history;
pub mod model;
pub mod operation;
pub mod recording;
pub mod seed;
pub mod verdict;
pub mod watch;
pub mod witness;
pub mod workload;
