// SPDX-License-Identifier: MIT OR Apache-2.0
//! Packing what the VM starts from: an initramfs, and the full guest's disk image.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use cpio::newc;
use walkdir::WalkDir;

use crate::kernel::Kernel;
use crate::lab::Lab;
use crate::request::{Guest, VmRequest};
use crate::root::{self, As, Recipe};
use crate::run;
use crate::{modules, programs};

const INIT: &str = include_str!("../guest/init");
const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n";
const GROUP: &str = "root:x:0:\nnogroup:x:65534:\n";

/// What people look at memory with, and whose memory they look at.
const FULL_PACKAGES: &[&str] = &[
    "redis-server",
    "redis-tools",
    "python3",
    "bpftrace",
    "smem",
    "procps",
    "util-linux",
    "strace",
    "kmod",
    "prometheus",
    "iproute2",
];

/// Leaves only what a booted guest needs.
const FULL_FINISH: &str = "rm -rf \"$1\"/usr/share/doc/* \"$1\"/usr/share/man/* \"$1\"/var/lib/apt/lists/* \"$1\"/usr/share/locale/*";

/// An initramfs under construction.
struct Initramfs {
    bytes: Vec<u8>,
    folders: BTreeSet<PathBuf>,
    inode: u32,
}

impl Initramfs {
    fn new() -> Self {
        Self {
            bytes: Vec::new(),
            folders: BTreeSet::new(),
            inode: 1,
        }
    }

    fn entry(&mut self, path: &Path, mode: u32, contents: &[u8]) -> Result<()> {
        if let Some(parent) = path.parent() {
            self.folder(parent)?;
        }
        let name = path
            .strip_prefix("/")
            .unwrap_or(path)
            .to_string_lossy()
            .into_owned();
        self.inode += 1;
        let header = newc::Builder::new(&name)
            .mode(mode)
            .ino(self.inode)
            .nlink(1);
        let size = u32::try_from(contents.len())
            .with_context(|| format!("{name} is too large for an initramfs"))?;
        let mut writer = header.write(&mut self.bytes, size);
        std::io::Write::write_all(&mut writer, contents)?;
        writer.finish()?;
        Ok(())
    }

    fn folder(&mut self, path: &Path) -> Result<()> {
        if path.parent().is_none()
            || path.as_os_str().is_empty()
            || !self.folders.insert(path.to_owned())
        {
            return Ok(());
        }
        self.entry(path, 0o040_755, b"")
    }

    fn text(&mut self, path: &str, text: &str) -> Result<()> {
        self.entry(Path::new(path), 0o100_644, text.as_bytes())
    }

    fn link(&mut self, path: &str, target: &str) -> Result<()> {
        self.entry(Path::new(path), 0o120_777, target.as_bytes())
    }

    /// A file or folder of the host, with its permissions.
    fn copy(&mut self, from: &Path, to: &Path) -> Result<()> {
        for entry in WalkDir::new(from).sort_by_file_name() {
            let entry =
                entry.with_context(|| format!("cannot copy {} into the guest", from.display()))?;
            let below = entry.path().strip_prefix(from)?;
            let path = if below.as_os_str().is_empty() {
                to.to_owned()
            } else {
                to.join(below)
            };
            let kind = entry.file_type();
            if kind.is_dir() {
                self.folder(&path)?;
            } else if kind.is_symlink() {
                let target = fs::read_link(entry.path())?;
                self.entry(&path, 0o120_777, target.as_os_str().as_encoded_bytes())?;
            } else {
                let mode = entry.metadata()?.permissions().mode() & 0o7777;
                self.entry(&path, 0o100_000 | mode, &fs::read(entry.path())?)?;
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<u8>> {
        newc::trailer(&mut self.bytes)?;
        Ok(self.bytes)
    }
}

/// Builds what the request needs and packs the initramfs.
pub fn pack(lab: &Lab, kernel: &Kernel, request: &VmRequest) -> Result<Vec<u8>> {
    let modules = modules::build(lab, kernel)?;
    let programs = programs::build(lab)?;
    let mut ram = base(&kernel.root.dir)?;
    for file in &modules {
        let name = file.file_name().context("a module without a name")?;
        // The file where depmod looks (kmod's skips links), and the link where people look.
        let home = Path::new("/lib/modules")
            .join(&kernel.release)
            .join("extra")
            .join(name);
        ram.copy(file, &home)?;
        ram.link(
            &format!("/modules/{}", name.to_string_lossy()),
            &home.to_string_lossy(),
        )?;
    }
    ram.copy(
        &kernel.own_modules(),
        &Path::new("/lib/modules")
            .join(&kernel.release)
            .join("kernel"),
    )?;
    for file in &programs {
        let name = file.file_name().context("a program without a name")?;
        ram.copy(file, &Path::new("/usr/local/bin").join(name))?;
    }
    for (from, to) in &request.copies {
        let below = to
            .strip_prefix("/")
            .with_context(|| format!("--copy: {} is not absolute", to.display()))?;
        ram.copy(from, &Path::new("/lab/copied").join(below))?;
    }
    if request.guest == Guest::Full {
        ram.text("/lab/full", "")?;
    }
    if !request.command.is_empty() {
        let words: Vec<_> = request
            .command
            .iter()
            .map(|word| run::quoted(word.as_ref()))
            .collect();
        ram.text("/lab/command", &format!("exec {}\n", words.join(" ")))?;
    }
    let fetched: Vec<_> = request
        .fetches
        .iter()
        .map(|(from, _)| from.to_string_lossy().trim_start_matches('/').to_owned())
        .collect();
    if !fetched.is_empty() {
        ram.text("/lab/fetch", &(fetched.join("\n") + "\n"))?;
    }
    ram.finish()
}

/// What every initramfs has: busybox under all its names, the first process, places to mount.
fn base(toolchain: &Path) -> Result<Initramfs> {
    let busybox =
        fs::read(toolchain.join("usr/bin/busybox")).context("the toolchain root has no busybox")?;
    let mut ram = Initramfs::new();
    ram.entry(Path::new("/lab/busybox"), 0o100_755, &busybox)?;
    ram.entry(Path::new("/lab/init"), 0o100_755, INIT.as_bytes())?;
    ram.link("/init", "/lab/init")?;
    for applet in
        run::output(std::process::Command::new(toolchain.join("usr/bin/busybox")).arg("--list"))?
            .lines()
    {
        ram.link(&format!("/bin/{applet}"), "/lab/busybox")?;
    }
    for folder in [
        "/dev",
        "/proc",
        "/sys",
        "/tmp",
        "/run",
        "/root",
        "/etc",
        "/sbin",
        "/usr/bin",
        "/usr/sbin",
        "/modules",
    ] {
        ram.folder(Path::new(folder))?;
    }
    ram.text("/etc/passwd", PASSWD)?;
    ram.text("/etc/group", GROUP)?;
    Ok(ram)
}

/// The minimal initramfs that only shows that a machine boots.
pub fn probe(toolchain: &Path) -> Result<Vec<u8>> {
    let mut ram = base(toolchain)?;
    ram.text("/lab/command", "exec true\n")?;
    ram.finish()
}

/// The full guest's disk image.
pub fn full_image(lab: &Lab) -> Result<PathBuf> {
    let toolchain = root::toolchain(lab, "trixie")?;
    let suites = ["trixie".to_owned()];
    let recipe = Recipe {
        name: "guest".to_owned(),
        suites: &suites,
        packages: FULL_PACKAGES,
        finish: FULL_FINISH,
    };
    let tree = root::make(lab, &recipe)?;
    let name = format!("{}-image", tree.name);
    let entry = lab.cache.get_or_build(&lab.ui, &lab.host, &name, |aside| {
        lab.ui.step("Packing the full guest's disk", |step| {
            step.clear_log();
            let binds = [(tree.dir.as_path(), "/source"), (aside, "/stage")];
            let mut command = toolchain.command(lab, As::Root, &binds)?;
            run::run(
                step,
                command.args(["mkfs.erofs", "--quiet", "/stage/disk.erofs", "/source"]),
            )
        })
    })?;
    Ok(entry.join("disk.erofs"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_names_every_parent_once_and_before_its_children() {
        let mut ram = Initramfs::new();
        ram.text("/a/b/one", "1").unwrap();
        ram.text("/a/b/two", "2").unwrap();
        let bytes = ram.finish().unwrap();
        let mut names = Vec::new();
        let mut rest = bytes.as_slice();
        loop {
            let reader = newc::Reader::new(rest).unwrap();
            if reader.entry().is_trailer() {
                break;
            }
            names.push(reader.entry().name().to_owned());
            rest = reader.finish().unwrap();
        }
        assert_eq!(names, ["a", "a/b", "a/b/one", "a/b/two"]);
    }
}
