// SPDX-License-Identifier: MIT OR Apache-2.0
//! The document's demonstration, step by step.

use std::ffi::{c_int, c_ulong};
use std::fs;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::Command;

use anyhow::{ensure, Context, Result};
use pagelens::kshram::Slot;
use workloads::Module;

/// What a program of the document prints.
fn run(program: &str) -> Result<String> {
    let output = Command::new(program).output().context(program.to_owned())?;
    ensure!(
        output.status.success(),
        "{program}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}

fn nodes() -> Vec<bool> {
    let exists = |index| Path::new(&format!("/dev/kshram{index}")).exists();
    (0..9).map(exists).collect()
}

#[test]
fn the_eight_steps_of_the_demonstration() -> Result<()> {
    // 1: the system is up. 2: the smallest module.
    Module::load("hello", &[])?.unload()?;
    // 3: eight nodes, 4096 bytes each.
    let module = Module::load("kshram", &[])?;
    assert_eq!(nodes(), [[true; 8].as_slice(), &[false]].concat());
    let listed: String = (0..8).map(|index| format!("0{index}: 4096\n")).collect();
    assert_eq!(fs::read_to_string("/proc/kshram")?, listed);
    // 4: the first unloading.
    module.unload()?;
    assert_eq!(nodes(), [false; 9]);
    assert!(!Path::new("/proc/kshram").exists());
    // 5: loaded again, a message stays from one program to the next.
    let module = Module::load("kshram", &[])?;
    let first = run("check_msg")?;
    let (shown, left) = first.split_once("\nnow: ").context("two lines")?;
    assert_eq!(shown, "message: ", "a fresh slot is empty");
    assert!(run("check_msg")?.starts_with(&format!("message: {left}")));
    // 6: other sizes.
    assert!(run("check_resize")?.contains("kshram7: 4096 -> 36964\n"));
    assert!(fs::read_to_string("/proc/kshram")?.ends_with("07: 36964\n"));
    // 7: two processes.
    assert!(run("check_fork")?.starts_with("both children saw: "));
    // 8: the second unloading.
    module.unload()
}

#[test]
fn the_calls_of_the_document_have_its_answers() -> Result<()> {
    let _module = Module::load("kshram", &["slots=3"])?;
    let slot = Slot::open(2)?;
    assert_eq!((slot.slots()?, slot.size()?), (3, 4096));
    slot.resize(100)?;
    assert_eq!(slot.size()?, 100);
    assert_eq!(pagelens::kshram::sizes()?, [4096, 4096, 100]);
    Ok(())
}

extern "C" {
    // `kshram.c`: the calls as the C header has them.
    fn kshram_slots_through_header(fd: c_int) -> c_int;
    fn kshram_size_through_header(fd: c_int) -> c_int;
    fn kshram_resize_through_header(fd: c_int, bytes: c_ulong) -> c_int;
}

#[test]
fn a_c_program_has_the_same_answers() -> Result<()> {
    let _module = Module::load("kshram", &[])?;
    let slot = Slot::open(7)?;
    let fd = slot.file().as_raw_fd();
    // SAFETY: The calls take numbers only.
    let (slots, before) = unsafe {
        (
            kshram_slots_through_header(fd),
            kshram_size_through_header(fd),
        )
    };
    assert_eq!((slots, before), (8, 4096));
    // SAFETY: As above.
    assert_eq!(unsafe { kshram_resize_through_header(fd, 100) }, 0);
    // SAFETY: As above.
    assert_eq!(unsafe { kshram_size_through_header(fd) }, 100);
    assert_eq!((slot.slots()?, slot.size()?), (8, 100));
    // SAFETY: As above.
    assert_eq!(unsafe { kshram_resize_through_header(fd, 0) }, -1);
    let error = std::io::Error::last_os_error();
    assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
    Ok(())
}
