// SPDX-License-Identifier: MIT OR Apache-2.0
//! No function of our kernel code takes more of the stack than the kernel allows its own.
//!
//! The compiler of C warns (`CONFIG_FRAME_WARN`); that of Rust does not, and a value that is made on
//! the stack and moved to where it belongs may be large. So the frames are read from the disassembled
//! modules.

use anyhow::{Result, ensure};

use crate::kernel::Kernel;
use crate::lab::Lab;
use crate::modules;

/// `CONFIG_FRAME_WARN` on x86-64.
const MOST: u64 = 2048;

/// Fails if a function in one of the modules has a frame of more than [`MOST`] bytes.
pub fn check(lab: &Lab, kernel: &Kernel) -> Result<()> {
    let objdump = ["objdump", "-d", "--no-show-raw-insn"];
    let disassembled = modules::inspect(lab, kernel, &objdump)?;
    lab.ui.step("Looking for large frames", |step| {
        step.clear_log();
        for (module, text) in &disassembled {
            let large = large(text);
            ensure!(
                large.is_empty(),
                "{}: these functions take more than {MOST} bytes of the stack:\n{}",
                module.display(),
                large.join("\n")
            );
        }
        Ok(())
    })
}

/// The functions with large frames, and how large.
fn large(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut function = "";
    for line in text.lines() {
        if let Some(header) = line.strip_suffix(">:") {
            function = header.split_once(" <").map_or(header, |(_, name)| name);
        } else if let Some(bytes) = taken(line).filter(|bytes| *bytes > MOST) {
            found.push(format!("{function}: {bytes}"));
        }
    }
    found
}

/// `  15:\tsub    $0x28,%rsp`: how many bytes of the stack an instruction takes. A frame is taken in
/// one piece; of one that is larger than a page, each page is.
fn taken(line: &str) -> Option<u64> {
    let (_, code) = line.split_once(":\t")?;
    let bytes = code.strip_prefix("sub")?.trim_start().strip_prefix("$0x")?;
    u64::from_str_radix(bytes.strip_suffix(",%rsp")?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_takes_too_much_is_found() {
        let text = "\
0000000000000010 <small>:
  10:\tpush   %rbx
  11:\tsub    $0x800,%rsp
  18:\tsub    $0x1000,%rax
  1f:\tcall   24 <small+0x14>

0000000000000030 <large>:
  30:\tsub    $0x808,%rsp
";
        assert_eq!(large(text), ["large: 2056"]);
    }
}
