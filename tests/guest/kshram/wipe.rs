// SPDX-License-Identifier: MIT OR Apache-2.0
//! Wiping: all of it, at no cost, whoever does it.

use std::os::unix::fs::FileExt;

use anyhow::{ensure, Result};
use pagelens::kshram::{Control, Slot};
use rustix::mm::Advice;
use workloads::map::{Map, PAGE};
use workloads::{Module, Workload};

use super::errno;
use crate::runner::skip;
use crate::support::Swap;

#[test]
fn a_limit_on_the_size_of_files_does_not_matter() -> Result<()> {
    const SIZE: usize = 100_000;
    let _module = Module::load("kshram", &[])?;
    let slot = Slot::open(0)?;
    slot.resize(SIZE as u64)?;
    slot.map()?.fill(0xAB);
    let mut user = Workload::start("sh", &["-c", "ulimit -f 100; exec kshram_user 0"])?;
    user.ask("wipe")?;
    let mut all = vec![1; SIZE];
    slot.file().read_exact_at(&mut all, 0)?;
    assert_eq!(all.iter().position(|&byte| byte != 0), None);
    Ok(())
}

#[test]
fn what_lies_behind_the_end_in_the_last_page_is_wiped_too() -> Result<()> {
    let _module = Module::load("kshram", &[])?;
    let slot = Slot::open(0)?;
    slot.resize(5000)?;
    let mapping = slot.map_range(0, 2 * PAGE as u64)?;
    mapping.fill(0xAB);
    Control::open()?.wipe(0)?;
    let mut all = vec![1; 2 * PAGE];
    mapping.read(0, &mut all);
    assert_eq!(all.iter().position(|&byte| byte != 0), None);
    Ok(())
}

#[test]
fn what_was_never_touched_is_not_allocated() -> Result<()> {
    let _module = Module::load("kshram", &[])?;
    let control = Control::open()?;
    control.wipe(0)?;
    let slot = control.slot(0)?;
    assert_eq!((slot.resident, slot.generation), (0, 1));
    Ok(())
}

#[test]
fn what_was_swapped_is_wiped_too() -> Result<()> {
    const PAGES: usize = 1000;
    let _swap = Swap::on()?;
    let _module = Module::load("kshram", &["swap=1"])?;
    let (slot, control) = (Slot::open(0)?, Control::open()?);
    slot.resize((PAGES * PAGE) as u64)?;
    let mut map = Map::shared(slot.file(), PAGES)?;
    map.write_pages(|_, page| page.fill(0xAB));
    map.advise(Advice::LinuxPageOut)?;
    let resident = control.slot(0)?.resident / PAGE as u64;
    ensure!(resident < 500, "{resident} pages were not swapped");
    control.wipe(0)?;
    map.write_pages(|index, page| {
        assert!(page.iter().all(|&byte| byte == 0), "page {index}");
    });
    map.unmap()
}

/// Declares a page of a mapping damaged.
fn damage(map: &Map, page: usize) -> Result<()> {
    extern "C" fn ignore(_: libc::c_int) {}
    let address = (map.address() + page * PAGE) as *mut libc::c_void;
    // SAFETY: The handler does nothing: the signal tells who maps the page that it is damaged. The page
    // is part of the mapping, and is not used after this.
    let done = unsafe {
        libc::signal(libc::SIGBUS, ignore as *const () as libc::sighandler_t);
        libc::madvise(address, PAGE, libc::MADV_HWPOISON)
    };
    let error = std::io::Error::last_os_error();
    if done != 0 && error.raw_os_error() == Some(libc::EINVAL) {
        return skip("this kernel does not know damaged pages", &["debug"]);
    }
    ensure!(done == 0, "{error}");
    Ok(())
}

#[test]
fn a_damaged_page_is_left_out_and_reported() -> Result<()> {
    const DAMAGED: usize = 2;
    let _module = Module::load("kshram", &[])?;
    // Of small pages, and of huge ones where the kernel has them.
    for (index, pages) in [(0, 5), (1, 1024)] {
        let slot = Slot::open(index)?;
        slot.resize((pages * PAGE) as u64)?;
        let mut map = Map::shared(slot.file(), pages)?;
        map.write_pages(|_, page| page.fill(0xAB));
        damage(&map, DAMAGED)?;
        let control = Control::open()?;
        let before = control.slot(index)?.generation;
        assert_eq!(errno(control.wipe(index)), libc::EIO);
        for page in 0..pages {
            let mut seen = [1; PAGE];
            let read = slot.file().read_exact_at(&mut seen, (page * PAGE) as u64);
            match page == DAMAGED {
                true => assert_eq!(errno(read), libc::EIO),
                false => {
                    read?;
                    assert!(seen.iter().all(|&byte| byte == 0), "page {page}");
                }
            }
        }
        assert_eq!(control.slot(index)?.generation, before + 1);
        map.unmap()?;
        // The damage goes when the page goes.
        slot.resize_by_force(PAGE as u64)?;
        slot.resize((pages * PAGE) as u64)?;
        control.wipe(index)?;
    }
    Ok(())
}
