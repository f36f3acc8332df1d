// SPDX-License-Identifier: MIT OR Apache-2.0
//! A caller that holds a call in a page fault keeps the module, and nobody who unloads it.

use std::fs;

use anyhow::{Context, Result};
use workloads::map::Map;
use workloads::module::remove;
use workloads::uffd::WriteProtected;

use super::calls::{raw, GET_INFO};
use super::{start_cow, tracking, COW};
use crate::support::{beside_a_reader, refused_to_unload, OneCpu};

fn references() -> Result<u32> {
    let count = fs::read_to_string("/sys/module/pf_stat/refcnt")?;
    Ok(count.trim().parse()?)
}

#[test]
fn while_a_call_is_held_unloading_fails_at_once_and_afterwards_it_works() -> Result<()> {
    let _one_cpu = OneCpu::enter()?;
    let module = tracking(COW)?;
    let _cow = start_cow()?;
    let mut structure = Map::anonymous(1, false)?;
    structure.touch_by_writing();
    let arguments = [COW.as_ptr() as usize, COW.len(), structure.address()];
    let protected = WriteProtected::new(&structure)?;
    std::thread::scope(|scope| -> Result<()> {
        let call = scope.spawn(|| raw(GET_INFO, arguments));
        let page = protected.wait()?;
        let refused = remove("pf_stat")
            .err()
            .and_then(|error| error.raw_os_error());
        let held = references();
        protected.release(page)?;
        assert_eq!(call.join().ok().context("the caller panicked")?, 0);
        assert_eq!(refused, Some(libc::EWOULDBLOCK));
        assert_eq!(held?, 1);
        Ok(())
    })?;
    assert_eq!(references()?, 0);
    module.unload()
}

#[test]
fn a_reader_of_the_ledger_keeps_the_module_and_nobody_who_unloads_it() -> Result<()> {
    let _one_cpu = OneCpu::enter()?;
    let module = tracking(COW)?;
    let ledger = fs::File::open("/proc/pf_stat")?;
    beside_a_reader(&ledger, || refused_to_unload("pf_stat"))?;
    module.unload()
}
