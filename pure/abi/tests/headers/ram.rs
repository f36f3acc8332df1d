// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0
//! `pagelens_ram.h`.

use std::mem::{offset_of, size_of};

use abi::pagelens::ram;

use super::{assertion, compile};

#[test]
fn pagelens_ram_h_has_the_numbers_of_the_records() {
    let mut assertions = vec![
        assertion("PAGELENS_RAM", ram::RAM as usize),
        assertion("PAGELENS_CAPABILITY_RAM", ram::CAPABILITY_RAM),
        assertion("PAGELENS_RAM_WITH_GROUPS", ram::RAM_WITH_GROUPS as usize),
        assertion("PAGELENS_RAM_WITH_FILES", ram::RAM_WITH_FILES as usize),
        assertion("PAGELENS_RAM_WITH_NAMES", ram::RAM_WITH_NAMES as usize),
        assertion("PAGELENS_RAM_WITH_RUNS", ram::RAM_WITH_RUNS as usize),
        assertion("PAGELENS_KIND_RAM_BEGIN", ram::KIND_RAM_BEGIN as usize),
        assertion("PAGELENS_KIND_RAM_ZONE", ram::KIND_RAM_ZONE as usize),
        assertion("PAGELENS_KIND_RAM_GROUP", ram::KIND_RAM_GROUP as usize),
        assertion("PAGELENS_KIND_RAM_FILE", ram::KIND_RAM_FILE as usize),
        assertion("PAGELENS_KIND_RAM_NAME", ram::KIND_RAM_NAME as usize),
        assertion("PAGELENS_KIND_RAM_RUN", ram::KIND_RAM_RUN as usize),
        assertion("PAGELENS_KIND_RAM_NODE", ram::KIND_RAM_NODE as usize),
        assertion("PAGELENS_KIND_RAM_END", ram::KIND_RAM_END as usize),
        assertion("PAGELENS_RAM_FREE", ram::RAM_FREE as usize),
        assertion("PAGELENS_RAM_FREE_PER_CPU", ram::RAM_FREE_PER_CPU as usize),
        assertion("PAGELENS_RAM_UNACCEPTED", ram::RAM_UNACCEPTED as usize),
        assertion("PAGELENS_RAM_ANONYMOUS", ram::RAM_ANONYMOUS as usize),
        assertion("PAGELENS_RAM_SWAP_CACHE", ram::RAM_SWAP_CACHE as usize),
        assertion("PAGELENS_RAM_KSM", ram::RAM_KSM as usize),
        assertion("PAGELENS_RAM_FILE", ram::RAM_FILE as usize),
        assertion(
            "PAGELENS_RAM_SHARED_MEMORY",
            ram::RAM_SHARED_MEMORY as usize,
        ),
        assertion("PAGELENS_RAM_HUGETLB", ram::RAM_HUGETLB as usize),
        assertion("PAGELENS_RAM_HUGETLB_FREE", ram::RAM_HUGETLB_FREE as usize),
        assertion("PAGELENS_RAM_DETACHED", ram::RAM_DETACHED as usize),
        assertion("PAGELENS_RAM_SLAB", ram::RAM_SLAB as usize),
        assertion("PAGELENS_RAM_KMALLOC", ram::RAM_KMALLOC as usize),
        assertion("PAGELENS_RAM_PAGE_TABLES", ram::RAM_PAGE_TABLES as usize),
        assertion("PAGELENS_RAM_COMPRESSED", ram::RAM_COMPRESSED as usize),
        assertion("PAGELENS_RAM_NETWORK", ram::RAM_NETWORK as usize),
        assertion("PAGELENS_RAM_ZERO", ram::RAM_ZERO as usize),
        assertion("PAGELENS_RAM_KERNEL", ram::RAM_KERNEL as usize),
        assertion("PAGELENS_RAM_RESERVED", ram::RAM_RESERVED as usize),
        assertion("PAGELENS_RAM_GIVEN_AWAY", ram::RAM_GIVEN_AWAY as usize),
        assertion("PAGELENS_RAM_OFFLINE", ram::RAM_OFFLINE as usize),
        assertion("PAGELENS_RAM_POISONED", ram::RAM_POISONED as usize),
        assertion("PAGELENS_RAM_HOLE", ram::RAM_HOLE as usize),
        assertion("PAGELENS_RAM_KINDS", ram::RAM_KINDS),
        assertion("PAGELENS_RAM_ORDERS", ram::RAM_ORDERS),
        assertion("PAGELENS_RAM_ZONE_DMA", ram::RAM_ZONE_DMA as usize),
        assertion("PAGELENS_RAM_ZONE_DMA32", ram::RAM_ZONE_DMA32 as usize),
        assertion("PAGELENS_RAM_ZONE_NORMAL", ram::RAM_ZONE_NORMAL as usize),
        assertion("PAGELENS_RAM_ZONE_MOVABLE", ram::RAM_ZONE_MOVABLE as usize),
        assertion("PAGELENS_RAM_ZONE_NONE", ram::RAM_ZONE_NONE as usize),
        assertion("PAGELENS_RAM_NODE_NONE", ram::RAM_NODE_NONE as usize),
        assertion("PAGELENS_RAM_FILE_DEVICE", ram::RAM_FILE_DEVICE as usize),
        assertion("PAGELENS_RAM_NAME_DELETED", ram::RAM_NAME_DELETED as usize),
        assertion("PAGELENS_RAM_NAME_CUT", ram::RAM_NAME_CUT as usize),
    ];
    record!(
        assertions,
        "pagelens_ram",
        ram::Ram,
        size,
        flags,
        start,
        end
    );
    record!(
        assertions,
        "pagelens_ram_begin",
        ram::RamBegin,
        header,
        protocol,
        page_size,
        time,
        start,
        end,
        flags,
        kinds
    );
    record!(
        assertions,
        "pagelens_ram_sums",
        ram::RamSums,
        bytes,
        mapped,
        mappings,
        dirty,
        mapped_dirty,
        writeback,
        large,
        unevictable,
        charged
    );
    record!(
        assertions,
        "pagelens_ram_zone",
        ram::RamZone,
        header,
        node,
        zone,
        kind,
        order,
        sums
    );
    record!(
        assertions,
        "pagelens_ram_group",
        ram::RamGroup,
        header,
        cgroup,
        kind,
        reserved,
        sums
    );
    record!(
        assertions,
        "pagelens_ram_file",
        ram::RamFile,
        header,
        inode,
        dev_major,
        dev_minor,
        magic,
        kind,
        sums
    );
    record!(
        assertions,
        "pagelens_ram_name",
        ram::RamName,
        header,
        inode,
        dev_major,
        dev_minor
    );
    record!(
        assertions,
        "pagelens_ram_run",
        ram::RamRun,
        header,
        start,
        cgroup,
        node,
        zone,
        kind,
        order,
        sums
    );
    record!(
        assertions,
        "pagelens_ram_node",
        ram::RamNode,
        header,
        node,
        reserved,
        present,
        vmalloc,
        kernel_stacks,
        page_tables,
        secondary_page_tables
    );
    record!(
        assertions,
        "pagelens_ram_end",
        ram::RamEnd,
        header,
        bytes,
        end,
        time
    );
    compile("pagelens_ram.h", &assertions).unwrap();
}
