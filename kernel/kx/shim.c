// SPDX-License-Identifier: GPL-2.0
#include <linux/sched.h>
#include <linux/sched/signal.h>

#include "shim.h"

void kx_cond_resched(void)
{
	cond_resched();
}

int kx_fatal_signal_pending(void)
{
	return fatal_signal_pending(current);
}
