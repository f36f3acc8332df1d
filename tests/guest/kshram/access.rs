// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who may use slots, and who pays for them.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use workloads::{Module, Workload};

const NOBODY: u32 = 65534;
const GROUP: u32 = 77;

/// Whether a process of this user and group can read a byte of a node.
fn can_read(node: &str, user: u32, group: u32) -> Result<bool> {
    let output = Command::new("head")
        .args(["-c", "1", node])
        .uid(user)
        .gid(group)
        .output()?;
    Ok(output.status.success())
}

/// Permissions, user and group.
fn access(node: &str) -> Result<(u32, u32, u32)> {
    let stat = fs::metadata(node)?;
    Ok((stat.mode() & 0o7777, stat.uid(), stat.gid()))
}

#[test]
fn ordinary_users_are_refused() -> Result<()> {
    let _module = Module::load("kshram", &[])?;
    for node in ["/dev/kshram0", "/dev/kshram7", "/dev/kshram_ctl"] {
        assert_eq!(access(node)?, (0o660, 0, 0), "{node}");
        let refused = Command::new("sh")
            .args(["-c", &format!(": < {node}")])
            .uid(NOBODY)
            .gid(NOBODY)
            .output()?;
        assert!(!refused.status.success(), "{node} was opened");
    }
    assert!(can_read("/dev/kshram0", 0, 0)?);
    assert!(!can_read("/dev/kshram0", NOBODY, NOBODY)?);
    Ok(())
}

#[test]
fn nobody_needs_to_be_let_in() -> Result<()> {
    let _module = Module::load("kshram", &["mode=0"])?;
    assert_eq!(access("/dev/kshram0")?, (0, 0, 0));
    assert_eq!(access("/dev/kshram_ctl")?, (0, 0, 0));
    assert!(can_read("/dev/kshram0", 0, 0)?);
    Ok(())
}

#[test]
fn a_group_can_be_let_in() -> Result<()> {
    let _module = Module::load("kshram", &["mode=0640", "group=77"])?;
    assert_eq!(access("/dev/kshram0")?, (0o640, 0, GROUP));
    assert_eq!(access("/dev/kshram_ctl")?, (0o640, 0, GROUP));
    assert!(can_read("/dev/kshram0", NOBODY, GROUP)?);
    assert!(!can_read("/dev/kshram0", NOBODY, NOBODY)?);
    let refused = Command::new("sh")
        .args(["-c", "echo x > /dev/kshram0"])
        .uid(NOBODY)
        .gid(GROUP)
        .output()?;
    assert!(!refused.status.success(), "the group may only read");
    Ok(())
}

/// A memory cgroup of its own, removed when dropped.
struct Cgroup(PathBuf);

impl Cgroup {
    fn new() -> Result<Self> {
        let root = PathBuf::from("/sys/fs/cgroup");
        fs::write(root.join("cgroup.subtree_control"), "+memory").context("no memory cgroups")?;
        let path = root.join("kshram-test");
        fs::create_dir(&path)?;
        Ok(Self(path))
    }

    fn write(&self, file: &str, value: impl ToString) -> Result<()> {
        Ok(fs::write(self.0.join(file), value.to_string())?)
    }

    fn read(&self, file: &str) -> Result<String> {
        Ok(fs::read_to_string(self.0.join(file))?)
    }

    fn charged(&self) -> Result<u64> {
        Ok(self.read("memory.current")?.trim().parse()?)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir(&self.0) {
            eprintln!("{}: {error}", self.0.display());
        }
    }
}

#[test]
fn the_resizer_pays_and_is_refused_beyond_its_limit() -> Result<()> {
    const MIB: u64 = 1 << 20;
    let _module = Module::load("kshram", &[])?;
    let cgroup = Cgroup::new()?;
    let mut user = Workload::start("kshram_user", &["0"])?;
    cgroup.write("cgroup.procs", user.pid())?;

    let before = cgroup.charged()?;
    user.ask(&format!("resize:{}", 32 * MIB))?;
    let paid = cgroup.charged()?.saturating_sub(before);
    assert!((32 * MIB..36 * MIB).contains(&paid), "{paid} bytes");

    cgroup.write("memory.max", 48 * MIB)?;
    let refused = user.ask(&format!("resize:{}", 100 * MIB)).unwrap_err();
    assert!(refused.to_string().contains("os error 12"), "{refused}");
    let slot = pagelens::kshram::Control::open()?.slot(0)?;
    assert_eq!((slot.size, slot.resident), (32 * MIB, 32 * MIB));
    assert!(cgroup.read("memory.events")?.contains("oom_kill 0"));
    user.ask("map")?; // it is still alive

    // It is not charged for what it gives back, nor does the memory keep the group.
    user.ask("unmap")?;
    user.ask("resize:1")?;
    assert!(cgroup.charged()? < before + MIB);
    drop(user);
    Ok(())
}

#[test]
fn the_memory_is_unevictable_unless_swap_is_asked_for() -> Result<()> {
    let unevictable = || -> Result<u64> {
        let text = fs::read_to_string("/proc/meminfo")?;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("Unevictable:"));
        let kib: u64 = line
            .and_then(|line| line.trim().strip_suffix(" kB"))
            .context("no such line")?
            .parse()?;
        Ok(kib << 10)
    };
    for (swap, expected) in [("swap=0", true), ("swap=1", false)] {
        let _module = Module::load("kshram", &[swap])?;
        let before = unevictable()?;
        let mut user = Workload::start("kshram_user", &["0"])?;
        user.ask("resize:67108864")?;
        drop(user);
        // What is in a CPU's batch is not on any list yet: 32 MiB is a safe half.
        let grown = unevictable()?.saturating_sub(before) >= 32 << 20;
        assert_eq!(grown, expected, "{swap}");
    }
    Ok(())
}
