// SPDX-License-Identifier: MIT OR Apache-2.0
//! The machine's memory, and how much of it is in processes.

use std::fs;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Figures;

/// The machine's memory as `/proc/meminfo` has it, in bytes. What a kernel does not tell is 0 there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Machine {
    /// All that the kernel manages.
    pub total_bytes: u64,
    /// Of nobody.
    pub free_bytes: u64,
    /// What could be had without swapping.
    pub available_bytes: u64,
    /// Anonymous pages that processes map.
    pub anonymous_bytes: u64,
    /// Pages of files and of shared memory that processes map.
    pub mapped_bytes: u64,
    /// The page cache, mapped or not, shared memory included.
    pub cached_bytes: u64,
    /// Contents of block devices.
    pub buffers_bytes: u64,
    /// Shared memory and tmpfs.
    pub shmem_bytes: u64,
    /// The kernel's small objects.
    pub slab_bytes: u64,
    /// Page tables.
    pub page_tables_bytes: u64,
    /// Kernel stacks.
    pub kernel_stacks_bytes: u64,
    /// Memory of each CPU.
    pub per_cpu_bytes: u64,
    /// Huge pages that were set apart.
    pub hugetlb_bytes: u64,
    /// All swap.
    pub swap_total_bytes: u64,
    /// Swap that is not used.
    pub swap_free_bytes: u64,
}

impl Machine {
    /// What `/proc/meminfo` says now; all 0 if there is none.
    #[must_use]
    pub fn now() -> Self {
        fs::read("/proc/meminfo").map_or_else(|_| Self::default(), |text| Self::parse(&text))
    }

    /// Understands the text of `/proc/meminfo`.
    #[must_use]
    pub fn parse(text: &[u8]) -> Self {
        let mut machine = Self::default();
        for line in String::from_utf8_lossy(text).lines() {
            let Some((key, value)) = line.split_once(':') else {
                continue;
            };
            let digits = value.trim().trim_end_matches(" kB");
            let Ok(kilobytes) = digits.parse::<u64>() else {
                continue;
            };
            if let Some(slot) = machine.slot(key) {
                *slot = slot.saturating_add(kilobytes.saturating_mul(1024));
            }
        }
        machine
    }

    fn slot(&mut self, key: &str) -> Option<&mut u64> {
        Some(match key {
            "MemTotal" => &mut self.total_bytes,
            "MemFree" => &mut self.free_bytes,
            "MemAvailable" => &mut self.available_bytes,
            "AnonPages" => &mut self.anonymous_bytes,
            "Mapped" => &mut self.mapped_bytes,
            "Cached" => &mut self.cached_bytes,
            "Buffers" => &mut self.buffers_bytes,
            "Shmem" => &mut self.shmem_bytes,
            "Slab" => &mut self.slab_bytes,
            "PageTables" | "SecPageTables" => &mut self.page_tables_bytes,
            "KernelStack" => &mut self.kernel_stacks_bytes,
            "Percpu" => &mut self.per_cpu_bytes,
            "Hugetlb" => &mut self.hugetlb_bytes,
            "SwapTotal" => &mut self.swap_total_bytes,
            "SwapFree" => &mut self.swap_free_bytes,
            _ => return None,
        })
    }

    /// The way from what these processes have to all memory.
    #[must_use]
    pub fn lead(&self, processes: &Figures) -> Leading {
        let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        let pss = signed(processes.pss_bytes.unwrap_or(0));
        let all = signed(self.anonymous_bytes).saturating_add(signed(self.mapped_bytes));
        let other = all.saturating_sub(pss).max(0);
        let cached = signed(self.cached_bytes).saturating_add(signed(self.buffers_bytes));
        let cache = cached.saturating_sub(signed(self.mapped_bytes));
        let kernel = [
            self.slab_bytes,
            self.page_tables_bytes,
            self.kernel_stacks_bytes,
            self.per_cpu_bytes,
        ];
        let kernel = signed(kernel.into_iter().fold(0, u64::saturating_add));
        let (hugetlb, free) = (signed(self.hugetlb_bytes), signed(self.free_bytes));
        let known = [pss, other, cache, kernel, hugetlb, free];
        let known = known.into_iter().fold(0, i64::saturating_add);
        Leading {
            pss_bytes: pss,
            other_processes_bytes: other,
            unmapped_cache_bytes: cache,
            kernel_bytes: kernel,
            hugetlb_bytes: hugetlb,
            free_bytes: free,
            not_told_apart_bytes: signed(self.total_bytes).saturating_sub(known),
            total_bytes: signed(self.total_bytes),
        }
    }
}

/// How the PSS of some processes becomes all of the machine's memory: all but the last add up to it.
/// Counters of a machine at work are not of one moment, and so a part may be below 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Leading {
    /// The PSS of the processes that are told.
    pub pss_bytes: i64,
    /// What other processes map.
    pub other_processes_bytes: i64,
    /// The page cache that no process maps.
    pub unmapped_cache_bytes: i64,
    /// Of the kernel itself: slabs, page tables, stacks, per CPU.
    pub kernel_bytes: i64,
    /// Huge pages that were set apart.
    pub hugetlb_bytes: i64,
    /// Of nobody.
    pub free_bytes: i64,
    /// The rest, which `/proc/meminfo` does not tell apart.
    pub not_told_apart_bytes: i64,
    /// All of it (`MemTotal`).
    pub total_bytes: i64,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &[u8] = b"MemTotal:       1000 kB\nMemFree:         100 kB\nAnonPages:       200 kB\n\
        Mapped:          150 kB\nCached:          400 kB\nBuffers:          10 kB\nSlab:             50 kB\n\
        PageTables:        5 kB\nSecPageTables:     1 kB\nHugePages_Total:       3\nnonsense\n";

    #[test]
    fn the_parts_add_up_to_all_memory() {
        let machine = Machine::parse(TEXT);
        assert_eq!(machine.page_tables_bytes, 6 << 10);
        let mut figures = Figures::sum([]);
        figures.pss_bytes = Some(300 << 10);
        let lead = machine.lead(&figures);
        assert_eq!(lead.other_processes_bytes, 50 << 10);
        assert_eq!(lead.unmapped_cache_bytes, 260 << 10);
        assert_eq!(
            lead.not_told_apart_bytes,
            (1000 - 300 - 50 - 260 - 56 - 100) << 10
        );
    }

    proptest! {
        #[test]
        fn no_text_panics(text: Vec<u8>, pss: u64) {
            let mut machine = Machine::parse(&text);
            machine.total_bytes = pss;
            let mut figures = Figures::sum([]);
            figures.pss_bytes = Some(pss);
            let _ = machine.lead(&figures);
        }
    }
}
