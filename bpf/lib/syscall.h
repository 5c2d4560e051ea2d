/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * System calls that carry bytes to or from a socket, as buffers.
 *
 * The numbers differ between architectures, hence the two tables. The arguments are read from the
 * registers saved at entry; at exit they are still there, so receives need no memory between their
 * two ends. sendfile and splice need no entry: what they move begins no message, and sizes come
 * from the stream positions of the socket (lib/socket.h).
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
#define SYS_RECVMMSG		 299
#define SYS_SENDMMSG		 307
#define SYS_IO_URING_ENTER	 426
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
#define SYS_RECVMMSG		 243
#define SYS_SENDMMSG		 269
#define SYS_IO_URING_ENTER	 426
#define syscall_number(regs)	 ((regs)->syscallno)
#define syscall_is_foreign(regs) ((regs)->user_regs.pstate & 0x10)
#define argument_1(regs)	 ((regs)->orig_x0)
#define argument_2(regs)	 ((regs)->user_regs.regs[1])
#define argument_3(regs)	 ((regs)->user_regs.regs[2])
#define argument_4(regs)	 ((regs)->user_regs.regs[3])
#else
#error "unknown target architecture"
#endif

#define MSG_PEEK     2
#define SEGMENTS_MAX 8 /* of one call; what lies beyond is moved unseen */
#define MESSAGES_MAX 4 /* of sendmmsg and recvmmsg */

struct iovec {
	const char *base;
	__u64 length;
};

/* struct user_msghdr of 64-bit tasks, then of struct mmsghdr the length. */
struct message {
	__u64 name[2];
	const struct iovec *vector;
	__u64 count;
	__u64 control[3];
	__u32 length;
	__u32 padding;
};

/* One buffer on its way through a socket. `length` is what is contiguous at `data`, `total` what is
 * moved in all, and `tail_length` what is contiguous before `tail_end`, where it ends. Its first
 * bytes are read once for all who ask, since a read of user memory costs 40 ns. */
struct buffer {
	__u8 head[OSMIA_RESPONSE_HEAD];
	__u64 head_length;
	const char *data;
	__u64 length;
	__u64 total;
	const char *tail_end;
	__u64 tail_length;
	const struct iovec *vector; /* NULL if there is one segment */
	__u32 segments;
	__u32 fd;
	__u32 beside; /* bytes that the same call sent before or received after this buffer */
	bool is_send;
	bool is_vector_kernel; /* where `vector` lies; the segments are always the task's */
	struct sock *sk;       /* where the hook is the socket's, and no descriptor is known */
};

static __always_inline void begin_buffer(struct buffer *buffer, __u32 fd, bool is_send)
{
	buffer->vector = 0;
	buffer->fd = fd;
	buffer->beside = 0;
	buffer->is_send = is_send;
	buffer->is_vector_kernel = false;
	buffer->data = buffer->tail_end = 0;
	buffer->length = buffer->tail_length = 0;
}

static __always_inline void one_segment(struct buffer *buffer, const void *data, __u64 length)
{
	buffer->data = data;
	buffer->length = buffer->total = buffer->tail_length = length;
	buffer->tail_end = buffer->data + length;
}

/* Room for what is read from user memory; half a stack, so it lives in a map. */
struct segments {
	struct iovec all[SEGMENTS_MAX];
	struct message message;
};

/* Segments of the vector that `buffer` comes from. */
static __always_inline long read_vector(const struct buffer *buffer, void *into, __u64 size,
					const struct iovec *from)
{
	return buffer->is_vector_kernel ? bpf_probe_read_kernel(into, size, from)
					: bpf_probe_read_user(into, size, from);
}

/* An iovec array of which `limit` bytes are moved. */
static __always_inline int read_iovec(struct buffer *buffer, struct segments *segments,
				      const struct iovec *vector, __u64 count, __u64 limit)
{
	__u64 rest = limit;
	__u64 size = (count < SEGMENTS_MAX ? count : SEGMENTS_MAX) * sizeof(struct iovec);

	if (!count || read_vector(buffer, segments->all, size & 0xff, vector))
		return -1;
#pragma unroll
	for (__u32 i = 0; i < SEGMENTS_MAX; i++) {
		__u64 length;

		if (i >= count)
			break;
		length = segments->all[i].length < rest ? segments->all[i].length : rest;
		if (!length)
			continue;
		if (rest == limit) {
			buffer->data = segments->all[i].base;
			buffer->length = length;
		}
		buffer->tail_end = segments->all[i].base + length;
		buffer->tail_length = length;
		rest -= length;
	}
	buffer->total = limit - rest;
	buffer->vector = count > 1 ? vector : 0;
	buffer->segments = count < SEGMENTS_MAX ? count : SEGMENTS_MAX;
	return 0;
}

static __always_inline int read_message(struct buffer *buffer, struct segments *segments,
					const void *header, __u64 limit)
{
	struct message *message = &segments->message;

	if (bpf_probe_read_user(message, __builtin_offsetof(struct message, control), header))
		return -1;
	return read_iovec(buffer, segments, message->vector, message->count, limit);
}

#endif
