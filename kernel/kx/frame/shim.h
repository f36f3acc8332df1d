/* SPDX-License-Identifier: GPL-2.0 */
/* As ../base/shim.h. */
#ifndef KX_FRAME_SHIM_H
#define KX_FRAME_SHIM_H

struct notifier_block;

enum kx_frame {
	KX_FOUND,
	KX_LOST,	/* not a process's page */
	KX_CLOSED,	/* not to be read */
};

unsigned int kx_frame_get(unsigned long pfn, const void **frame);
void kx_frame_put(const void *frame);
struct notifier_block *kx_memory_watch(void);
void kx_memory_unwatch(struct notifier_block *watch);

#endif
