// SPDX-License-Identifier: MIT OR Apache-2.0
//! KVM or not: decided by a boot, because `/dev/kvm` may be there and still not run a guest.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use crate::cache::key;
use crate::guest;
use crate::kernel::Kernel;
use crate::lab::Lab;
use crate::machine::{Accel, Machine, Outcome};
use crate::request::Threads;
use crate::run;

/// More than a boot takes, and little enough to wait for once.
const PROBE_TIMEOUT: Duration = Duration::from_secs(20);

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
