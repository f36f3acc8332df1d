// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a `RESET` that takes long does to others, and they to it. Of two events, the tests ask which
//! came first.

use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use anyhow::{ensure, Context, Result};
use pagelens::pf_stat;
use rustix::process::{kill_process, Pid, Signal};
use workloads::process::kernel_ticks;
use workloads::{KernelLog, Module, Running, SysSetting, Workload};

use super::{errors_in, holder, pages_in_groups, Loaded};
use crate::runner::skip;
use crate::support::{shell_output, wait_until, Cgroup};

/// Processes of different names that hold the same memory, so much that a `RESET` takes long.
///
/// It is of one process, which the others were forked from.
fn much_to_look_at() -> Result<Workload> {
    const NAMES: usize = 32;
    // With all of its checks, the debug kernel takes some twenty times as long.
    let is_slow = std::env::var("PAGELENS_KERNEL").as_deref() == Ok("debug");
    let pages = if is_slow { 1 << 12 } else { 1 << 16 };
    let mut holder = holder("much", &[&format!("fill:aa:{pages}")])?;
    for name in 0..NAMES {
        holder.ask(&format!("forkas:much-{name}"))?;
    }
    Ok(holder)
}

/// A program that writes `RESET` and ends.
struct Resetter(Running);

impl Resetter {
    /// Starts it and lets `prepare`, a line of shell, run before the command; waits until it is in
    /// the middle of it.
    fn start(prepare: &str) -> Result<Self> {
        let script = format!("{prepare}\necho RESET > /proc/memory_info");
        let resetter = Self(Running::start(Command::new("sh").args(["-c", &script]))?);
        let pid = resetter.0.pid();
        wait_until("it is in the kernel", || Ok(kernel_ticks(pid)? >= 20))?;
        Ok(resetter)
    }

    /// Whether it is still at work, and will be for some time: what it does at its end may be seen
    /// before the end itself.
    fn goes_on(&mut self) -> Result<bool> {
        let later = kernel_ticks(self.0.pid())? + 10;
        while self.0.try_wait()?.is_none() {
            if kernel_ticks(self.0.pid())? >= later {
                return Ok(true);
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        Ok(false)
    }

    fn finish(mut self) -> Result<()> {
        ensure!(self.0.wait()?.success(), "the RESET failed");
        Ok(())
    }
}

#[test]
fn probes_are_taken_away_while_a_reset_is_under_way() -> Result<()> {
    let _loaded = Loaded::new()?;
    let _much = much_to_look_at()?;
    let _tracking = Module::load("pf_stat", &[])?;
    pf_stat::set_param(b"nobody")?;
    let mut reset = Resetter::start("")?;
    pf_stat::cleanup()?;
    ensure!(reset.goes_on()?, "the clean-up waited for the RESET");
    reset.finish()
}

#[test]
fn a_reset_lets_itself_be_frozen_and_begins_anew_when_it_is_thawed() -> Result<()> {
    let mut loaded = Loaded::new()?;
    let _much = much_to_look_at()?;
    let _fresh = holder("fresh", &["fill:aa:10"])?;
    let group = Cgroup::new("memory_info-test")?;
    let join = format!("echo $$ > {}", group.file("cgroup.procs").display());
    let reset = Resetter::start(&join)?;
    group.freeze(true)?;
    ensure!(
        loaded.info.program(b"fresh").is_err(),
        "it was frozen only when the RESET was over"
    );
    // What was not there when it was begun shows that it was begun anew.
    let _fresher = holder("fresher", &["fill:aa:20"])?;
    group.freeze(false)?;
    reset.finish()?;
    for (name, pages) in [("fresh", 10), ("fresher", 20)] {
        let program = loaded.info.program(name.as_bytes())?;
        assert_eq!(program.duplicates, pages_in_groups(pages, 1), "{name}");
    }
    Ok(())
}

#[test]
fn who_makes_a_snapshot_pays_for_it_and_too_little_memory_kills_nobody() -> Result<()> {
    let mut loaded = Loaded::new()?;
    // 16 bytes of each page are noted.
    let _much = holder("much", &["fill:aa:65536"])?;
    let group = Cgroup::new("memory_info-test")?;
    group.join(|| loaded.info.reset())??;
    let lists = group.value("memory.stat", "vmalloc")?;
    ensure!(lists >= 2 * 4096, "{lists} bytes of lists were paid for");
    loaded.info.reset()?;
    wait_until("the snapshot is given back", || {
        Ok(group.value("memory.stat", "vmalloc")? == 0)
    })?;
    let before = loaded.info.program(b"much")?;
    fs::write(group.file("memory.max"), (512 << 10).to_string())?;
    let mut log = KernelLog::from_now()?;
    let reset = group.join(|| loaded.info.run(b"RESET"))?;
    let said = reset.map_err(|error| error.to_string());
    ensure!(
        said.as_ref()
            .is_err_and(|error| error.contains("not enough memory")),
        "{said:?}"
    );
    assert_eq!(errors_in(&mut log)?, ["[ERROR]: Memory allocation error"]);
    assert_eq!(group.value("memory.events", "oom_kill")?, 0);
    assert_eq!(loaded.info.program(b"much")?, before);
    Ok(())
}

#[test]
fn a_timer_does_not_keep_a_reset_from_being_done() -> Result<()> {
    let mut loaded = Loaded::new()?;
    let _much = much_to_look_at()?;
    let _fresh = holder("fresh", &["fill:aa:10"])?;
    let reset = Resetter::start("trap : ALRM")?;
    let pid = Pid::from_child(&reset.0);
    for _ in 0..50 {
        let _ = kill_process(pid, Signal::ALARM);
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    reset.finish()?;
    assert_eq!(
        loaded.info.program(b"fresh")?.duplicates,
        pages_in_groups(10, 1)
    );
    Ok(())
}

/// Kilobytes of page tables in the machine, exactly: each CPU's own count is added first.
fn page_tables() -> Result<u64> {
    fs::write("/proc/sys/vm/stat_refresh", "1")?;
    let meminfo = fs::read_to_string("/proc/meminfo")?;
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("PageTables:"));
    let (number, _) = line
        .context("meminfo has no PageTables")?
        .trim()
        .split_once(' ')
        .context("no unit")?;
    Ok(number.parse()?)
}

#[test]
fn who_ends_during_a_reset_leaves_no_page_table_behind() -> Result<()> {
    const CROWD: u64 = 1000;
    const KB_PER_TABLE: u64 = 4;
    let _loaded = Loaded::new()?;
    let _much = much_to_look_at()?;
    let before = page_tables()?;
    let mut crowd = holder("crowd", &[])?;
    for _ in 0..CROWD {
        crowd.ask("fork")?;
    }
    ensure!(page_tables()? >= before + CROWD * KB_PER_TABLE);
    let mut reset = Resetter::start("")?;
    drop(crowd); // its children end with it
    wait_until("all tables are given back", || {
        Ok(page_tables()? < before + CROWD * KB_PER_TABLE / 2)
    })?;
    ensure!(reset.goes_on()?, "the RESET kept the tables until its end");
    reset.finish()
}

const TRACING: &str = "/sys/kernel/tracing";

/// How often a function is called, of the kernel or (`MODULE:FUNCTION`) of a module; counted until
/// dropped.
struct Calls {
    /// An event that notes the names of tasks changes the scheduler's text, see `OneCpu`.
    _no_names: SysSetting,
}

impl Calls {
    const SWITCH: &'static str = "/sys/kernel/tracing/events/counted/calls/enable";

    fn of(function: &str) -> Result<Self> {
        let no_names = SysSetting::set(format!("{TRACING}/options/record-cmd"), "0")?;
        append("kprobe_events", &format!("p:counted/calls {function}"))?;
        let calls = Self {
            _no_names: no_names,
        };
        fs::write(Self::SWITCH, "1")?;
        Ok(calls)
    }

    fn count(&self) -> Result<u64> {
        let profile = fs::read_to_string(format!("{TRACING}/kprobe_profile"))?;
        let line = profile
            .lines()
            .find_map(|line| line.trim_start().strip_prefix("calls "));
        let count = line.and_then(|line| line.split_whitespace().next());
        Ok(count.context("the probe has no line")?.parse()?)
    }
}

impl Drop for Calls {
    fn drop(&mut self) {
        let off = fs::write(Self::SWITCH, "0");
        let removed = append("kprobe_events", "-:counted/calls");
        if let Err(error) = off.map_err(Into::into).and(removed) {
            eprintln!("{error:#}");
        }
    }
}

fn append(file: &str, line: &str) -> Result<()> {
    use std::io::Write as _;
    let mut file = fs::OpenOptions::new()
        .append(true)
        .open(format!("{TRACING}/{file}"))?;
    Ok(file.write_all(line.as_bytes())?)
}

/// A file of so many pages on a file system of its own, whose room tells when it is gone.
struct LastFile;

impl LastFile {
    const FOLDER: &'static str = "/tmp/last-file";
    const FILE: &'static str = "/tmp/last-file/file";

    fn new(pages: u64) -> Result<Self> {
        shell_output(&format!(
            "mkdir -p {0} && mount -t tmpfs tmpfs {0}",
            Self::FOLDER
        ))?;
        fs::File::create(Self::FILE)?.set_len(pages * 4096)?;
        Ok(Self)
    }

    fn is_gone(&self) -> Result<bool> {
        let room = rustix::fs::statvfs(Self::FOLDER)?;
        Ok(room.f_bfree == room.f_blocks)
    }
}

impl Drop for LastFile {
    fn drop(&mut self) {
        let _ = shell_output(&format!("umount -l {}", Self::FOLDER));
    }
}

#[test]
fn a_killed_process_gives_its_memory_back_while_it_is_walked() -> Result<()> {
    const PAGES: u64 = 1024;
    const VIEWS: u64 = 4000;
    let _loaded = Loaded::new()?;
    let file = LastFile::new(PAGES)?;
    let victim = holder("victim", &[&format!("views:{}:{VIEWS}", LastFile::FILE)])?;
    fs::remove_file(LastFile::FILE)?;
    ensure!(!file.is_gone()?, "nothing is mapped");
    // A walk asks for each area, and others hardly ever do.
    let areas = Calls::of("find_vma")?;
    let before = areas.count()?;
    let reset = Resetter(Running::start(
        Command::new("sh").args(["-c", "echo RESET > /proc/memory_info"]),
    )?);
    while areas.count()? < before + 1500 {}
    drop(victim);
    while !file.is_gone()? {}
    let looked_at = areas.count()? - before;
    reset.finish()?;
    ensure!(
        looked_at < VIEWS,
        "the memory came back when {looked_at} areas had been looked at"
    );
    Ok(())
}

#[test]
fn who_frees_pages_all_the_time_hardly_makes_a_reset_longer() -> Result<()> {
    let mut loaded = Loaded::new()?;
    // Of the name of those that free pages, and larger than what is always looked at again.
    let _large = holder("storm", &["unique:200000"])?;
    let looks = Calls::of("memory_info:kx_frame_get")?;
    let mut during_a_reset = || -> Result<u64> {
        let before = looks.count()?;
        loaded.info.reset()?;
        Ok(looks.count()? - before)
    };
    let alone = during_a_reset()?;
    ensure!(alone >= 200_000, "{alone} looks: others are counted");
    let _storms = [
        Workload::start("storm", &["free"])?,
        Workload::start("storm", &["free"])?,
    ];
    let mut has_freed = false;
    for round in 0..5 {
        let beside = during_a_reset()?;
        ensure!(
            beside <= alone + alone / 2,
            "round {round}: {beside} looks instead of {alone}"
        );
        let unsettled = fs::read_to_string("/sys/module/memory_info/parameters/unsettled")?;
        has_freed |= unsettled.trim() != "0";
    }
    ensure!(has_freed, "no page was freed: nothing was tried");
    Ok(())
}

#[test]
fn one_name_has_one_line_while_threads_rename_themselves() -> Result<()> {
    let mut loaded = Loaded::new()?;
    let still = holder("s", &[])?;
    let renaming = [
        Workload::start("storm", &["rename"])?,
        Workload::start("storm", &["rename"])?,
        Workload::start("storm", &["rename"])?,
    ];
    let mut beside = 0;
    for round in 0..500 {
        loaded.info.reset()?;
        let programs = loaded.info.programs()?;
        let lines: Vec<_> = programs.iter().filter(|line| line.name == b"s").collect();
        ensure!(lines.len() == 1, "round {round}: {lines:#?}");
        ensure!(lines[0].pids.contains(&still.pid()));
        ensure!(&loaded.info.program(b"s")? == lines[0], "round {round}");
        beside += lines[0].pids.len() - 1;
    }
    ensure!(beside > 0, "none of {} was renamed", renaming.len());
    Ok(())
}

#[test]
fn memory_goes_offline_and_online_during_resets() -> Result<()> {
    const BLOCKS: &str = "/sys/devices/system/memory";
    if fs::metadata(BLOCKS).is_err() {
        return skip("this kernel cannot take memory offline", &["debug"]);
    }
    let mut loaded = Loaded::new()?;
    let _still = holder("still", &["fill:aa:5000", "unique:5000"])?;
    let is_over = AtomicBool::new(false);
    let taken = std::thread::scope(|scope| {
        let resets = scope.spawn(|| -> Result<()> {
            // Pages move meanwhile, and may be missed.
            while !is_over.load(Relaxed) {
                let duplicates = loaded.now("still")?.duplicates;
                ensure!(
                    duplicates.pages <= 5000 && duplicates.groups <= 1,
                    "{duplicates:?}"
                );
            }
            Ok(())
        });
        let mut taken = 0;
        for block in fs::read_dir(BLOCKS)?.flatten() {
            let state = block.path().join("state");
            // Most blocks hold something that cannot be moved.
            if state.exists() && fs::write(&state, "offline").is_ok() {
                taken += 1;
                fs::write(&state, "online")?;
            }
        }
        is_over.store(true, Relaxed);
        resets.join().expect("the thread panicked")?;
        anyhow::Ok(taken)
    })?;
    ensure!(taken > 0, "no memory went offline: nothing was tried");
    assert_eq!(loaded.now("still")?.duplicates, pages_in_groups(5000, 1));
    Ok(())
}
