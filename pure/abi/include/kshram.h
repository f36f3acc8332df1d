/* SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0 */
/*
 * kshram: named shared memory that belongs to the kernel.
 *
 * Sizes are bytes, times are nanoseconds of CLOCK_MONOTONIC, process ids are
 * those of the caller's pid namespace. Reserved fields are 0.
 */
#ifndef __KSHRAM_H__
#define __KSHRAM_H__

#include <asm/ioctl.h>
#include <linux/types.h>

/* /dev/kshramN */
#define KSHRAM_GETSLOTS _IO('K', 0)
#define KSHRAM_GETSIZE _IO('K', 1)
#define KSHRAM_SETSIZE _IO('K', 2)
#define KSHRAM_FORCE_SHRINK _IO('K', 3)

#define KSHRAM_LABEL_LEN 32
#define KSHRAM_COMM_LEN 16
#define KSHRAM_MAPPERS_MAX 65536

/* kshram_info.flags: the memory may be swapped */
#define KSHRAM_SWAP 1
/* kshram_slot.flags: the size never changes again */
#define KSHRAM_SEALED 1

struct kshram_info {
	__u32 slots;
	__u32 flags;
	__u64 max_bytes;
	__u64 changes;
};

struct kshram_slot {
	__u32 index; /* set by the caller */
	__u32 flags;
	__u64 size;
	__u64 resident;
	__u64 generation;
	__u32 opens;
	__u32 mappings;
	__u32 sizer;
	__u32 reserved;
	__u64 sized_at;
	__u8 sizer_comm[KSHRAM_COMM_LEN];
	__u8 label[KSHRAM_LABEL_LEN];
};

struct kshram_mappers {
	__u32 index; /* set by the caller */
	__u32 capacity; /* set by the caller */
	__u64 pids; /* address of an array of __u32; set by the caller */
	__u32 count;
	__u32 truncated;
};

struct kshram_label {
	__u32 index;
	__u32 reserved;
	__u8 label[KSHRAM_LABEL_LEN];
};

/* /dev/kshram_ctl */
#define KSHRAM_CTL_INFO _IOR('K', 16, struct kshram_info)
#define KSHRAM_CTL_SLOT _IOWR('K', 17, struct kshram_slot)
#define KSHRAM_CTL_MAPPERS _IOWR('K', 18, struct kshram_mappers)
#define KSHRAM_CTL_LABEL _IOW('K', 19, struct kshram_label)
#define KSHRAM_CTL_SEAL _IO('K', 20)
#define KSHRAM_CTL_WIPE _IO('K', 21)

#endif /* __KSHRAM_H__ */
