// SPDX-License-Identifier: MIT OR Apache-2.0
//! The document's call by hand: `memuse-asm PID TYPE [NUMBER]`.
//!
//! Prints the bytes, or fails with the errno's text. SIGALRM is handled, by doing nothing.

use anyhow::{bail, Context, Result};
use workloads::memuse::memuse;

extern "C" fn do_nothing(_: libc::c_int) {}

fn main() -> Result<()> {
    let handler: extern "C" fn(libc::c_int) = do_nothing;
    // SAFETY: The handler does nothing, which is allowed at any moment.
    unsafe { libc::signal(libc::SIGALRM, handler as libc::sighandler_t) };
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (pid, kind, number) = match &arguments[..] {
        [pid, kind] => (pid, kind, abi::memuse::NR),
        [pid, kind, number] => (pid, kind, number.parse().context("NUMBER")?),
        _ => bail!("usage: memuse-asm PID TYPE [NUMBER]"),
    };
    let result = memuse(
        number,
        pid.parse().context("PID")?,
        kind.parse().context("TYPE")?,
    );
    if result < 0 {
        bail!(std::io::Error::from_raw_os_error(i32::try_from(-result)?));
    }
    println!("{result}");
    Ok(())
}
