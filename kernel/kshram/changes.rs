// SPDX-License-Identifier: GPL-2.0
//! Telling those who wait that something changed.

use kernel::{
    fs::File,
    new_poll_condvar,
    prelude::*,
    sync::{
        atomic::{Atomic, Relaxed},
        poll::{PollCondVar, PollTable},
        Arc,
    },
};

/// The number of changes of all slots together, and who waits for the next.
#[pin_data]
pub(crate) struct Changes {
    count: Atomic<u64>,
    #[pin]
    waiting: PollCondVar,
}

impl Changes {
    pub(crate) fn new() -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                count: Atomic::new(0),
                waiting <- new_poll_condvar!("kshram.changes"),
            }),
            GFP_KERNEL,
        )
    }

    /// How many there were.
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Relaxed)
    }

    /// There was one, which can be seen already.
    pub(crate) fn announce(&self) {
        self.count.fetch_add(1, Relaxed);
        self.waiting.notify_all();
    }

    /// Has `poll` look again after the next. To be called before looking.
    pub(crate) fn register(&self, file: &File, table: &PollTable<'_>) {
        table.register_wait(file, &self.waiting);
    }
}
