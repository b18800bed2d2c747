//! The words in which a node's file layer is told to fail and says what it did: two small JSON files
//! in a folder that the node is given at its start, as docs/store-on-disk.md describes them.
//!
//! No type is shared with the store. A target without such a layer has none of this.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// What is to go wrong with a disk from the next call on. Nothing by default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct DiskOrders {
    /// Of the format, 1.
    pub version: u32,
    /// What was not synced is undone at the next start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub power_cut: Option<PowerCut>,
    /// `ENOSPC`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub full: Option<Refuses>,
    /// `EIO`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fail: Option<Fails>,
    /// By how many milliseconds every sync is late.
    pub sync_delay_ms: u64,
    /// Syncs do not return.
    pub stall_syncs: bool,
}

/// A loss of power.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PowerCut {
    /// One more than [`DiskReport::power_cuts`] says.
    pub number: u64,
    /// A part of what was not synced had got to the disk, drawn from this seed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub torn: Option<u64>,
}

/// What a full disk refuses.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refuses {
    /// What needs new space where a file system overwrites in place, such as ext4 and XFS.
    #[default]
    Growth,
    /// Every write, as where it never does, such as Btrfs and ZFS.
    Writes,
}

/// What fails with an input/output error.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fails {
    /// Writes.
    Writes,
    /// Syncs.
    Syncs,
}

impl Default for DiskOrders {
    fn default() -> DiskOrders {
        DiskOrders {
            version: 1,
            power_cut: None,
            full: None,
            fail: None,
            sync_delay_ms: 0,
            stall_syncs: false,
        }
    }
}

impl DiskOrders {
    /// Gives the orders in a folder, in place of those before.
    ///
    /// # Errors
    ///
    /// When the folder cannot be written.
    pub fn give(&self, folder: &Path) -> io::Result<()> {
        // Put in place as a whole: they are read at any moment.
        let unfinished = folder.join("orders.tmp");
        fs::write(&unfinished, serde_json::to_vec(self)?)?;
        fs::rename(unfinished, folder.join("orders"))
    }
}

/// What a layer did on orders, over all lives of its node. All zero before it did anything.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default, rename_all = "kebab-case")]
pub struct DiskReport {
    /// Losses of power that were carried out.
    pub power_cuts: u64,
    /// Bytes that they changed back.
    pub lost_bytes: u64,
    /// New files, renames and removals that they undid.
    pub lost_names: u64,
    /// Sectors with something unsynced in them that torn ones left on disk.
    pub kept_sectors: u64,
    /// Calls that found no space.
    pub refused: u64,
    /// Writes that failed.
    pub failed_writes: u64,
    /// Syncs that failed.
    pub failed_syncs: u64,
    /// Syncs that were late.
    pub late_syncs: u64,
    /// By how much together, in milliseconds.
    pub late_ms: u64,
}

impl DiskReport {
    /// Reads the report in a folder.
    pub fn read(folder: &Path) -> DiskReport {
        // It is replaced as a whole, so what is not there was not written yet.
        let text = fs::read(folder.join("report")).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }
}
