// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0
//! Page-table entries as they are seen in x86-64 kernels.

use model::pte::{Entry, Level};

const PFN_MASK: u64 = 0x000f_ffff_ffff_f000;

fn pte(value: u64) -> Entry {
    Entry {
        value,
        level: Level::Pte,
    }
}

fn pmd(value: u64) -> Entry {
    Entry {
        value,
        level: Level::Pmd,
    }
}

#[test]
fn a_writable_page() {
    // Present, writable, user, accessed, dirty, no execute.
    let entry = pte(0x8000_0001_2345_6067);
    assert!(entry.is_present() && entry.is_accessible() && entry.is_writable());
    assert!(!entry.is_none() && !entry.is_special());
    assert_eq!(entry.pfn(PFN_MASK), 0x12_3456);
}

#[test]
fn a_read_only_page_and_the_zero_page() {
    assert!(!pte(0x8000_0001_2345_6025).is_writable());
    assert!(pte(0x8000_0001_2345_6225).is_special());
}

#[test]
fn a_page_without_permissions_has_its_address_inverted() {
    // Accessed and "protnone", the address complemented.
    let entry = pte(0x800f_fffe_dcba_9120);
    assert!(entry.is_present() && !entry.is_accessible() && !entry.is_writable());
    assert_eq!(entry.pfn(PFN_MASK), 0x12_3456);
}

#[test]
fn nothing_and_swap_are_not_present() {
    assert!(pte(0).is_none() && !pte(0).is_present());
    let swap = pte(0x07ff_ffff_fff9_fe00);
    assert!(!swap.is_none() && !swap.is_present());
}

#[test]
fn each_level_has_its_pages_and_its_bits_of_presence() {
    // Accessible, without permissions, being split.
    let presence = |level| [1, 1 << 8, 1 << 7].map(|value| Entry { value, level }.is_present());
    for (level, pages, expected) in [
        (Level::Pte, 1, [true, true, false]),
        (Level::Pmd, 512, [true; 3]),
        (Level::Pud, 262_144, [true; 3]),
    ] {
        assert_eq!(level.pages(), pages);
        assert_eq!(presence(level), expected, "{level:?}");
    }
}

#[test]
fn a_huge_page_starts_at_a_multiple_of_its_size() {
    // Bit 12 is part of the memory type.
    let entry = pmd(0x8000_0001_2340_10e7);
    assert!(entry.is_present() && entry.is_writable());
    assert_eq!(entry.pfn(PFN_MASK), 0x12_3400);
    assert_eq!(entry.level.pages(), 512);
}

#[test]
fn a_huge_page_that_is_being_split_is_present_but_tells_nothing() {
    // Only the size bit is left, the address complemented.
    let entry = pmd(0x800f_fffe_dcbf_e0e6);
    assert!(entry.is_present() && !entry.is_accessible());
    assert_eq!(entry.pfn(PFN_MASK), 0x12_3400);
    // On the lowest level the same bit means the memory type.
    assert!(!pte(0x80).is_present());
}

#[test]
fn bits_beyond_the_address_do_not_reach_it() {
    // A protection key and an encryption bit that this machine's mask leaves out.
    let entry = pte(0x7808_0001_2345_6067);
    assert_eq!(entry.pfn(PFN_MASK & !(1 << 51)), 0x12_3456);
}
