// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * Every request of every process on this machine: matched to its response, timed, reported.
 *
 * A buffer's first bytes (and, for PostgreSQL, its last six) tell whether it begins a request or
 * answers one (meaning.h). Only then is the descriptor resolved to its socket, the state of that
 * connection found (state.h), and something done; all other traffic costs one or two small reads.
 * A matched request is reported as an event or counted (report.h). Connections that pipeline are
 * followed byte by byte (follow.h). The kernel copies and bounds; user space parses
 * (src/osmia/protocols).
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

#include "requests/meaning.h"
#include "requests/state.h"
#include "requests/report.h"
#include "requests/follow.h"

static __always_inline bool is_ignored(void)
{
	return ignored_pid && bpf_get_current_pid_tgid() >> 32 == ignored_pid;
}

/* ---- connections ---- */

static __always_inline struct connection *remember(const struct descriptor *found, __u16 family,
						   __u8 protocol, bool is_client)
{
	struct sock *sk = found->sk;
	struct file *file = found->file;
	__u64 key = (__u64)sk;
	struct connection *connection;
	struct osmia_event *event;

	if (bpf_map_update_elem(&connections, &key, &blank, BPF_NOEXIST) == -7 /* E2BIG */) {
		COUNT(connections_full);
		return 0;
	}
	connection = bpf_map_lookup_elem(&connections, &key);
	if (!connection)
		return 0;
	event = &connection->event;
	event->connection = key;
	event->protocol = protocol;
	event->role = is_client ? OSMIA_CLIENT : OSMIA_SERVER;
	if (family == AF_UNIX) {
		event->flags = OSMIA_FLAG_UNIX;
		event->netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
		event->peer = (__u64)BPF_CORE_READ((struct unix_sock *)sk, peer);
		connection->inode = BPF_CORE_READ(file, f_inode, i_ino);
		read_unix_path(event, sk);
	} else {
		read_addresses(event, sk);
	}
	return connection;
}

static __always_inline void forget(struct connection *connection)
{
	__u64 key = connection->event.connection;

	if (connection->phase == PHASE_FOLLOWED) {
		connection->event.kind = OSMIA_EVENT_CLOSED;
		connection->event.end_ns = bpf_ktime_get_ns();
		bpf_ringbuf_output(&events, &connection->event,
				   __builtin_offsetof(struct osmia_event, command),
				   BPF_RB_NO_WAKEUP);
	}
	unwatch(connection);
	bpf_map_delete_elem(&connections, &key);
}

/* Positions of the two streams at this buffer's first byte. At entry a send has not moved its
 * position yet; at exit a receive has moved it by what it took. */
static __always_inline __u32 position_of(const struct connection *connection, struct sock *sk,
					 const struct buffer *buffer)
{
	if (is_unix(&connection->event))
		return buffer->is_send ? connection->sent : connection->received;
	return buffer->is_send ? bytes_written(sk) + buffer->beside
			       : bytes_read(sk) - buffer->beside - (__u32)buffer->total;
}

static __always_inline __u32 sent_now(const struct connection *connection, struct sock *sk)
{
	return is_unix(&connection->event) ? connection->sent : bytes_written(sk);
}

static __always_inline __u32 received_now(const struct connection *connection, struct sock *sk)
{
	return is_unix(&connection->event) ? connection->received : bytes_read(sk);
}

static __always_inline __u32 request_position_now(const struct connection *connection,
						  struct sock *sk)
{
	return connection->event.role == OSMIA_CLIENT ? sent_now(connection, sk)
						      : received_now(connection, sk);
}

static __always_inline __u32 response_position_now(const struct connection *connection,
						   struct sock *sk)
{
	return connection->event.role == OSMIA_CLIENT ? received_now(connection, sk)
						      : sent_now(connection, sk);
}

/* Report what came after the response's first buffer; the ends of both streams are given. */
static __always_inline void settle(struct connection *connection, struct sock *sk,
				   __u32 request_end, __u32 response_end, __u8 final)
{
	const struct osmia_event *event = &connection->event;
	__u32 received = request_end - connection->request_position;
	__u32 answered = response_end - connection->response_position;

	if (received < event->request_bytes || received > 0x7fffffff)
		received = event->request_bytes;
	if (answered < event->response_bytes || answered > 0x7fffffff)
		answered = event->response_bytes;
	if (received != event->request_bytes || answered != event->response_bytes)
		report_remainder(connection, sk, received, answered, final);
}

/* ---- requests ---- */

static __always_inline void copy_request(struct osmia_event *event, const struct buffer *buffer)
{
	const struct osmia_control *asked = controls();
	__u64 size = buffer->length, most = asked ? asked->payload_bytes : OSMIA_REQUEST_SNIPPET;

	if (size > most)
		size = most;
	event->request_length = size;
	if (size <= buffer->head_length) {
		__builtin_memcpy(event->request, buffer->head, OSMIA_RESPONSE_HEAD);
		return;
	}
	asm volatile("" : "+r"(size)); /* keeps the bound that the verifier needs */
	if (size > OSMIA_REQUEST_SNIPPET ||
	    bpf_probe_read_user(event->request, size, buffer->data)) {
		COUNT(unreadable);
		event->request_length = 0;
	}
}

#define APPENDED_MAX (OSMIA_REQUEST_SNIPPET / 2)

/* A request's head may come in pieces: what comes later is added while the first half has room. */
static __always_inline void append_request(struct connection *connection,
					   const struct buffer *buffer)
{
	struct osmia_event *event = &connection->event;
	__u64 have = event->request_length;
	__u64 size = buffer->length < APPENDED_MAX ? buffer->length : APPENDED_MAX - 1;

	connection->is_head_open = 0;
	asm volatile("" : "+r"(size), "+r"(have));
	if (have >= APPENDED_MAX ||
	    bpf_probe_read_user(event->request + (have & (APPENDED_MAX - 1)),
				size & (APPENDED_MAX - 1), buffer->data))
		return;
	event->request_length = have + size;
	connection->is_head_open =
		buffer->total == size && !head_end(event->request, event->request_length);
}

#define MESSAGES_WALKED 16

/* Count the statements and cycles that a flush begins; false if it is too long to tell. */
static __always_inline bool walk_messages(struct connection *connection,
					  const struct buffer *buffer)
{
	__u64 at = 0;

	if (buffer->length < buffer->total) { /* in segments: rare, and one cycle as a rule */
		connection->executions++;
		connection->cycles++;
		return true;
	}
	for (int i = 0; i < MESSAGES_WALKED; i++) {
		__u8 header[5] = {};

		if (at >= buffer->total)
			return true;
		if (bpf_probe_read_user(header, sizeof(header), buffer->data + at))
			return false;
		if (header[0] == 'E' || header[0] == 'Q' || header[0] == 'F')
			connection->executions++;
		if (header[0] == 'S' || header[0] == 'Q' || header[0] == 'F')
			connection->cycles++;
		at += 1 + (__u64)big_endian_32(header + 1);
	}
	return at >= buffer->total;
}

/* Hand the connection over to user space, from the request under way on. */
static __always_inline bool begin_following(struct connection *connection)
{
	const struct osmia_control *asked = controls();

	if (!asked || !(asked->features & OSMIA_FEATURE_STREAMS)) {
		COUNT(unmatched);
		return false;
	}
	COUNT(followed);
	connection->phase = PHASE_FOLLOWED;
	return true;
}

/* What a request's first bytes are kept as, before it is known whether it comes alone. */
static __always_inline void open_request(struct connection *connection, __u32 position,
					 __u32 response_position)
{
	struct osmia_event *event = &connection->event;

	if (event->pid != bpf_get_current_pid_tgid() >> 32)
		take_owner(event);
	event->start_ns = bpf_ktime_get_ns();
	event->sequence++;
	event->flags &= OSMIA_FLAG_UNIX;
	event->request_bytes = event->response_bytes = 0;
	event->response_head_length = event->response_tail_length = 0;
	connection->request_position = position;
	connection->response_position = response_position;
	connection->phase = PHASE_REQUESTED;
}

/* Whether another request follows the first in its buffer: a GET may have a body, but bodies do
 * not begin with methods. */
static __always_inline bool is_joined(const struct buffer *buffer, __u32 end)
{
	__u8 next[HEAD_SIZE];

	if (!end || end + HEAD_SIZE > buffer->length ||
	    bpf_probe_read_user(next, sizeof(next), buffer->data + end))
		return false;
	return is_http_request(next);
}

/* A request begins. Also says that there is more to it than the fast path matches. */
static __always_inline bool begin_http(struct connection *connection, struct sock *sk,
				       const struct buffer *buffer)
{
	struct osmia_event *event = &connection->event;
	__u32 position = position_of(connection, sk, buffer), answered, end;

	if (connection->phase == PHASE_REQUESTED && begin_following(connection)) {
		follow_pending(connection, position);
		return true;
	}
	answered = response_position_now(connection, sk);
	if (connection->phase == PHASE_RESPONDING)
		settle(connection, sk, position, answered, OSMIA_FLAG_FINAL);
	open_request(connection, position, answered);
	copy_request(event, buffer);
	end = head_end(event->request, event->request_length);
	if (is_joined(buffer, end) && begin_following(connection))
		return true;
	connection->is_head_open = !end && buffer->total == event->request_length;
	if (connection->is_head_open)
		watch(connection, buffer);
	return false;
}

static __always_inline bool begin_postgres(struct connection *connection, struct sock *sk,
					   const struct buffer *buffer)
{
	__u32 position = position_of(connection, sk, buffer);
	bool is_new = connection->phase != PHASE_REQUESTED, is_told;
	__u16 cycles = 0;

	if (is_new) {
		open_request(connection, position, response_position_now(connection, sk));
		copy_request(&connection->event, buffer);
		connection->executions = connection->cycles = 0;
	} else {
		cycles = connection->cycles;
	}
	is_told = walk_messages(connection, buffer);
	/*
	 * One statement and one Sync is what the fast path matches; its flushes may be several. An
	 * Execute that is flushed without its Sync is a pipeline's, even if nothing follows yet:
	 * once it is answered, nobody could tell that answer from the next one's.
	 */
	if (is_told && connection->executions <= connection->cycles && connection->cycles <= 1 &&
	    !cycles)
		return false;
	if (!begin_following(connection))
		return false;
	if (!is_new) {
		follow_pending(connection, position);
		follow_answered(connection, response_position_now(connection, sk));
	}
	return true;
}

/* ---- responses ---- */

static __always_inline void copy_response(struct osmia_event *event, const struct buffer *buffer)
{
	__u64 rest = buffer->total - buffer->head_length;
	__u64 tail = rest < OSMIA_RESPONSE_TAIL ? rest : OSMIA_RESPONSE_TAIL;

	if (tail > buffer->tail_length)
		tail = buffer->tail_length;
	__builtin_memcpy(event->response_head, buffer->head, OSMIA_RESPONSE_HEAD);
	event->response_head_length = buffer->head_length;
	/* The end of an HTTP response's first buffer tells nothing. */
	asm volatile("" : "+r"(tail));
	if (event->protocol == OSMIA_HTTP || tail > OSMIA_RESPONSE_TAIL || !tail ||
	    bpf_probe_read_user(event->response_tail, tail, buffer->tail_end - tail))
		tail = 0;
	event->response_tail_length = tail;
}

/* Good enough for the counters of requests without event; user space judges the others. */
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

/* 101 always ends HTTP on a connection, any 2xx does after CONNECT. */
static __always_inline bool is_tunnel(const struct osmia_event *event)
{
	const char *code = event->response_head + 9;

	if (code[0] == '1' && code[1] == '0' && code[2] == '1')
		return true;
	return code[0] == '2' && event->request[0] == 'C' && event->request[1] == 'O' &&
	       event->request[2] == 'N';
}

static __always_inline void end_request(struct connection *connection, struct sock *sk,
					const struct buffer *buffer)
{
	struct osmia_event *event = &connection->event;
	__u32 moved = buffer->total;

	event->end_ns = bpf_ktime_get_ns();
	/* PostgreSQL sends an error on its own before a bare ReadyForQuery: what came before tells
	 * more. */
	if (event->protocol == OSMIA_HTTP || buffer->total > READY_SIZE ||
	    !event->response_head_length)
		copy_response(event, buffer);
	connection->phase = PHASE_IDLE;
	if (event->protocol == OSMIA_HTTP)
		connection->phase = is_tunnel(event) ? PHASE_TUNNEL : PHASE_RESPONDING;
	connection->is_head_open = 0;
	event->request_bytes = request_position_now(connection, sk) - connection->request_position;
	event->response_bytes =
		position_of(connection, sk, buffer) + moved - connection->response_position;
	event->flags = (event->flags & OSMIA_FLAG_UNIX) | error_flag(event);
	report(connection);
}

/* An interim response (100 Continue, 103 Early Hints) answers nothing yet; 101 does. */
static __always_inline bool is_interim(const struct buffer *buffer)
{
	const __u8 *code = buffer->head + 9;

	return code[0] == '1' && !(code[1] == '0' && code[2] == '1');
}

/* A response that no request of ours began: the requests came joined, and longer than we look. It
 * is reported without its text, and what follows is left to user space. */
static __always_inline void open_extra(struct connection *connection, struct sock *sk,
				       const struct buffer *buffer)
{
	__u32 position = position_of(connection, sk, buffer);

	settle(connection, sk, request_position_now(connection, sk), position, OSMIA_FLAG_FINAL);
	connection->event.sequence++;
	connection->event.request_length = 0;
	connection->request_position = request_position_now(connection, sk);
	connection->response_position = position;
}

/* Something came back, or more of it. */
static __always_inline void on_response(struct connection *connection, struct sock *sk,
					const struct buffer *buffer, enum meaning meaning)
{
	bool is_extra = connection->phase == PHASE_RESPONDING && meaning == MEANS_HTTP_RESPONSE;

	if (!is_extra && connection->phase != PHASE_REQUESTED)
		return;
	if (meaning == MEANS_POSTGRES_MESSAGE) {
		copy_response(&connection->event, buffer);
		return;
	}
	if (meaning != MEANS_POSTGRES_READY &&
	    (meaning != MEANS_HTTP_RESPONSE || is_interim(buffer)))
		return;
	if (is_extra)
		open_extra(connection, sk, buffer);
	end_request(connection, sk, buffer);
	if (is_extra)
		begin_following(connection);
}

/* ---- what to do with a buffer ---- */

/* Unreadable bytes are a loss only where a message was due: elsewhere they are anybody's file or
 * body. */
static __always_inline void count_unreadable(struct connection *connection, bool is_response)
{
	if (connection->phase != PHASE_TUNNEL &&
	    is_response == (connection->phase == PHASE_REQUESTED))
		COUNT(unreadable);
}

static __always_inline __u8 protocol_of(enum meaning meaning)
{
	return meaning == MEANS_HTTP_REQUEST || meaning == MEANS_HTTP_RESPONSE ? OSMIA_HTTP
									       : OSMIA_POSTGRES;
}

static __always_inline bool is_asked_for(__u8 protocol)
{
	const struct osmia_control *asked = controls();

	return asked && asked->features & (protocol == OSMIA_HTTP ? OSMIA_FEATURE_HTTP
								  : OSMIA_FEATURE_POSTGRES);
}

/* A PostgreSQL message that a client begins a cycle with, passwords, COPY data and Terminate not
 * among them. */
static __always_inline bool begins_cycle(const struct buffer *buffer)
{
	__u8 type = buffer->head[0];

	return type == 'Q' || type == 'P' || type == 'B' || type == 'E' || type == 'F' ||
	       type == 'D' || type == 'C' || type == 'S';
}

static __always_inline bool on_request(struct connection *connection, struct sock *sk,
				       const struct buffer *buffer, enum meaning meaning)
{
	if (meaning == MEANS_HTTP_REQUEST)
		return begin_http(connection, sk, buffer);
	if (meaning == MEANS_POSTGRES_REQUEST ||
	    (meaning == MEANS_POSTGRES_MESSAGE && begins_cycle(buffer)))
		return begin_postgres(connection, sk, buffer);
	return false;
}

static __always_inline struct connection *
connection_of(const struct descriptor *found, const struct buffer *buffer, enum meaning meaning)
{
	struct sock *sk = found->sk;
	struct file *file = found->file;
	__u64 key = (__u64)sk;
	struct connection *connection = bpf_map_lookup_elem(&connections, &key);
	__u16 family;

	if (connection && is_unix(&connection->event) &&
	    connection->inode != (__u32)BPF_CORE_READ(file, f_inode, i_ino)) {
		forget(connection); /* nothing tells of the end of an AF_UNIX socket */
		connection = 0;
	}
	if (connection)
		return connection;
	if (meaning != MEANS_HTTP_REQUEST && meaning != MEANS_POSTGRES_REQUEST &&
	    meaning != MEANS_POSTGRES_STARTUP)
		return 0;
	family = family_of(sk);
	if (!is_internet(family) && family != AF_UNIX)
		return 0;
	if (!is_asked_for(protocol_of(meaning)))
		return 0;
	return remember(found, family, protocol_of(meaning), buffer->is_send);
}

static __always_inline void on_dns_answer(const struct descriptor *found,
					  const struct buffer *buffer)
{
	__u64 size =
		buffer->length < OSMIA_REQUEST_SNIPPET ? buffer->length : OSMIA_REQUEST_SNIPPET;
	struct sock *sk = found->sk;
	__u16 port = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
	struct osmia_event *event;

	if (!is_internet(family_of(sk)) || (port && port != 53))
		return;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		COUNT(dns_lost);
		return;
	}
	__builtin_memset(event, 0, __builtin_offsetof(struct osmia_event, response_head));
	event->kind = OSMIA_EVENT_DNS;
	event->protocol = OSMIA_DNS;
	event->role = OSMIA_CLIENT;
	read_addresses(event, sk);
	take_owner(event);
	event->start_ns = event->end_ns = bpf_ktime_get_ns();
	event->response_bytes = buffer->total;
	asm volatile("" : "+r"(size));
	if (size > OSMIA_REQUEST_SNIPPET || bpf_probe_read_user(event->request, size, buffer->data))
		size = 0;
	event->request_length = size;
	bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
}

/* Act on a buffer of a known connection; true if its bytes are to be followed. */
static __always_inline bool dispatch(struct connection *connection, struct sock *sk,
				     const struct buffer *buffer, enum meaning meaning)
{
	bool is_response = buffer->is_send != (connection->event.role == OSMIA_CLIENT);

	if (connection->phase == PHASE_FOLLOWED)
		return true;
	if (connection->phase == PHASE_TUNNEL)
		return false;
	if (meaning == MEANS_UNREADABLE) {
		count_unreadable(connection, is_response);
		return false;
	}
	if (connection->is_head_open && !is_response && meaning != MEANS_HTTP_REQUEST) {
		append_request(connection, buffer);
		return false;
	}
	if (meaning == MEANS_NOTHING || protocol_of(meaning) != connection->event.protocol)
		return false;
	if (!is_response)
		return on_request(connection, sk, buffer, meaning);
	on_response(connection, sk, buffer, meaning);
	return false;
}

/* ---- where buffers are found ---- */

static __always_inline void on_io_uring(void)
{
	__u32 process = bpf_get_current_pid_tgid() >> 32, why = OSMIA_UNSEEN_IO_URING;

	COUNT(io_uring);
	if (!bpf_map_lookup_elem(&unseen, &process))
		bpf_map_update_elem(&unseen, &process, &why, BPF_ANY);
}

int handle(void);

#ifdef OSMIA_SOCKET_HOOKS
#include "requests/sockets.h"
#else
#include "requests/syscalls.h"
#endif

/* The buffer under way. A global function, so that the verifier walks it once and not once a
 * caller. */
__noinline int handle(void)
{
	const struct osmia_control *asked = controls();
	struct scratch *here = scratch_of_cpu();
	struct buffer *buffer;
	struct connection *connection;
	struct descriptor found;
	enum meaning meaning;

	if (!here)
		return 0;
	buffer = &here->buffer;
	meaning = meaning_of(buffer, asked ? asked->features : 0);
	if (meaning == MEANS_NOTHING && !is_watched(buffer))
		return 0;
	found = descriptor_behind(buffer);
	if (!found.sk || is_ignored())
		return 0;
	if (found.type == SOCK_DGRAM && meaning == MEANS_DNS_ANSWER)
		on_dns_answer(&found, buffer);
	if (found.type != SOCK_STREAM)
		return 0;
	connection = connection_of(&found, buffer, meaning);
	if (!connection || is_sent_again(connection, found.sk, buffer))
		return 0;
	if (dispatch(connection, found.sk, buffer, meaning)) {
		watch(connection, buffer);
		here->connection = connection->event.connection;
		here->walk.position = position_of(connection, found.sk, buffer);
		follow();
	}
	if (is_unix(&connection->event)) {
		/* Their streams have no positions: every buffer must pass here to be added up. */
		watch(connection, buffer);
		if (buffer->is_send)
			connection->sent += buffer->total;
		else
			connection->received += buffer->total;
	}
	return 0;
}

/* ---- the end of a connection ---- */

/* A request whose connection ends before any response. */
static __always_inline void abandon(struct connection *connection, struct sock *sk)
{
	struct osmia_event *event = &connection->event;

	if (event->protocol == OSMIA_POSTGRES && !connection->executions)
		return;
	COUNT(abandoned);
	event->end_ns = bpf_ktime_get_ns();
	event->request_bytes = request_position_now(connection, sk) - connection->request_position;
	event->response_bytes = 0;
	event->response_head_length = event->response_tail_length = 0;
	event->flags = OSMIA_FLAG_UNANSWERED | OSMIA_FLAG_ERROR;
	report(connection);
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

	if (!connection)
		return 0;
	if (connection->phase == PHASE_REQUESTED)
		abandon(connection, sk);
	else if (connection->phase == PHASE_RESPONDING)
		settle(connection, sk, request_position_now(connection, sk),
		       response_position_now(connection, sk), OSMIA_FLAG_FINAL);
	forget(connection);
	return 0;
}

/* An AF_UNIX connection that nobody has used for so long has gone. */
#define UNIX_IDLE_NS 600000000000ULL

static long sweep_one(struct bpf_map *map, const __u64 *key, struct connection *connection,
		      void *context)
{
	struct sock *sk = (struct sock *)*key;

	if (connection->phase == PHASE_RESPONDING && !is_unix(&connection->event))
		settle(connection, sk, request_position_now(connection, sk),
		       response_position_now(connection, sk), 0);
	if (is_unix(&connection->event) &&
	    connection->event.start_ns + UNIX_IDLE_NS < bpf_ktime_get_ns())
		forget(connection);
	return 0;
}

/*
 * Run by user space at will (BPF_PROG_TEST_RUN), attached to nothing: report how far responses
 * under way have come. Returns the kernel's jiffies, by which user space learns their length.
 * Kernels: 5.13 (bpf_for_each_map_elem), hence loaded on request only. Cost: about 0.1 us a
 * connection.
 */
SEC("?raw_tp/osmia_sweep")
int sweep(void *context)
{
	bpf_for_each_map_elem(&connections, sweep_one, 0, 0);
	return (__u32)bpf_jiffies64();
}
