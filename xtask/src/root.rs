// SPDX-License-Identifier: MIT OR Apache-2.0
//! Debian roots: one per suite to build kernels and modules in, one for the full guest.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::cache::key;
use crate::lab::Lab;
use crate::run;
use crate::ui::Step;

/// What building a kernel and a Rust module takes, and what the lab's guests are packed with.
const TOOLCHAIN: &[&str] = &[
    "make",
    "gcc",
    "rustc",
    "rust-src",
    "rust-clippy",
    "rustfmt",
    "bindgen",
    "clang",
    "lld",
    "kmod",
    "libelf-dev",
    "flex",
    "bison",
    "bc",
    "cpio",
    "xz-utils",
    "zstd",
    "python3-minimal",
    "libssl-dev",
    "openssl",
    "pahole",
    "perl",
    "erofs-utils",
    "busybox-static",
    "debian-archive-keyring",
];

/// Enters a root with folders of the host bound into it, in namespaces of its own: when the first
/// process dies, everything in there dies with it and no mount is left behind.
const ENTER: &str = r#"
root=$1; user=$2; shift 2
mount --rbind /dev "$root/dev"
if [ -e /etc/resolv.conf ]; then touch "$root/etc/resolv.conf"; mount --bind /etc/resolv.conf "$root/etc/resolv.conf"; fi
mount -t proc proc "$root/proc"
while [ "$1" != -- ]; do mkdir -p "$root$2"; mount --bind "$1" "$root$2"; shift 2; done
shift
exec chroot --userspec="$user" "$root" /usr/bin/env -i LC_ALL=C HOME=/tmp PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    ${http_proxy:+http_proxy="$http_proxy"} ${https_proxy:+https_proxy="$https_proxy"} "$@"
"#;

/// Who runs a command inside a root.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum As {
    /// Root, to install and unpack.
    Root,
    /// The user who called us, so that results belong to them.
    User,
}

/// A root in the cache.
#[derive(Clone)]
pub struct Root {
    /// Where it is.
    pub dir: PathBuf,
    /// Its name in the cache, which says what went into it.
    pub name: String,
}

/// What a root is made of.
pub struct Recipe<'a> {
    /// For the cache and for people.
    pub name: String,
    /// Suites; the first is the root's own.
    pub suites: &'a [String],
    /// Packages beyond apt's own needs.
    pub packages: &'a [&'a str],
    /// Shell commands run with `$1` as the root, after the packages are in.
    pub finish: &'a str,
}

/// The toolchain root of that name in the catalogue.
pub fn toolchain(lab: &Lab, suite: &str) -> Result<Root> {
    make(lab, &toolchain_recipe(lab, suite)?)
}

/// The name under which the toolchain root is cached.
pub fn toolchain_name(lab: &Lab, suite: &str) -> Result<String> {
    Ok(cache_name(&toolchain_recipe(lab, suite)?))
}

fn toolchain_recipe<'a>(lab: &'a Lab, suite: &str) -> Result<Recipe<'a>> {
    let row = lab
        .catalogue
        .roots
        .get(suite)
        .with_context(|| format!("no root is called '{suite}'"))?;
    Ok(Recipe {
        name: format!("root-{suite}"),
        suites: &row.suites,
        packages: TOOLCHAIN,
        finish: "",
    })
}

fn cache_name(recipe: &Recipe<'_>) -> String {
    let inputs = [
        &recipe.suites.join(" "),
        &recipe.packages.join(" "),
        recipe.finish,
    ]
    .map(str::to_owned);
    format!(
        "{}-{}",
        recipe.name,
        key(&inputs.each_ref().map(String::as_str))
    )
}

/// Makes the root unless the cache has it.
pub fn make(lab: &Lab, recipe: &Recipe<'_>) -> Result<Root> {
    let name = cache_name(recipe);
    let dir = lab.cache.path(&name);
    if !dir.exists() {
        lab.host.install_needed(&lab.ui)?;
        lab.cache.get_or_build(&lab.ui, &lab.host, &name, |aside| {
            lab.ui.step(
                &format!("Making {} (Debian {})", recipe.name, recipe.suites[0]),
                |step| {
                    step.clear_log();
                    bootstrap(lab, step, recipe, aside)
                },
            )
        })?;
    }
    Ok(Root { dir, name })
}

fn bootstrap(lab: &Lab, step: &Step, recipe: &Recipe<'_>, aside: &Path) -> Result<()> {
    let mirror = lab.host.mirror(&lab.ui)?;
    let options = lab
        .target
        .join("lab")
        .join(format!("{}.apt.conf", recipe.name));
    fs::create_dir_all(lab.target.join("lab"))?;
    fs::write(
        &options,
        format!("{}Acquire::Languages \"none\";\n", mirror.apt_options),
    )?;
    let mut command = lab.host.as_root("unshare")?;
    command
        .args([
            "--mount",
            "--propagation",
            "private",
            "--pid",
            "--fork",
            "--kill-child=KILL",
            "--mount-proc",
        ])
        .args([
            "mmdebstrap",
            "--mode=root",
            "--variant=apt",
            "--skip=cleanup/apt/lists",
        ])
        .arg(format!("--aptopt={}", options.display()))
        .arg(format!("--include={}", recipe.packages.join(",")))
        .args((!recipe.finish.is_empty()).then(|| format!("--customize-hook={}", recipe.finish)))
        .arg(&recipe.suites[0])
        .arg(aside)
        .args(
            recipe
                .suites
                .iter()
                .map(|suite| format!("deb {} {suite} main", mirror.uri)),
        );
    run::run(step, &mut command).context(
        "cannot make the root; if the archive's signature is at fault, bring its keys up to date: \
         apt-get install debian-archive-keyring",
    )
}

impl Root {
    /// A command inside the root, with folders of the host bound at fixed places.
    pub fn command(&self, lab: &Lab, who: As, binds: &[(&Path, &str)]) -> Result<Command> {
        let mut command = lab.host.as_root("unshare")?;
        command
            .args([
                "--mount",
                "--propagation",
                "private",
                "--pid",
                "--fork",
                "--kill-child=KILL",
            ])
            .args(["sh", "-ec", ENTER, "enter"])
            .arg(&self.dir)
            .arg(match who {
                As::Root => "0:0".to_owned(),
                As::User => lab.host.user_spec(),
            });
        for (from, to) in binds {
            command.arg(from).arg(to);
        }
        command.arg("--");
        Ok(command)
    }
}
