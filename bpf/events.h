/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * The contract between kernel and user space: every record and map value that crosses, with its
 * size asserted.
 *
 * A matched request is either one event in the ring or one count in its edge's entry, never both:
 * their sum is exact whatever the ring could carry and however few events were asked for.
 *
 * `src/osmia/agent/events.py` mirrors these structs for numpy, under the same names; a test
 * compares both. Addresses are 16 network-order bytes, IPv4 as ::ffff:a.b.c.d. Ports are in host
 * order. Times are CLOCK_MONOTONIC ns. "local" is the end whose process we watched, "remote" the
 * other one. Of an AF_UNIX connection (OSMIA_FLAG_UNIX) the 32 bytes of both addresses hold the
 * last 32 of the server's path, and the ports are 0.
 */
#ifndef OSMIA_EVENTS_H
#define OSMIA_EVENTS_H

#define OSMIA_REQUEST_SNIPPET 512
#define OSMIA_RESPONSE_HEAD   192
#define OSMIA_RESPONSE_TAIL   64
#define OSMIA_COMMAND	      16

enum osmia_protocol {
	OSMIA_UNKNOWN = 0,
	OSMIA_HTTP = 1,
	OSMIA_POSTGRES = 2,
	OSMIA_DNS = 3,
};

enum osmia_role {
	OSMIA_CLIENT = 1,
	OSMIA_SERVER = 2,
};

enum osmia_event_kind {
	/* A response began (HTTP) or a query ended (PostgreSQL), or the connection did
	 * (UNANSWERED). */
	OSMIA_EVENT_REQUEST = 1,
	/* New totals of bytes and time of a request whose event was sent; payload-free. Repeated
	 * while a response runs; FINAL with the next request or the end of the connection. */
	OSMIA_EVENT_REMAINDER = 2,
	/* Up to 512 bytes of a followed connection, of either direction. */
	OSMIA_EVENT_CHUNK = 3,
	/* The answer to a DNS question, as a process read it. */
	OSMIA_EVENT_DNS = 4,
	/* A followed connection ended. */
	OSMIA_EVENT_CLOSED = 5,
};

enum osmia_flag {
	OSMIA_FLAG_ERROR = 1,
	OSMIA_FLAG_UNANSWERED = 2, /* the connection ended before a response */
	OSMIA_FLAG_UNIX = 4,
	OSMIA_FLAG_SENT = 8, /* chunk: these bytes left the watched process, else they arrived */
	OSMIA_FLAG_CUT = 16, /* chunk: the system call moved more bytes than were copied */
	OSMIA_FLAG_FINAL = 32,
	OSMIA_FLAG_NOTABLE = 64, /* an error, slow, or what later requests need to be understood */
};

struct osmia_event {
	__u64 edge;	  /* key of the edges map */
	__u64 connection; /* names the connection's local end while it is open */
	__u64 peer;	  /* AF_UNIX: names the other end */
	__u64 start_ns;	  /* first byte of the request */
	__u64 end_ns;	  /* first byte of the response; PostgreSQL: ReadyForQuery */
	__u64 cgroup_id;
	__u64 task_start_ns; /* with pid: names the process for ever */
	__u64 request_bytes; /* chunk: its bytes and, if CUT, those behind it that were not copied
			      */
	__u64 response_bytes;
	__u32 pid;
	__u32 netns;
	__u32 sequence; /* n-th request of this connection, from 1 */
	__u32 weight;	/* this request, and those like it that sampling left out since the last */
	__u32 position; /* chunk: place of its first byte in its stream, modulo 2^32 */
	__u32 last_ms;	/* remainder: from end_ns to the last byte, as exact as a jiffy */
	__u16 local_port;
	__u16 remote_port;
	__u8 local_ip[16];
	__u8 remote_ip[16];
	__u8 kind;
	__u8 protocol;
	__u8 role;
	__u8 flags;
	__u16 request_length;
	__u16 response_head_length;
	__u16 response_tail_length;
	__u8 reserved[2];
	char command[OSMIA_COMMAND];
	char response_head[OSMIA_RESPONSE_HEAD];
	char response_tail[OSMIA_RESPONSE_TAIL];
	char request[OSMIA_REQUEST_SNIPPET]; /* only request_length bytes travel */
};

/* What identifies an edge in the kernel; its hash is the key of the maps below. */
struct osmia_edge_key {
	__u64 cgroup_id;
	__u32 netns;
	__u16 server_port;
	__u8 protocol;
	__u8 role;
	__u8 local_ip[16];
	__u8 remote_ip[16];
	char command[OSMIA_COMMAND];
};

/* Value of the edges map: the requests of an edge that were not sent as events, because they were
 * left out by sampling or because the ring was full. Totals since the entry was made. */
struct osmia_edge {
	struct osmia_edge_key key;
	__u64 count;
	__u64 errors;
	__u64 latency_ns;
	__u64 request_bytes;
	__u64 response_bytes;
	__u64 first_ns;
	__u64 last_ns;
	__u32 skipped[2]; /* by sampling since the last event: ordinary, notable */
	__u32 pid;
	__u8 flags; /* OSMIA_FLAG_UNIX */
	__u8 reserved[3];
};

/* Key of the histogram map, whose value is a __u64 count: latencies of the same requests. */
struct osmia_bucket {
	__u64 edge;
	__u16 bucket;
	__u16 is_error;
	__u32 reserved;
};

/* What user space asks of the programs; may change at any time. */
struct osmia_control {
	__u64 slow_ns;		    /* a request is notable from this latency on */
	__u32 sample_every;	    /* 1: each request is an event; n: one in n; 0: none */
	__u32 sample_notable_every; /* the same for errors and slow ones */
	__u32 payload_bytes;	    /* of a request, at most OSMIA_REQUEST_SNIPPET */
	__u32 features;		    /* enum osmia_feature */
	__u32 jiffy_ns;
	__u32 reserved;
};

enum osmia_feature {
	OSMIA_FEATURE_HTTP = 1,
	OSMIA_FEATURE_POSTGRES = 2,
	OSMIA_FEATURE_STREAMS = 4, /* following connections that pipeline */
	OSMIA_FEATURE_DNS = 8,
};

/* Why a process is not (fully) seen: bits of the values of the map `unseen`, by pid. */
enum osmia_unseen {
	OSMIA_UNSEEN_IO_URING = 1,
	OSMIA_UNSEEN_BATCHES =
		2, /* several messages of a stream in one recvmmsg (or AF_UNIX sendmmsg) */
};

/* What was seen, and why something that was seen is not (fully) known; one per CPU. Counters of
 * messages, not of bytes. */
struct osmia_ledger {
	__u64 seen;		/* requests matched or unanswered: events and counts of edges */
	__u64 sampled;		/* of seen: no event, on purpose; counted in its edge */
	__u64 ring_full;	/* of seen: no event for want of room; counted in its edge */
	__u64 connections_full; /* no room to remember the connection */
	__u64 edges_full; /* of those without event: no room for the edge, so not counted in it */
	__u64 histogram_full; /* counted in its edge, missing from its histogram */
	__u64 unreadable;     /* user memory could not be read where a message was due */
	__u64 chunks_lost;    /* of followed connections: no room in the ring */
	__u64 abandoned;      /* of seen: the connection ended before a response */
	__u64 followed;	      /* connections followed byte by byte */
	__u64 unmatched; /* pipelined requests that were not matched, since following was off */
	__u64 dns_lost;	 /* DNS answers without room in the ring */
	__u64 io_uring;	 /* system calls of io_uring: what they carry is not seen */
};

#define OSMIA_ASSERT(name, condition) typedef char osmia_assert_##name[(condition) ? 1 : -1]

OSMIA_ASSERT(event, sizeof(struct osmia_event) == 928);
OSMIA_ASSERT(edge_key, sizeof(struct osmia_edge_key) == 64);
OSMIA_ASSERT(edge, sizeof(struct osmia_edge) == 136);
OSMIA_ASSERT(bucket, sizeof(struct osmia_bucket) == 16);
OSMIA_ASSERT(control, sizeof(struct osmia_control) == 32);
OSMIA_ASSERT(ledger, sizeof(struct osmia_ledger) == 104);

#endif
