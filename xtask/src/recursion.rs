// SPDX-License-Identifier: MIT OR Apache-2.0
//! No kernel code of ours calls itself, by whatever way round, without a reason that stands here.
//!
//! A kernel stack is 16 KiB, and how deep a recursion gets is often up to the caller. Which function
//! calls which is read from the disassembled modules, as generic code of `core` becomes part of them.
//! Calls through pointers and by way of the kernel's own functions are not seen.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};

use crate::kernel::Kernel;
use crate::lab::Lab;
use crate::modules;

/// Parts of the names of functions that may, each with what bounds its depth.
const BOUNDED: [(&str, &str); 1] = [(
    "model4sort4sort",
    "16 calls: each takes eight bits at least off the records that it sorts by",
)];

/// Fails if a function in one of the modules may come to call itself.
pub fn check(lab: &Lab, kernel: &Kernel) -> Result<()> {
    let objdump = ["objdump", "-d", "-r", "--no-show-raw-insn"];
    let disassembled = modules::inspect(lab, kernel, &objdump)?;
    lab.ui.step("Looking for recursion", |step| {
        step.clear_log();
        for (module, text) in &disassembled {
            let calls = Calls::read(text);
            let recursive = calls.recursive();
            ensure!(
                recursive.is_empty(),
                "{}: these functions may come to call themselves:\n{}",
                module.display(),
                recursive.join("\n")
            );
        }
        Ok(())
    })
}

/// A function's section and address in it.
type Place = (String, u64);

/// Who calls whom in a disassembled module.
#[derive(Default)]
struct Calls {
    names: BTreeMap<Place, String>,
    places: BTreeMap<String, Place>,
    edges: Vec<Edge>,
}

/// From a function to what it calls or jumps to.
struct Edge {
    from: Place,
    to: Option<Target>,
    is_call: bool,
}

#[derive(Debug, PartialEq)]
enum Target {
    At(Place),
    Named(String),
}

impl Calls {
    /// Reads what `objdump -d -r` says.
    fn read(text: &str) -> Self {
        let mut calls = Self::default();
        let mut section = "";
        let mut function = None;
        // Whether the line before led somewhere: then a relocation says where it really leads.
        let mut is_edge = false;
        for line in text.lines() {
            if let Some(name) = line.strip_prefix("Disassembly of section ") {
                section = name.trim_end_matches(':');
            } else if let Some((address, name)) = header(line) {
                let place = (section.to_owned(), address);
                calls.names.insert(place.clone(), name.to_owned());
                calls.places.insert(name.to_owned(), place.clone());
                function = Some(place);
            } else if let Some(symbol) = relocation(line) {
                if let Some(edge) = calls.edges.last_mut().filter(|_| is_edge) {
                    edge.to = Some(symbol);
                }
                is_edge = false;
            } else if let (Some((mnemonic, address)), Some(from)) = (instruction(line), &function) {
                let is_call = mnemonic.starts_with("call");
                is_edge = is_call || mnemonic.starts_with('j');
                if is_edge {
                    let to = address.map(|address| Target::At((section.to_owned(), address)));
                    let from = from.clone();
                    calls.edges.push(Edge { from, to, is_call });
                }
            } else {
                is_edge = false;
            }
        }
        calls
    }

    /// The functions that may come to call themselves, but for those that are known to be bounded.
    fn recursive(&self) -> Vec<&str> {
        let mut next: BTreeMap<&Place, BTreeSet<&Place>> = BTreeMap::new();
        for edge in &self.edges {
            // What leads into the middle of a function is a branch back from a part of it that lies
            // elsewhere.
            let to = edge.to.as_ref().and_then(|to| match to {
                Target::At(place) => self.names.get_key_value(place).map(|(place, _)| place),
                Target::Named(name) => self.places.get(name),
            });
            // A jump to the own start is a loop.
            if let Some(to) = to.filter(|to| edge.is_call || **to != edge.from) {
                next.entry(&edge.from).or_default().insert(to);
            }
        }
        let called = |by: &Place| next.get(by).into_iter().flatten().copied();
        let reaches_itself = |start: &Place| {
            let mut seen = BTreeSet::new();
            let mut open: Vec<&Place> = called(start).collect();
            while let Some(place) = open.pop() {
                if seen.insert(place) {
                    open.extend(called(place));
                }
            }
            seen.contains(start)
        };
        let is_bounded = |name: &str| BOUNDED.iter().any(|(part, _)| name.contains(part));
        self.names
            .iter()
            .filter(|(place, name)| !is_bounded(name) && reaches_itself(place))
            .map(|(_, name)| name.as_str())
            .collect()
    }
}

/// `0000000000000010 <name>:`
fn header(line: &str) -> Option<(u64, &str)> {
    let (address, name) = line.strip_suffix(">:")?.split_once(" <")?;
    Some((u64::from_str_radix(address, 16).ok()?, name))
}

/// `  15:\tcall   1a <name+0xa>`: the mnemonic and where it leads, if not through a register.
fn instruction(line: &str) -> Option<(&str, Option<u64>)> {
    let (_, code) = line.split_once(":\t")?;
    let mut words = code.split_whitespace();
    let mnemonic = words.next()?;
    let address = words.next();
    Some((
        mnemonic,
        address.and_then(|word| u64::from_str_radix(word, 16).ok()),
    ))
}

/// `\t\t\t16: R_X86_64_PLT32\tname-0x4`: what it leads to.
fn relocation(line: &str) -> Option<Target> {
    let (_, relocation) = line.trim_start().split_once(": R_X86_64_")?;
    let (_, symbol) = relocation.split_once('\t')?;
    let (name, sign, number) = match symbol.rsplit_once(['+', '-']) {
        Some((name, number)) => (name, &symbol[name.len()..=name.len()], number),
        None => (symbol, "+", "0x0"),
    };
    let number = i64::from_str_radix(number.strip_prefix("0x")?, 16).ok()?;
    // The processor counts from behind the four bytes.
    let offset = 4 + if sign == "-" { -number } else { number };
    let is_section = name.starts_with('.') && !name.contains('<');
    Some(match u64::try_from(offset) {
        Ok(address) if is_section => Target::At((name.to_owned(), address)),
        _ => Target::Named(name.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
Disassembly of section .text:

0000000000000000 <even>:
   0:\tpush   %rbx
   1:\tjne    1 <even+0x1>
   3:\tcall   8 <even+0x8>
\t\t\t4: R_X86_64_PLT32\todd-0x4
   8:\tret

0000000000000010 <leaf>:
  10:\tjmp    10 <leaf>
  12:\tcall   *0x8(%rax)
  15:\tcall   1a <leaf+0xa>
\t\t\t16: R_X86_64_PLT32\tprintk-0x4

Disassembly of section .text.unlikely:

0000000000000000 <odd>:
   0:\tcall   5 <odd+0x5>
\t\t\t1: R_X86_64_PLT32\t.text+0xc
   5:\tjmp    a <odd+0xa>
\t\t\t6: R_X86_64_PLT32\t.text-0x4

0000000000000010 <own>:
  10:\tcall   10 <own>
";

    #[test]
    fn who_comes_to_call_itself_is_found_whichever_way_round() {
        assert_eq!(Calls::read(TEXT).recursive(), ["even", "odd", "own"]);
    }

    #[test]
    fn a_relocation_names_a_function_or_a_place() {
        let at = |offset| Some(Target::At((".text".to_owned(), offset)));
        assert_eq!(relocation("\t\t\t1: R_X86_64_PLT32\t.text+0xc"), at(16));
        assert_eq!(relocation("\t\t\t1: R_X86_64_PLT32\t.text-0x4"), at(0));
        let named = Some(Target::Named("odd".to_owned()));
        assert_eq!(relocation("\t\t\t1: R_X86_64_PLT32\todd-0x4"), named);
        assert_eq!(relocation("   5:\tjmp    a <odd+0xa>"), None);
    }
}
