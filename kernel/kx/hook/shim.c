// SPDX-License-Identifier: GPL-2.0
#include <linux/compat.h>
#include <linux/err.h>
#include <linux/fprobe.h>
#include <linux/ftrace.h>
#include <linux/ftrace_regs.h>
#include <linux/kprobes.h>
#include <linux/slab.h>

#include "shim.h"

/* A probe that is never armed looks a name up, and where ftrace patches the function. */
static int look_up(const char *name, struct kprobe *probe)
{
	int err;

	*probe = (struct kprobe){ .symbol_name = name, .flags = KPROBE_FLAG_DISABLED };
	err = register_kprobe(probe);
	if (!err)
		unregister_kprobe(probe);
	return err;
}

/* probe.rs: an error pointer if there is no such function. Arguments are read in registers. */

static_assert(offsetof(struct __arch_ftrace_regs, regs) == 0);

static_assert(sizeof(struct fprobe) == 48);
static_assert(offsetof(struct fprobe, entry_data_size) == 16);
static_assert(offsetof(struct fprobe, entry_handler) == 24);
static_assert(offsetof(struct fprobe, exit_handler) == 32);
static_assert(offsetof(struct fprobe, hlist_array) == 40);

void *kx_function_address(const char *name)
{
	struct kprobe probe;
	int err = look_up(name, &probe);

	return err ? ERR_PTR(err) : probe.addr;
}

/* syscall.rs: the size of a kprobe is the kernel's own affair, so C allocates it. */

struct kx_kprobe {
	struct kprobe probe;
	void *context;
};

/* A probe with a post handler stays a breakpoint: as a jump, it could not redirect. */
static void stays_a_breakpoint(struct kprobe *probe, struct pt_regs *regs, unsigned long flags)
{
}

struct kprobe *kx_kprobe_register(const char *function, kx_kprobe_handler handler,
				  void *context, int *error)
{
	struct kx_kprobe *mine = kzalloc(sizeof(*mine), GFP_KERNEL);
	struct kprobe entry;

	*error = mine ? look_up(function, &entry) : -ENOMEM;
	if (*error)
		goto fail;
	/*
	 * Not where ftrace patches the function, but at the first instruction behind it, with
	 * which the function begins to do anything.
	 */
	mine->probe.addr = entry.addr + (kprobe_ftrace(&entry) ? MCOUNT_INSN_SIZE : 0);
	mine->probe.pre_handler = handler;
	mine->probe.post_handler = stays_a_breakpoint;
	mine->context = context;
	*error = register_kprobe(&mine->probe);
	if (*error)
		goto fail;
	return &mine->probe;
fail:
	kfree(mine);
	return NULL;
}

int kx_kprobe_is_armed(const struct kprobe *probe)
{
	return READ_ONCE(*probe->addr) == INT3_INSN_OPCODE;
}

void *kx_kprobe_context(struct kprobe *probe)
{
	return container_of(probe, struct kx_kprobe, probe)->context;
}

void kx_kprobe_unregister(struct kprobe *probe)
{
	unregister_kprobe(probe);
	kfree(container_of(probe, struct kx_kprobe, probe));
}

int kx_in_32bit_syscall(void)
{
	return in_32bit_syscall();
}

/* The table that this kernel's own dispatcher is made of; it names the gaps too. */

#define __SYSCALL(number, function) \
	[number] = __builtin_strcmp(#function, "sys_ni_syscall") != 0,
#define __SYSCALL_NORETURN __SYSCALL
static const bool assigned[] = {
#include <asm/syscalls_64.h>
};

#undef __SYSCALL
#undef __SYSCALL_NORETURN

int kx_syscall_is_assigned(unsigned int number)
{
	return number >= ARRAY_SIZE(assigned) || assigned[number];
}
