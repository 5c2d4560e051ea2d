/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * Buffers found at the sockets themselves: TCP's send loop and the end of every receive.
 *
 * Nothing but socket calls pays, and no descriptor has to be walked to its socket. Sends are seen
 * before their bytes are taken (`tcp_sendmsg_locked`, a tracepoint since Linux 6.16); receives, and
 * what AF_UNIX sends, when they are done (`sock_recv_length`, `sock_send_length`, 6.3). What is in
 * user memory is told by the registers that the task saved when it entered its system call.
 */
#ifndef OSMIA_SOCKETS_H
#define OSMIA_SOCKETS_H

#define PF_IO_WORKER   0x00000010
#define PF_USER_WORKER 0x00004000

static __always_inline struct descriptor descriptor_behind(const struct buffer *buffer)
{
	struct descriptor found = { .sk = buffer->sk };
	void *socket = READ(found.sk, sock, sk_socket);

	found.type = READ(found.sk, sock, sk_type);
	if (family_of(found.sk) == AF_UNIX && socket)
		found.file = READ(socket, socket, file); /* AF_UNIX is known by its inode */
	return found;
}

/* The send hook runs for every piece of a send, and again for what was not taken at first; all of
 * it was looked at when it began. */
static __always_inline bool is_sent_again(struct connection *connection, struct sock *sk,
					  const struct buffer *buffer)
{
	__u32 position;

	if (!buffer->is_send || is_unix(&connection->event))
		return false;
	position = bytes_written(sk);
	if (connection->is_send_known && (__s32)(position - connection->send_end) < 0)
		return true;
	connection->is_send_known = 1;
	connection->send_end = position + (__u32)buffer->total;
	return false;
}

/* The system call under way, 0 if it is none of ours. io_uring is told where it is met. */
static __always_inline long call_of(struct task_struct *task, const struct pt_regs *regs)
{
	long number = syscall_number(regs);

	if (number == SYS_IO_URING_ENTER || task->flags & (PF_IO_WORKER | PF_USER_WORKER)) {
		on_io_uring();
		return 0;
	}
	return syscall_is_foreign(regs) ? 0 : number;
}

static __always_inline bool is_ours(const struct sock *sk)
{
	__u16 family = sk->__sk_common.skc_family;

	return is_internet(family) || family == AF_UNIX;
}

static __always_inline struct buffer *buffer_of(struct scratch *here, const struct sock *sk,
						bool is_send)
{
	begin_buffer(&here->buffer, 0, is_send);
	here->buffer.sk = (struct sock *)(__u64)sk;
	return &here->buffer;
}

/* Of sendmmsg and recvmmsg the hooks do not tell which message it is. That matters to sockets that
 * are streams and are not TCP's sending side; nobody is known to do so, and who does is named. */
static __always_inline int read_only_message(struct buffer *buffer, struct segments *segments,
					     const struct pt_regs *regs, __u64 moved)
{
	__u32 process = bpf_get_current_pid_tgid() >> 32, why = OSMIA_UNSEEN_BATCHES;

	if (argument_3(regs) <= 1)
		return read_message(buffer, segments, (const void *)argument_2(regs), moved);
	if (READ(buffer->sk, sock, sk_type) == SOCK_STREAM &&
	    !bpf_map_lookup_elem(&unseen, &process))
		bpf_map_update_elem(&unseen, &process, &why, BPF_ANY);
	return -1;
}

/* The buffer that a system call has moved, from its arguments. */
static __always_inline int moved_buffer(struct scratch *here, const struct sock *sk, bool is_send,
					__u64 moved)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
	struct buffer *buffer = buffer_of(here, sk, is_send);

	switch (call_of(task, regs)) {
	case SYS_READ:
	case SYS_WRITE:
	case SYS_RECVFROM:
	case SYS_SENDTO:
		one_segment(buffer, (const void *)argument_2(regs), moved);
		return 0;
	case SYS_READV:
	case SYS_WRITEV:
		return read_iovec(buffer, &here->segments, (const void *)argument_2(regs),
				  argument_3(regs), moved);
	case SYS_RECVMSG:
	case SYS_SENDMSG:
		return read_message(buffer, &here->segments, (const void *)argument_2(regs), moved);
	case SYS_RECVMMSG:
	case SYS_SENDMMSG:
		return read_only_message(buffer, &here->segments, regs, moved);
	default:
		return -1;
	}
}

/*
 * A piece of a TCP send, before it is taken. The kernel comes here once for each piece of what it
 * is given; a piece that begins within a segment continues one that was looked at (handle() knows
 * the others by their position). Kernels: 6.16. Cost: nothing to calls that send nothing by TCP.
 */
SEC("tp_btf/tcp_sendmsg_locked")
int BPF_PROG(on_send, const struct sock *sk, const struct msghdr *message,
	     const struct sk_buff *queued, int goal)
{
	const struct iov_iter *rest = &message->msg_iter;
	struct task_struct *task;
	struct scratch *here;
	struct buffer *buffer;
	__u8 type = rest->iter_type;

	if (rest->iov_offset || !is_ours(sk))
		return 0;
	if (type != bpf_core_enum_value(enum iter_type, ITER_UBUF) &&
	    type != bpf_core_enum_value(enum iter_type, ITER_IOVEC))
		return 0; /* pages: of files, and of the kernel's own senders */
	task = bpf_get_current_task_btf();
	here = scratch_of_cpu();
	if (!here || !call_of(task, (struct pt_regs *)bpf_task_pt_regs(task)))
		return 0;
	buffer = buffer_of(here, sk, true);
	if (type == bpf_core_enum_value(enum iter_type, ITER_UBUF)) {
		one_segment(buffer, rest->ubuf, rest->count);
		return handle();
	}
	buffer->is_vector_kernel = true;
	if (read_iovec(buffer, &here->segments, rest->__iov, rest->nr_segs, rest->count))
		return 0;
	return handle();
}

/* A receive, when it is done. Kernels: 6.3. Cost: as above. */
SEC("tp_btf/sock_recv_length")
int BPF_PROG(on_receive, struct sock *sk, int result, int flags)
{
	struct scratch *here = scratch_of_cpu();

	if (result <= 0 || flags & MSG_PEEK || !here || !is_ours(sk) ||
	    moved_buffer(here, sk, false, result))
		return 0;
	return handle();
}

/* What AF_UNIX has sent: it has no hook before. Kernels: 6.3. */
SEC("tp_btf/sock_send_length")
int BPF_PROG(on_unix_sent, struct sock *sk, int result, int flags)
{
	struct scratch *here;

	if (sk->__sk_common.skc_family != AF_UNIX || result <= 0)
		return 0;
	here = scratch_of_cpu();
	if (!here || moved_buffer(here, sk, true, result))
		return 0;
	return handle();
}

#endif
