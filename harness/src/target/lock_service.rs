//! The lock service of a store with `election=lease`: one more process of this program, a cluster
//! of one node in the `raft` profile.
//!
//! It is nobody's victim: no fault names it and no proxy stands before it, so a node that is cut
//! off from its peers still reaches it. Started by `run` before the nodes, as the
//! [`Companion`] of the [`store`](super::store).

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;

use super::{Beside, Companion, http};

/// The lock service.
pub(super) struct LockService {
    program: PathBuf,
    client: reqwest::Client,
}

impl LockService {
    /// One that this program will run.
    pub(super) fn new(program: PathBuf) -> LockService {
        LockService { program, client: http::client(Duration::from_secs(1)) }
    }
}

/// The part of its `GET /status` that tells whether it can give a lock away.
#[derive(Deserialize)]
struct Status {
    role: String,
}

#[async_trait]
impl Companion for LockService {
    fn program(&self) -> &Path {
        &self.program
    }

    fn arguments(&self, beside: &Beside, token: &str, data: &Path) -> Vec<String> {
        let options = [
            ("--id", "n1".to_string()),
            // A name of its own, so that it and the nodes cannot take each other for peers.
            ("--cluster", format!("{token}-locks")),
            ("--data-dir", data.display().to_string()),
            ("--client-listen", beside.client.to_string()),
            ("--peer-listen", beside.peer.to_string()),
            ("--profile", "raft".to_string()),
        ];
        let options = options.into_iter().flat_map(|(name, value)| [name.to_string(), value]);
        ["node".to_string()].into_iter().chain(options).collect()
    }

    async fn serves(&self, beside: &Beside, limit: Duration) -> bool {
        let request = self.client.get(format!("http://{}/status", beside.client)).timeout(limit);
        let answer = http::send::<Status>(request).await;
        answer.ok().and_then(|answer| answer.body).is_some_and(|status| status.role == "leader")
    }
}
