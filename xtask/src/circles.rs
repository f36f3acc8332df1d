// SPDX-License-Identifier: MIT OR Apache-2.0
//! The lab's own files use each other in no circle, so that each can be read with those below it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use syn::visit::Visit;

/// Whom each file uses.
type Uses = BTreeMap<String, BTreeSet<String>>;

/// Collects what follows `crate::`.
#[derive(Default)]
struct OfCrate(BTreeSet<String>);

impl OfCrate {
    fn first_of(&mut self, tree: &syn::UseTree) {
        match tree {
            syn::UseTree::Path(path) => {
                self.0.insert(path.ident.to_string());
            }
            syn::UseTree::Name(name) => {
                self.0.insert(name.ident.to_string());
            }
            syn::UseTree::Group(group) => {
                group.items.iter().for_each(|item| self.first_of(item));
            }
            syn::UseTree::Rename(rename) => {
                self.0.insert(rename.ident.to_string());
            }
            syn::UseTree::Glob(_) => {}
        }
    }
}

impl<'ast> Visit<'ast> for OfCrate {
    fn visit_use_path(&mut self, path: &'ast syn::UsePath) {
        if path.ident == "crate" {
            self.first_of(&path.tree);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let mut segments = path.segments.iter();
        if segments.next().is_some_and(|first| first.ident == "crate")
            && let Some(second) = segments.next()
        {
            self.0.insert(second.ident.to_string());
        }
        syn::visit::visit_path(self, path);
    }
}

/// Some circle, if there is one.
fn circle(uses: &Uses) -> Option<Vec<String>> {
    let mut rest = uses.clone();
    // Whoever uses nobody that is left, or is used by nobody, is in no circle.
    loop {
        let left: BTreeSet<String> = rest.keys().cloned().collect();
        let used: BTreeSet<String> = rest.values().flatten().cloned().collect();
        let before = rest.len();
        rest.retain(|name, of| {
            of.retain(|each| left.contains(each) && each != name);
            !of.is_empty() && used.contains(name)
        });
        if rest.len() == before {
            break;
        }
    }
    (!rest.is_empty()).then(|| rest.into_keys().collect())
}

#[test]
fn a_circle_is_found_and_a_tree_is_none() {
    let of = |list: &[(&str, &[&str])]| -> Uses {
        let entry = |(name, of): &(&str, &[&str])| {
            let of = of.iter().map(|each| (*each).to_owned()).collect();
            ((*name).to_owned(), of)
        };
        list.iter().map(entry).collect()
    };
    let tree = of(&[("a", &["b", "c"]), ("b", &["c"]), ("c", &[])]);
    assert_eq!(circle(&tree), None);
    let round = of(&[("a", &["b"]), ("b", &["c"]), ("c", &["b"]), ("d", &["a"])]);
    assert_eq!(circle(&round), Some(vec!["b".to_owned(), "c".to_owned()]));
}

/// A file, or those of a folder.
fn parts(path: &Path) -> anyhow::Result<Vec<std::path::PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = fs::read_dir(path)?;
    Ok(entries
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<_>>()?)
}

#[test]
fn the_labs_files_use_each_other_in_no_circle() -> anyhow::Result<()> {
    let mut uses = Uses::new();
    for file in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))? {
        let file = file?.path();
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        // The files of a folder are one for the others.
        let mut found = OfCrate::default();
        for part in parts(&file)? {
            found.visit_file(&syn::parse_file(&fs::read_to_string(part)?)?);
        }
        uses.insert(name.into_owned(), found.0);
    }
    assert!(uses["vm"].contains("machine"), "nothing was read: {uses:?}");
    assert!(
        !uses["experiments"].is_empty(),
        "no folder was read: {uses:?}"
    );
    assert_eq!(circle(&uses), None);
    Ok(())
}
