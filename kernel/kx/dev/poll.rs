// SPDX-License-Identifier: GPL-2.0
//! What a descriptor may be ready for: `include/uapi/linux/eventpoll.h`.

use kernel::bindings;

/// There is something to read.
pub const IN: u32 = bindings::POLLIN | bindings::POLLRDNORM;
/// It can be written.
pub const OUT: u32 = bindings::POLLOUT | bindings::POLLWRNORM;
/// Something happened beside the data.
pub const PRIORITY: u32 = bindings::POLLPRI;
