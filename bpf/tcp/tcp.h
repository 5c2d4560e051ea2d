/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * What the TCP programs tell user space, with sizes asserted; conventions as in events.h.
 *
 * An edge's totals hold what has ended (connections, failed connects); what is still open is in
 * `sockets`, as of the last sweep. Both together are the whole: read edges first, sockets second,
 * and a connection that ends in between is missed for one reading, never counted twice.
 *
 * `src/osmia/agent/kernel/tcp.py` mirrors these structs for numpy; a test compares both.
 */
#ifndef OSMIA_TCP_H
#define OSMIA_TCP_H

#include "events.h"

/* What identifies an edge; its hash is the key of the maps below. */
struct osmia_tcp_key {
	__u64 cgroup_id;
	__u32 netns;
	__u16 server_port;
	__u8 role;
	__u8 reserved;
	__u8 local_ip[16];
	__u8 remote_ip[16];
	char command[OSMIA_COMMAND];
};

/* Value of the map `edges`: totals since the entry was made, of connections that have ended unless
 * said otherwise. Bytes are payload, each counted once. */
struct osmia_tcp_edge {
	struct osmia_tcp_key key;
	__u64 opened; /* those that we saw begin */
	__u64 closed; /* all: also those that are older than us */
	__u64 refused;
	__u64 timed_out; /* by the kernel, or the client gave up waiting */
	__u64 unreachable;
	__u64 failed_otherwise;
	__u64 cancelled;  /* closed by the client while the first SYN was on its way: no failure */
	__u64 connect_ns; /* also of open ones: sum over the connects of the client's end */
	__u64 rtt_ns;	  /* also of open ones: sum over the samples in `histogram` */
	__u64 sent_bytes;
	__u64 received_bytes;
	__u64 segments; /* sent with payload, again and again where lost */
	__u64 retransmits;
	__u64 resets_sent;
	__u64 resets_received;
	__u64 first_ns;
	__u64 last_ns;
	__u32 pid;
	__u16 local_port; /* of the latest connection, for address translation */
	__u16 remote_port;
};

enum osmia_tcp_flag {
	OSMIA_TCP_OWNED = 1,  /* key and edge are complete */
	OSMIA_TCP_JOINED = 2, /* open before we came: counted from then on */
	OSMIA_TCP_ENDED = 4,  /* its edge has it */
};

/* Value of the map `sockets`: one connection, from SYN or accept until its socket is destroyed. */
struct osmia_tcp_socket {
	struct osmia_tcp_key key;
	__u64 edge;
	__u64 start_ns;
	__u64 established_ns; /* 0: not yet */
	__u64 sent_bytes;     /* this and the following: since it began or we joined */
	__u64 received_bytes;
	__u64 base_sent_bytes; /* what there was when we joined */
	__u64 base_received_bytes;
	__u32 segments;
	__u32 retransmits;
	__u32 base_segments;
	__u32 base_retransmits;
	__u32 resets_sent;
	__u32 resets_received;
	__u32 rtt_us;
	__u32 pid;
	__u16 local_port;
	__u16 remote_port;
	__u8 flags;
	__u8 reserved[3];
};

enum osmia_tcp_measure {
	OSMIA_TCP_CONNECT = 0, /* SYN to established, at the client's end */
	OSMIA_TCP_RTT = 1, /* smoothed round trip, once per connection that sent, end or sweep */
};

/* Key of the map `histogram`, whose value is a __u64 count. */
struct osmia_tcp_bucket {
	__u64 edge;
	__u16 bucket;
	__u16 measure;
	__u32 reserved;
};

/* Value of the map `listeners`, by socket: as of the last sweep. */
struct osmia_listener {
	__u64 cgroup_id;
	__u64 seen_ns;
	__u32 pid;
	__u32 netns;
	__u32 waiting;	   /* connections that nobody has accepted yet */
	__u32 waiting_max; /* more than this are dropped */
	__u32 dropped;	   /* by this socket since it listens, modulo 2^32 */
	__u16 port;
	__u16 reserved;
	__u8 local_ip[16];
	char command[OSMIA_COMMAND];
};

/* One per CPU; in connections. */
struct osmia_tcp_ledger {
	__u64 seen;	      /* ended or failed, and counted in an edge */
	__u64 sockets_full;   /* not followed for want of room */
	__u64 edges_full;     /* ended or failed, but no room for the edge */
	__u64 histogram_full; /* counted in its edge, missing from its histogram */
	__u64 listeners_full;
	__u64 unowned; /* ended before it was known whose it was */
};

OSMIA_ASSERT(tcp_key, sizeof(struct osmia_tcp_key) == 64);
OSMIA_ASSERT(tcp_edge, sizeof(struct osmia_tcp_edge) == 208);
OSMIA_ASSERT(tcp_socket, sizeof(struct osmia_tcp_socket) == 160);
OSMIA_ASSERT(tcp_bucket, sizeof(struct osmia_tcp_bucket) == 16);
OSMIA_ASSERT(listener, sizeof(struct osmia_listener) == 72);
OSMIA_ASSERT(tcp_ledger, sizeof(struct osmia_tcp_ledger) == 48);

#endif
