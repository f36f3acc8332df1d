// SPDX-License-Identifier: GPL-2.0
/*
 * While it is loaded, unregister_ftrace_function() does nothing and fails, for operations of
 * modules: as after a breakdown of tracing, which cannot be had without one.
 */
#include <linux/errno.h>
#include <linux/ftrace.h>
#include <linux/kprobes.h>
#include <linux/module.h>

static int fail(struct kprobe *probe, struct pt_regs *regs)
{
	const struct ftrace_ops *ops = (const struct ftrace_ops *)regs->di;

	if (!(ops->flags & FTRACE_OPS_FL_DYNAMIC))
		return 0;
	regs->ax = -ENODEV;
	regs->ip = *(unsigned long *)regs->sp;
	regs->sp += sizeof(unsigned long);
	return 1;
}

/* Lets @fail redirect. */
static void after(struct kprobe *probe, struct pt_regs *regs, unsigned long flags)
{
}

static struct kprobe entry = {
	.symbol_name = "unregister_ftrace_function",
	.flags = KPROBE_FLAG_DISABLED,
};

static struct kprobe probe = { .pre_handler = fail, .post_handler = after };

static int __init no_unhook_init(void)
{
	int err = register_kprobe(&entry);

	if (err)
		return err;
	unregister_kprobe(&entry);
	/* Not where ftrace patches, if it does: there it could not be removed itself. */
	probe.addr = entry.addr + (kprobe_ftrace(&entry) ? MCOUNT_INSN_SIZE : 0);
	return register_kprobe(&probe);
}

static void __exit no_unhook_exit(void)
{
	unregister_kprobe(&probe);
}

module_init(no_unhook_init);
module_exit(no_unhook_exit);
MODULE_AUTHOR("Pagelens developers");
MODULE_DESCRIPTION("Keeps hooks from being removed: for a test, not for use");
MODULE_LICENSE("GPL");
