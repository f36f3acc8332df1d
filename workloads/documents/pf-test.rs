// SPDX-License-Identifier: MIT OR Apache-2.0
//! The document's test program, there called `test`: `pf-test -o OPERATION [-p NAME]`.
//!
//! | operation | |
//! |---|---|
//! | `set_param` | tracks the programs of a name |
//! | `get_info` | prints the areas and faults of the last one |
//! | `cleanup` | tracks nothing any more |

use anyhow::{bail, Context, Result};
use pagelens::pf_stat;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |flag: &str| {
        let mut pairs = arguments.chunks(2);
        let pair = pairs.find(|pair| pair[0] == flag)?;
        pair.get(1).map(String::as_str)
    };
    let name = || value("-p").context("-p NAME is missing").map(str::as_bytes);
    match value("-o") {
        Some("set_param") => {
            pf_stat::set_param(name()?)?;
            println!("pf_set_param performed successfully.");
        }
        Some("get_info") => print(&pf_stat::get_info(name()?)?),
        Some("cleanup") => {
            pf_stat::cleanup()?;
            println!("pf_cleanup performed successfully.");
        }
        _ => bail!("usage: pf-test -o set_param|get_info|cleanup [-p NAME]"),
    }
    Ok(())
}

fn print(faults: &pf_stat::Faults) {
    println!("Number of VMA      : {}", faults.areas.len());
    println!("Number of COW faults: {}", faults.total);
    println!("All VMA:");
    for (number, area) in faults.areas.iter().enumerate() {
        let (start, end) = (area.addresses.start, area.addresses.end);
        let size = end - start;
        println!(
            "[{number:2}]: {start:#x} - {end:#x} (size: {size:#x}): {} cow faults",
            area.faults
        );
    }
}
