/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * The contract between kernel and user space: every record and map value that crosses, with its
 * size asserted.
 *
 * `src/osmia/agent/events.py` mirrors these structs for numpy, under the same names; a test
 * compares both. Addresses are 16 network-order bytes, IPv4 as ::ffff:a.b.c.d. Ports are in host
 * order. Times are CLOCK_MONOTONIC ns. "local" is the end whose process we watched, "remote" the
 * other one.
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
};

enum osmia_role {
	OSMIA_CLIENT = 1,
	OSMIA_SERVER = 2,
};

enum osmia_event_kind {
	/* A response began (HTTP) or a query ended (PostgreSQL). */
	OSMIA_EVENT_REQUEST = 1,
	/* More bytes of a response than its request event told; payload-free. */
	OSMIA_EVENT_REMAINDER = 2,
};

enum osmia_flag {
	OSMIA_FLAG_ERROR = 1,
};

struct osmia_event {
	__u64 edge;	  /* key of the edges map */
	__u64 connection; /* names the connection while it is open */
	__u64 start_ns;	  /* first byte of the request */
	__u64 end_ns;	  /* first byte of the response; PostgreSQL: ReadyForQuery */
	__u64 cgroup_id;
	__u64 task_start_ns; /* with pid: names the process for ever */
	__u64 request_bytes;
	__u64 response_bytes;
	__u32 pid;
	__u32 netns;
	__u32 sequence; /* n-th request of this connection, from 1 */
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
	__u8 reserved[6];
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

/* Value of the edges map: exact totals since the entry was made, whatever the ring could carry. */
struct osmia_edge {
	struct osmia_edge_key key;
	__u64 count;
	__u64 errors;
	__u64 latency_ns;
	__u64 request_bytes;
	__u64 response_bytes;
	__u64 unsent; /* of count: requests whose event did not reach the ring */
	__u64 unsent_errors;
	__u64 unsent_latency_ns;
	__u64 unsent_request_bytes;
	__u64 unsent_response_bytes;
	__u64 first_ns;
	__u64 last_ns;
	__u32 pid;
	__u32 reserved;
};

/* Key of the histogram map; value is a __u64 count. */
struct osmia_bucket {
	__u64 edge;
	__u16 bucket;
	__u16 is_unsent;
	__u32 reserved;
};

/* Why something that was seen is not (fully) known; one per CPU. Counters of messages, not of
 * bytes. */
struct osmia_ledger {
	__u64 seen;		/* responses matched to a request */
	__u64 ring_full;	/* event not written; counted in its edge */
	__u64 connections_full; /* no room to remember the connection */
	__u64 edges_full;	/* no room for the edge: not counted in it */
	__u64 histogram_full;	/* counted in its edge, missing from its histogram */
	__u64 unreadable;	/* user memory could not be read where a message was due */
	__u64 unanswered;	/* a request was followed by another before any response was seen */
	__u64 abandoned;	/* the connection ended before a response was seen */
};

#define OSMIA_ASSERT(name, condition) typedef char osmia_assert_##name[(condition) ? 1 : -1]

OSMIA_ASSERT(event, sizeof(struct osmia_event) == 912);
OSMIA_ASSERT(edge_key, sizeof(struct osmia_edge_key) == 64);
OSMIA_ASSERT(edge, sizeof(struct osmia_edge) == 168);
OSMIA_ASSERT(bucket, sizeof(struct osmia_bucket) == 16);
OSMIA_ASSERT(ledger, sizeof(struct osmia_ledger) == 64);

#endif
