// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0
//! The text of `/proc/pf_stat`.

use crate::support::Bytes;
use model::cow::Counts;
use model::ledger::Folded;
use model::pf_stat::{write_head, write_line};

#[test]
fn a_line_has_a_figure_for_each_word_of_the_head() {
    let counts = |copied, reused, zero_filled| Counts {
        copied,
        reused,
        zero_filled,
        ..Counts::ZERO
    };
    let folded = Folded {
        gone: counts(10, 20, 30),
        unplaced: counts(100, 200, 300),
        total: Counts {
            split: 4,
            first_write: 5,
            remote: 6,
            ..counts(1, 2, 3)
        },
    };
    let mut out = Bytes(Vec::new());
    write_head(&mut out).unwrap();
    write_line(&mut out, b"a b\n", 7, &folded, 8).unwrap();
    assert_eq!(
        String::from_utf8_lossy(&out.0),
        "generation faults copied reused zero_filled split first_write remote gone unplaced lost name\n\
         7 6 1 2 3 4 5 6 60 600 8 a b\\n\n"
    );
}
