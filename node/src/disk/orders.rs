//! `DIR/orders`: what is to go wrong with the disk, as whoever gives the orders writes it.
//!
//! JSON, replaced as a whole by a rename, so that it is never read half. It is read before every
//! call, so an order holds from the next call on, and no thread has to watch. A file that is not
//! there orders nothing.
//!
//! ```text
//! {"version":1,"power-cut":{"number":1,"torn":77},"full":"growth","fail":"syncs",
//!  "sync-delay-ms":20,"stall-syncs":true}
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

/// The version of the format above.
const VERSION: u32 = 1;

/// The longest delay of a sync: longer than any election timeout, short enough that whoever waits
/// for the process to end does not give up first.
const SYNC_DELAY_MAX: Duration = Duration::from_secs(10);

/// All orders. Nothing is wrong by default.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Orders {
    version: u32,
    /// What was not synced is gone at the next start.
    #[serde(default)]
    pub(super) power_cut: Option<PowerCut>,
    /// There is no space left.
    #[serde(default)]
    pub(super) full: Option<Full>,
    /// Calls answer `EIO`.
    #[serde(default)]
    pub(super) fail: Option<Fail>,
    #[serde(default)]
    sync_delay_ms: u64,
    /// Syncs do not return.
    #[serde(default)]
    pub(super) stall_syncs: bool,
}

/// A loss of power while the process was down.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(super) struct PowerCut {
    /// Counts from 1. One that the report says was carried out is not carried out again.
    pub(super) number: u64,
    /// A part of what was not synced had got to the disk, drawn from this seed.
    #[serde(default)]
    pub(super) torn: Option<u64>,
}

/// What a full disk refuses with `ENOSPC`.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Full {
    /// What needs new space on a file system that overwrites in place: ext4, XFS.
    Growth,
    /// Every write, as on one that never overwrites: Btrfs, ZFS.
    Writes,
}

/// What fails with `EIO`.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Fail {
    /// Writes.
    Writes,
    /// Syncs.
    Syncs,
}

impl Default for Orders {
    fn default() -> Self {
        Orders {
            version: VERSION,
            power_cut: None,
            full: None,
            fail: None,
            sync_delay_ms: 0,
            stall_syncs: false,
        }
    }
}

impl Orders {
    /// By how much every sync is late.
    pub(super) fn sync_delay(&self) -> Duration {
        Duration::from_millis(self.sync_delay_ms)
    }

    /// Reads the orders in a folder.
    ///
    /// # Errors
    ///
    /// `InvalidData` for what is no order of this version.
    pub(super) fn read(folder: &Path) -> io::Result<Orders> {
        let path = path_in(folder);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Orders::default()),
            Err(error) => return Err(error),
        };
        let refuse = |why: String| {
            io::Error::new(io::ErrorKind::InvalidData, format!("{}: {why}", path.display()))
        };
        let orders: Orders =
            serde_json::from_slice(&bytes).map_err(|error| refuse(error.to_string()))?;
        if orders.version != VERSION {
            return Err(refuse(format!("expected version {VERSION}, got {}", orders.version)));
        }
        if orders.sync_delay() > SYNC_DELAY_MAX {
            let most = SYNC_DELAY_MAX.as_millis();
            return Err(refuse(format!(
                "sync-delay-ms: expected at most {most}, got {}",
                orders.sync_delay_ms
            )));
        }
        Ok(orders)
    }
}

fn path_in(folder: &Path) -> PathBuf {
    folder.join("orders")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_read_as_documented_and_nonsense_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let read = |text: &str| {
            fs::write(path_in(folder.path()), text).expect("it is written");
            Orders::read(folder.path())
        };
        assert_eq!(Orders::read(folder.path()).expect("none"), Orders::default());
        let all = r#"{"version":1,"power-cut":{"number":1,"torn":77},"full":"growth",
            "fail":"syncs","sync-delay-ms":20,"stall-syncs":true}"#;
        let expected = Orders {
            version: VERSION,
            power_cut: Some(PowerCut { number: 1, torn: Some(77) }),
            full: Some(Full::Growth),
            fail: Some(Fail::Syncs),
            sync_delay_ms: 20,
            stall_syncs: true,
        };
        assert_eq!(read(all).expect("the example"), expected);
        assert_eq!(read(r#"{"version":1}"#).expect("nothing"), Orders::default());
        for bad in [
            "",
            "{}",
            r#"{"version":2}"#,
            r#"{"version":1,"ful":"growth"}"#,
            r#"{"version":1,"full":"half"}"#,
            r#"{"version":1,"sync-delay-ms":10001}"#,
        ] {
            let error = read(bad).expect_err(bad);
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{bad}: {error}");
        }
    }
}
