/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * From a file descriptor of the current task to its socket.
 *
 * Walking current->files finds sockets that existed before us and those that came by dup, fork or
 * SCM_RIGHTS, in every network namespace, with no map of descriptors to keep. The pointer found is
 * a plain number to the verifier: good as a map key and for reads, nothing else.
 */
#ifndef OSMIA_SOCKET_H
#define OSMIA_SOCKET_H

#include "lib/read.h"

#define AF_UNIX	      1
#define AF_INET	      2
#define AF_INET6      10
#define SOCK_STREAM   1
#define SOCK_DGRAM    2
#define RCV_SHUTDOWN  1
#define SEND_SHUTDOWN 2

struct descriptor {
	struct sock *sk; /* NULL: not a socket */
	struct file *file;
	__u16 type;
};

/*
 * The file behind a descriptor. Where the current task is a typed pointer its fields are plain
 * loads; each bpf_probe_read_kernel costs about 15 ns.
 */
static __always_inline struct file *file_of(__u32 fd)
{
	struct file **descriptors, *file = 0;
	struct task_struct *task;
	__u32 count;

	if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_get_current_task_btf)) {
		task = bpf_get_current_task_btf();
		descriptors = task->files->fdt->fd;
		count = task->files->fdt->max_fds;
	} else {
		task = (void *)bpf_get_current_task();
		descriptors = BPF_CORE_READ(task, files, fdt, fd);
		count = BPF_CORE_READ(task, files, fdt, max_fds);
	}
	if (fd < count)
		file = read_pointer(descriptors + fd);
	return file;
}

/* The socket behind a descriptor of the current task. */
static __always_inline struct descriptor descriptor_of(__u32 fd)
{
	struct file *file = file_of(fd);
	struct descriptor found = { .file = file };
	void *socket;

	if (!file)
		return found;
	socket = READ(file, file, private_data);
	/* Only a socket points back at its file. */
	if (!socket || READ(socket, socket, file) != file)
		return found;
	found.type = READ(socket, socket, type);
	found.sk = READ(socket, socket, sk);
	return found;
}

static __always_inline __u16 family_of(struct sock *sk)
{
	return READ(sk, sock, __sk_common.skc_family);
}

static __always_inline bool is_internet(__u16 family)
{
	return family == AF_INET || family == AF_INET6;
}

static __always_inline void map_ipv4(__u8 *into, __be32 address)
{
	__builtin_memset(into, 0, 10);
	into[10] = 0xff;
	into[11] = 0xff;
	__builtin_memcpy(into + 12, &address, 4);
}

/* Both addresses, ports and the network namespace of an internet socket. */
static __always_inline void read_addresses(struct osmia_event *event, struct sock *sk)
{
	if (family_of(sk) == AF_INET) {
		map_ipv4(event->local_ip, BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr));
		map_ipv4(event->remote_ip, BPF_CORE_READ(sk, __sk_common.skc_daddr));
	} else {
		BPF_CORE_READ_INTO(&event->local_ip, sk,
				   __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr8);
		BPF_CORE_READ_INTO(&event->remote_ip, sk, __sk_common.skc_v6_daddr.in6_u.u6_addr8);
	}
	event->local_port = BPF_CORE_READ(sk, __sk_common.skc_num);
	event->remote_port = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
	event->netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
}

#define UNIX_PATH_KEPT 32

/* The end of the server's path of an AF_UNIX connection, over both addresses. The accepted end
 * shares its address with the listening socket; clients mostly have none. */
static __always_inline void read_unix_path(struct osmia_event *event, struct sock *sk)
{
	struct unix_sock *end = event->role == OSMIA_SERVER ? (void *)sk : (void *)event->peer;
	struct unix_address *address = BPF_CORE_READ(end, addr);
	__s32 length = BPF_CORE_READ(address, len) - 2; /* without the family */
	const char *path =
		(const char *)address + bpf_core_field_offset(struct unix_address, name) + 2;
	__u64 size;

	if (!address || length <= 0)
		return;
	if (length > UNIX_PATH_KEPT)
		path += length - UNIX_PATH_KEPT;
	size = length < UNIX_PATH_KEPT ? length : UNIX_PATH_KEPT;
	asm volatile("" : "+r"(size));
	if (size <= UNIX_PATH_KEPT)
		bpf_probe_read_kernel(event->local_ip, size, path);
}

/* Bytes that the application has handed to TCP so far, modulo 2^32; exact for every system call
 * family. Its FIN takes a position too. */
static __always_inline __u32 bytes_written(struct sock *sk)
{
	return READ(sk, tcp_sock, write_seq) - !!(READ(sk, sock, sk_shutdown) & SEND_SHUTDOWN);
}

/* Bytes that the application has taken from TCP so far, modulo 2^32. The other end's FIN takes a
 * position too, in the very read that finds it behind the last bytes. */
static __always_inline __u32 bytes_read(struct sock *sk)
{
	__u32 end = READ(sk, tcp_sock, copied_seq);

	if (READ(sk, sock, sk_shutdown) & RCV_SHUTDOWN)
		end -= READ(sk, tcp_sock, rcv_nxt) == end;
	return end;
}

/* Jiffies since TCP last sent (a server) or received (a client) data on this socket. */
static __always_inline __u32 jiffies_since_data(struct sock *sk, bool is_client)
{
	__u32 now = bpf_jiffies64();

	if (is_client)
		return now - READ(sk, inet_connection_sock, icsk_ack.lrcvtime);
	return now - READ(sk, tcp_sock, lsndtime);
}

#endif
