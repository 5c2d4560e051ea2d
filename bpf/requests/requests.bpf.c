// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * Every request of every process on this machine: matched to its response, timed, counted,
 * reported.
 *
 * A buffer's first bytes (and, for PostgreSQL, its last six) tell whether it begins a request or
 * answers one. Only then is the descriptor resolved to its socket, the state of that connection
 * found, and something done; all other traffic costs one or two small reads. Counters and histogram
 * live in maps and stay exact when the ring is full. The kernel copies and bounds; user space
 * parses (src/osmia/protocols).
 *
 * Both ends of a call on one host give two events, one per role.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_tracing.h>
#include "events.h"
#include "lib/histogram.h"
#include "lib/socket.h"
#include "lib/syscall.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Knobs, set before load. */
const volatile __u32 ignored_pid = 0; /* the agent's own process */

enum phase {
	PHASE_IDLE = 0,
	PHASE_REQUESTED = 1,
	PHASE_RESPONDING = 2,
};

/* What we remember of one connection; the event is filled in place and sent from here. */
struct connection {
	__u32 request_position;	 /* stream position where the request began */
	__u32 response_position; /* ... and the response */
	__u32 phase;
	__u32 reserved;
	struct osmia_event event;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64); /* struct sock * */
	__type(value, struct connection);
} connections SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64); /* hash of struct osmia_edge_key */
	__type(value, struct osmia_edge);
} edges SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 131072);
	__type(key, struct osmia_bucket);
	__type(value, __u64);
} histogram SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct osmia_ledger);
} ledger SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 * 1024 * 1024);
} events SEC(".maps");

/* The initial value of a connection: too large for the stack. */
static struct connection blank;

#define COUNT(field)                                                                 \
	do {                                                                         \
		__u32 zero_ = 0;                                                     \
		struct osmia_ledger *ledger_ = bpf_map_lookup_elem(&ledger, &zero_); \
		if (ledger_)                                                         \
			ledger_->field++;                                            \
	} while (0)

#define ADD(target, amount) __sync_fetch_and_add(&(target), (amount))

/* ---- what a buffer is
 * ------------------------------------------------------------------------------------------ */

enum meaning {
	MEANS_NOTHING = 0,
	MEANS_UNREADABLE,
	MEANS_HTTP_REQUEST,
	MEANS_HTTP_RESPONSE,
	MEANS_POSTGRES_STARTUP,
	MEANS_POSTGRES_REQUEST, /* surely */
	MEANS_POSTGRES_MESSAGE, /* of either side, if the connection is known to be PostgreSQL */
	MEANS_POSTGRES_READY,
};

#define WORD(a, b, c, d) ((__u32)(a) | (__u32)(b) << 8 | (__u32)(c) << 16 | (__u32)(d) << 24)
#define HEAD_SIZE	 16
#define READY_SIZE	 6

static __always_inline bool is_http_method(__u32 word)
{
	switch (word) {
	case WORD('G', 'E', 'T', ' '):
	case WORD('P', 'O', 'S', 'T'):
	case WORD('P', 'U', 'T', ' '):
	case WORD('H', 'E', 'A', 'D'):
	case WORD('D', 'E', 'L', 'E'):
	case WORD('P', 'A', 'T', 'C'):
	case WORD('O', 'P', 'T', 'I'):
	case WORD('C', 'O', 'N', 'N'):
	case WORD('T', 'R', 'A', 'C'):
		return true;
	default:
		return false;
	}
}

static __always_inline __u32 big_endian_32(const __u8 *at)
{
	return (__u32)at[0] << 24 | (__u32)at[1] << 16 | (__u32)at[2] << 8 | at[3];
}

/* Bytes `5a 00 00 00 05 x` at the end: ReadyForQuery, the last word of every PostgreSQL answer. */
static __always_inline bool ends_with_ready(const __u8 *tail)
{
	return tail[0] == 'Z' && big_endian_32(tail + 1) == 5 &&
	       (tail[5] == 'I' || tail[5] == 'T' || tail[5] == 'E');
}

/* Sync (S) or Flush (H) as the last message: how extended-protocol clients end what they send. */
static __always_inline bool ends_with_sync(const __u8 *tail)
{
	return (tail[1] == 'S' || tail[1] == 'H') && big_endian_32(tail + 2) == 4;
}

/* Types of messages that may come first in a buffer; most letters serve both sides. */
static __always_inline bool is_message_type(__u8 type)
{
	return (type >= 'A' && type <= 'Z') || (type >= '1' && type <= '3') || type == 't' ||
	       type == 'n' || type == 's' || type == 'd' || type == 'c';
}

/* https://www.postgresql.org/docs/current/protocol-message-formats.html */
static __always_inline enum meaning postgres_meaning(const __u8 *head, const __u8 *tail,
						     __u64 total)
{
	__u32 length = big_endian_32(head + 1);

	if (big_endian_32(head) == total && big_endian_32(head + 4) == 0x00030000)
		return MEANS_POSTGRES_STARTUP;
	if (ends_with_ready(tail))
		return MEANS_POSTGRES_READY;
	if (length < 4 || length > 0x3fffffff)
		return MEANS_NOTHING;
	if (head[0] == 'Q' && length + 1 == total && head[5])
		return MEANS_POSTGRES_REQUEST;
	if ((head[0] == 'P' || head[0] == 'B') && ends_with_sync(tail))
		return MEANS_POSTGRES_REQUEST;
	return is_message_type(head[0]) ? MEANS_POSTGRES_MESSAGE : MEANS_NOTHING;
}

static __always_inline enum meaning meaning_of(const struct buffer *buffer)
{
	__u8 head[HEAD_SIZE] = {}, tail[READY_SIZE] = {};
	__u32 size = buffer->length < HEAD_SIZE ? buffer->length : HEAD_SIZE, word;

	if (buffer->length < READY_SIZE)
		return MEANS_NOTHING;
	/* Memory that is not mapped in yet (a file's, say) cannot be read here. */
	if (bpf_probe_read_user(head, size & (2 * HEAD_SIZE - 1), buffer->data))
		return MEANS_UNREADABLE;
	__builtin_memcpy(&word, head, 4);
	if (is_http_method(word))
		return MEANS_HTTP_REQUEST;
	if (word == WORD('H', 'T', 'T', 'P'))
		return head[4] == '/' && head[5] == '1' ? MEANS_HTTP_RESPONSE : MEANS_NOTHING;
	if (bpf_probe_read_user(tail, sizeof(tail), buffer->data + buffer->length - sizeof(tail)))
		return MEANS_NOTHING;
	return postgres_meaning(head, tail, buffer->total);
}

static __always_inline bool is_ignored(void)
{
	return ignored_pid && bpf_get_current_pid_tgid() >> 32 == ignored_pid;
}

/* ---- whose it is
 * -----------------------------------------------------------------------------------------------
 */

static __always_inline void fill_key(struct osmia_edge_key *key, const struct osmia_event *event)
{
	key->cgroup_id = event->cgroup_id;
	key->netns = event->netns;
	key->server_port = event->role == OSMIA_SERVER ? event->local_port : event->remote_port;
	key->protocol = event->protocol;
	key->role = event->role;
	__builtin_memcpy(key->local_ip, event->local_ip, 16);
	__builtin_memcpy(key->remote_ip, event->remote_ip, 16);
	__builtin_memcpy(key->command, event->command, OSMIA_COMMAND);
}

/* The process that reads or writes owns the request; forked and pre-forked servers change it
 * between requests. */
static __always_inline void take_owner(struct osmia_event *event)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct task_struct *leader = BPF_CORE_READ(task, group_leader);
	struct osmia_edge_key key = {};
	const __u64 *words = (const __u64 *)&key;
	__u64 hash = 0xcbf29ce484222325ULL;

	event->pid = bpf_get_current_pid_tgid() >> 32;
	event->cgroup_id = bpf_get_current_cgroup_id();
	event->task_start_ns = BPF_CORE_READ(leader, start_time);
	BPF_CORE_READ_INTO(&event->command, leader, comm);

	fill_key(&key, event);
#pragma unroll
	for (__u32 i = 0; i < sizeof(key) / 8;
	     i++) { /* FNV-1a over words, then mixed once per word */
		hash = (hash ^ words[i]) * 0x100000001b3ULL;
		hash ^= hash >> 29;
	}
	event->edge = hash;
}

static __always_inline struct osmia_edge *edge_of(const struct osmia_event *event)
{
	struct osmia_edge *edge = bpf_map_lookup_elem(&edges, &event->edge);
	struct osmia_edge fresh = {};

	if (edge)
		return edge;
	fill_key(&fresh.key, event);
	fresh.first_ns = event->end_ns;
	bpf_map_update_elem(&edges, &event->edge, &fresh, BPF_NOEXIST);
	return bpf_map_lookup_elem(&edges, &event->edge);
}

static __always_inline struct connection *remember(struct sock *sk, __u8 protocol, bool is_client)
{
	__u64 key = (__u64)sk;
	struct connection *connection;

	if (bpf_map_update_elem(&connections, &key, &blank, BPF_NOEXIST) == -7 /* E2BIG */) {
		COUNT(connections_full);
		return 0;
	}
	connection = bpf_map_lookup_elem(&connections, &key);
	if (!connection)
		return 0;
	connection->event.connection = key;
	connection->event.protocol = protocol;
	connection->event.role = is_client ? OSMIA_CLIENT : OSMIA_SERVER;
	read_addresses(&connection->event, sk);
	return connection;
}

/* ---- requests and responses
 * ------------------------------------------------------------------------------------ */

/* Positions of the two streams at this buffer's first byte. At entry a send has not moved its
 * position yet; at exit a receive has moved it by what it took. */
static __always_inline __u32 position_of(struct sock *sk, const struct buffer *buffer)
{
	return buffer->is_send ? bytes_written(sk) : bytes_read(sk) - (__u32)buffer->total;
}

static __always_inline __u32 response_position_now(struct sock *sk, const struct osmia_event *event)
{
	return event->role == OSMIA_CLIENT ? bytes_read(sk) : bytes_written(sk);
}

static __always_inline __u32 request_position_now(struct sock *sk, const struct osmia_event *event)
{
	return event->role == OSMIA_CLIENT ? bytes_written(sk) : bytes_read(sk);
}

/* Tell user space of response bytes that came after the request's event. */
static __always_inline void send_remainder(struct connection *connection, __u32 end_position)
{
	struct osmia_event *event = &connection->event;
	struct osmia_edge *edge;
	__u32 total = end_position - connection->response_position;
	__u64 more;

	if (total <= event->response_bytes || total - event->response_bytes > 0x7fffffff)
		return;
	more = total - event->response_bytes;
	edge = bpf_map_lookup_elem(&edges, &event->edge);
	if (edge)
		ADD(edge->response_bytes, more);
	event->kind = OSMIA_EVENT_REMAINDER;
	event->response_bytes = total;
	bpf_ringbuf_output(&events, event, __builtin_offsetof(struct osmia_event, command),
			   BPF_RB_NO_WAKEUP);
}

static __always_inline void begin_request(struct connection *connection, struct sock *sk,
					  const struct buffer *buffer)
{
	struct osmia_event *event = &connection->event;
	__u32 size =
		buffer->length < OSMIA_REQUEST_SNIPPET ? buffer->length : OSMIA_REQUEST_SNIPPET;

	if (connection->phase == PHASE_REQUESTED) {
		if (event->protocol == OSMIA_POSTGRES)
			return; /* more of the same cycle; it ends with ReadyForQuery */
		COUNT(unanswered);
	}
	if (connection->phase == PHASE_RESPONDING)
		send_remainder(connection, response_position_now(sk, event));
	if (event->pid != bpf_get_current_pid_tgid() >> 32)
		take_owner(event);
	event->start_ns = bpf_ktime_get_ns();
	event->sequence++;
	connection->request_position = position_of(sk, buffer);
	connection->response_position = response_position_now(sk, event);
	connection->phase = PHASE_REQUESTED;
	asm volatile("" : "+r"(size)); /* keeps the bound that the verifier needs */
	if (size > OSMIA_REQUEST_SNIPPET ||
	    bpf_probe_read_user(event->request, size, buffer->data)) {
		COUNT(unreadable);
		size = 0;
	}
	event->request_length = size;
	event->response_head_length = 0;
	event->response_tail_length = 0;
}

static __always_inline void copy_response(struct osmia_event *event, const struct buffer *buffer)
{
	__u32 head = buffer->length < OSMIA_RESPONSE_HEAD ? buffer->length : OSMIA_RESPONSE_HEAD;
	__u64 rest = buffer->length - head;
	__u32 tail = rest < OSMIA_RESPONSE_TAIL ? rest : OSMIA_RESPONSE_TAIL;

	asm volatile("" : "+r"(head));
	if (head > OSMIA_RESPONSE_HEAD ||
	    bpf_probe_read_user(event->response_head, head, buffer->data))
		head = 0;
	event->response_head_length = head;
	asm volatile("" : "+r"(tail));
	if (tail > OSMIA_RESPONSE_TAIL || !tail ||
	    bpf_probe_read_user(event->response_tail, tail, buffer->data + buffer->length - tail))
		tail = 0;
	event->response_tail_length = tail;
}

/* Good enough for the counters of requests whose event was lost; user space judges the others. */
static __always_inline __u8 error_flag(const struct osmia_event *event)
{
	const char *head = event->response_head;

	if (event->protocol == OSMIA_HTTP)
		return head[9] == '5' ? OSMIA_FLAG_ERROR : 0;
	if (head[0] == 'E' || (head[0] == '1' && head[5] == 'E') ||
	    (head[0] == '2' && head[5] == 'E') ||
	    (head[0] == '1' && head[5] == '2' && head[10] == 'E'))
		return OSMIA_FLAG_ERROR;
	return 0;
}

static __always_inline void count_in_histogram(const struct osmia_event *event, __u64 latency_ns,
					       bool is_unsent)
{
	struct osmia_bucket key = { .edge = event->edge,
				    .bucket = histogram_bucket(latency_ns),
				    .is_unsent = is_unsent };
	__u64 *count = bpf_map_lookup_elem(&histogram, &key), one = 1;

	if (count) {
		ADD(*count, 1);
		return;
	}
	if (!bpf_map_update_elem(&histogram, &key, &one, BPF_NOEXIST))
		return;
	count = bpf_map_lookup_elem(&histogram,
				    &key); /* another CPU was first, or the map is full */
	if (count)
		ADD(*count, 1);
	else
		COUNT(histogram_full);
}

static __always_inline void count_in_edge(const struct osmia_event *event, __u64 latency_ns,
					  bool is_unsent)
{
	struct osmia_edge *edge = edge_of(event);
	__u64 error = event->flags & OSMIA_FLAG_ERROR ? 1 : 0;

	if (!edge) {
		COUNT(edges_full);
		return;
	}
	ADD(edge->count, 1);
	if (error)
		ADD(edge->errors, error);
	ADD(edge->latency_ns, latency_ns);
	ADD(edge->request_bytes, event->request_bytes);
	ADD(edge->response_bytes, event->response_bytes);
	edge->last_ns = event->end_ns;
	edge->pid = event->pid;
	if (is_unsent) {
		ADD(edge->unsent, 1);
		ADD(edge->unsent_errors, error);
		ADD(edge->unsent_latency_ns, latency_ns);
		ADD(edge->unsent_request_bytes, event->request_bytes);
		ADD(edge->unsent_response_bytes, event->response_bytes);
	}
	count_in_histogram(event, latency_ns, is_unsent);
}

static __always_inline void end_request(struct connection *connection, struct sock *sk,
					const struct buffer *buffer)
{
	struct osmia_event *event = &connection->event;
	__u32 size = event->request_length;
	__u64 latency_ns;
	bool is_unsent;

	event->end_ns = bpf_ktime_get_ns();
	latency_ns = event->end_ns - event->start_ns;
	/* PostgreSQL sends an error on its own before a bare ReadyForQuery: what came before tells
	 * more. */
	if (event->protocol == OSMIA_HTTP || buffer->length > READY_SIZE ||
	    !event->response_head_length)
		copy_response(event, buffer);
	connection->phase = event->protocol == OSMIA_HTTP ? PHASE_RESPONDING : PHASE_IDLE;
	event->request_bytes = request_position_now(sk, event) - connection->request_position;
	event->response_bytes = response_position_now(sk, event) - connection->response_position;
	if (buffer->is_send)
		event->response_bytes += buffer->total;
	event->kind = OSMIA_EVENT_REQUEST;
	event->flags = error_flag(event);
	asm volatile("" : "+r"(size));
	if (size > OSMIA_REQUEST_SNIPPET)
		return;
	is_unsent = bpf_ringbuf_output(&events, event,
				       __builtin_offsetof(struct osmia_event, request) + size,
				       BPF_RB_NO_WAKEUP) != 0;
	if (is_unsent)
		COUNT(ring_full);
	COUNT(seen);
	count_in_edge(event, latency_ns, is_unsent);
}

/* An interim response (100 Continue, 103 Early Hints) answers nothing yet; 101 does. */
static __always_inline bool is_interim(const struct buffer *buffer)
{
	char code[3] = {};

	bpf_probe_read_user(code, sizeof(code), buffer->data + 9);
	return code[0] == '1' && !(code[1] == '0' && code[2] == '1');
}

/* Something came back, or more of it. */
static __always_inline void on_response(struct connection *connection, struct sock *sk,
					const struct buffer *buffer, enum meaning meaning)
{
	if (connection->phase != PHASE_REQUESTED)
		return;
	switch (meaning) {
	case MEANS_HTTP_RESPONSE:
		if (!is_interim(buffer))
			end_request(connection, sk, buffer);
		break;
	case MEANS_POSTGRES_READY:
		end_request(connection, sk, buffer);
		break;
	case MEANS_POSTGRES_MESSAGE:
		copy_response(&connection->event, buffer);
		break;
	default:
		break;
	}
}

/* Unreadable bytes are a loss only where a message was due: elsewhere they are anybody's file or
 * body. */
static __always_inline void count_unreadable(struct connection *connection, bool is_response)
{
	if (connection && is_response == (connection->phase == PHASE_REQUESTED))
		COUNT(unreadable);
}

static __always_inline __u8 protocol_of(enum meaning meaning)
{
	return meaning == MEANS_HTTP_REQUEST || meaning == MEANS_HTTP_RESPONSE ? OSMIA_HTTP
									       : OSMIA_POSTGRES;
}

static __always_inline void handle(const struct buffer *buffer)
{
	enum meaning meaning = meaning_of(buffer);
	struct connection *connection;
	struct sock *sk;
	__u64 key;

	if (meaning == MEANS_NOTHING)
		return;
	sk = stream_socket_of(buffer->fd);
	if (!sk || is_ignored())
		return;
	key = (__u64)sk;
	connection = bpf_map_lookup_elem(&connections, &key);
	if (meaning == MEANS_UNREADABLE) {
		count_unreadable(connection,
				 connection && buffer->is_send !=
						       (connection->event.role == OSMIA_CLIENT));
		return;
	}
	if (!connection) {
		if (meaning != MEANS_HTTP_REQUEST && meaning != MEANS_POSTGRES_REQUEST &&
		    meaning != MEANS_POSTGRES_STARTUP)
			return;
		if (!is_tcp(sk))
			return;
		connection = remember(sk, protocol_of(meaning), buffer->is_send);
		if (!connection)
			return;
	}
	if (protocol_of(meaning) != connection->event.protocol)
		return;
	if (buffer->is_send != (connection->event.role == OSMIA_CLIENT))
		on_response(connection, sk, buffer, meaning);
	else if (meaning != MEANS_POSTGRES_STARTUP && meaning != MEANS_POSTGRES_READY &&
		 meaning != MEANS_HTTP_RESPONSE)
		begin_request(connection, sk, buffer);
}

/* ---- programs
 * --------------------------------------------------------------------------------------------------
 */

/*
 * Sends are taken at entry: recorded at exit they could come after their own response.
 * A raw BTF tracepoint sees all system calls with one program and loads where kprobes, fentry and
 * LSM are absent. Kernels: 5.8. Cost: about 20 ns for a system call that is none of ours.
 */
SEC("tp_btf/sys_enter")
int BPF_PROG(on_send, struct pt_regs *regs, long number)
{
	struct buffer buffer = { .is_send = true };

	switch (number) {
	case SYS_WRITE:
	case SYS_SENDTO:
		buffer.data = (const char *)argument_2(regs);
		buffer.length = buffer.total = argument_3(regs);
		break;
	case SYS_WRITEV:
		if (read_iovec(&buffer, (const void *)argument_2(regs), argument_3(regs)))
			return 0;
		break;
	case SYS_SENDMSG:
		if (read_message_header(&buffer, (const void *)argument_2(regs)))
			return 0;
		break;
	default:
		return 0;
	}
	if (syscall_is_foreign(regs))
		return 0;
	buffer.fd = argument_1(regs);
	handle(&buffer);
	return 0;
}

/*
 * Receives are taken at exit, when the bytes are there; the entry's arguments are still in the
 * registers. Kernels: 5.8. Cost: as above.
 */
SEC("tp_btf/sys_exit")
int BPF_PROG(on_receive, struct pt_regs *regs, long result)
{
	struct buffer buffer = {};

	if (result <= 0)
		return 0;
	switch (syscall_number(regs)) {
	case SYS_RECVFROM:
		if (argument_4(regs) & MSG_PEEK)
			return 0;
		buffer.data = (const char *)argument_2(regs);
		buffer.length = result;
		break;
	case SYS_READ:
		buffer.data = (const char *)argument_2(regs);
		buffer.length = result;
		break;
	case SYS_READV:
		if (read_iovec(&buffer, (const void *)argument_2(regs), argument_3(regs)))
			return 0;
		break;
	case SYS_RECVMSG:
		if (argument_3(regs) & MSG_PEEK ||
		    read_message_header(&buffer, (const void *)argument_2(regs)))
			return 0;
		break;
	default:
		return 0;
	}
	if (syscall_is_foreign(regs))
		return 0;
	if (buffer.length > (__u64)result)
		buffer.length = result;
	buffer.total = result;
	buffer.fd = argument_1(regs);
	handle(&buffer);
	return 0;
}

/*
 * The kernel frees the socket: forget the connection, since its address will be used again.
 * Runs in any context, so nothing here may look at the current task. Kernels: 4.16. Cost: one map
 * lookup a connection.
 */
SEC("tp_btf/tcp_destroy_sock")
int BPF_PROG(on_destroy, struct sock *sk)
{
	__u64 key = (__u64)sk;
	struct connection *connection = bpf_map_lookup_elem(&connections, &key);
	__u32 end;

	if (!connection)
		return 0;
	if (connection->phase == PHASE_REQUESTED)
		COUNT(abandoned);
	if (connection->phase == PHASE_RESPONDING) {
		end = response_position_now(sk, &connection->event);
		/* A FIN takes one position of the stream: ours once sent, theirs once read. */
		if (connection->event.role == OSMIA_SERVER)
			end -= !!(BPF_CORE_READ(sk, sk_shutdown) & SEND_SHUTDOWN);
		else if (BPF_CORE_READ(sk, sk_shutdown) & RCV_SHUTDOWN)
			end -= BPF_CORE_READ((struct tcp_sock *)sk, rcv_nxt) == end;
		send_remainder(connection, end);
	}
	bpf_map_delete_elem(&connections, &key);
	return 0;
}
