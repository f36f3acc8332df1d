// SPDX-License-Identifier: MIT OR Apache-2.0
//! The project file that lets rust-analyzer understand `kernel/`: the kernel's own, with our crates
//! added and its paths moved from the toolchain root to where they are on this machine.
//!
//! rust-analyzer knows the methods of primitive types only from crates of the *sysroot*, so core and
//! the like are moved there. It also runs the compiler and the server of macros that match the
//! kernel's; these are programs of another system, and are started by its loader.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::kernel;
use crate::lab::Lab;
use crate::root::As;
use crate::run;
use crate::ui::shown;

/// The kernel whose metadata the editor sees.
const KERNEL: &str = "stock";

/// Writes `kernel/rust-project.json`.
pub fn run(lab: &Lab) -> Result<()> {
    let kernel = kernel::named(lab, KERNEL)?;
    lab.ui.step("Asking the kernel for its crates", |step| {
        step.clear_log();
        let source = kernel.source();
        let mut command = kernel
            .root
            .command(lab, As::Root, &[(source.as_path(), "/source")])?;
        run::run(
            step,
            command
                .args(["make", "-C", "/source", "rust-analyzer"])
                .args(kernel.make_variables()?),
        )
    })?;
    let text = fs::read_to_string(kernel.source().join("rust-project.json"))?;
    let text = text
        .replace("\"/source", &format!("\"{}", kernel.source().display()))
        .replace("\"/usr", &format!("\"{}/usr", kernel.root.dir.display()));
    let mut project: Value = serde_json::from_str(&text)?;
    let crates = project["crates"].take();
    let crates: Vec<Value> = serde_json::from_value(crates).context("the kernel's project file")?;
    let (mut crates, of_sysroot) = split(crates);
    let library = of_sysroot.iter().find_map(library_of);
    add_ours(lab, &mut crates)?;
    project["crates"] = crates.into();
    project["sysroot"] = json!(programs(lab, &kernel.root.dir)?);
    project["sysroot_src"] = json!(library.context("the kernel's project file has no core")?);
    project["sysroot_project"] = json!({ "crates": of_sysroot });
    let file = lab.repo.join("kernel/rust-project.json");
    fs::write(&file, serde_json::to_string(&project)?)?;
    lab.ui.note(&format!(
        "wrote {}: open the folder kernel/ in your editor",
        shown(&file)
    ));
    Ok(())
}

/// The folder with the sources of all crates of the sysroot.
fn library_of(core: &Value) -> Option<PathBuf> {
    let root = Path::new(core["root_module"].as_str()?);
    root.ancestors().nth(3).map(Path::to_path_buf)
}

/// The crates but those of the sysroot, and those. Both are numbered anew; what depends on the
/// sysroot's does so without saying.
fn split(crates: Vec<Value>) -> (Vec<Value>, Vec<Value>) {
    let of_sysroot = ["core", "alloc", "std", "proc_macro"];
    let is_of_sysroot = |each: &Value| of_sysroot.iter().any(|name| each["display_name"] == *name);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let (mut numbers, mut numbers_there) = (HashMap::new(), HashMap::new());
    for (number, each) in crates.into_iter().enumerate() {
        let (list, numbers) = if is_of_sysroot(&each) {
            (&mut theirs, &mut numbers_there)
        } else {
            (&mut ours, &mut numbers)
        };
        numbers.insert(number as u64, list.len());
        list.push(each);
    }
    renumber(&mut ours, &numbers);
    renumber(&mut theirs, &numbers_there);
    (ours, theirs)
}

/// Gives the dependencies their new numbers, and leaves out those that have none.
fn renumber(crates: &mut [Value], numbers: &HashMap<u64, usize>) {
    for each in crates {
        let dependencies = each["deps"].as_array().cloned().unwrap_or_default();
        let renumbered = dependencies.into_iter().filter_map(|mut dependency| {
            dependency["crate"] = json!(numbers.get(&dependency["crate"].as_u64()?)?);
            Some(dependency)
        });
        each["deps"] = renumbered.collect();
    }
}

/// Writes what starts the programs that rust-analyzer wants from a sysroot, and returns that folder.
fn programs(lab: &Lab, root: &Path) -> Result<PathBuf> {
    let folder = lab.repo.join("target/lab/ide");
    for program in ["bin/rustc", "libexec/rust-analyzer-proc-macro-srv"] {
        let file = folder.join(program);
        fs::create_dir_all(file.parent().context("a folder")?)?;
        let root = root.display();
        fs::write(
            &file,
            format!(
                "#!/bin/sh\nexec '{root}/usr/lib64/ld-linux-x86-64.so.2' --library-path \
                 '{root}/usr/lib/x86_64-linux-gnu' '{root}/usr/{program}' \"$@\"\n"
            ),
        )?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755))?;
    }
    Ok(folder)
}

fn add_ours(lab: &Lab, crates: &mut Vec<Value>) -> Result<()> {
    let mut known = Vec::new();
    for name in ["kernel", "pin_init", "zerocopy", "zerocopy_derive"] {
        let index = crates.iter().position(|each| each["display_name"] == name);
        known.push(
            json!({ "crate": index.with_context(|| format!("no crate {name}"))?, "name": name }),
        );
    }
    let template = crates
        .iter()
        .find(|each| each["display_name"] == "kernel")
        .cloned()
        .unwrap_or_default();
    let mut roots = vec![
        ("abi".to_owned(), lab.repo.join("pure/abi/src/lib.rs")),
        ("model".to_owned(), lab.repo.join("pure/model/src/lib.rs")),
    ];
    let rooms = fs::read_to_string(lab.repo.join("kernel/shared.kbuild"))?;
    roots.extend(rooms_of(&rooms).map(|room| {
        let root = lab.repo.join("kernel/kx").join(room).join("lib.rs");
        (format!("kx_{room}"), root)
    }));
    let shared = roots.len();
    for folder in fs::read_dir(lab.repo.join("kernel"))? {
        let folder = folder?.path();
        let name = folder
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let root = folder.join(format!("{name}_main.rs"));
        if root.exists() {
            roots.push((name, root));
        }
    }
    for (index, (name, root)) in roots.into_iter().enumerate() {
        let here = crates.len();
        crates.push(json!({
            "display_name": name, "root_module": root, "is_workspace_member": true, "edition": "2021",
            "is_proc_macro": false, "deps": known, "cfg": cfg_of(&template), "env": { "RUST_MODFILE": "" },
        }));
        if index < shared {
            known.push(json!({ "crate": here, "name": name }));
        }
    }
    Ok(())
}

/// The rooms of `kx` that the build file names, each behind those that it needs.
fn rooms_of(build_file: &str) -> impl Iterator<Item = &str> {
    build_file
        .lines()
        .filter_map(|line| line.strip_prefix("needs-")?.split_whitespace().next())
}

/// The kernel crate's configuration, and `MODULE`.
fn cfg_of(template: &Value) -> Value {
    let mut cfg = template["cfg"].as_array().cloned().unwrap_or_default();
    cfg.push(json!("MODULE"));
    Value::Array(cfg)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_are_read_from_the_build_file() {
        let build_file = "# needs\nneeds-base :=\nneeds-mm   := base\nuse-room = needs-room\n";
        assert_eq!(rooms_of(build_file).collect::<Vec<_>>(), ["base", "mm"]);
    }

    #[test]
    fn crates_of_the_sysroot_are_split_off_and_all_are_numbered_anew() {
        let on = |number: u64, name: &str| json!({ "crate": number, "name": name });
        let crates = vec![
            json!({ "display_name": "core", "deps": [] }),
            json!({ "display_name": "helpers", "deps": [on(0, "core")] }),
            json!({ "display_name": "alloc", "deps": [on(0, "core")] }),
            json!({ "display_name": "kernel", "deps": [on(2, "alloc"), on(1, "helpers")] }),
        ];
        let (ours, theirs) = split(crates);
        assert_eq!(
            ours,
            [
                json!({ "display_name": "helpers", "deps": [] }),
                json!({ "display_name": "kernel", "deps": [on(0, "helpers")] }),
            ]
        );
        assert_eq!(
            theirs,
            [
                json!({ "display_name": "core", "deps": [] }),
                json!({ "display_name": "alloc", "deps": [on(0, "core")] }),
            ]
        );
    }
}
