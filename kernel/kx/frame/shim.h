/* SPDX-License-Identifier: GPL-2.0 */
/* As ../base/shim.h. */
#ifndef KX_FRAME_SHIM_H
#define KX_FRAME_SHIM_H

struct notifier_block;

/* What is known of a frame; nothing is if no process maps it. */
enum kx_frame {
	KX_FRAME_HELD = 1,		/* a process maps it, and its folio is referenced */
	KX_FRAME_DEVICE = 2,		/* it is a device's */
	KX_FRAME_POISONED = 4,
	KX_FRAME_ANONYMOUS = 8,
	KX_FRAME_FILE = 16,		/* it is in a file's mapping, of which the rest is told */
	KX_FRAME_INACCESSIBLE = 32,
	KX_FRAME_SECRET = 64,		/* the file is secretmem's */
};

unsigned int kx_frame_get(unsigned long pfn, const void **frame);
void kx_frame_put(const void *frame);
struct notifier_block *kx_memory_watch(void);
void kx_memory_unwatch(struct notifier_block *watch);

#endif
