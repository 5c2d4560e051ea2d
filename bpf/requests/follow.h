/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * Following a connection: its bytes of both directions, in order, for user space to match.
 *
 * For connections that pipeline. One matched request per buffer is what the fast path can keep
 * exact; where a client sends the next request before the answer, only parsing can tell which
 * answer is whose. Of one system call at most 4 KiB are copied: heads and statements, of bodies and
 * rows the beginning.
 */
#ifndef OSMIA_FOLLOW_H
#define OSMIA_FOLLOW_H

#define CHUNKS_MAX 12

static __always_inline struct osmia_event *new_chunk(const struct connection *connection)
{
	struct osmia_event *chunk = bpf_ringbuf_reserve(&events, sizeof(*chunk), 0);

	if (!chunk) {
		COUNT(chunks_lost);
		return 0;
	}
	bpf_probe_read_kernel(chunk, __builtin_offsetof(struct osmia_event, response_head),
			      &connection->event);
	chunk->kind = OSMIA_EVENT_CHUNK;
	chunk->flags &= OSMIA_FLAG_UNIX;
	chunk->response_head_length = chunk->response_tail_length = 0;
	chunk->start_ns = chunk->end_ns = bpf_ktime_get_ns();
	return chunk;
}

/* The request that was under way when following began, as far as it was kept. */
static __always_inline void follow_pending(struct connection *connection, __u32 position_now)
{
	struct osmia_event *event = &connection->event;
	struct osmia_event *chunk = new_chunk(connection);
	__u32 total = position_now - connection->request_position;

	if (!chunk)
		return;
	chunk->start_ns = chunk->end_ns = event->start_ns;
	chunk->position = connection->request_position;
	chunk->request_bytes = total;
	chunk->request_length = event->request_length;
	if (event->role == OSMIA_CLIENT)
		chunk->flags |= OSMIA_FLAG_SENT;
	if (total > event->request_length)
		chunk->flags |= OSMIA_FLAG_CUT;
	bpf_probe_read_kernel(chunk->request, OSMIA_REQUEST_SNIPPET, event->request);
	bpf_ringbuf_submit(chunk, BPF_RB_NO_WAKEUP);
}

/* What had come back for it by then: all of it if that was one short buffer, else how much. */
static __always_inline void follow_answered(struct connection *connection, __u32 position_now)
{
	const struct osmia_event *event = &connection->event;
	__u32 total = position_now - connection->response_position;
	struct osmia_event *chunk;

	if (!total)
		return;
	chunk = new_chunk(connection);
	if (!chunk)
		return;
	chunk->position = connection->response_position;
	chunk->request_bytes = total;
	chunk->request_length = total == event->response_head_length ? total : 0;
	if (event->role == OSMIA_SERVER)
		chunk->flags |= OSMIA_FLAG_SENT;
	if (total > chunk->request_length)
		chunk->flags |= OSMIA_FLAG_CUT;
	bpf_probe_read_kernel(chunk->request, OSMIA_RESPONSE_HEAD, event->response_head);
	bpf_ringbuf_submit(chunk, BPF_RB_NO_WAKEUP);
}

static __always_inline bool next_segment(struct walk *walk, const struct buffer *buffer)
{
	struct iovec segment;

	if (walk->left)
		return true;
	if (!buffer->vector || walk->segment >= buffer->segments ||
	    read_vector(buffer, &segment, sizeof(segment), buffer->vector + walk->segment))
		return false;
	walk->segment++;
	walk->data = segment.base;
	walk->left = segment.length < walk->rest ? segment.length : walk->rest;
	return true;
}

/* The next piece of the walk, at most one snippet. Where the rest of the call is not copied, but
 * for its last bytes, `cut_at` is their number + 1. */
static __always_inline void send_chunk(const struct connection *connection, struct walk *walk,
				       bool is_send, __u32 cut_at)
{
	__u64 size = walk->left < OSMIA_REQUEST_SNIPPET ? walk->left : OSMIA_REQUEST_SNIPPET;
	struct osmia_event *chunk = new_chunk(connection);
	__u64 copied = size;

	asm volatile("" : "+r"(copied));
	if (chunk) {
		if (copied > OSMIA_REQUEST_SNIPPET ||
		    bpf_probe_read_user(chunk->request, copied, walk->data)) {
			COUNT(unreadable);
			copied = 0;
		}
		chunk->position = walk->position;
		chunk->request_bytes = cut_at ? walk->rest - (cut_at - 1) : size;
		chunk->request_length = copied;
		chunk->flags |= (is_send ? OSMIA_FLAG_SENT : 0) | (cut_at ? OSMIA_FLAG_CUT : 0);
		bpf_ringbuf_submit(chunk, BPF_RB_NO_WAKEUP);
	}
	walk->data += size;
	walk->left -= size;
	walk->rest -= size;
	walk->position += size;
}

/* Of a long PostgreSQL answer the last bytes tell more than those in its middle. */
static __always_inline void skip_to_tail(struct walk *walk)
{
	walk->data += walk->rest - OSMIA_RESPONSE_TAIL;
	walk->position += walk->rest - OSMIA_RESPONSE_TAIL;
	walk->rest = walk->left = OSMIA_RESPONSE_TAIL;
}

/* The buffer under way, of a followed connection. A global function with its state in a map: the
 * verifier walks it once, and finds all turns of its loop alike. */
__noinline int follow(void)
{
	struct scratch *here = scratch_of_cpu();
	struct connection *connection;
	struct walk *walk;
	bool has_tail;

	if (!here)
		return 0;
	connection = bpf_map_lookup_elem(&connections, &here->connection);
	if (!connection)
		return 0;
	walk = &here->walk;
	walk->rest = here->buffer.total;
	walk->left = walk->segment = 0;
	if (!here->buffer.vector) {
		walk->data = here->buffer.data;
		walk->left = here->buffer.total;
	}
	has_tail = connection->event.protocol == OSMIA_POSTGRES && !here->buffer.vector;
	for (int i = 0; i < CHUNKS_MAX; i++) {
		bool is_last = i == CHUNKS_MAX - 1 && walk->rest > OSMIA_REQUEST_SNIPPET;
		bool is_before =
			i == CHUNKS_MAX - 2 && has_tail && walk->rest > 2 * OSMIA_REQUEST_SNIPPET;

		if (!walk->rest || !next_segment(walk, &here->buffer))
			return 0;
		if (!walk->left)
			continue;
		if (is_last && has_tail)
			skip_to_tail(walk);
		send_chunk(connection, walk, here->buffer.is_send,
			   is_before ? OSMIA_RESPONSE_TAIL + 1 : is_last && !has_tail);
	}
	return 0;
}

#endif
