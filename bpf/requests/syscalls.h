/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * Buffers found at system calls, on every kernel: two programs see all of them.
 *
 * Dear where nothing else is traced: a system call tracepoint sends every system call of every
 * process through the kernel's slow path. sockets.h does without, where the kernel has its hooks.
 */
#ifndef OSMIA_SYSCALLS_H
#define OSMIA_SYSCALLS_H

static __always_inline struct descriptor descriptor_behind(const struct buffer *buffer)
{
	return descriptor_of(buffer->fd);
}

/* System calls are looked at as a whole. */
static __always_inline bool is_sent_again(struct connection *connection, struct sock *sk,
					  const struct buffer *buffer)
{
	return false;
}

/* sendmmsg and recvmmsg: up to MESSAGES_MAX messages, each a buffer of its own. */
static __always_inline void on_messages(struct scratch *here, const struct message *messages,
					__u64 count)
{
	struct buffer *buffer = &here->buffer;
	__u32 lengths[MESSAGES_MAX] = {}, after = 0;

	if (!buffer->is_send) {
#pragma unroll
		for (__u32 i = 0; i < MESSAGES_MAX; i++)
			if (i < count && !bpf_probe_read_user(&lengths[i], sizeof(lengths[i]),
							      &messages[i].length))
				after += lengths[i];
	}
	for (__u32 i = 0; i < MESSAGES_MAX; i++) {
		if (i >= count || read_message(buffer, &here->segments, messages + i,
					       buffer->is_send ? ~0ULL : lengths[i]))
			return;
		if (!buffer->is_send) {
			after -= lengths[i];
			buffer->beside = after;
		}
		handle();
		if (buffer->is_send)
			buffer->beside += buffer->total;
	}
}

/*
 * Sends are taken at entry: recorded at exit they could come after their own response.
 * A raw BTF tracepoint sees all system calls with one program and loads where kprobes, fentry and
 * LSM are absent. Kernels: 5.8. Cost: about 20 ns for a system call that is none of ours.
 */
SEC("tp_btf/sys_enter")
int BPF_PROG(on_send, struct pt_regs *regs, long number)
{
	struct scratch *here;
	struct buffer *buffer;

	switch (number) {
	case SYS_WRITE:
	case SYS_SENDTO:
	case SYS_WRITEV:
	case SYS_SENDMSG:
	case SYS_SENDMMSG:
		break;
	case SYS_IO_URING_ENTER:
		on_io_uring();
		return 0;
	default:
		return 0;
	}
	here = scratch_of_cpu();
	if (!here || syscall_is_foreign(regs))
		return 0;
	buffer = &here->buffer;
	begin_buffer(buffer, argument_1(regs), true);
	switch (number) {
	case SYS_WRITEV:
		if (read_iovec(buffer, &here->segments, (const void *)argument_2(regs),
			       argument_3(regs), ~0ULL))
			return 0;
		break;
	case SYS_SENDMSG:
		if (read_message(buffer, &here->segments, (const void *)argument_2(regs), ~0ULL))
			return 0;
		break;
	case SYS_SENDMMSG:
		on_messages(here, (const void *)argument_2(regs), argument_3(regs));
		return 0;
	default:
		one_segment(buffer, (const void *)argument_2(regs), argument_3(regs));
	}
	return handle();
}

/*
 * Receives are taken at exit, when the bytes are there; the entry's arguments are still in the
 * registers. Kernels: 5.8. Cost: as above.
 */
SEC("tp_btf/sys_exit")
int BPF_PROG(on_receive, struct pt_regs *regs, long result)
{
	struct scratch *here;
	struct buffer *buffer;
	long number;

	if (result <= 0)
		return 0;
	number = syscall_number(regs);
	switch (number) {
	case SYS_READ:
	case SYS_RECVFROM:
	case SYS_READV:
	case SYS_RECVMSG:
	case SYS_RECVMMSG:
		break;
	default:
		return 0;
	}
	here = scratch_of_cpu();
	if (!here || syscall_is_foreign(regs))
		return 0;
	buffer = &here->buffer;
	begin_buffer(buffer, argument_1(regs), false);
	switch (number) {
	case SYS_READV:
		if (read_iovec(buffer, &here->segments, (const void *)argument_2(regs),
			       argument_3(regs), result))
			return 0;
		break;
	case SYS_RECVMSG:
		if (argument_3(regs) & MSG_PEEK ||
		    read_message(buffer, &here->segments, (const void *)argument_2(regs), result))
			return 0;
		break;
	case SYS_RECVMMSG:
		if (!(argument_4(regs) & MSG_PEEK))
			on_messages(here, (const void *)argument_2(regs), result);
		return 0;
	case SYS_RECVFROM:
		if (argument_4(regs) & MSG_PEEK)
			return 0;
		one_segment(buffer, (const void *)argument_2(regs), result);
		break;
	default:
		one_segment(buffer, (const void *)argument_2(regs), result);
	}
	return handle();
}

#endif
