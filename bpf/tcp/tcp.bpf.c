// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * Every TCP connection of every process on this machine: how long its connect took or why it
 * failed, what it carried, what was lost on the way, and whose it is.
 *
 * A socket is followed from its SYN (client) or its last ACK of the handshake (server) to its end.
 * What it carried is read from the kernel's own counters when it ends, so nothing is paid per
 * packet; for what stays open a sweep over all descriptors, run by user space now and then, reads
 * them in between.
 *
 * Whose it is: connect(), listen(), close() and shutdown() change a socket's state in the calling
 * task, so there, and only there, `current` is the owner. Everything else happens in interrupts of
 * strangers. A connection that was accepted therefore has no owner until the sweep finds its
 * descriptor in a process, or that process closes it; if a reset comes first, it belongs to
 * whoever listens on its port.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_tracing.h>
#include "lib/histogram.h"
#include "tcp/tcp.h"
#include "tcp/types.h"
#include "lib/socket.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Knobs, set before load. */
const volatile __u32 ignored_pid = 0; /* the agent's own process */

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768);
	__type(key, __u64); /* struct sock * */
	__type(value, struct osmia_tcp_socket);
} sockets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64); /* hash of struct osmia_tcp_key */
	__type(value, struct osmia_tcp_edge);
} edges SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, struct osmia_tcp_bucket);
	__type(value, __u64);
} histogram SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64); /* struct sock * */
	__type(value, struct osmia_listener);
} listeners SEC(".maps");

struct port {
	__u32 netns;
	__u16 port;
	__u16 reserved;
};

struct owner {
	__u64 cgroup_id;
	__u32 pid;
	__u32 reserved;
	char command[OSMIA_COMMAND];
};

/* Who listens on a port; the longest unused give way. */
struct {
	__uint(type, MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct port);
	__type(value, struct owner);
} ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct osmia_tcp_ledger);
} ledger SEC(".maps");

/* Initial values: too large for the stack. */
static struct osmia_tcp_socket blank_socket;
static struct osmia_tcp_edge blank_edge;

/* Sweeps that are complete: from the first one on it is known which ports are listened on. */
static __u32 sweeps;

#define COUNT(field)                                                                     \
	do {                                                                             \
		__u32 zero_ = 0;                                                         \
		struct osmia_tcp_ledger *ledger_ = bpf_map_lookup_elem(&ledger, &zero_); \
		if (ledger_)                                                             \
			ledger_->field++;                                                \
	} while (0)

#define ADD(target, amount)	  __sync_fetch_and_add(&(target), (amount))
#define SOCK_FIELD(sk, field)	  BPF_CORE_READ((struct sock___tcp *)(sk), field)
#define TCP_FIELD(sk, field)	  BPF_CORE_READ((struct tcp_sock___tcp *)(sk), field)
#define TASK_FIELD(task, field)	  BPF_CORE_READ((struct task_struct___tcp *)(task), field)
#define E2BIG			  7
#define FIRST_ANSWER_NS		  1000000000ULL /* the first SYN is repeated after a second */
#define SYN_SENT_IS_OLD(age, syn) ((syn) > 0 || (age) >= FIRST_ANSWER_NS)

/* ---- who and where ---- */

static __always_inline void read_owner(struct owner *owner, struct task_struct *task)
{
	struct task_struct *leader = BPF_CORE_READ(task, group_leader);
	struct css_set___tcp *set = TASK_FIELD(leader, cgroups);

	owner->pid = TASK_FIELD(task, tgid);
	owner->cgroup_id = BPF_CORE_READ(set, dfl_cgrp, kn, id);
	BPF_CORE_READ_INTO(&owner->command, leader, comm);
}

/* The current task as an owner, by helpers that cost less than reads; false where it is a thread
 * of the kernel. */
static __always_inline bool read_current(struct owner *owner)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	if (TASK_FIELD(task, flags) & PF_KTHREAD)
		return false;
	owner->pid = bpf_get_current_pid_tgid() >> 32;
	owner->cgroup_id = bpf_get_current_cgroup_id();
	BPF_CORE_READ_INTO(&owner->command, task, group_leader, comm);
	return true;
}

/* A field of a socket: one load where a tracepoint hands the socket over, a read where the sweep
 * found it behind a descriptor. */
#define FIELD(is_given, pointer, field) \
	((is_given) ? (pointer)->field : BPF_CORE_READ(pointer, field))

static __always_inline void read_ends(struct osmia_tcp_socket *socket, struct sock *sk,
				      const bool is_given)
{
	struct osmia_tcp_key *key = &socket->key;
	struct net *net = FIELD(is_given, sk, __sk_common.skc_net.net);

	if (FIELD(is_given, sk, __sk_common.skc_family) == AF_INET) {
		map_ipv4(key->local_ip, FIELD(is_given, sk, __sk_common.skc_rcv_saddr));
		map_ipv4(key->remote_ip, FIELD(is_given, sk, __sk_common.skc_daddr));
	} else {
		BPF_CORE_READ_INTO(&key->local_ip, sk, __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr8);
		BPF_CORE_READ_INTO(&key->remote_ip, sk, __sk_common.skc_v6_daddr.in6_u.u6_addr8);
	}
	socket->local_port = FIELD(is_given, sk, __sk_common.skc_num);
	socket->remote_port = bpf_ntohs(FIELD(is_given, sk, __sk_common.skc_dport));
	key->netns = FIELD(is_given, net, ns.inum);
	key->server_port = key->role == OSMIA_SERVER ? socket->local_port : socket->remote_port;
}

/* Complete the key: from now on the socket has an edge. */
static __always_inline void own(struct osmia_tcp_socket *socket, const struct owner *owner)
{
	const __u64 *words = (const __u64 *)&socket->key;
	__u64 hash = 0xcbf29ce484222325ULL;

	socket->pid = owner->pid;
	socket->key.cgroup_id = owner->cgroup_id;
	__builtin_memcpy(socket->key.command, owner->command, OSMIA_COMMAND);
#pragma unroll
	for (__u32 i = 0; i < sizeof(socket->key) / 8; i++) { /* as in requests.bpf.c */
		hash = (hash ^ words[i]) * 0x100000001b3ULL;
		hash ^= hash >> 29;
	}
	socket->edge = hash;
	socket->flags |= OSMIA_TCP_OWNED;
}

static __always_inline struct osmia_tcp_socket *socket_of(const struct sock *sk)
{
	__u64 key = (__u64)sk;

	return bpf_map_lookup_elem(&sockets, &key);
}

/* A new entry for a socket whose address may have been another's. */
static __always_inline struct osmia_tcp_socket *follow(struct sock *sk, __u8 role,
						       const bool is_given)
{
	__u64 key = (__u64)sk;
	struct osmia_tcp_socket *socket;

	if (bpf_map_update_elem(&sockets, &key, &blank_socket, BPF_ANY)) {
		COUNT(sockets_full);
		return 0;
	}
	socket = bpf_map_lookup_elem(&sockets, &key);
	if (!socket)
		return 0;
	socket->key.role = role;
	socket->start_ns = bpf_ktime_get_ns();
	read_ends(socket, sk, is_given);
	return socket;
}

static __always_inline struct osmia_tcp_edge *edge_of(const struct osmia_tcp_socket *socket)
{
	struct osmia_tcp_edge *edge = bpf_map_lookup_elem(&edges, &socket->edge);

	if (edge)
		return edge;
	bpf_map_update_elem(&edges, &socket->edge, &blank_edge, BPF_NOEXIST);
	edge = bpf_map_lookup_elem(&edges, &socket->edge);
	if (!edge) {
		COUNT(edges_full);
		return 0;
	}
	if (!edge->first_ns) {
		edge->key = socket->key;
		edge->first_ns = socket->start_ns;
	}
	return edge;
}

static __always_inline void touch(struct osmia_tcp_edge *edge,
				  const struct osmia_tcp_socket *socket)
{
	edge->last_ns = bpf_ktime_get_ns();
	edge->pid = socket->pid;
	edge->local_port = socket->local_port;
	edge->remote_port = socket->remote_port;
}

/* ---- figures ---- */

static __always_inline void measure(__u64 edge, __u16 what, __u64 duration_ns)
{
	struct osmia_tcp_bucket bucket = {
		.edge = edge,
		.bucket = histogram_bucket(duration_ns),
		.measure = what,
	};
	__u64 one = 1, *count = bpf_map_lookup_elem(&histogram, &bucket);

	if (!count && bpf_map_update_elem(&histogram, &bucket, &one, BPF_NOEXIST) == 0)
		return;
	if (!count)
		count = bpf_map_lookup_elem(&histogram, &bucket);
	if (count)
		ADD(*count, 1);
	else
		COUNT(histogram_full);
}

static __always_inline bool has_fin(struct sock *sk)
{
	unsigned long flags = BPF_CORE_READ((struct sock_common___tcp *)sk, skc_flags);

	return flags >> SOCK_DONE_BIT & 1;
}

/* The socket's counters of now; true if data was sent since the last reading. */
static __always_inline bool read_counters(struct osmia_tcp_socket *socket, struct sock *sk)
{
	__u64 sent = TCP_FIELD(sk, bytes_sent) - TCP_FIELD(sk, bytes_retrans);
	__u64 received = TCP_FIELD(sk, bytes_received);
	__u32 segments = TCP_FIELD(sk, data_segs_out) - socket->base_segments;
	bool is_new = segments != socket->segments || !socket->rtt_us;

	if (received && has_fin(sk))
		received--; /* the peer's FIN counts as a byte */
	socket->sent_bytes = sent - socket->base_sent_bytes;
	socket->received_bytes = received - socket->base_received_bytes;
	socket->segments = segments;
	socket->retransmits = TCP_FIELD(sk, total_retrans) - socket->base_retransmits;
	socket->rtt_us = TCP_FIELD(sk, srtt_us) >> 3;
	return is_new && socket->rtt_us;
}

static __always_inline void sample_round_trip(struct osmia_tcp_edge *edge,
					      const struct osmia_tcp_socket *socket)
{
	__u64 round_trip_ns = socket->rtt_us * 1000ULL;

	ADD(edge->rtt_ns, round_trip_ns);
	measure(socket->edge, OSMIA_TCP_RTT, round_trip_ns);
}

/* ---- a connection's life ---- */

static __always_inline void begin_connect(struct sock *sk)
{
	struct osmia_tcp_socket *socket;
	struct owner owner = {};

	read_current(&owner); /* a thread of the kernel connects for itself */
	if (ignored_pid && owner.pid == ignored_pid)
		return;
	socket = follow(sk, OSMIA_CLIENT, true);
	if (socket)
		own(socket, &owner);
}

static __always_inline void end_connect(struct osmia_tcp_socket *socket, struct sock *sk)
{
	struct osmia_tcp_edge *edge;
	__u64 latency_ns;

	socket->established_ns = bpf_ktime_get_ns();
	latency_ns = socket->established_ns - socket->start_ns;
	socket->local_port = sk->__sk_common.skc_num; /* chosen after the SYN's state */
	edge = edge_of(socket);
	if (!edge)
		return;
	ADD(edge->connect_ns, latency_ns);
	touch(edge, socket);
	measure(socket->edge, OSMIA_TCP_CONNECT, latency_ns);
}

static __always_inline void establish(struct sock *sk, int before)
{
	struct osmia_tcp_socket *socket = socket_of(sk);

	if (before == TCP_SYN_SENT || (socket && !socket->established_ns)) {
		if (socket)
			end_connect(socket, sk);
		return;
	}
	socket = follow(sk, OSMIA_SERVER, true);
	if (socket)
		socket->established_ns = socket->start_ns;
}

/* Called where a task closes its end. */
static __always_inline void take_owner(struct osmia_tcp_socket *socket)
{
	struct owner owner = {};

	if (!(socket->flags & OSMIA_TCP_OWNED) && read_current(&owner))
		own(socket, &owner);
}

static __always_inline void take_owner_of_port(struct osmia_tcp_socket *socket)
{
	struct port port = { .netns = socket->key.netns, .port = socket->local_port };
	struct owner *owner = bpf_map_lookup_elem(&ports, &port);

	if (owner)
		own(socket, owner);
}

static __always_inline void count_failure(struct osmia_tcp_socket *socket, struct sock *sk)
{
	struct osmia_tcp_edge *edge = edge_of(socket);
	__u64 age_ns = bpf_ktime_get_ns() - socket->start_ns;

	if (!edge)
		return;
	COUNT(seen);
	socket->local_port = bpf_ntohs(BPF_CORE_READ((struct inet_sock___tcp *)sk, inet_sport));
	touch(edge, socket);
	ADD(edge->retransmits, TCP_FIELD(sk, total_retrans));
	switch (((struct sock___tcp *)sk)->sk_err) {
	case ECONNREFUSED:
		ADD(edge->refused, 1);
		break;
	case ETIMEDOUT:
		ADD(edge->timed_out, 1);
		break;
	case ENETDOWN:
	case ENETUNREACH:
	case EHOSTDOWN:
	case EHOSTUNREACH:
		ADD(edge->unreachable, 1);
		break;
	case 0: /* the client's own doing */
		if (!socket->local_port)
			ADD(edge->failed_otherwise, 1); /* no local port was free */
		else if (SYN_SENT_IS_OLD(age_ns, TCP_FIELD(sk, total_retrans)))
			ADD(edge->timed_out, 1);
		else
			ADD(edge->cancelled, 1);
		break;
	default:
		ADD(edge->failed_otherwise, 1);
	}
}

static __always_inline void count_end(struct osmia_tcp_socket *socket, struct sock *sk)
{
	struct osmia_tcp_edge *edge;
	bool has_round_trip = read_counters(socket, sk);

	if (!(socket->flags & OSMIA_TCP_OWNED)) {
		COUNT(unowned);
		return;
	}
	edge = edge_of(socket);
	if (!edge)
		return;
	COUNT(seen);
	touch(edge, socket);
	if (!(socket->flags & OSMIA_TCP_JOINED))
		ADD(edge->opened, 1);
	ADD(edge->closed, 1);
	ADD(edge->sent_bytes, socket->sent_bytes);
	ADD(edge->received_bytes, socket->received_bytes);
	ADD(edge->segments, socket->segments);
	ADD(edge->retransmits, socket->retransmits);
	ADD(edge->resets_sent, socket->resets_sent);
	ADD(edge->resets_received, socket->resets_received);
	if (has_round_trip)
		sample_round_trip(edge, socket);
}

static __always_inline void end(struct sock *sk)
{
	struct osmia_tcp_socket *socket = socket_of(sk);

	if (!socket || socket->flags & OSMIA_TCP_ENDED)
		return;
	if (!socket->established_ns) {
		count_failure(socket, sk);
	} else {
		/* Without an error it was ended by its own process, just now. */
		if (!((struct sock___tcp *)sk)->sk_err)
			take_owner(socket);
		if (!(socket->flags & OSMIA_TCP_OWNED))
			take_owner_of_port(socket);
		count_end(socket, sk);
	}
	socket->flags |= OSMIA_TCP_ENDED;
}

/* ---- listening ---- */

static __always_inline void note_listener(struct sock *sk, const struct owner *owner)
{
	struct port port = {
		.netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum),
		.port = BPF_CORE_READ(sk, __sk_common.skc_num),
	};
	struct osmia_listener listener = {
		.cgroup_id = owner->cgroup_id,
		.seen_ns = bpf_ktime_get_ns(),
		.pid = owner->pid,
		.netns = port.netns,
		.waiting = SOCK_FIELD(sk, sk_ack_backlog),
		.waiting_max = SOCK_FIELD(sk, sk_max_ack_backlog),
		.port = port.port,
	};
	__u64 key = (__u64)sk;

	if (bpf_core_field_exists(((struct sock___tcp *)0)->sk_drops))
		listener.dropped = SOCK_FIELD(sk, sk_drops.counter);
	if (BPF_CORE_READ(sk, __sk_common.skc_family) == AF_INET)
		map_ipv4(listener.local_ip, BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr));
	else
		BPF_CORE_READ_INTO(&listener.local_ip, sk,
				   __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr8);
	__builtin_memcpy(listener.command, owner->command, OSMIA_COMMAND);
	bpf_map_update_elem(&ports, &port, owner, BPF_ANY);
	if (bpf_map_update_elem(&listeners, &key, &listener, BPF_ANY))
		COUNT(listeners_full);
}

static __always_inline void begin_listening(struct sock *sk)
{
	struct owner owner = {};

	if (read_current(&owner))
		note_listener(sk, &owner);
}

/*
 * Hook: the only one through which every change of state passes, in the task where it is a system
 * call's doing. Kernels: tp_btf since 5.5, this tracepoint since 4.16. Cost: about 0.3 us for each
 * of the three to five changes of a connection's end that matter.
 */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(on_state, struct sock *sk, int before, int after)
{
	struct osmia_tcp_socket *socket;

	if (((struct sock___tcp *)sk)->sk_protocol != IPPROTO_TCP)
		return 0;
	switch (after) {
	case TCP_SYN_SENT:
		begin_connect(sk);
		break;
	case TCP_ESTABLISHED:
		establish(sk, before);
		break;
	case TCP_FIN_WAIT1:
	case TCP_LAST_ACK:
		socket = socket_of(sk);
		if (socket)
			take_owner(socket);
		break;
	case TCP_LISTEN:
		begin_listening(sk);
		break;
	case TCP_CLOSE:
		if (before != TCP_LISTEN)
			end(sk);
		break;
	}
	return 0;
}

/*
 * Hook: the socket's address will be used again; after the state CLOSE it may still send a reset,
 * hence not there. Kernels: 5.5. Cost: two deletions, of which one finds nothing.
 */
SEC("tp_btf/tcp_destroy_sock")
int BPF_PROG(on_destroy, struct sock *sk)
{
	__u64 key = (__u64)sk;

	if (bpf_map_delete_elem(&sockets, &key))
		bpf_map_delete_elem(&listeners, &key);
	return 0;
}

static __always_inline void count_reset(const struct sock *sk, bool is_sent)
{
	struct osmia_tcp_socket *socket = socket_of(sk);
	struct osmia_tcp_edge *edge;

	if (!socket || !socket->established_ns) /* a refused connect is counted as such */
		return;
	if (!(socket->flags & OSMIA_TCP_ENDED)) {
		if (is_sent)
			socket->resets_sent++;
		else
			socket->resets_received++;
		return;
	}
	edge = bpf_map_lookup_elem(&edges, &socket->edge);
	if (edge && is_sent)
		ADD(edge->resets_sent, 1);
	else if (edge)
		ADD(edge->resets_received, 1);
}

/* Hook: fires once per reset, in the stack's own path. Kernels: 5.5. Cost: one lookup. */
SEC("tp_btf/tcp_receive_reset")
int BPF_PROG(on_reset_received, struct sock *sk)
{
	count_reset(sk, false);
	return 0;
}

/* Hook: as above; its socket is NULL where nobody listens. */
SEC("tp_btf/tcp_send_reset")
int BPF_PROG(on_reset_sent, const struct sock *sk)
{
	count_reset(sk, true);
	return 0;
}

/* ---- the sweep ---- */

/* A connection that began before us: who listens on its port is its server. */
static __always_inline struct osmia_tcp_socket *join(struct sock *sk)
{
	struct port port = {
		.netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum),
		.port = BPF_CORE_READ(sk, __sk_common.skc_num),
	};
	bool is_server = bpf_map_lookup_elem(&ports, &port) != 0;
	struct osmia_tcp_socket *socket;

	if (!sweeps)
		return 0;
	socket = follow(sk, is_server ? OSMIA_SERVER : OSMIA_CLIENT, false);
	if (!socket)
		return 0;
	read_counters(socket, sk);
	socket->base_sent_bytes = socket->sent_bytes;
	socket->base_received_bytes = socket->received_bytes;
	socket->base_segments = socket->segments;
	socket->base_retransmits = socket->retransmits;
	socket->segments = 0;
	socket->established_ns = socket->start_ns;
	socket->flags = OSMIA_TCP_JOINED;
	return socket;
}

static __always_inline void refresh(struct sock *sk, const struct owner *owner)
{
	struct osmia_tcp_socket *socket = socket_of(sk);
	struct osmia_tcp_edge *edge;

	if (!socket)
		socket = join(sk);
	if (!socket || !socket->established_ns || socket->flags & OSMIA_TCP_ENDED)
		return;
	if (!(socket->flags & OSMIA_TCP_OWNED))
		own(socket, owner);
	if (read_counters(socket, sk)) {
		edge = edge_of(socket);
		if (edge)
			sample_round_trip(edge, socket);
	}
}

/*
 * Hook: every descriptor of every process, in all network namespaces; run by user space every few
 * seconds. Kernels: 5.8. Cost: 0.1 us for a descriptor that is no TCP socket.
 */
SEC("iter/task_file")
int sweep(struct bpf_iter__task_file *context)
{
	struct task_struct *task = context->task;
	struct file *file = context->file;
	struct owner owner = {};
	struct socket *socket;
	struct sock *sk;
	__u8 state;

	if (!task || !file) {
		sweeps++; /* the last call of a walk */
		return 0;
	}
	socket = BPF_CORE_READ(file, private_data);
	if (!socket || BPF_CORE_READ(socket, file) != file ||
	    BPF_CORE_READ(socket, type) != SOCK_STREAM)
		return 0;
	sk = BPF_CORE_READ(socket, sk);
	if (!sk || SOCK_FIELD(sk, sk_protocol) != IPPROTO_TCP)
		return 0;
	read_owner(&owner, task);
	if (ignored_pid && owner.pid == ignored_pid)
		return 0;
	state = BPF_CORE_READ(sk, __sk_common.skc_state);
	if (state == TCP_LISTEN)
		note_listener(sk, &owner);
	else if (state != TCP_CLOSE && state != TCP_SYN_SENT && state != TCP_SYN_RECV)
		refresh(sk, &owner);
	return 0;
}
