/* SPDX-License-Identifier: GPL-2.0 */
/* As ../base/shim.h, but for kx_count_copy(). */
#ifndef KX_COW_SHIM_H
#define KX_COW_SHIM_H

#include <linux/types.h>

struct folio;
struct mm_struct;
struct task_struct;
struct vm_area_struct;
struct vm_fault;

/* watch.rs: the bits are those of model::cow::Facts */
enum kx_fault {
	KX_FAULT_SHARED = 1 << 0,
	KX_FAULT_UNSHARE = 1 << 1,
	KX_FAULT_USERFAULTFD = 1 << 2,
	KX_FAULT_REMOTE = 1 << 3,
	KX_FAULT_ZERO = 1 << 4,
	KX_FAULT_ANONYMOUS = 1 << 5,
	KX_FAULT_EXCLUSIVE = 1 << 6,
	KX_FAULT_SOLE = 1 << 7,
	KX_FAULT_SMALL = 1 << 8,
	KX_FAULT_STRANGE = 1 << 9,
	KX_FAULT_AGAIN = 1 << 10,
	KX_FAULT_SWAP = 1 << 11,
};

/* fast_counter.rs */
struct kx_fast_counter;

/* Returns NULL if it is a plain copy that was counted, else @vmf: the caller need not keep it. */
const struct vm_fault *kx_count_copy(const struct vm_fault *vmf, struct kx_fast_counter *counter,
				     u64 generation);

/* @name has TASK_COMM_LEN bytes. */
unsigned int kx_write_fault(const struct vm_fault *vmf, const char *name);
const struct folio *kx_fault_folio(const struct vm_fault *vmf);
unsigned int kx_huge_write_fault(const struct vm_fault *vmf, const char *name);
unsigned int kx_first_write(const struct vm_fault *vmf, const char *name);
unsigned int kx_takeover(const struct folio *folio, const struct vm_area_struct *vma,
			 const char *name);
int kx_folio_is_mapped(const struct folio *folio);

/* watch.rs, mmset.rs */
struct mm_struct *kx_task_mm(const struct task_struct *task);
void kx_mmdrop_not_last(struct mm_struct *mm);

#endif
