// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0
//! Entries made by hand, of every kind.

extern crate std;
use super::*;
use proptest::prelude::*;
use std::string::{String, ToString};
use std::vec::Vec;

/// Physical addresses of 52 bits.
const MASK: u64 = 0x000f_ffff_ffff_f000;
/// How Linux fills an entry that points to a table of a program: P, W, U, A and D.
const USER_TABLE: u64 = 0x67;
/// The same of the kernel.
const KERNEL_TABLE: u64 = 0x63;

fn style(paging: Paging, physical: Physical) -> Style {
    Style {
        paging,
        pfn_mask: MASK,
        physical,
    }
}

fn target(level: TableLevel, value: u64) -> Target {
    TableEntry { value, level }.target(MASK)
}

fn flags(level: TableLevel, value: u64) -> String {
    TableEntry { value, level }.flags().to_string()
}

#[test]
fn top_level_entries_cover_the_canonical_addresses() {
    let four = Paging::FourLevel;
    assert_eq!(four.first_address(0), 0);
    assert_eq!(four.last_address(0), 0x7f_ffff_ffff);
    assert_eq!(four.first_address(255), 0x7f80_0000_0000);
    assert_eq!(four.last_address(255), 0x7fff_ffff_ffff);
    assert_eq!(four.first_address(256), 0xffff_8000_0000_0000);
    assert_eq!(four.first_address(511), 0xffff_ff80_0000_0000);
    assert_eq!(four.last_address(511), u64::MAX);

    let five = Paging::FiveLevel;
    assert_eq!(five.last_address(0), 0xffff_ffff_ffff);
    assert_eq!(five.last_address(255), 0x00ff_ffff_ffff_ffff);
    assert_eq!(five.first_address(256), 0xff00_0000_0000_0000);
    assert_eq!(five.first_address(511), 0xffff_0000_0000_0000);
    assert_eq!(five.last_address(511), u64::MAX);
}

#[test]
fn the_levels_bear_the_kernels_names() {
    let names = |paging| TableLevel::DOWN.map(|level| level.name(paging));
    assert_eq!(Paging::FiveLevel.levels(), 5);
    assert_eq!(Paging::FourLevel.levels(), 4);
    assert_eq!(
        names(Paging::FiveLevel),
        ["pgd", "p4d", "pud", "pmd", "pte"]
    );
    // The first does not exist there.
    assert_eq!(names(Paging::FourLevel)[1..], ["pgd", "pud", "pmd", "pte"]);
}

#[test]
fn an_address_has_nine_bits_for_each_level() {
    let address = 0x00ab_cdef_1234_5678;
    let indices = TableLevel::DOWN.map(|level| level.index(address));
    let joined = indices
        .iter()
        .fold(0u64, |joined, &index| joined << 9 | index as u64);
    assert_eq!(joined, address >> 12);
    assert_eq!(TableLevel::Pgd.index(u64::MAX), 511);
}

#[test]
fn entries_above_the_leaves_point_to_tables() {
    for level in [
        TableLevel::Pgd,
        TableLevel::P4d,
        TableLevel::Pud,
        TableLevel::Pmd,
    ] {
        assert_eq!(target(level, 0), Target::Empty);
        assert_eq!(
            target(level, 0x1234_5000 | USER_TABLE),
            Target::Table(0x1234_5000)
        );
        // Bits above the address do not belong to it.
        let no_execute = 0x1234_5000 | USER_TABLE | 1 << 63 | 1 << 58;
        assert_eq!(target(level, no_execute), Target::Table(0x1234_5000));
        assert_eq!(target(level, 0x1234_5000 | 0x66), Target::NotPresent);
    }
}

#[test]
fn leaves_point_to_memory_at_their_three_levels_only() {
    let (huge, flags) = (1 << 7, 0x67);
    assert_eq!(
        target(TableLevel::Pte, 0x5000 | flags),
        Target::Page(0x5000)
    );
    // There the bit belongs to the memory type.
    assert_eq!(
        target(TableLevel::Pte, 0x5000 | flags | huge),
        Target::Page(0x5000)
    );
    assert_eq!(
        target(TableLevel::Pmd, 0x60_0000 | flags | huge),
        Target::Page(0x60_0000)
    );
    // And on larger leaves bit 12 does.
    assert_eq!(
        target(TableLevel::Pmd, 0x60_1000 | flags | huge),
        Target::Page(0x60_0000)
    );
    assert_eq!(
        target(TableLevel::Pud, 0x8000_0000 | flags | huge),
        Target::Page(0x8000_0000)
    );
    for level in [TableLevel::P4d, TableLevel::Pgd] {
        // Reserved: no leaf.
        assert_eq!(target(level, 0x5000 | flags | huge), Target::Table(0x5000));
    }
}

#[test]
fn an_inaccessible_leaf_has_its_address_inverted() {
    let prot_none = !0x5000u64 & MASK | 1 << 8;
    assert_eq!(target(TableLevel::Pte, prot_none), Target::Page(0x5000));
    let huge = !0x60_0000u64 & MASK | 1 << 8 | 1 << 7;
    assert_eq!(target(TableLevel::Pmd, huge), Target::Page(0x60_0000));
    let split = 0x60_0000 | 1 << 7; // only just not present: still memory
    assert!(matches!(target(TableLevel::Pmd, split), Target::Page(_)));
}

#[test]
fn swapped_out_is_neither_empty_nor_memory() {
    // Type and offset above the low bits, none of them P, PROTNONE or (for large ones) PSE.
    let swap = 0x7fff_ff12_3400_0000 & !0x181;
    assert_eq!(target(TableLevel::Pte, swap), Target::NotPresent);
    assert_eq!(target(TableLevel::Pmd, swap), Target::NotPresent);
}

#[test]
fn every_bit_has_its_word() {
    assert_eq!(
        flags(TableLevel::Pgd, USER_TABLE),
        "writable user accessed execute"
    );
    assert_eq!(
        flags(TableLevel::Pgd, KERNEL_TABLE),
        "writable supervisor accessed execute"
    );
    assert_eq!(
        flags(TableLevel::Pgd, 1),
        "read-only supervisor not-accessed execute"
    );
    let all = flags(TableLevel::Pgd, u64::MAX);
    assert_eq!(
        all,
        "writable user accessed no-execute write-through cache-disabled \
         soft9 soft10 soft11 soft57 soft58"
    );
    let leaf = flags(TableLevel::Pte, 1 << 6 | 1 << 8 | 1 << 11 | 1);
    assert_eq!(
        leaf,
        "read-only supervisor not-accessed execute dirty global soft11"
    );
}

#[test]
fn a_run_ends_at_an_entry_and_at_the_half() {
    let mut entries = [0; ENTRIES];
    let all = |entries: &[u64; ENTRIES]| runs(entries).collect::<Vec<_>>();
    assert_eq!(all(&entries), [Run::Empty(0, 255), Run::Empty(256, 511)]);
    entries[0] = 7;
    entries[255] = 8;
    entries[511] = 9;
    assert_eq!(
        all(&entries),
        [
            Run::Entry(0, 7),
            Run::Empty(1, 254),
            Run::Entry(255, 8),
            Run::Empty(256, 510),
            Run::Entry(511, 9),
        ]
    );
}

#[test]
fn lines_say_what_they_cover_and_mask_what_they_should() {
    let line = |physical, run, in_user_table| {
        let style = style(Paging::FourLevel, physical);
        RunLine {
            style,
            run,
            in_user_table,
        }
        .to_string()
    };
    let entry = Run::Entry(255, 0x1234_5000 | USER_TABLE);
    assert_eq!(
        line(Physical::Shown, entry, None),
        "pgd[255]: 0x00007f8000000000 0x00007fffffffffff user-half \
         table=0x0000000012345000 present writable user accessed execute"
    );
    let masked = line(Physical::Masked, entry, Some(true));
    assert!(
        masked.ends_with("table=masked present writable user accessed execute in-user-table"),
        "{masked}"
    );
    assert!(!masked.contains("12345"), "{masked}");
    assert_eq!(
        line(Physical::Shown, Run::Empty(256, 510), None),
        "pgd[256-510]: 0xffff800000000000 0xffffff7fffffffff kernel-half empty"
    );
    let broken = line(Physical::Masked, Run::Entry(3, 0x1234_5000), Some(false));
    assert!(
        broken.ends_with("user-half not-present not-in-user-table"),
        "{broken}"
    );
    assert!(!broken.contains("12345"), "{broken}");
}

#[test]
fn a_step_names_its_level_and_index() {
    let style = style(Paging::FiveLevel, Physical::Shown);
    let step = |value, level| {
        let entry = TableEntry { value, level };
        let address = 0x7fff_1234_5678;
        StepLine {
            style,
            address,
            entry,
        }
        .to_string()
    };
    assert_eq!(step(0, TableLevel::Pmd), "walk: pmd[145] empty");
    let mapped = step(0x5000 | 0x67 | 1 << 63, TableLevel::Pte);
    assert_eq!(
        mapped,
        "walk: pte[325] page=0x0000000000005000 present writable user accessed no-execute dirty"
    );
    let prot_none = step(!0x5000u64 & MASK | 1 << 8, TableLevel::Pte);
    assert!(
        prot_none.starts_with("walk: pte[325] page=0x0000000000005000 inaccessible "),
        "{prot_none}"
    );
}

proptest! {
    #[test]
    fn runs_account_for_every_entry_once(
        values in proptest::collection::vec(prop_oneof![3 => Just(0u64), 1 => 1u64..], ENTRIES)
    ) {
        let entries: [u64; ENTRIES] = values.try_into().unwrap();
        let mut next = 0;
        for run in runs(&entries) {
            let (first, last) = run.indices();
            prop_assert_eq!(first, next);
            next = last + 1;
            match run {
                Run::Empty(..) => prop_assert!(entries[first..=last].iter().all(|&v| v == 0)),
                Run::Entry(index, value) => prop_assert_eq!(entries[index], value),
            }
        }
        prop_assert_eq!(next, ENTRIES);
    }

    #[test]
    fn neighbours_meet_and_halves_do_not(index in 0usize..511, five: bool) {
        let paging = if five { Paging::FiveLevel } else { Paging::FourLevel };
        let gap = paging.first_address(index + 1) - paging.last_address(index);
        prop_assert_eq!(gap == 1, index != 255);
        prop_assert_eq!(paging.top().index(paging.first_address(index)), index);
        prop_assert_eq!(paging.top().index(paging.last_address(index)), index);
    }

    #[test]
    fn no_entry_panics_or_shows_an_address_when_masked(value: u64) {
        for level in TableLevel::DOWN {
            let style = style(Paging::FiveLevel, Physical::Masked);
            let entry = TableEntry { value, level };
            let line = StepLine { style, address: value, entry }.to_string();
            prop_assert!(!line.contains("0x"), "{}", line);
        }
    }
}
