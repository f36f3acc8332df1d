// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel's own count of copies: `WPCOPY` of taskstats.

use std::os::fd::OwnedFd;

use anyhow::{ensure, Context, Result};
use rustix::net::{netlink, recv, send, socket, AddressFamily, RecvFlags, SendFlags, SocketType};

use crate::SysSetting;

// include/uapi/linux/{netlink,genetlink,taskstats}.h
const NLMSG_ERROR: u16 = 2;
const GENL_ID_CTRL: u16 = 16;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
const NLM_F_REQUEST: u16 = 1;
const TASKSTATS_CMD_GET: u8 = 1;
const TASKSTATS_CMD_ATTR_TGID: u16 = 2;
const TASKSTATS_TYPE_AGGR_TGID: u16 = 5;
const TASKSTATS_TYPE_STATS: u16 = 3;
const HEADERS: usize = 16 + 4;
/// Offset of `wpcopy_count` in `struct taskstats`.
const WPCOPY_COUNT: usize = 400;

/// Counts copies of the programs that start while it lives.
#[derive(Debug)]
pub struct DelayAccounting(#[allow(dead_code)] SysSetting);

impl DelayAccounting {
    /// Switches the counting on.
    ///
    /// # Errors
    /// If the kernel lacks it.
    pub fn on() -> Result<Self> {
        SysSetting::set("/proc/sys/kernel/task_delayacct", "1").map(Self)
    }
}

/// How many copies the kernel began for a process, its ended threads included.
///
/// # Errors
/// If there is no such process, or it began before the counting was switched on.
pub fn wpcopy(pid: u64) -> Result<u64> {
    let socket = socket(
        AddressFamily::NETLINK,
        SocketType::RAW,
        Some(netlink::GENERIC),
    )?;
    let name = attribute(CTRL_ATTR_FAMILY_NAME, b"TASKSTATS\0");
    let reply = ask(&socket, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, &name)?;
    let family = find(&reply, CTRL_ATTR_FAMILY_ID).context("no family TASKSTATS")?;
    let family = u16::from_ne_bytes(family.try_into()?);

    let process = attribute(TASKSTATS_CMD_ATTR_TGID, &u32::try_from(pid)?.to_ne_bytes());
    let reply = ask(&socket, family, TASKSTATS_CMD_GET, &process)?;
    let both = find(&reply, TASKSTATS_TYPE_AGGR_TGID).context("no answer for a process")?;
    let stats = find(both, TASKSTATS_TYPE_STATS).context("an answer without figures")?;
    let count = stats
        .get(WPCOPY_COUNT..WPCOPY_COUNT + 8)
        .context("this kernel does not count copies")?;
    Ok(u64::from_ne_bytes(count.try_into()?))
}

/// An attribute: length, kind, value, padding.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = (4 + value.len()) as u16;
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend_from_slice(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// The value of the first attribute of this kind.
fn find(attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    let mut rest = attributes;
    loop {
        let length = usize::from(u16::from_ne_bytes(rest.get(..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(rest.get(2..4)?.try_into().ok()?) & 0x3FFF;
        if kind == wanted {
            return rest.get(4..length);
        }
        rest = rest.get(length.max(4).next_multiple_of(4)..)?;
    }
}

/// Sends a request and returns the attributes of the reply.
fn ask(socket: &OwnedFd, family: u16, command: u8, attributes: &[u8]) -> Result<Vec<u8>> {
    let length = (HEADERS + attributes.len()) as u32;
    let mut request = length.to_ne_bytes().to_vec();
    request.extend_from_slice(&family.to_ne_bytes());
    request.extend_from_slice(&NLM_F_REQUEST.to_ne_bytes());
    request.extend_from_slice(&[0; 8]); // sequence and port
    request.extend_from_slice(&[command, 1, 0, 0]);
    request.extend_from_slice(attributes);
    send(socket, &request, SendFlags::empty())?;

    let mut reply = vec![0; 8192];
    let (length, _) = recv(socket, reply.as_mut_slice(), RecvFlags::empty())?;
    reply.truncate(length);
    ensure!(length >= HEADERS, "a short reply");
    let kind = u16::from_ne_bytes(reply[4..6].try_into()?);
    if kind == NLMSG_ERROR {
        let error = i32::from_ne_bytes(reply[16..20].try_into()?);
        return Err(std::io::Error::from_raw_os_error(-error).into());
    }
    Ok(reply.split_off(HEADERS))
}
