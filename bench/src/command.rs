// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command `pagelens ps` against a C loop over `smaps_rollup`, smem and ps_mem: whole processes, on this
//! machine. The lab says by [`PEERS`] where those peers are that it could get.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{ensure, Context, Result};
use workloads::map::Map;

use crate::harness::{alternate, milliseconds, print, ratio};

const ROUNDS: usize = 15;
/// Names a folder with the peers.
const PEERS: &str = "PAGELENS_BENCH_PEERS";
/// Says of this program that it is to sleep with so many areas.
const AREAS: &str = "PAGELENS_BENCH_AREAS";

/// What a whole process took.
#[derive(Default)]
struct Cost {
    processor: Vec<Duration>,
    most_memory: u64,
}

pub fn run() -> Result<()> {
    if let Ok(areas) = std::env::var(AREAS) {
        return sleep_with(areas.parse()?);
    }
    let peers = Peers::find()?;
    compare("300 times sleep", &peers, &Crowd::sleepers(300)?)?;
    compare(
        "60 processes of 500 areas",
        &peers,
        &Crowd::of_areas(60, 500)?,
    )?;
    let _crowd = Crowd::sleepers(2000)?;
    let mut cost = Cost::default();
    measure(&mut pagelens(&["ps"])?, &mut cost)?;
    println!(
        "\nAt 2000 processes `pagelens ps` takes {:.1} MB of memory itself.",
        cost.most_memory as f64 / 1e6
    );
    Ok(())
}

fn compare(title: &str, peers: &Peers, _crowd: &Crowd) -> Result<()> {
    let mut costs: [Cost; 5] = Default::default();
    let [loop_, all, resident, smem, ps_mem] = &mut costs;
    let times = alternate(
        ROUNDS,
        [
            &mut || measure(&mut Command::new(&peers.rollup), loop_),
            &mut || measure(&mut pagelens(&["ps"])?, all),
            &mut || {
                measure(
                    &mut pagelens(&["ps", "--columns", "name,present"])?,
                    resident,
                )
            },
            &mut || python(peers.smem.as_deref(), smem),
            &mut || python(peers.ps_mem.as_deref(), ps_mem),
        ],
    )?;
    let names = [
        "C loop",
        "pagelens ps",
        "… --columns name,present",
        "smem",
        "ps_mem",
    ];
    let mut rows = Vec::new();
    let processor = |cost: &Cost| {
        let mut times = cost.processor.clone();
        times.sort_unstable();
        times.get(times.len() / 2).copied()
    };
    let ours = (
        times[1],
        processor(&costs[1]).context("nothing was measured")?,
    );
    for ((name, cost), wall) in names.iter().zip(&costs).zip(times) {
        if let Some(processor) = processor(cost) {
            rows.push(vec![
                (*name).to_owned(),
                milliseconds(wall),
                format!("{:.2}", ratio(wall, ours.0)),
                milliseconds(processor),
                format!("{:.2}", ratio(processor, ours.1)),
            ]);
        }
    }
    print(
        &format!("{title}, in ms; ratios to `pagelens ps`"),
        &["", "wall", "ratio", "CPU", "ratio"],
        &rows,
    );
    Ok(())
}

/// What is measured beside ours.
struct Peers {
    rollup: PathBuf,
    smem: Option<PathBuf>,
    ps_mem: Option<PathBuf>,
}

impl Peers {
    fn find() -> Result<Self> {
        let folder =
            PathBuf::from(std::env::var_os(PEERS).context("run by `cargo xtask bench command`")?);
        let peer = |name: &str| Some(folder.join(name)).filter(|path| path.exists());
        for name in ["smem", "ps_mem.py"] {
            if peer(name).is_none() {
                println!("There is no {name} here: left out.");
            }
        }
        Ok(Self {
            rollup: compiled(&folder)?,
            smem: peer("smem"),
            ps_mem: peer("ps_mem.py"),
        })
    }
}

fn compiled(folder: &Path) -> Result<PathBuf> {
    let source = folder.join("rollup.c");
    std::fs::write(&source, include_str!("rollup.c"))?;
    let program = folder.join("rollup");
    let done = Command::new("cc")
        .arg("-O2")
        .arg("-o")
        .arg(&program)
        .arg(&source)
        .status()?;
    ensure!(done.success(), "cc failed");
    Ok(program)
}

fn python(peer: Option<&Path>, cost: &mut Cost) -> Result<()> {
    match peer {
        Some(script) => measure(Command::new("python3").arg(script), cost),
        None => Ok(()),
    }
}

/// The command, which is built beside this program.
fn pagelens(words: &[&str]) -> Result<Command> {
    let own = std::env::current_exe()?;
    let mut command = Command::new(own.with_file_name("pagelens"));
    command.args(words).env("PAGELENS_SOURCE", "proc");
    Ok(command)
}

/// Runs a process to its end. Whether it left processes out does not matter here.
fn measure(command: &mut Command, cost: &mut Cost) -> Result<()> {
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let pid = libc::pid_t::try_from(child.id())?;
    let (mut status, mut used) = (0, std::mem::MaybeUninit::zeroed());
    // SAFETY: Both are ours to write; our child is not waited for in another way.
    let waited = unsafe { libc::wait4(pid, &raw mut status, 0, used.as_mut_ptr()) };
    ensure!(waited == pid, io::Error::last_os_error());
    ensure!(
        libc::WIFEXITED(status) && libc::WEXITSTATUS(status) < 2,
        "{command:?} failed"
    );
    // SAFETY: The kernel has filled it in, and zeros were valid, too.
    let used = unsafe { used.assume_init() };
    let time = |time: libc::timeval| -> Result<Duration> {
        Ok(Duration::new(
            u64::try_from(time.tv_sec)?,
            u32::try_from(time.tv_usec)? * 1000,
        ))
    };
    cost.processor
        .push(time(used.ru_utime)? + time(used.ru_stime)?);
    cost.most_memory = cost.most_memory.max(u64::try_from(used.ru_maxrss)? << 10);
    Ok(())
}

/// Processes that sleep until this is dropped.
struct Crowd(Vec<Child>);

impl Crowd {
    fn sleepers(count: usize) -> Result<Self> {
        let mut sleep = Command::new("sleep");
        Self::start(count, sleep.arg("10000"))
    }

    fn of_areas(count: usize, areas: usize) -> Result<Self> {
        let mut own = Command::new(std::env::current_exe()?);
        Self::start(count, own.arg("command").env(AREAS, areas.to_string()))
    }

    fn start(count: usize, command: &mut Command) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let mut crowd = Self(Vec::with_capacity(count));
        for _ in 0..count {
            crowd.0.push(command.spawn()?);
        }
        let start = Instant::now();
        // They load what they need.
        for child in &crowd.0 {
            while workloads::process::state(child.id())? != 'S' {
                ensure!(
                    start.elapsed() < Duration::from_secs(60),
                    "they do not come to rest"
                );
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        Ok(crowd)
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
        }
        for child in &mut self.0 {
            let _ = child.wait();
        }
    }
}

/// Shared memory, of which each piece is an area of its own.
fn sleep_with(areas: usize) -> Result<()> {
    let mut kept = Vec::new();
    for _ in 0..areas {
        let mut map = Map::anonymous(1, true)?;
        map.write_pages(|_, page| page.fill(1));
        kept.push(map);
    }
    workloads::process::sleep_for_ever();
    Ok(())
}
