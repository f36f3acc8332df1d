/* SPDX-License-Identifier: GPL-2.0 */
/* As ../base/shim.h. */
#ifndef KX_HOOK_SHIM_H
#define KX_HOOK_SHIM_H

struct kprobe;
struct pt_regs;

/* probe.rs */
void *kx_function_address(const char *name);

/* syscall.rs */
typedef int (*kx_kprobe_handler)(struct kprobe *probe, struct pt_regs *regs);

struct kprobe *kx_kprobe_register(const char *function, kx_kprobe_handler handler,
				  void *context, int *error);
int kx_kprobe_is_armed(const struct kprobe *probe);
void *kx_kprobe_context(struct kprobe *probe);
void kx_kprobe_unregister(struct kprobe *probe);
int kx_in_32bit_syscall(void);
int kx_syscall_is_assigned(unsigned int number);

#endif
