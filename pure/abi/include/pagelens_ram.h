/* SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0 */
/*
 * pagelens: the RAM map of /dev/pagelens, every frame of the machine counted once.
 * pagelens.h says how to ask and how answers are read; docs/ram.md what they mean.
 *
 * ram_begin  { ram_zone | ram_group | [ram_name] ram_file | ram_run }  { ram_node }  ram_end
 *
 * A ram_zone, a ram_group or a ram_file is a part: whoever reads adds up those that
 * are of the same zone and kind, cgroup and kind, or file. All ram_zones together
 * are all frames, each once. The last record is PAGELENS_KIND_RAM_END.
 */
#ifndef __PAGELENS_RAM_H__
#define __PAGELENS_RAM_H__

#include "pagelens.h"

/* Takes a struct pagelens_ram; returns a descriptor. */
#define PAGELENS_RAM _IO(0xF5, 5)
/* In pagelens_version.capabilities, the place of RAM maps. */
#define PAGELENS_CAPABILITY_RAM 4
/* In pagelens_ram.flags: a struct pagelens_ram_group for each memory cgroup. */
#define PAGELENS_RAM_WITH_GROUPS 1
/* A struct pagelens_ram_file for each file of which there are pages. */
#define PAGELENS_RAM_WITH_FILES 2
/* And a struct pagelens_ram_name for each of these. */
#define PAGELENS_RAM_WITH_NAMES 4
/* A struct pagelens_ram_run for each run of frames that are alike. */
#define PAGELENS_RAM_WITH_RUNS 8

/* Asks for a RAM map. */
struct pagelens_ram {
	/* Of this record. */
	__u32 size;
	/* RAM_WITH_…. */
	__u32 flags;
	/* The first physical address, a multiple of the size of a page. */
	__u64 start;
	/* The first behind it, a multiple of that too; 0 for all there is. */
	__u64 end;
};

/* A struct pagelens_ram_begin. */
#define PAGELENS_KIND_RAM_BEGIN 32
/* A struct pagelens_ram_zone. */
#define PAGELENS_KIND_RAM_ZONE 33
/* A struct pagelens_ram_group. */
#define PAGELENS_KIND_RAM_GROUP 34
/* A struct pagelens_ram_file. */
#define PAGELENS_KIND_RAM_FILE 35
/* A struct pagelens_ram_name. */
#define PAGELENS_KIND_RAM_NAME 36
/* A struct pagelens_ram_run. */
#define PAGELENS_KIND_RAM_RUN 37
/* A struct pagelens_ram_node. */
#define PAGELENS_KIND_RAM_NODE 38
/* A struct pagelens_ram_end: the last. */
#define PAGELENS_KIND_RAM_END 39

/* Begins an answer. */
struct pagelens_ram_begin {
	/* Of KIND_RAM_BEGIN. */
	struct pagelens_header header;
	/* PROTOCOL. */
	__u32 protocol;
	/* Bytes of a frame. */
	__u32 page_size;
	/* When, by CLOCK_MONOTONIC. */
	__u64 time;
	/* As asked. */
	__u64 start;
	/* As asked. */
	__u64 end;
	/* RAM_WITH_…, as asked. */
	__u32 flags;
	/* RAM_KINDS of the module. */
	__u32 kinds;
};

/* Free, in a block of pagelens_ram_zone.order of the buddy allocator. */
#define PAGELENS_RAM_FREE 0
/* Free, but in no block: in the list of a CPU, or on its way to or from one. */
#define PAGELENS_RAM_FREE_PER_CPU 1
/* Free, and not yet accepted by a confidential guest. */
#define PAGELENS_RAM_UNACCEPTED 2
/* Anonymous memory of programs. */
#define PAGELENS_RAM_ANONYMOUS 3
/* In the swap cache: what was brought in from swap, or is about to go there. */
#define PAGELENS_RAM_SWAP_CACHE 4
/* Merged by KSM. */
#define PAGELENS_RAM_KSM 5
/* The cache of files and of block devices. */
#define PAGELENS_RAM_FILE 6
/* tmpfs and other shared memory. */
#define PAGELENS_RAM_SHARED_MEMORY 7
/* hugetlb pages that are used. */
#define PAGELENS_RAM_HUGETLB 8
/* hugetlb pages that are kept ready. */
#define PAGELENS_RAM_HUGETLB_FREE 9
/*
 * Memory of programs that belongs to nothing any more, or not yet: on the lists of
 * pages that the kernel may reclaim, but neither anonymous nor of a file.
 */
#define PAGELENS_RAM_DETACHED 10
/* The kernel's small objects. */
#define PAGELENS_RAM_SLAB 11
/* The kernel's objects that are larger than slabs have. */
#define PAGELENS_RAM_KMALLOC 12
/* Page tables. */
#define PAGELENS_RAM_PAGE_TABLES 13
/* Compressed memory: zram, zswap. */
#define PAGELENS_RAM_COMPRESSED 14
/* Buffers of network drivers. */
#define PAGELENS_RAM_NETWORK 15
/* The zero page, and the huge one. */
#define PAGELENS_RAM_ZERO 16
/* The kernel's, and not told apart: it has no mark that says of what. */
#define PAGELENS_RAM_KERNEL 17
/*
 * Kept since the machine was started: the kernel itself, the records of all frames,
 * firmware.
 */
#define PAGELENS_RAM_RESERVED 18
/*
 * Given away as long as the machine does not get it back: a balloon, a part of hot-
 * plugged memory.
 */
#define PAGELENS_RAM_GIVEN_AWAY 19
/* Memory that is offline. */
#define PAGELENS_RAM_OFFLINE 20
/* Damaged. */
#define PAGELENS_RAM_POISONED 21
/* No memory: a frame that has a record only because its neighbours have. */
#define PAGELENS_RAM_HOLE 22
/* How many kinds there are. */
#define PAGELENS_RAM_KINDS 23
/* How many orders free blocks may have, from 0 on. */
#define PAGELENS_RAM_ORDERS 16
/* The zone for devices that reach 16 MiB only. */
#define PAGELENS_RAM_ZONE_DMA 0
/* For those that reach 4 GiB. */
#define PAGELENS_RAM_ZONE_DMA32 1
/* For all else. */
#define PAGELENS_RAM_ZONE_NORMAL 2
/* For what can be moved. */
#define PAGELENS_RAM_ZONE_MOVABLE 3
/* None, or one that this module does not know. */
#define PAGELENS_RAM_ZONE_NONE 4
/* The node of memory that is offline. */
#define PAGELENS_RAM_NODE_NONE 0xFFFFFFFFU

/* What some frames of one kind add up to. */
struct pagelens_ram_sums {
	/* All of them. */
	__u64 bytes;
	/* Of these: mapped by programs. */
	__u64 mapped;
	/*
	 * What all that maps them adds up to: a frame that is mapped twice counts
	 * twice.
	 */
	__u64 mappings;
	/* Of bytes: written since they were saved. */
	__u64 dirty;
	/* Of bytes: mapped and written. */
	__u64 mapped_dirty;
	/* Of bytes: being saved right now. */
	__u64 writeback;
	/* Of bytes: in folios of more than one frame. */
	__u64 large;
	/* Of bytes: not to be reclaimed (mlock and the like). */
	__u64 unevictable;
	/* Of bytes: a memory cgroup pays for them. */
	__u64 charged;
};

/* A part of the frames of a zone. */
struct pagelens_ram_zone {
	/* Of KIND_RAM_ZONE. */
	struct pagelens_header header;
	/* The NUMA node, or RAM_NODE_NONE. */
	__u32 node;
	/* RAM_ZONE_…. */
	__u32 zone;
	/* RAM_…, what the frames are. */
	__u32 kind;
	/* Of RAM_FREE: the order of the blocks. 0 for all others. */
	__u32 order;
	/* The sums. */
	struct pagelens_ram_sums sums;
};

/* A part of the frames for which a memory cgroup pays. */
struct pagelens_ram_group {
	/* Of KIND_RAM_GROUP. */
	struct pagelens_header header;
	/*
	 * The id of the cgroup, which is the inode of its folder; 0 for frames for
	 * which none pays.
	 */
	__u64 cgroup;
	/* RAM_…, what the frames are. */
	__u32 kind;
	/* 0. */
	__u32 reserved;
	/* The sums. */
	struct pagelens_ram_sums sums;
};

/*
 * In the flags of a struct pagelens_ram_file and its struct pagelens_ram_name: it is a
 * block device, and the device that is told is the one that it is, not the one that it
 * is on.
 */
#define PAGELENS_RAM_FILE_DEVICE 1

/* A part of the frames of a file: of those of RAM_FILE and RAM_SHARED_MEMORY. */
struct pagelens_ram_file {
	/* Of KIND_RAM_FILE. */
	struct pagelens_header header;
	/* Its inode; 0 for all files that could not be told. */
	__u64 inode;
	/* Its device, as /proc/PID/maps has it. */
	__u32 dev_major;
	/* And this. */
	__u32 dev_minor;
	/* The magic number of its file system, as statfs has it. */
	__u32 magic;
	/* RAM_FILE or RAM_SHARED_MEMORY. */
	__u32 kind;
	/* The sums. */
	struct pagelens_ram_sums sums;
};

/* In the flags of a struct pagelens_ram_name: it has been deleted. */
#define PAGELENS_RAM_NAME_DELETED 2
/*
 * In the flags of a struct pagelens_ram_name: it is longer than PAGELENS_NAME_MAX, and
 * left out.
 */
#define PAGELENS_RAM_NAME_CUT 4

/*
 * The name of a file: the bytes behind this up to the first 0. A path begins with / at
 * the root of its file system; what does not begin so has no path, as what
 * memfd_create makes.
 */
struct pagelens_ram_name {
	/* Of KIND_RAM_NAME. */
	struct pagelens_header header;
	/* As in struct pagelens_ram_file. */
	__u64 inode;
	/* As in struct pagelens_ram_file. */
	__u32 dev_major;
	/* As in struct pagelens_ram_file. */
	__u32 dev_minor;
};

/* Frames that follow each other and are alike. */
struct pagelens_ram_run {
	/* Of KIND_RAM_RUN. */
	struct pagelens_header header;
	/* The physical address of the first. */
	__u64 start;
	/* The id of the cgroup that pays, for RAM_WITH_GROUPS. */
	__u64 cgroup;
	/* The NUMA node. */
	__u32 node;
	/* RAM_ZONE_…. */
	__u32 zone;
	/* RAM_…, what the frames are. */
	__u32 kind;
	/* Of RAM_FREE: the order of the blocks. */
	__u32 order;
	/* The sums. */
	struct pagelens_ram_sums sums;
};

/*
 * What the kernel itself counts of a NUMA node. These counters lag behind by some
 * pages for each CPU.
 */
struct pagelens_ram_node {
	/* Of KIND_RAM_NODE. */
	struct pagelens_header header;
	/* Which. */
	__u32 node;
	/* 0. */
	__u32 reserved;
	/* Its memory that is online. */
	__u64 present;
	/* Of RAM_KERNEL: allocated with vmalloc; on most kernels the stacks too. */
	__u64 vmalloc;
	/* Kernel stacks. */
	__u64 kernel_stacks;
	/* Page tables of programs. */
	__u64 page_tables;
	/* Page tables of virtual machines and of IOMMUs. */
	__u64 secondary_page_tables;
};

/* Ends an answer. */
struct pagelens_ram_end {
	/* Of KIND_RAM_END. */
	struct pagelens_header header;
	/*
	 * All frames that were counted: what all struct pagelens_ram_zones add up to.
	 */
	__u64 bytes;
	/* Where the next frame would have been. */
	__u64 end;
	/* When, by CLOCK_MONOTONIC. */
	__u64 time;
};

#endif
