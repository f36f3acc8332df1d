// SPDX-License-Identifier: GPL-2.0
//! What is reported, and how it gets into the log.
//!
//! Lock order: the address space's mmap lock alone, held while the report is taken (at most
//! [`VMAS_MAX`] VMAs and one table), never while it is printed.

use crate::UNMASK;
use core::format_args;
use kernel::{prelude::*, str::BStr};
use kx_base::sched;
use kx_mm::{
    layout::{self, NamedVma, Vmas},
    mm::{self, MmWithUser},
};
use kx_page::{
    entry,
    table::{self, TopTable},
};
use model::{
    layout::{Segments, LEFT_OUT, PAGE_TABLES, PROCESS, RSS, TOTAL_VM, VMA, VMAS, VMAS_MAX},
    table::{runs, Physical, RunLine, StepLine, Style},
};

/// An address space at one moment.
pub(crate) struct Report {
    vmas: Vmas,
    vma_count: usize,
    segments: Segments,
    rss: u64,
    total_vm: u64,
    page_tables: u64,
    table: KBox<TopTable>,
}

impl Report {
    /// Takes everything down.
    ///
    /// # Errors
    ///
    /// [`ENOMEM`]; [`EINTR`] if the loader was killed.
    pub(crate) fn take(mm: &MmWithUser) -> Result<Self> {
        let mut vmas = Vmas::with_room(VMAS_MAX)?;
        let mut table = TopTable::new()?;
        let guard = mm::read_lock(mm)?;
        vmas.fill(&guard, 0);
        table.read(mm);
        Ok(Self {
            vmas,
            table,
            vma_count: layout::vma_count(&guard),
            segments: layout::segments(&guard),
            rss: layout::rss(mm),
            total_vm: mm::total_vm(mm),
            page_tables: mm::page_table_bytes(mm),
        })
    }

    /// Prints it.
    ///
    /// # Errors
    ///
    /// [`EINTR`] if the loader was killed.
    pub(crate) fn print(&self, pid: i32, name: &BStr) -> Result {
        pr_info!("{PROCESS}: {pid} {name}\n");
        self.print_vmas()?;
        for (label, span) in self.segments.labelled() {
            pr_info!("{label}: {}\n", format_args!("{span}"));
        }
        for (label, figure) in [
            (RSS, self.rss),
            (TOTAL_VM, self.total_vm),
            (PAGE_TABLES, self.page_tables),
        ] {
            pr_info!("{label}: {figure}\n");
        }
        self.print_table()
    }

    fn print_vmas(&self) -> Result {
        for vma in &self.vmas.vmas {
            sched::yield_unless_killed()?;
            print_vma(vma);
        }
        pr_info!("{VMAS}: {}\n", self.vma_count);
        let left_out = self.vma_count.saturating_sub(self.vmas.vmas.len());
        pr_info!("{LEFT_OUT}: {left_out}\n");
        Ok(())
    }

    fn print_table(&self) -> Result {
        let style = style();
        let isolation = match self.table.is_isolated {
            true => "isolated from programs (PTI)",
            false => "shared with programs (no PTI)",
        };
        let levels = style.paging.levels();
        pr_info!("table: {levels} levels, kernel's half {isolation}\n");
        for run in runs(&self.table.entries) {
            sched::yield_unless_killed()?;
            let line = RunLine {
                style,
                run,
                in_user_table: self.table.is_in_user_table(run.indices().0),
            };
            pr_info!("{}\n", format_args!("{line}"));
        }
        Ok(())
    }
}

fn print_vma(vma: &NamedVma) {
    let (name, is_cut) = vma.name();
    let separator = match (name.is_empty(), is_cut) {
        (true, _) => "",
        (false, false) => " ",
        (false, true) => " ...",
    };
    // `BStr` escapes what could forge a line of the log.
    let name = BStr::from_bytes(name);
    pr_info!("{VMA}: {}{separator}{name}\n", format_args!("{}", vma.vma));
}

fn style() -> Style {
    Style {
        paging: table::paging(),
        pfn_mask: entry::pfn_mask(),
        physical: match UNMASK.get() {
            true => Physical::Shown,
            false => Physical::Masked,
        },
    }
}

/// Prints the entries that translate `address`.
///
/// # Errors
///
/// Those of [`table::path`], with their reason in the log.
pub(crate) fn print_path(mm: &MmWithUser, address: u64) -> Result {
    let style = style();
    let path = table::path(mm, address as usize).inspect_err(|error| match *error {
        EFAULT => pr_err!("address {address:#x} is not mapped\n"),
        EINVAL => pr_err!("address {address:#x} is in a hugetlb mapping: not walked\n"),
        EAGAIN => pr_err!("address {address:#x} was remapped again and again\n"),
        _ => {}
    })?;
    for entry in path.entries() {
        let line = StepLine {
            style,
            address,
            entry,
        };
        pr_info!("{}\n", format_args!("{line}"));
    }
    Ok(())
}
