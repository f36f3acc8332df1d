// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which versions the archive has: resolved from its index, recorded in the cache.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::catalogue::KernelRow;
use crate::lab::Lab;
use crate::root::{self, As, Root};
use crate::run;

/// One kernel as the archive has it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Resolved {
    /// The toolchain root whose suites have it.
    pub root: String,
    /// What `uname -r` will say.
    pub release: String,
    /// The package with the image.
    pub image: String,
    /// The version of all its packages.
    pub deb_version: String,
    /// The package with the source.
    pub source: String,
}

/// Resolved kernels by name.
type Table = BTreeMap<String, Resolved>;

/// Whether a recorded answer will do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// What was found when the lab was set up, so that runs are alike.
    Recorded,
    /// Fetch the index anew.
    AskArchive,
}

/// Asks the archive again about all kernels.
pub fn update(lab: &Lab) -> Result<()> {
    for root in lab.catalogue.roots.keys() {
        resolve_root(lab, root, Freshness::AskArchive)?;
    }
    Ok(())
}

/// The row's kernel: the newest that its roots have.
pub fn resolve(lab: &Lab, row: &KernelRow, freshness: Freshness) -> Result<Resolved> {
    let mut found = Vec::new();
    for root in &row.roots {
        found.extend(resolve_root(lab, root, freshness)?.remove(&row.name));
    }
    newest_of(found).with_context(|| {
        format!(
            "the archive has no kernel for '{}' ({})",
            row.name, row.what
        )
    })
}

/// The first of equals: one of backports may be that of `stock`, too.
fn newest_of(found: Vec<Resolved>) -> Option<Resolved> {
    found.into_iter().reduce(|best, other| {
        let is_newer = upstream_of(&other.release) > upstream_of(&best.release);
        if is_newer { other } else { best }
    })
}

/// The kernels that one root's suites have.
fn resolve_root(lab: &Lab, suite: &str, freshness: Freshness) -> Result<Table> {
    let record = format!(
        "resolved-{}-{}.json",
        root::toolchain_name(lab, suite)?,
        lab.catalogue.key()
    );
    if freshness == Freshness::Recorded
        && let Some(text) = lab.cache.read(&record)
        && let Ok(table) = serde_json::from_str(&text)
    {
        return Ok(table);
    }
    let fresh_root = !lab.cache.path(&root::toolchain_name(lab, suite)?).exists();
    let root = root::toolchain(lab, suite)?;
    let _lock = lab.cache.lock(&lab.ui, &format!("{}.apt", root.name))?;
    if !fresh_root {
        lab.ui
            .step(&format!("Reading the package index of {suite}"), |step| {
                run::run(
                    step,
                    root.command(lab, As::Root, &[])?
                        .args(["apt-get", "update", "--error-on=any"]),
                )
            })?;
    }
    let names = run::output(root.command(lab, As::Root, &[])?.args([
        "apt-cache",
        "pkgnames",
        "linux-binary-",
    ]))?;
    let mut table = Table::new();
    for row in &lab.catalogue.kernels {
        if !row.roots.iter().any(|root| root == suite) {
            continue;
        }
        let base = base_version(lab, row, &table)?;
        if let Some(image) = newest(&names, row, base.as_deref()) {
            let resolved = describe(lab, &root, suite, row, image)?;
            table.insert(row.name.clone(), resolved);
        }
    }
    lab.cache
        .write(&record, &serde_json::to_string_pretty(&table)?)?;
    Ok(table)
}

/// The version that the row is bound to, as it begins a release: `7.2.12+deb13`.
fn base_version(lab: &Lab, row: &KernelRow, earlier: &Table) -> Result<Option<String>> {
    let Some(other) = &row.version_of else {
        return Ok(None);
    };
    let flavour = &lab.catalogue.kernel(other)?.flavour;
    let resolved = earlier
        .get(other)
        .with_context(|| format!("the archive has no '{other}' for '{}'", row.name))?;
    let base = resolved.release.strip_suffix(&format!("-{flavour}"));
    Ok(Some(base.context("odd release")?.to_owned()))
}

/// What the root's index says of an image.
fn describe(
    lab: &Lab,
    root: &Root,
    suite: &str,
    row: &KernelRow,
    image: String,
) -> Result<Resolved> {
    let release = release_of(&image).to_owned();
    let upstream = upstream_of(&release);
    ensure!(upstream.len() >= 2, "cannot read the version of {release}");
    let show = run::output(root.command(lab, As::Root, &[])?.args([
        "apt-cache",
        "show",
        "--no-all-versions",
        &image,
    ]))?;
    let deb_version = show
        .lines()
        .find_map(|line| line.strip_prefix("Version: "))
        .with_context(|| format!("the index gives no version for {image}"))?;
    let release = match row.config {
        None => release,
        Some(_) => format!(
            "{}-debug",
            release
                .strip_suffix(&format!("-{}", row.flavour))
                .unwrap_or(&release)
        ),
    };
    Ok(Resolved {
        root: suite.to_owned(),
        release,
        image,
        deb_version: deb_version.to_owned(),
        source: format!("linux-source-{}.{}", upstream[0], upstream[1]),
    })
}

/// The newest image package that satisfies the row; a signed one before its unsigned twin.
fn newest(names: &str, row: &KernelRow, base: Option<&str>) -> Option<String> {
    let at_least = row.at_least.as_deref().map(numbers).unwrap_or_default();
    names
        .split_whitespace()
        .filter(|package| package.starts_with("linux-binary-"))
        .filter(|package| !(row.signed && is_unsigned(package)))
        .filter_map(|package| {
            let found = release_of(package).strip_suffix(&format!("-{}", row.flavour))?;
            // Another flavour's name contains a dash more ("7.2.12+deb13-rt").
            let fits = !found.contains('-') && base.is_none_or(|base| base == found);
            let version = upstream_of(found);
            (fits && version >= at_least).then_some((version, !is_unsigned(package), package))
        })
        .max()
        .map(|(_, _, package)| package.to_owned())
}

fn is_unsigned(package: &str) -> bool {
    package.starts_with("linux-binary-unsigned-")
}

fn release_of(package: &str) -> &str {
    let rest = package.strip_prefix("linux-binary-").unwrap_or(package);
    rest.strip_prefix("unsigned-").unwrap_or(rest)
}

/// `7.2.12+deb13-amd64` → `[7, 2, 12]`; a release candidate sorts before its release.
fn upstream_of(release: &str) -> Vec<u32> {
    let upstream = release.split(['+', '-']).next().unwrap_or_default();
    match upstream.split_once('~') {
        Some((base, _)) => {
            let mut version = numbers(base);
            version.push(0);
            version
        }
        None => {
            let mut version = numbers(upstream);
            version.push(1);
            version
        }
    }
}

fn numbers(version: &str) -> Vec<u32> {
    version
        .split('.')
        .map_while(|part| part.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: &str = "linux-binary-6.19.14+deb13-amd64 linux-binary-7.2.9+deb13-amd64 linux-binary-7.2.12+deb13-amd64 \
        linux-binary-7.2.12+deb13-rt-amd64 linux-binary-7.2.12+deb13-cloud-amd64 linux-binary-unsigned-7.2.12+deb13-amd64 \
        linux-binary-unsigned-7.3.4+deb13-amd64";

    fn row(flavour: &str, signed: bool, at_least: &str) -> KernelRow {
        KernelRow {
            name: "x".into(),
            what: "x".into(),
            roots: vec!["trixie".into()],
            flavour: flavour.into(),
            at_least: Some(at_least.into()),
            version_of: None,
            signed,
            append: String::new(),
            config: None,
        }
    }

    #[test]
    fn twelve_is_newer_than_nine_and_signed_beats_its_unsigned_twin() {
        assert_eq!(
            newest(NAMES, &row("amd64", true, "7.2"), None).unwrap(),
            "linux-binary-7.2.12+deb13-amd64"
        );
        let pair = "linux-binary-unsigned-7.2.12+deb13-amd64 linux-binary-7.2.12+deb13-amd64";
        assert_eq!(
            newest(pair, &row("amd64", false, "7.2"), None).unwrap(),
            "linux-binary-7.2.12+deb13-amd64"
        );
    }

    #[test]
    fn unsigned_counts_only_where_the_row_says_so() {
        assert_eq!(
            newest(NAMES, &row("amd64", false, "7.2"), None).unwrap(),
            "linux-binary-unsigned-7.3.4+deb13-amd64"
        );
        assert_eq!(newest(NAMES, &row("amd64", true, "7.3"), None), None);
    }

    #[test]
    fn the_newest_of_several_roots_is_taken_and_of_equals_the_first() {
        let of = |root: &str, release: &str| Resolved {
            root: root.into(),
            release: release.into(),
            image: "x".into(),
            deb_version: "x".into(),
            source: "x".into(),
        };
        let root = |found| newest_of(found).map(|newest| newest.root);
        let backports = of("trixie", "7.3.4+deb13-amd64");
        let newest = |other| root(vec![backports.clone(), of("sid", other)]).unwrap();
        assert_eq!(newest("7.2.13+deb14-amd64"), "trixie");
        assert_eq!(newest("7.3.4+deb14-amd64"), "trixie");
        assert_eq!(newest("7.3.10+deb14-amd64"), "sid");
        assert_eq!(newest("7.4-amd64"), "sid");
        assert_eq!(root(vec![]), None);
    }

    #[test]
    fn a_flavour_is_not_taken_for_another() {
        let rt = newest(NAMES, &row("rt-amd64", true, "7.2"), Some("7.2.12+deb13"));
        assert_eq!(rt.unwrap(), "linux-binary-7.2.12+deb13-rt-amd64");
        assert_eq!(
            newest(NAMES, &row("rt-amd64", true, "7.2"), Some("7.2.9+deb13")),
            None
        );
    }

    #[test]
    fn a_candidate_sorts_before_its_release() {
        assert!(upstream_of("7.3~rc4+deb14-amd64") < upstream_of("7.3+deb14-amd64"));
        assert!(upstream_of("7.3+deb14-amd64") < upstream_of("7.3.1+deb14-amd64"));
    }
}
