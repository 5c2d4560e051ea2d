/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * What the programs remember: the connections under way, and the maps that user space reads.
 */
#ifndef OSMIA_STATE_H
#define OSMIA_STATE_H

enum phase {
	PHASE_IDLE = 0,
	PHASE_REQUESTED = 1,
	PHASE_RESPONDING = 2,
	PHASE_FOLLOWED = 3, /* everything goes to user space, which matches there */
	PHASE_TUNNEL = 4,   /* after an upgrade or CONNECT: no requests any more */
};

/* What we remember of one connection; the event is filled in place and sent from here. */
struct connection {
	__u32 request_position;	 /* stream position where the request began */
	__u32 response_position; /* ... and the response */
	__u32 phase;
	__u32 inode; /* AF_UNIX: the socket's, which tells an old one from a new one at its place */
	__u32 sent;  /* AF_UNIX: bytes, modulo 2^32; of TCP the socket knows them */
	__u32 received;
	__u32 watched;	    /* place in `watched` that this connection set, + 1 */
	__u32 send_end;	    /* position behind the last send that was looked at (sockets.h) */
	__u16 executions;   /* PostgreSQL: Execute and Query of the cycle under way */
	__u16 cycles;	    /* PostgreSQL: Sync and Query without their ReadyForQuery */
	__u8 is_head_open;  /* HTTP: the request's head went on beyond its buffer */
	__u8 is_unsent;	    /* the last request has no event: its remainder belongs to its edge */
	__u8 is_send_known; /* `send_end` is set */
	__u8 reserved[1];
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
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);   /* pid */
	__type(value, __u32); /* enum osmia_unseen */
} unseen SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct osmia_ledger);
} ledger SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct osmia_control);
} control SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 * 1024 * 1024);
} events SEC(".maps");

/*
 * Descriptors (or sockets) whose every buffer matters, not only those that look like a message: one
 * byte per hash. A byte set in vain costs a walk to the socket and a lookup.
 */
#define WATCHED_SLOTS 65536

struct watched {
	__u8 slots[WATCHED_SLOTS];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct watched);
} watched SEC(".maps");

/* Where a walk over the segments of one call stands. */
struct walk {
	const char *data;
	__u64 left;    /* of this segment */
	__u64 rest;    /* of the whole call */
	__u32 segment; /* the next one */
	__u32 position;
};

/* What the functions of one program tell each other. Not on the stack, for its size and because
 * global functions take no pointers before Linux 5.12. Programs at system calls are not preempted,
 * and the one that interrupts them does not use it. */
struct scratch {
	struct buffer buffer;
	struct segments segments;
	struct walk walk;
	__u64 connection;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct scratch);
} scratch SEC(".maps");

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

static __always_inline const struct osmia_control *controls(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&control, &zero);
}

static __always_inline struct scratch *scratch_of_cpu(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&scratch, &zero);
}

/* Where a buffer's descriptor or, if the hook tells it, its socket has its byte. */
static __always_inline __u32 watch_slot(const struct buffer *buffer)
{
#ifdef OSMIA_SOCKET_HOOKS
	return (__u64)buffer->sk * 0x9e3779b97f4a7c15ULL >> 48;
#else
	__u32 process = bpf_get_current_pid_tgid() >> 32;

	return (process * 0x9e3779b1u + buffer->fd * 0x85ebca6bu) >> 16;
#endif
}

static __always_inline bool is_watched(const struct buffer *buffer)
{
	__u32 zero = 0;
	struct watched *table = bpf_map_lookup_elem(&watched, &zero);

	return table && table->slots[watch_slot(buffer) & (WATCHED_SLOTS - 1)];
}

static __always_inline void watch(struct connection *connection, const struct buffer *buffer)
{
	__u32 zero = 0, slot = watch_slot(buffer) & (WATCHED_SLOTS - 1);
	struct watched *table = bpf_map_lookup_elem(&watched, &zero);

	if (table && !table->slots[slot]) {
		table->slots[slot] = 1;
		connection->watched = slot + 1;
	}
}

static __always_inline void unwatch(struct connection *connection)
{
	__u32 zero = 0, slot = connection->watched - 1;
	struct watched *table = bpf_map_lookup_elem(&watched, &zero);

	if (table && connection->watched && slot < WATCHED_SLOTS)
		table->slots[slot & (WATCHED_SLOTS - 1)] = 0;
	connection->watched = 0;
}

static __always_inline bool is_unix(const struct osmia_event *event)
{
	return event->flags & OSMIA_FLAG_UNIX;
}

#endif
