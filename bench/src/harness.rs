// SPDX-License-Identifier: MIT OR Apache-2.0
//! Alternation, medians and tables, the same for every bench.

use std::time::{Duration, Instant};

use anyhow::Result;
use comfy_table::{presets, CellAlignment, Table};

/// One side of a comparison.
pub type Contestant<'a> = &'a mut dyn FnMut() -> Result<()>;

/// Lets the contestants take turns for some rounds and returns each one's median time.
///
/// A round before the first warms caches and does not count. Every other round goes
/// backwards, so that nobody always follows the same neighbour.
pub fn alternate<const N: usize>(
    rounds: usize,
    contestants: [Contestant<'_>; N],
) -> Result<[Duration; N]> {
    let mut times = [(); N].map(|()| Vec::with_capacity(rounds));
    for round in 0..=rounds {
        for turn in 0..N {
            let who = if round % 2 == 0 { turn } else { N - 1 - turn };
            let start = Instant::now();
            contestants[who]()?;
            if round > 0 {
                times[who].push(start.elapsed());
            }
        }
    }
    Ok(times.map(median))
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// How many times longer `peer` took than `ours`.
pub fn ratio(peer: Duration, ours: Duration) -> f64 {
    peer.as_secs_f64() / ours.as_secs_f64().max(1e-9)
}

/// Milliseconds with two decimals.
pub fn milliseconds(time: Duration) -> String {
    format!("{:.2}", time.as_secs_f64() * 1e3)
}

/// Prints a table: the first column is text, the others are numbers.
pub fn print(title: &str, head: &[&str], rows: &[Vec<String>]) {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(head);
    table.add_rows(rows);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    println!("\n{title}\n{table}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_time() {
        let times = [9, 1, 5].map(Duration::from_secs);
        assert_eq!(median(times.to_vec()), Duration::from_secs(5));
        assert_eq!(median(Vec::new()), Duration::ZERO);
    }

    #[test]
    fn everyone_has_every_turn_and_one_to_warm_up() {
        let (mut first, mut second) = (0, 0);
        let mut a = || {
            first += 1;
            Ok(())
        };
        let mut b = || {
            second += 1;
            Ok(())
        };
        alternate(4, [&mut a, &mut b]).unwrap();
        assert_eq!((first, second), (5, 5));
    }
}
