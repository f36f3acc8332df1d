// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0
//! Commands and lines of `/proc/memory_info`.

use crate::support::cases;
use model::memory_info::{
    write_line, Allowance, Command, Figures, Look, Output, COMMAND_MAX, NAME_MAX,
};
use proptest::prelude::*;
use std::fmt;

struct Bytes(Vec<u8>);

impl fmt::Write for Bytes {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.write_bytes(text.as_bytes())
    }
}

impl Output for Bytes {
    fn write_bytes(&mut self, bytes: &[u8]) -> fmt::Result {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

fn line(name: &[u8], figures: &Figures, pids: &[i32]) -> Vec<u8> {
    let mut out = Bytes(Vec::new());
    let written = write_line(&mut out, name, figures, pids.len(), pids.iter().copied());
    assert_eq!(written, Ok(()));
    out.0
}

/// Undoes the escaping of a name.
fn unescaped(shown: &[u8]) -> Vec<u8> {
    let mut name = Vec::new();
    let mut bytes = shown.iter();
    while let Some(&byte) = bytes.next() {
        name.push(match byte {
            b'\\' if bytes.next() == Some(&b'n') => b'\n',
            other => other,
        });
    }
    name
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_possible_name_is_taken_as_it_is(name in prop::collection::vec(1..=255u8, 1..=NAME_MAX)) {
        for (verb, newline) in [("FILTER|", ""), ("FILTER|", "\n"), ("DEL|", ""), ("DEL|", "\n")] {
            let text = [verb.as_bytes(), &name, newline.as_bytes()].concat();
            // One newline is not the name's, unless another follows.
            let wanted = match name.strip_suffix(b"\n") {
                Some(shorter) if newline.is_empty() => shorter,
                _ => &name,
            };
            prop_assert!(text.len() <= COMMAND_MAX);
            let command = match verb {
                "DEL|" => Command::Del(wanted),
                _ => Command::Filter(wanted),
            };
            let wanted = (!wanted.is_empty()).then_some(command);
            prop_assert_eq!(Command::parse(&text), wanted);
        }
    }

    #[test]
    fn whatever_is_no_command_is_refused(text in prop::collection::vec(any::<u8>(), 0..64)) {
        let is_command = |text: &[u8]| {
            let text = text.strip_suffix(b"\n").unwrap_or(text);
            let name = text.strip_prefix(b"FILTER|").or_else(|| text.strip_prefix(b"DEL|"));
            text == b"ALL" || text == b"RESET" || name.is_some_and(|name| {
                !name.is_empty() && name.len() <= NAME_MAX && !name.contains(&0)
            })
        };
        prop_assert_eq!(Command::parse(&text).is_some(), is_command(&text));
        for verb in ["FILTER|", "DEL|", "RESET", "ALL"] {
            let text = [verb.as_bytes(), &text].concat();
            prop_assert_eq!(Command::parse(&text).is_some(), is_command(&text));
        }
    }

    #[test]
    fn a_line_holds_its_figures_and_is_one_line(
        name in prop::collection::vec(any::<u8>(), 0..=NAME_MAX),
        (total, valid) in (any::<u64>(), any::<u64>()),
        (may_be_shared, nb_group) in (any::<u64>(), any::<u64>()),
        pids in prop::collection::vec(1..i32::MAX, 1..20),
    ) {
        let figures = Figures { total, valid, may_be_shared, nb_group };
        let line = line(&name, &figures, &pids);
        let list: Vec<String> = pids.iter().map(i32::to_string).collect();
        let rest = format!(
            ", total: {total}, valid: {valid}, invalid: {}, may_be_shared: {may_be_shared}, \
             nb_group: {nb_group}, pid({}): {}\n",
            total.saturating_sub(valid),
            pids.len(),
            list.join("; "),
        );
        let shown = line.strip_suffix(rest.as_bytes());
        prop_assert_eq!(shown.map(unescaped), Some(name));
        prop_assert_eq!(line.iter().filter(|&&byte| byte == b'\n').count(), 1);
    }
}

#[test]
fn the_documents_line() {
    let figures = Figures {
        total: 7845,
        valid: 75,
        may_be_shared: 4,
        nb_group: 2,
    };
    let line = line(b"sshd", &figures, &[861, 867, 892]);
    assert_eq!(
        String::from_utf8_lossy(&line),
        "sshd, total: 7845, valid: 75, invalid: 7770, may_be_shared: 4, nb_group: 2, \
         pid(3): 861; 867; 892\n"
    );
}

#[test]
fn the_commands() {
    assert_eq!(Command::parse(b"RESET\n"), Some(Command::Reset));
    assert_eq!(Command::parse(b"ALL"), Some(Command::All));
    assert_eq!(
        Command::parse(b"FILTER|sshd\n"),
        Some(Command::Filter(b"sshd"))
    );
    assert_eq!(Command::parse(b"DEL|a|b"), Some(Command::Del(b"a|b")));
    for wrong in [
        "", "\n", "all", "ALL\n\n", "ALL ", "FILTER", "FILTER|", "DEL|\n", "DEL\\x",
    ] {
        assert_eq!(Command::parse(wrong.as_bytes()), None, "{wrong:?}");
    }
}

/// What a look at a name comes to in which something moved.
fn unsettled(work: u64) -> Look {
    Look {
        unsettled: 1,
        work,
        ..Look::default()
    }
}

/// Looks at names as often as is allowed, while something moves in every look; returns the work of
/// the first looks and of the others.
fn looks(works: &[u64]) -> (u64, u64) {
    let mut allowance = Allowance::new();
    let (mut first, mut all) = (0, 0);
    for &work in works {
        first += work;
        let look = || {
            all += work;
            Ok::<_, ()>(unsettled(work))
        };
        assert_eq!(allowance.settle(look), Ok(unsettled(work)));
    }
    (first, all - first)
}

/// What counts of looks that come to this, one after the other, and how many there were.
fn settled(looks: &[Look]) -> (Look, usize) {
    let mut rest = looks.iter();
    let counts = Allowance::new().settle(|| rest.next().copied().ok_or("no more looks"));
    (counts.unwrap(), looks.len() - rest.len())
}

#[test]
fn the_last_look_counts_which_is_the_first_without_a_move() {
    let still = Look {
        unsettled: 0,
        ..unsettled(7)
    };
    let looks = [unsettled(5), unsettled(6), still, unsettled(8)];
    assert_eq!(settled(&looks), (still, 3));
}

#[test]
fn a_look_that_leaves_out_more_than_the_one_before_does_not_count_and_is_the_last() {
    let out = |left_out, work| Look {
        left_out,
        ..unsettled(work)
    };
    assert_eq!(settled(&[out(0, 5), out(1, 6)]), (out(0, 5), 2));
    assert_eq!(settled(&[out(1, 5), out(0, 6), out(1, 7)]), (out(0, 6), 3));
    let still = Look {
        unsettled: 0,
        ..out(1, 6)
    };
    assert_eq!(settled(&[out(1, 5), still]), (still, 2));
}

#[test]
fn a_small_name_is_looked_at_as_often_as_it_moves() {
    assert_eq!(looks(&[10_000]), (10_000, 110_000));
}

#[test]
fn a_large_name_is_not_looked_at_again_because_somebody_frees_pages() {
    assert_eq!(looks(&[10_000_000]), (10_000_000, 0));
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn looking_again_is_a_small_share_whatever_moves(
        works in prop::collection::vec(0..10_000_000u64, 0..100),
    ) {
        let (first, again) = looks(&works);
        prop_assert!(again <= Allowance::START + first / Allowance::SHARE, "{again} of {first}");
    }
}
