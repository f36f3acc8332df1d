/* SPDX-License-Identifier: GPL-2.0 */
/* As ../base/shim.h. */
#ifndef KX_RAM_SHIM_H
#define KX_RAM_SHIM_H

#include <linux/bits.h>
#include <linux/build_bug.h>
#include <linux/types.h>

/* What is known of a frame. */
#define KX_RAM_OFFLINE BIT_ULL(0)
#define KX_RAM_POISONED BIT_ULL(1)
#define KX_RAM_ZERO BIT_ULL(2)
#define KX_RAM_RESERVED BIT_ULL(3)
#define KX_RAM_NOT_RAM BIT_ULL(4)
#define KX_RAM_BUDDY BIT_ULL(5)
#define KX_RAM_UNACCEPTED BIT_ULL(6)
#define KX_RAM_GIVEN_AWAY BIT_ULL(7)
#define KX_RAM_TABLE BIT_ULL(8)
#define KX_RAM_HUGETLB BIT_ULL(9)
#define KX_RAM_SLAB BIT_ULL(10)
#define KX_RAM_ZSMALLOC BIT_ULL(11)
#define KX_RAM_KMALLOC BIT_ULL(12)
#define KX_RAM_UNREFERENCED BIT_ULL(13)
#define KX_RAM_ANONYMOUS BIT_ULL(14)
#define KX_RAM_KSM BIT_ULL(15)
#define KX_RAM_SWAP_CACHE BIT_ULL(16)
#define KX_RAM_MAPPING BIT_ULL(17)
#define KX_RAM_SWAP_BACKED BIT_ULL(18)
#define KX_RAM_POOL BIT_ULL(19)
#define KX_RAM_LRU BIT_ULL(20)
#define KX_RAM_MAPPED BIT_ULL(21)
#define KX_RAM_DIRTY BIT_ULL(22)
#define KX_RAM_WRITEBACK BIT_ULL(23)
#define KX_RAM_LARGE BIT_ULL(24)
#define KX_RAM_UNEVICTABLE BIT_ULL(25)
#define KX_RAM_CHARGED BIT_ULL(26)
#define KX_RAM_DEVICE BIT_ULL(27)

/* What is wanted besides. */
enum kx_ram_wanted {
	KX_RAM_GROUPS = 1,	/* cgroup is told */
	KX_RAM_FILES = 2,	/* the file is told, down to magic */
};

enum kx_ram_zone {
	KX_RAM_ZONE_DMA,
	KX_RAM_ZONE_DMA32,
	KX_RAM_ZONE_NORMAL,
	KX_RAM_ZONE_MOVABLE,
	KX_RAM_ZONE_NONE,
};

#define KX_RAM_NODE_NONE 4294967295U

/* Frames that follow each other and are alike; all but mappings and frames is said of each. */
struct kx_ram_run {
	u64 pfn;
	u64 facts;
	u64 cgroup;
	/* The file: 0 if it could not be told. */
	u64 inode;
	u32 major, minor, magic;
	u32 node, zone;
	u32 order;	/* of free blocks */
	u64 frames;
	u64 mappings;	/* how many entries map all of them */
};

static_assert(sizeof(struct kx_ram_run) == 72);

enum kx_ram_named {
	KX_RAM_UNNAMED,		/* nothing is known, or it is another's frame by now */
	KX_RAM_NAMED,
	KX_RAM_DELETED,		/* and it has been deleted */
	KX_RAM_TOO_LONG,
};

struct kx_ram_node {
	u64 present, vmalloc, kernel_stacks, page_tables, secondary_page_tables;
};

unsigned long kx_ram_next(unsigned long pfn);
unsigned int kx_ram_look(unsigned long pfn, unsigned long end, unsigned int wanted,
			 struct kx_ram_run *runs, unsigned int room, unsigned long *next);
unsigned int kx_ram_name(const struct kx_ram_run *run, char *buffer, unsigned int len,
			 unsigned int *at);
int kx_ram_node(int from, struct kx_ram_node *counters);

#endif
