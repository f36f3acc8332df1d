// SPDX-License-Identifier: MIT OR Apache-2.0
//! 32-bit programs made by hand, as the guest has no compiler and no 32-bit libc.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use anyhow::{Context, Result};
use workloads::process::state;
use workloads::Running;

use crate::support::wait_until;

const CODE_AT: u32 = 0x0804_8000;
const DATA_AT: u32 = 0x0804_a000;
const HEADER: u32 = 52;
const PROGRAM_HEADER: u32 = 32;

/// `for (;;) pause();` by way of `int 0x80`.
const PAUSE: [u8; 9] = [0xb8, 29, 0, 0, 0, 0xcd, 0x80, 0xeb, 0xf7];

/// A statically linked executable: one segment of code, and one of data with 8 KiB more than the
/// file holds.
fn program(code: &[u8]) -> Vec<u8> {
    let code_offset = HEADER + 2 * PROGRAM_HEADER;
    let length = code_offset + code.len() as u32;
    let mut file = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    // Type, machine (80386).
    file.extend([2u16, 3].map(u16::to_le_bytes).concat());
    // Version, entry, program headers, section headers, flags.
    let words = [1, CODE_AT + code_offset, HEADER, 0, 0];
    file.extend(words.map(u32::to_le_bytes).concat());
    // The sizes of this header and of a program header, their number; no section headers.
    let halves = [HEADER as u16, PROGRAM_HEADER as u16, 2, 0, 0, 0];
    file.extend(halves.map(u16::to_le_bytes).concat());
    for (address, more, flags) in [(CODE_AT, 0, 5), (DATA_AT, 0x2000, 6)] {
        // Load: offset, both addresses, size in the file and in memory, flags, alignment.
        let words = [
            1,
            0,
            address,
            address,
            length,
            length + more,
            flags,
            0x1000u32,
        ];
        file.extend(words.map(u32::to_le_bytes).concat());
    }
    file.extend(code);
    file
}

/// Writes a program down.
fn command(name: &str, code: &[u8]) -> Result<Command> {
    let path = format!("/tmp/{name}");
    fs::write(&path, program(code))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    Ok(Command::new(path))
}

/// What a call answers such a program, negated, as far as its status holds that: eight bits.
pub fn negated_result(number: u32, arguments: [u32; 2]) -> Result<i32> {
    let [number, first, second] = [number, arguments[0], arguments[1]].map(u32::to_le_bytes);
    let code = [
        // mov eax, number; mov ebx, first; mov ecx, second
        &[0xb8],
        number.as_slice(),
        &[0xbb],
        &first,
        &[0xb9],
        &second,
        // int 0x80; neg eax; mov ebx, eax; mov eax, 1 (exit); int 0x80
        &[0xcd, 0x80, 0xf7, 0xd8, 0x89, 0xc3],
        &[0xb8, 1, 0, 0, 0, 0xcd, 0x80],
    ];
    let status = command("elf32-call", &code.concat())?.status()?;
    status.code().context("it was killed")
}

/// Starts a program that pauses.
pub fn start() -> Result<Running> {
    let program = Running::start(&mut command("elf32", &PAUSE)?)?;
    wait_until("it pauses", || Ok(state(program.pid())? == 'S'))?;
    Ok(program)
}
