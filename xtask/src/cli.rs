// SPDX-License-Identifier: MIT OR Apache-2.0
//! The words that scripts rely on.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Parser, Subcommand};

use crate::lab::Lab;
use crate::request::{DEFAULT_CPUS, DEFAULT_MEMORY_MIB, Guest, Threads, VmRequest};
use crate::{bench, demo, ide, kernel, lint, miri, modules, programs, test, vm};

/// Builds Pagelens and runs it inside Debian kernels under QEMU.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
pub struct Args {
    /// Show every command that is run, and what it prints.
    #[arg(long, short, global = true)]
    verbose: bool,

    /// Which command to run.
    #[command(subcommand)]
    pub command: Command,
}

/// What the lab can do.
#[derive(Subcommand)]
pub enum Command {
    /// Boot a VM with our modules and walk through every system, checking each result.
    Demo {
        /// Only this scene.
        #[arg(long)]
        scene: Option<String>,
        /// The kernel to boot.
        #[arg(long, default_value = "stock")]
        kernel: String,
    },
    /// Lint, unit tests, and the guest tests in the VM.
    Test {
        /// The kernel to test on, or `all`.
        #[arg(long, default_value = "stock")]
        kernel: String,
        /// Let storms and fuzzers run for minutes instead of seconds.
        #[arg(long)]
        long: bool,
        /// Run only the tests whose name contains this (skips the lints).
        filter: Option<String>,
    },
    /// Boot a VM: a root shell, or COMMAND with its output and exit status.
    ///
    /// Exit status: COMMAND's own; 124 on time-out; 125 when the lab itself failed; 126 when the
    /// guest kernel reported a defect, whatever COMMAND said.
    Vm(VmArgs),
    /// Build all modules and programs; warnings are errors.
    Build {
        /// The kernel to build for.
        #[arg(long, default_value = "stock")]
        kernel: String,
    },
    /// Formatting, clippy, rustdoc, kernel-side warnings, recursion, large frames, C style, links in the docs.
    Lint,
    /// The pure crates' tests under Miri (wants a nightly toolchain).
    Miri {
        /// The toolchain that has Miri.
        #[arg(long, default_value = "nightly")]
        toolchain: String,
        /// Run only the tests whose name contains this.
        filter: Option<String>,
    },
    /// Measure against each figure's named peer inside the guest.
    Bench {
        /// Only this benchmark.
        name: Option<String>,
        /// The kernel to measure on.
        #[arg(long, default_value = "stock")]
        kernel: String,
        /// Count instructions instead of time (a nanosecond is one): slow, but exact on a busy host.
        #[arg(long)]
        instructions: bool,
        /// Further arguments for the benchmark.
        #[arg(last = true)]
        args: Vec<String>,
    },
    /// List the kernels: resolved version, cached or not.
    Kernels {
        /// Ask the archive again for newer versions.
        #[arg(long)]
        update: bool,
        /// Download and prepare every kernel now.
        #[arg(long)]
        prepare: bool,
    },
    /// Write the project file that lets rust-analyzer understand `kernel/`.
    Ide,
    /// Remove the cache folder and `target/`.
    Clean,
}

/// Arguments of `vm`.
#[derive(clap::Args)]
pub struct VmArgs {
    /// The kernel to boot (see `cargo xtask kernels`).
    #[arg(long, default_value = "stock")]
    kernel: String,
    /// What the guest contains.
    #[arg(long, value_enum, default_value = "minimal")]
    guest: Guest,
    /// Virtual CPUs.
    #[arg(long, default_value_t = DEFAULT_CPUS, value_parser = clap::value_parser!(u32).range(1..=8))]
    cpus: u32,
    /// Emulate all CPUs on one thread: slower, and exact where code is patched while it runs.
    #[arg(long)]
    one_thread: bool,
    /// Memory, in MiB.
    #[arg(long, default_value_t = DEFAULT_MEMORY_MIB, value_name = "MIB")]
    memory: u32,
    /// Put a file or folder of the host into the guest.
    #[arg(long, value_name = "HOST:GUEST")]
    copy: Vec<String>,
    /// Bring a file or folder of the guest to the host when COMMAND has ended.
    #[arg(long, value_name = "GUEST:HOST")]
    fetch: Vec<String>,
    /// Give up after this time (exit status 124).
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
    /// Words to add to the guest kernel's command line (e.g. `no5lvl`).
    #[arg(long, value_name = "WORDS")]
    append: Option<String>,
    /// Do not turn a kernel report into exit status 126.
    #[arg(long)]
    allow_taint_report: bool,
    /// The command to run in the guest; without one, a root shell on the console.
    #[arg(last = true)]
    command: Vec<String>,
}

impl VmArgs {
    fn into_request(self) -> Result<VmRequest> {
        Ok(VmRequest {
            kernel: self.kernel,
            guest: self.guest,
            cpus: self.cpus,
            threads: if self.one_thread {
                Threads::One
            } else {
                Threads::OnePerCpu
            },
            memory_mib: self.memory,
            copies: pairs(&self.copy, "--copy HOST:GUEST")?,
            fetches: pairs(&self.fetch, "--fetch GUEST:HOST")?,
            timeout: self.timeout.map(Duration::from_secs),
            append: self.append.unwrap_or_default(),
            allow_report: self.allow_taint_report,
            command: self.command,
        })
    }
}

/// Splits `FROM:TO` words.
fn pairs(words: &[String], usage: &str) -> Result<Vec<(PathBuf, PathBuf)>> {
    words
        .iter()
        .map(|word| match word.split_once(':') {
            Some((from, to)) if !from.is_empty() && !to.is_empty() => Ok((from.into(), to.into())),
            _ => bail!("cannot read '{word}': write {usage}"),
        })
        .collect()
}

/// Runs the command; the result is the process's exit status.
pub fn dispatch(args: Args) -> Result<u8> {
    let lab = Lab::open(args.verbose)?;
    match args.command {
        Command::Demo { scene, kernel } => demo::run(&lab, &kernel, scene.as_deref()),
        Command::Test {
            kernel,
            long,
            filter,
        } => test::run(&lab, &kernel, long, filter.as_deref()),
        Command::Vm(vm_args) => vm::run(&lab, vm_args.into_request()?),
        Command::Build { kernel } => {
            modules::build(&lab, &kernel::named(&lab, &kernel)?)?;
            programs::build(&lab)?;
            Ok(0)
        }
        Command::Lint => lint::run(&lab).map(|()| 0),
        Command::Miri { toolchain, filter } => miri::run(&lab, &toolchain, filter.as_deref()),
        Command::Bench {
            name,
            kernel,
            instructions,
            args,
        } => {
            let threads = if instructions {
                Threads::Counted
            } else {
                Threads::OnePerCpu
            };
            bench::run(&lab, &kernel, name.as_deref(), threads, &args)
        }
        Command::Kernels { update, prepare } => {
            kernel::print_all(&lab, update, prepare).map(|()| 0)
        }
        Command::Ide => ide::run(&lab).map(|()| 0),
        Command::Clean => lab.clean().map(|()| 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_that_scripts_rely_on_parse() {
        use clap::CommandFactory as _;
        Args::command().debug_assert();
        let line = "cargo-xtask vm --kernel rt --guest full --cpus 4 --memory 2048 --copy a:/b --fetch /c:d \
                    --timeout 9 --allow-taint-report -- uname -r";
        let Command::Vm(vm) = Args::parse_from(line.split_whitespace()).command else {
            panic!("not the vm command");
        };
        let request = vm.into_request().unwrap();
        assert_eq!(request.command, ["uname", "-r"]);
        assert_eq!(request.copies, [("a".into(), "/b".into())]);
        assert_eq!(request.timeout, Some(Duration::from_secs(9)));
        assert!(request.allow_report);
    }

    #[test]
    fn a_pair_without_a_colon_says_what_to_write() {
        let error = pairs(&["nonsense".into()], "--copy HOST:GUEST").unwrap_err();
        assert!(
            error.to_string().contains("write --copy HOST:GUEST"),
            "{error}"
        );
    }
}
