// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel's own merging of equal pages, as a peer.

use std::fs;

use anyhow::{Context, Result};

use crate::SysSetting;

const KSM: &str = "/sys/kernel/mm/ksm";

/// KSM running as fast as it goes. Dropping it unmerges everything and stops it.
#[derive(Debug)]
pub struct Ksm {
    _settings: Vec<SysSetting>,
}

impl Ksm {
    /// Starts it on whatever has been offered to it.
    ///
    /// # Errors
    /// If the kernel has no KSM.
    pub fn run() -> Result<Self> {
        write("run", "2")?; // some settings want nothing to be merged
        let settings = [
            ("max_page_sharing", "1000000"), // a group may be large, and stay one
            ("smart_scan", "0"),
            ("use_zero_pages", "0"),
            ("pages_to_scan", "100000"),
            ("sleep_millisecs", "0"),
        ];
        let set = |(file, value)| SysSetting::set(format!("{KSM}/{file}"), value);
        let settings = settings.into_iter().map(set).collect::<Result<_>>()?;
        write("run", "1")?;
        Ok(Self {
            _settings: settings,
        })
    }

    /// Scans of everything that are complete, since boot.
    ///
    /// # Errors
    /// If sysfs does not say.
    pub fn scans(&self) -> Result<u64> {
        figure("full_scans")
    }

    /// Pages that were merged, and the pages that they were merged into.
    ///
    /// # Errors
    /// If sysfs does not say.
    pub fn merged(&self) -> Result<(u64, u64)> {
        let kept = figure("pages_shared")?;
        Ok((kept + figure("pages_sharing")?, kept))
    }
}

impl Drop for Ksm {
    fn drop(&mut self) {
        if let Err(error) = write("run", "2").and_then(|()| write("run", "0")) {
            eprintln!("{error:#}");
        }
    }
}

fn write(file: &str, value: &str) -> Result<()> {
    fs::write(format!("{KSM}/{file}"), value).with_context(|| format!("KSM's {file}"))
}

fn figure(file: &str) -> Result<u64> {
    let text =
        fs::read_to_string(format!("{KSM}/{file}")).with_context(|| format!("KSM's {file}"))?;
    text.trim().parse().with_context(|| format!("KSM's {file}"))
}
