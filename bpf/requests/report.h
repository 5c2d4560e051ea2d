/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * How a matched request becomes known: as an event in the ring, or as a count of its edge.
 *
 * While every request is an event nothing else is touched, so the usual case pays for one copy. A
 * request that sampling leaves out, or that finds the ring full, is counted with its latency
 * bucket instead.
 */
#ifndef OSMIA_REPORT_H
#define OSMIA_REPORT_H

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
	fresh.flags = event->flags & OSMIA_FLAG_UNIX;
	bpf_map_update_elem(&edges, &event->edge, &fresh, BPF_NOEXIST);
	return bpf_map_lookup_elem(&edges, &event->edge);
}

static __always_inline void count_in_histogram(const struct osmia_event *event, __u64 latency_ns)
{
	struct osmia_bucket key = { .edge = event->edge,
				    .bucket = histogram_bucket(latency_ns),
				    .is_error = event->flags & OSMIA_FLAG_ERROR };
	__u64 *count = bpf_map_lookup_elem(&histogram, &key), one = 1;

	if (count) {
		ADD(*count, 1);
		return;
	}
	if (!bpf_map_update_elem(&histogram, &key, &one, BPF_NOEXIST))
		return;
	/* Another CPU was first, or the map is full. */
	count = bpf_map_lookup_elem(&histogram, &key);
	if (count)
		ADD(*count, 1);
	else
		COUNT(histogram_full);
}

static __always_inline void count_in_edge(const struct osmia_event *event, __u64 latency_ns)
{
	struct osmia_edge *edge = edge_of(event);

	if (!edge) {
		COUNT(edges_full);
		return;
	}
	ADD(edge->count, 1);
	if (event->flags & OSMIA_FLAG_ERROR)
		ADD(edge->errors, 1);
	ADD(edge->latency_ns, latency_ns);
	ADD(edge->request_bytes, event->request_bytes);
	ADD(edge->response_bytes, event->response_bytes);
	edge->last_ns = event->end_ns;
	edge->pid = event->pid;
	count_in_histogram(event, latency_ns);
}

/*
 * Whether sampling leaves this request out. Per edge and stratum the first is kept, then one in n;
 * the one that is kept carries the number it stands for. Two CPUs on one edge may race for
 * `skipped`, which blurs weights by one and no count.
 */
static __always_inline bool is_left_out(struct osmia_event *event)
{
	const struct osmia_control *asked = controls();
	__u32 stratum = !!(event->flags & OSMIA_FLAG_NOTABLE), every;
	struct osmia_edge *edge;

	event->weight = 1;
	if (!asked)
		return false;
	every = stratum ? asked->sample_notable_every : asked->sample_every;
	if (every == 1)
		return false;
	if (!every)
		return true;
	edge = bpf_map_lookup_elem(&edges, &event->edge);
	if (!edge) {
		edge_of(event);
		return false;
	}
	if (edge->skipped[stratum] + 1 < every) {
		edge->skipped[stratum]++;
		return true;
	}
	event->weight = edge->skipped[stratum] + 1;
	edge->skipped[stratum] = 0;
	return false;
}

/* A statement that is prepared under a name: later requests mean nothing to who missed it. */
static __always_inline bool prepares(const struct connection *connection)
{
	const struct osmia_event *event = &connection->event;

	return event->protocol == OSMIA_POSTGRES &&
	       (!connection->executions || (event->request[0] == 'P' && event->request[5]));
}

/* Send the request that `connection` has matched, or count it. */
static __always_inline void report(struct connection *connection)
{
	struct osmia_event *event = &connection->event;
	const struct osmia_control *asked = controls();
	__u64 latency_ns = event->end_ns - event->start_ns;
	__u64 size = event->request_length;

	event->kind = OSMIA_EVENT_REQUEST;
	if (event->flags & OSMIA_FLAG_ERROR || (asked && latency_ns >= asked->slow_ns) ||
	    prepares(connection))
		event->flags |= OSMIA_FLAG_NOTABLE;
	COUNT(seen);
	connection->is_unsent = 1;
	asm volatile("" : "+r"(size)); /* keeps the bound that the verifier needs */
	if (size > OSMIA_REQUEST_SNIPPET)
		return;
	if (is_left_out(event)) {
		COUNT(sampled);
		count_in_edge(event, latency_ns);
	} else if (bpf_ringbuf_output(&events, event,
				      __builtin_offsetof(struct osmia_event, request) + size,
				      BPF_RB_NO_WAKEUP)) {
		COUNT(ring_full);
		count_in_edge(event, latency_ns);
	} else {
		connection->is_unsent = 0;
	}
}

/* New totals of the request that was answered last. A remainder without room in the ring is
 * followed by the next one, but for the last. */
static __always_inline void report_remainder(struct connection *connection, struct sock *sk,
					     __u64 request_bytes, __u64 response_bytes, __u8 final)
{
	struct osmia_event *event = &connection->event;
	const struct osmia_control *asked = controls();
	__u64 data_ns = bpf_ktime_get_ns();
	struct osmia_edge *edge;
	__u8 flags = event->flags;

	if (connection->is_unsent) {
		edge = bpf_map_lookup_elem(&edges, &event->edge);
		if (edge) {
			ADD(edge->request_bytes, request_bytes - event->request_bytes);
			ADD(edge->response_bytes, response_bytes - event->response_bytes);
		}
		event->request_bytes = request_bytes;
		event->response_bytes = response_bytes;
		return;
	}
	event->request_bytes = request_bytes;
	event->response_bytes = response_bytes;
	if (asked && !is_unix(event))
		data_ns -= (__u64)asked->jiffy_ns *
			   jiffies_since_data(sk, event->role == OSMIA_CLIENT);
	event->last_ms = data_ns > event->end_ns ? (data_ns - event->end_ns) / 1000000 : 0;
	event->kind = OSMIA_EVENT_REMAINDER;
	event->flags |= final;
	bpf_ringbuf_output(&events, event, __builtin_offsetof(struct osmia_event, command),
			   BPF_RB_NO_WAKEUP);
	event->flags = flags;
}

#endif
