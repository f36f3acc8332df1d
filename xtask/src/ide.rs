// SPDX-License-Identifier: MIT OR Apache-2.0
//! The project file that lets rust-analyzer understand `kernel/`: the kernel's own, with our crates
//! added and its paths moved from the toolchain root to where they are on this machine.

use std::fs;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::lab::Lab;
use crate::root::As;
use crate::run;
use crate::ui::shown;

/// The kernel whose metadata the editor sees.
const KERNEL: &str = "stock";

/// Writes `kernel/rust-project.json`.
pub fn run(lab: &Lab) -> Result<()> {
    let kernel = lab.kernel(KERNEL)?;
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
    let crates = project["crates"]
        .as_array_mut()
        .context("the kernel's project file has no crates")?;
    add_ours(lab, crates)?;
    let file = lab.repo.join("kernel/rust-project.json");
    fs::write(&file, serde_json::to_string(&project)?)?;
    lab.ui.note(&format!(
        "wrote {}: open the folder kernel/ in your editor",
        shown(&file)
    ));
    Ok(())
}

fn add_ours(lab: &Lab, crates: &mut Vec<Value>) -> Result<()> {
    let mut known = Vec::new();
    for name in ["core", "kernel", "pin_init"] {
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
        ("kx".to_owned(), lab.repo.join("kernel/kx/lib.rs")),
    ];
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

/// The kernel crate's configuration, and `MODULE`.
fn cfg_of(template: &Value) -> Value {
    let mut cfg = template["cfg"].as_array().cloned().unwrap_or_default();
    cfg.push(json!("MODULE"));
    Value::Array(cfg)
}
