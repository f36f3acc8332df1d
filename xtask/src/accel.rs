// SPDX-License-Identifier: MIT OR Apache-2.0
//! KVM or not: decided by a boot, because `/dev/kvm` may be there and still not run a guest.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use crate::cache::key;
use crate::guest;
use crate::kernel::Kernel;
use crate::lab::Lab;
use crate::machine::{Machine, Outcome};
use crate::run;

/// More than a boot takes, and little enough to wait for once.
const PROBE_TIMEOUT: Duration = Duration::from_secs(20);

/// How QEMU executes the guest's instructions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Accel {
    /// The processor does.
    Kvm,
    /// QEMU translates them.
    Tcg,
}

/// On how many threads an emulated machine's processors run.
///
/// With a thread for each, QEMU may execute a breakpoint that another processor has just patched
/// away, which no real processor does: the guest dies of an `int3` when code is patched (a probe
/// comes or goes) that another processor is about to execute. On one thread it cannot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Threads {
    /// Faster.
    OnePerCpu,
    /// Exact.
    One,
    /// On one thread, and the guest's clock counts instructions: a nanosecond is one. Slower still;
    /// times do not depend on what else the host does.
    Counted,
}

impl Accel {
    /// QEMU's arguments.
    pub fn arguments(self, threads: Threads) -> &'static [&'static str] {
        match (self, threads) {
            (_, Threads::Counted) => &[
                "-accel",
                "tcg,thread=single",
                "-cpu",
                "max",
                "-icount",
                "shift=0,sleep=off",
            ],
            (Self::Kvm, _) => &["-accel", "kvm", "-cpu", "host"],
            (Self::Tcg, Threads::OnePerCpu) => &["-accel", "tcg,thread=multi", "-cpu", "max"],
            (Self::Tcg, Threads::One) => &["-accel", "tcg,thread=single", "-cpu", "max"],
        }
    }
}

/// The verdict for this machine, from the cache or from a probe.
pub fn detect(lab: &Lab, kernel: &Kernel) -> Result<Accel> {
    if !Path::new("/dev/kvm").exists() {
        return Ok(Accel::Tcg);
    }
    let qemu = run::output(std::process::Command::new("qemu-system-x86_64").arg("--version"))?;
    let host = rustix::system::uname();
    let record = format!(
        "kvm-{}.txt",
        key(&[
            &qemu,
            &host.release().to_string_lossy(),
            &host.version().to_string_lossy()
        ])
    );
    match lab.cache.read(&record).as_deref() {
        Some("works") => return Ok(Accel::Kvm),
        Some(_) => return Ok(Accel::Tcg),
        None => {}
    }
    let works = lab.ui.step("Trying KVM", |_| probe(kernel))?;
    lab.cache
        .write(&record, if works { "works" } else { "does not work" })?;
    lab.ui.note(match works {
        true => "KVM works here: guests run at full speed",
        false => "KVM does not work here (a guest did not boot): guests run emulated",
    });
    Ok(if works { Accel::Kvm } else { Accel::Tcg })
}

fn probe(kernel: &Kernel) -> Result<bool> {
    let machine = Machine {
        accel: Accel::Kvm,
        threads: Threads::OnePerCpu,
        image: kernel.image(),
        initramfs: guest::probe(&kernel.root.dir)?,
        disk: None,
        cpus: 1,
        memory_mib: 512,
        append: String::new(),
        timeout: Some(PROBE_TIMEOUT),
        stop_after_report: true,
    };
    let end = machine.run(&mut std::io::sink(), &mut std::io::sink())?;
    Ok(matches!(end.outcome, Outcome::Exited(0)))
}
