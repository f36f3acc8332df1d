// SPDX-License-Identifier: MIT OR Apache-2.0
//! The table of kernels, from `data/kernels.toml`.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde::Deserialize;

const TABLE: &str = include_str!("../data/kernels.toml");

/// All rows.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalogue {
    /// Toolchain roots by suite.
    pub roots: BTreeMap<String, RootRow>,
    /// Kernels, in the order in which they are listed and tested.
    pub kernels: Vec<KernelRow>,
}

/// A Debian root that builds kernels.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RootRow {
    /// The suite itself first, then its companions (updates, backports).
    pub suites: Vec<String>,
}

/// One kernel.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KernelRow {
    /// What `--kernel` takes.
    pub name: String,
    /// For people.
    pub what: String,
    /// The toolchain roots that may build for it: that of the newest version does, the first of equals.
    pub roots: Vec<String>,
    /// Debian's flavour: the end of the release string.
    pub flavour: String,
    /// The oldest upstream version that will do.
    pub at_least: Option<String>,
    /// Take the version of this row instead of the newest.
    pub version_of: Option<String>,
    /// Only kernels that Debian signed.
    #[serde(default)]
    pub signed: bool,
    /// Words for the kernel's command line.
    #[serde(default)]
    pub append: String,
    /// Build the image ourselves with this configuration.
    pub config: Option<DebugConfig>,
}

/// Configurations that the lab builds itself.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DebugConfig {
    /// `data/debug.config`.
    Debug,
}

impl Catalogue {
    /// Reads the table that was compiled in.
    pub fn load() -> Result<Self> {
        toml::from_str(TABLE).context("data/kernels.toml is malformed")
    }

    /// The row of that name.
    pub fn kernel(&self, name: &str) -> Result<&KernelRow> {
        self.kernels
            .iter()
            .find(|row| row.name == name)
            .with_context(|| {
                let known: Vec<_> = self.kernels.iter().map(|row| row.name.as_str()).collect();
                format!(
                    "no kernel is called '{name}': there are {}",
                    known.join(", ")
                )
            })
    }

    /// Names what went into a resolution, for the cache.
    pub fn key(&self) -> String {
        crate::cache::key(&[TABLE])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_names_every_kernel_that_scripts_rely_on() {
        let table = Catalogue::load().unwrap();
        let names: Vec<_> = table.kernels.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names, ["stock", "rt", "cloud", "next", "testing", "debug"]);
        for row in &table.kernels {
            assert!(!row.roots.is_empty(), "{} has no root", row.name);
            for root in &row.roots {
                assert!(table.roots.contains_key(root), "there is no {root}");
            }
            if let Some(other) = &row.version_of {
                assert_eq!(table.kernel(other).unwrap().roots, row.roots);
            }
        }
    }

    #[test]
    fn an_unknown_kernel_is_answered_with_the_known_ones() {
        let error = Catalogue::load().unwrap().kernel("nope").err().unwrap();
        assert!(
            error
                .to_string()
                .contains("stock, rt, cloud, next, testing, debug")
        );
    }
}
