/* SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0 */
/*
 * pagelens: what /dev/pagelens is asked, and what the descriptors answer that it
 * returns.
 *
 * A question begins with its own size; what is missing in a shorter one is 0, and
 * what the module does not know of a longer one must be 0 (E2BIG). An answer is
 * read as records, each with a header that has its length, a multiple of 8; skip
 * what you do not know, kinds and ends of records alike. An answer whose last
 * record is not PAGELENS_KIND_END was cut off. (RAM maps: pagelens_ram.h.)
 *
 * Sizes are bytes unless said otherwise, times are nanoseconds, ids are those of
 * the pid and user namespaces of who asked. docs/pagelens-device.md says more.
 */
#ifndef __PAGELENS_H__
#define __PAGELENS_H__

#include <asm/ioctl.h>
#include <linux/types.h>

/* Fills in a struct pagelens_version. */
#define PAGELENS_VERSION _IO(0xF5, 0)
/* Takes a struct pagelens_snapshot; returns a descriptor. */
#define PAGELENS_SNAPSHOT _IO(0xF5, 1)
/* Bytes of the name of a process, of which at least the last is 0. */
#define PAGELENS_COMM_LEN 16
/* The version of this protocol: rises when an old reader would misread a new answer. */
#define PAGELENS_PROTOCOL 1
/* How many capabilities there are places for. */
#define PAGELENS_CAPABILITIES 8
/* In pagelens_version.capabilities, the place of snapshots. */
#define PAGELENS_CAPABILITY_SNAPSHOT 0
/* A capability that this module does not have. */
#define PAGELENS_MISSING 0
/* One that the caller may use for all processes. */
#define PAGELENS_AVAILABLE 1
/*
 * One that the caller may use for the processes that he may trace only: he lacks
 * CAP_SYS_PTRACE in the initial user namespace.
 */
#define PAGELENS_OWN_ONLY 2
/*
 * One that the caller may not use: it takes CAP_SYS_ADMIN in the initial user
 * namespace.
 */
#define PAGELENS_REFUSED 3

/* What the module can do, for the caller. */
struct pagelens_version {
	/* Of this record; set by the caller. */
	__u32 size;
	/* PROTOCOL. */
	__u32 protocol;
	/* MISSING, AVAILABLE, OWN_ONLY or REFUSED for each capability. */
	__u32 capabilities[PAGELENS_CAPABILITIES];
};

/* All processes that can be seen from the caller's pid namespace. */
#define PAGELENS_SCOPE_ALL 0
/* The processes of pagelens_snapshot.pids. */
#define PAGELENS_SCOPE_PIDS 1
/* The processes whose first thread bears the name pagelens_snapshot.comm. */
#define PAGELENS_SCOPE_COMM 2
/* The processes in the cgroup (of version 2) whose folder pagelens_snapshot.fd is, and below. */
#define PAGELENS_SCOPE_CGROUP 3
/*
 * The processes that can be seen from the pid namespace that pagelens_snapshot.fd is (a file as
 * /proc/PID/ns/pid).
 */
#define PAGELENS_SCOPE_PID_NAMESPACE 4
/* The kernel's counters alone: no page table is walked. */
#define PAGELENS_DETAIL_COUNTERS 0
/* And what the entries of the page tables say. */
#define PAGELENS_DETAIL_ENTRIES 1
/* And what is known of the frames behind them: kinds, PSS, USS. */
#define PAGELENS_DETAIL_FRAMES 2
/* In pagelens_snapshot.flags: a struct pagelens_vma for each area, from DETAIL_ENTRIES on. */
#define PAGELENS_WITH_VMAS 1
/* And a struct pagelens_name before each that has one. */
#define PAGELENS_WITH_NAMES 2
/* The most of pagelens_snapshot.count. */
#define PAGELENS_PIDS_MAX (1 << 16)

/* Asks for a snapshot. */
struct pagelens_snapshot {
	/* Of this record. */
	__u32 size;
	/* WITH_…. */
	__u32 flags;
	/* SCOPE_…. */
	__u32 scope;
	/* DETAIL_…. */
	__u32 detail;
	/*
	 * Address of an array of 32-bit ids, for SCOPE_PIDS, each greater than the one before it.
	 */
	__u64 pids;
	/* How many they are, at most PIDS_MAX. */
	__u32 count;
	/* A descriptor, for SCOPE_CGROUP and SCOPE_PID_NAMESPACE. */
	__s32 fd;
	/* A name, for SCOPE_COMM; what follows the first 0 byte must be 0. */
	__u8 comm[PAGELENS_COMM_LEN];
};

/* What a record is, before all others. */
struct pagelens_header {
	/* Bytes of the record, this included: a multiple of 8. */
	__u32 len;
	/* KIND_…. */
	__u16 kind;
	/* What is particular about this one; of each kind its own. */
	__u16 flags;
};

/* A struct pagelens_begin. */
#define PAGELENS_KIND_BEGIN 1
/* A struct pagelens_process. */
#define PAGELENS_KIND_PROCESS 2
/* A struct pagelens_vma. */
#define PAGELENS_KIND_VMA 3
/* A struct pagelens_name: of the area that comes next. */
#define PAGELENS_KIND_NAME 4
/* A struct pagelens_memory: behind its first process and that one's areas. */
#define PAGELENS_KIND_MEMORY 5
/* A struct pagelens_left_out. */
#define PAGELENS_KIND_LEFT_OUT 6
/* An struct pagelens_end. */
#define PAGELENS_KIND_END 7

/* Begins an answer. */
struct pagelens_begin {
	/* Of KIND_BEGIN. */
	struct pagelens_header header;
	/* PROTOCOL. */
	__u32 protocol;
	/* Bytes of a page. */
	__u32 page_size;
	/* When, by CLOCK_MONOTONIC. */
	__u64 time;
	/* DETAIL_…, as asked. */
	__u32 detail;
	/* WITH_…, as asked. */
	__u32 flags;
};

/* In the flags of a struct pagelens_process: it belongs to the kernel and has no memory of its own. */
#define PAGELENS_PROCESS_KERNEL 1
/* Its memory is that of a process before it, whose pagelens_process.memory is the same. */
#define PAGELENS_PROCESS_TOLD 2
/*
 * Its memory may have been told with a process before it: there were too many that share
 * theirs.
 */
#define PAGELENS_PROCESS_MAY_BE_TOLD 4
/* It has no memory: it has ended, and nobody has asked how. */
#define PAGELENS_PROCESS_ENDED 8

/* A process. */
struct pagelens_process {
	/* Of KIND_PROCESS. */
	struct pagelens_header header;
	/* Its number, which is that of its first thread (tgid). */
	__u32 pid;
	/* Its parent's; 0 if that cannot be seen. */
	__u32 ppid;
	/* Its real user. */
	__u32 uid;
	/* Its threads. */
	__u32 threads;
	/* Which memory it has: the number of a struct pagelens_memory of this answer; 0 for none. */
	__u64 memory;
	/* The id of its cgroup of version 2, which is the inode of its folder. */
	__u64 cgroup;
	/* When it was started, by CLOCK_BOOTTIME of the machine. */
	__u64 start_time;
	/* Of the kernel stacks of its threads. */
	__u64 kernel_stacks;
	/* The name of its first thread. */
	__u8 comm[PAGELENS_COMM_LEN];
};

/*
 * What memory there is behind a range of addresses. A page that is mapped twice is
 * counted twice.
 */
struct pagelens_sums {
	/* Of addresses. */
	__u64 size;
	/* Resident, as the kernel counts it (RSS). */
	__u64 present;
	/*
	 * Swapped out, by the entries. (Of shared memory, only the kernel knows what is
	 * in swap.)
	 */
	__u64 swapped;
	/* The zero page, or the huge one, which nobody pays for. */
	__u64 zero;
	/*
	 * Mapped memory that the kernel does not manage as pages, or that is no
	 * process's.
	 */
	__u64 special;
	/* Of present: on its way to another frame, or in a device. */
	__u64 moving;
	/* Of present: mapped by entries of 2 MiB. */
	__u64 huge_2m;
	/* Of present: mapped by entries of 1 GiB. */
	__u64 huge_1g;
	/* Of present: the entry does not let it be written. */
	__u64 read_only;
	/* Of present: the entry says it was used. */
	__u64 accessed;
	/* Of present: the entry says it was written. */
	__u64 written;
	/*
	 * Entries of areas that the kernel does not let us walk (hugetlb), in bytes of
	 * addresses.
	 */
	__u64 not_walked;
	/* Addresses whose page table is corrupt. */
	__u64 corrupt;
	/* From here on by the frames, for DETAIL_FRAMES. Of present: anonymous. */
	__u64 anonymous;
	/* Of present: pages of files. */
	__u64 file;
	/* Of present: pages of tmpfs and other shared memory. */
	__u64 shared_memory;
	/* Of present: small entries of large folios. */
	__u64 large;
	/* Of present: merged by KSM. */
	__u64 ksm;
	/* Of present: anonymous memory that the kernel may throw away (MADV_FREE). */
	__u64 lazy_free;
	/* Of present: used, by the entry or by the frame. */
	__u64 referenced;
	/* Of present: mapped nowhere else, and as the swap or the file has it. */
	__u64 private_clean;
	/*
	 * Of present: mapped nowhere else, and written since. With private_clean: the
	 * USS.
	 */
	__u64 private_dirty;
	/* Of present: mapped elsewhere too. */
	__u64 shared_clean;
	/* Of present: mapped elsewhere too, and written since. */
	__u64 shared_dirty;
	/*
	 * The proportional set size, in 1/4096 bytes: each page divided by how often it
	 * is mapped.
	 */
	__u64 pss;
	/* Of pss: anonymous. */
	__u64 pss_anonymous;
	/* Of pss: pages of files. */
	__u64 pss_file;
	/* Of pss: shared memory. */
	__u64 pss_shared_memory;
	/* Of pss: written. */
	__u64 pss_dirty;
	/* Of pss: in areas that are locked (mlock). */
	__u64 pss_locked;
};

/*
 * In the flags of a struct pagelens_vma: the area was changed while it was looked at; the figures are of
 * what was found of it.
 */
#define PAGELENS_VMA_CHANGED 1
/* In pagelens_vma.traits: readable. */
#define PAGELENS_VMA_READ (1 << 0)
/* Writable. */
#define PAGELENS_VMA_WRITE (1 << 1)
/* Executable. */
#define PAGELENS_VMA_EXEC (1 << 2)
/* Shared. */
#define PAGELENS_VMA_SHARED (1 << 3)
/* Grows downwards: a stack. */
#define PAGELENS_VMA_GROWS_DOWN (1 << 4)
/* Locked in memory. */
#define PAGELENS_VMA_LOCKED (1 << 5)
/* Of hugetlb pages, which are not looked at. */
#define PAGELENS_VMA_HUGETLB (1 << 6)
/* Of frames without a page, or mixed. */
#define PAGELENS_VMA_FRAMES (1 << 7)
/* A shadow stack. */
#define PAGELENS_VMA_SHADOW_STACK (1 << 8)
/* The heap that brk moves. */
#define PAGELENS_VMA_HEAP (1 << 9)
/* The stack of the first thread. */
#define PAGELENS_VMA_STACK (1 << 10)
/* KSM may merge it. */
#define PAGELENS_VMA_MERGEABLE (1 << 11)
/* Anonymous: no file behind it. */
#define PAGELENS_VMA_ANONYMOUS (1 << 12)

/* An area of addresses. */
struct pagelens_vma {
	/* Of KIND_VMA. */
	struct pagelens_header header;
	/* Which memory it is part of. */
	__u64 memory;
	/* Its first address. */
	__u64 start;
	/* The first behind it. */
	__u64 end;
	/* Where in its file it begins. */
	__u64 offset;
	/* The inode of its file; 0 for none. */
	__u64 inode;
	/* The device of its file. */
	__u32 dev_major;
	/* And this. */
	__u32 dev_minor;
	/* VMA_…. */
	__u32 traits;
	/* 0. */
	__u32 reserved;
	/* What is in it. */
	struct pagelens_sums sums;
};

/*
 * A name, as /proc/PID/maps has it but unescaped: the bytes behind this header up to the
 * first 0.
 */
struct pagelens_name {
	/* Of KIND_NAME. */
	struct pagelens_header header;
};

/* The most bytes of a name that are told, the 0 included; what is longer has NAME_CUT. */
#define PAGELENS_NAME_MAX 4096
/* In the flags of a struct pagelens_name: it is too long, and left out. */
#define PAGELENS_NAME_CUT 1
/* In the flags of a struct pagelens_memory: areas were changed while it was looked at. */
#define PAGELENS_MEMORY_CHANGED 1
/*
 * It ended, or became another program's, while it was looked at: the sums lack the rest.
 */
#define PAGELENS_MEMORY_ENDED 2
/* Its lock was not to be had in time: the sums lack the rest. */
#define PAGELENS_MEMORY_BUSY 4

/* The memory of one process, or of several that share it. */
struct pagelens_memory {
	/* Of KIND_MEMORY. */
	struct pagelens_header header;
	/* Its number, as in pagelens_process.memory. */
	__u64 memory;
	/* The kernel's counter of anonymous pages. */
	__u64 rss_anonymous;
	/* Of file pages. */
	__u64 rss_file;
	/* Of shared memory. */
	__u64 rss_shared_memory;
	/* Of what is in swap. */
	__u64 swap;
	/* Of all addresses. */
	__u64 total;
	/* Of locked addresses. */
	__u64 locked;
	/* Of hugetlb pages. */
	__u64 hugetlb;
	/* Of page tables below the top-level one. */
	__u64 page_tables;
	/* How many areas it has. */
	__u64 areas;
	/* What was found in all areas; 0 for DETAIL_COUNTERS. */
	struct pagelens_sums sums;
};

/* The caller may not look into it. Only for processes that he named. */
#define PAGELENS_LEFT_OUT_REFUSED 1
/* It was about to become another program for too long. */
#define PAGELENS_LEFT_OUT_BUSY 2
/* There is no such process. Only for processes that he named. */
#define PAGELENS_LEFT_OUT_ABSENT 3

/* A process that is not told. */
struct pagelens_left_out {
	/* Of KIND_LEFT_OUT. */
	struct pagelens_header header;
	/* Its number. */
	__u32 pid;
	/* LEFT_OUT_…. */
	__u32 reason;
};

/* Ends an answer. */
struct pagelens_end {
	/* Of KIND_END. */
	struct pagelens_header header;
	/* How many processes were told. */
	__u64 processes;
	/* How many memories. */
	__u64 memories;
	/*
	 * How many processes of the scope the caller may not look into; of SCOPE_COMM and
	 * SCOPE_CGROUP that is not told to who may not look into all.
	 */
	__u64 refused;
	/*
	 * How many memories and processes were left out or left unfinished because a
	 * lock was not to be had in time.
	 */
	__u64 busy;
	/* How long, at most, an mmap lock was held at a stretch. */
	__u64 longest_lock;
	/* When, by CLOCK_MONOTONIC. */
	__u64 time;
};

#endif
