/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * System calls that carry bytes to or from a socket, as one buffer each.
 *
 * The numbers differ between architectures, hence the two tables. The arguments are read from the
 * registers saved at entry; at exit they are still there, so receives need no memory between their
 * two ends.
 */
#ifndef OSMIA_SYSCALL_H
#define OSMIA_SYSCALL_H

#if defined(__TARGET_ARCH_x86)
#define SYS_READ		 0
#define SYS_WRITE		 1
#define SYS_READV		 19
#define SYS_WRITEV		 20
#define SYS_SENDTO		 44
#define SYS_RECVFROM		 45
#define SYS_SENDMSG		 46
#define SYS_RECVMSG		 47
#define syscall_number(regs)	 ((regs)->orig_ax)
#define syscall_is_foreign(regs) ((regs)->cs != 0x33) /* 32-bit tasks use other numbers */
#define argument_1(regs)	 ((regs)->di)
#define argument_2(regs)	 ((regs)->si)
#define argument_3(regs)	 ((regs)->dx)
#define argument_4(regs)	 ((regs)->r10)
#elif defined(__TARGET_ARCH_arm64)
#define SYS_READ		 63
#define SYS_WRITE		 64
#define SYS_READV		 65
#define SYS_WRITEV		 66
#define SYS_SENDTO		 206
#define SYS_RECVFROM		 207
#define SYS_SENDMSG		 211
#define SYS_RECVMSG		 212
#define syscall_number(regs)	 ((regs)->syscallno)
#define syscall_is_foreign(regs) ((regs)->user_regs.pstate & 0x10)
#define argument_1(regs)	 ((regs)->orig_x0)
#define argument_2(regs)	 ((regs)->user_regs.regs[1])
#define argument_3(regs)	 ((regs)->user_regs.regs[2])
#define argument_4(regs)	 ((regs)->user_regs.regs[3])
#else
#error "unknown target architecture"
#endif

#define MSG_PEEK  2
#define IOVEC_MAX 8

struct iovec {
	const char *base;
	__u64 length;
};

/* One buffer on its way through a socket. `length` is what is contiguous at `data`, `total` what is
 * moved in all. */
struct buffer {
	const char *data;
	__u64 length;
	__u64 total;
	__u32 fd;
	bool is_send;
};

/* First segment and summed length of up to IOVEC_MAX segments of an iovec array in user memory. */
static __always_inline int read_iovec(struct buffer *buffer, const void *vector, __u64 count)
{
	struct iovec segments[IOVEC_MAX] = {};
	__u32 size = (count < IOVEC_MAX ? count : IOVEC_MAX) * sizeof(struct iovec);

	if (!count || bpf_probe_read_user(segments, size & 0xff, vector))
		return -1;
	buffer->data = segments[0].base;
	buffer->length = segments[0].length;
	buffer->total = 0;
#pragma unroll
	for (int i = 0; i < IOVEC_MAX; i++)
		buffer->total += segments[i].length;
	return 0;
}

/* struct user_msghdr of 64-bit tasks: msg_iov at 16, msg_iovlen at 24. */
static __always_inline int read_message_header(struct buffer *buffer, const void *header)
{
	struct {
		const void *vector;
		__u64 count;
	} fields;

	if (bpf_probe_read_user(&fields, sizeof(fields), header + 16))
		return -1;
	return read_iovec(buffer, fields.vector, fields.count);
}

#endif
