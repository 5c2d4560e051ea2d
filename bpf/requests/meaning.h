/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * What a buffer is, judged by its first bytes and, for PostgreSQL, its last six.
 *
 * This runs for every buffer of every process, before anything is known of its descriptor, so it
 * costs one or two small reads and no more.
 */
#ifndef OSMIA_MEANING_H
#define OSMIA_MEANING_H

enum meaning {
	MEANS_NOTHING = 0,
	MEANS_UNREADABLE,
	MEANS_HTTP_REQUEST,
	MEANS_HTTP_RESPONSE,
	MEANS_POSTGRES_STARTUP,
	MEANS_POSTGRES_REQUEST, /* surely */
	MEANS_POSTGRES_MESSAGE, /* of either side, if the connection is known to be PostgreSQL */
	MEANS_POSTGRES_READY,
	MEANS_DNS_ANSWER, /* if it came in a datagram from port 53 */
};

#define WORD(a, b, c, d) ((__u32)(a) | (__u32)(b) << 8 | (__u32)(c) << 16 | (__u32)(d) << 24)
#define HEAD_SIZE	 16
#define READY_SIZE	 6

/* Length of a method by its first four bytes, 0 if they begin none: RFC 9110, RFC 5789, WebDAV
 * (RFC 4918, 3253, 5323), QUERY and the caches' PURGE. */
static __always_inline __u32 method_length(__u32 word)
{
	switch (word) {
	case WORD('G', 'E', 'T', ' '):
	case WORD('P', 'U', 'T', ' '):
		return 3;
	case WORD('P', 'O', 'S', 'T'):
	case WORD('H', 'E', 'A', 'D'):
	case WORD('C', 'O', 'P', 'Y'):
	case WORD('M', 'O', 'V', 'E'):
	case WORD('L', 'O', 'C', 'K'):
		return 4;
	case WORD('P', 'A', 'T', 'C'):
	case WORD('T', 'R', 'A', 'C'):
	case WORD('M', 'K', 'C', 'O'):
	case WORD('Q', 'U', 'E', 'R'):
	case WORD('P', 'U', 'R', 'G'):
		return 5;
	case WORD('D', 'E', 'L', 'E'):
	case WORD('U', 'N', 'L', 'O'):
	case WORD('R', 'E', 'P', 'O'):
	case WORD('S', 'E', 'A', 'R'):
		return 6;
	case WORD('O', 'P', 'T', 'I'):
	case WORD('C', 'O', 'N', 'N'):
		return 7;
	case WORD('P', 'R', 'O', 'P'):
		return 8;
	default:
		return 0;
	}
}

/* After the method come a space and a target: "COPY t FROM" in a file is none. */
static __always_inline bool is_http_request(const __u8 *head)
{
	__u32 word, length;
	__u8 target;

	__builtin_memcpy(&word, head, 4);
	length = method_length(word);
	if (!length)
		return false;
	if (length == 8 && head[8] == 'H') /* PROPPATCH */
		length = 9;
	if (head[length & (HEAD_SIZE - 1)] != ' ')
		return false;
	target = head[(length + 1) & (HEAD_SIZE - 1)];
	return target == '/' || target == '*' || length == 7 || (target | 0x20) == 'h';
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

/* An answer (QR) of a standard query, without error, to one question, with answers. RFC 1035 4.1.1.
 */
static __always_inline bool is_dns_answer(const __u8 *head)
{
	return (head[2] & 0xf8) == 0x80 && !(head[3] & 0x0f) && !head[4] && head[5] == 1 &&
	       !head[6] && head[7] && !head[8] && !head[10];
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
	if (head[0] == 'Q' && head[5] &&
	    (length + 1 == total || (length + 1 < total && length < 65536 && !tail[5])))
		return MEANS_POSTGRES_REQUEST; /* or several, joined */
	if ((head[0] == 'P' || head[0] == 'B') && ends_with_sync(tail))
		return MEANS_POSTGRES_REQUEST;
	return is_message_type(head[0]) ? MEANS_POSTGRES_MESSAGE : MEANS_NOTHING;
}

/* Read the first bytes; false where the memory is not mapped in yet (a file's, say). */
static __always_inline bool read_head(struct buffer *buffer)
{
	__u64 size = buffer->length;

	__builtin_memset(buffer->head, 0, HEAD_SIZE);
	if (size > OSMIA_RESPONSE_HEAD)
		size = OSMIA_RESPONSE_HEAD;
	buffer->head_length = size;
	asm volatile("" : "+r"(size)); /* keeps the bound that the verifier needs */
	return size <= OSMIA_RESPONSE_HEAD &&
	       !bpf_probe_read_user(buffer->head, size, buffer->data);
}

static __always_inline enum meaning meaning_of(struct buffer *buffer, __u32 features)
{
	const __u8 *head = buffer->head;
	__u8 tail[READY_SIZE] = {};
	enum meaning meaning;
	__u32 word;

	if (buffer->total < READY_SIZE)
		return MEANS_NOTHING;
	if (!read_head(buffer))
		return MEANS_UNREADABLE;
	__builtin_memcpy(&word, head, 4);
	if (is_http_request(head))
		return MEANS_HTTP_REQUEST;
	if (word == WORD('H', 'T', 'T', 'P'))
		return head[4] == '/' && head[5] == '1' ? MEANS_HTTP_RESPONSE : MEANS_NOTHING;
	if (buffer->tail_length >= READY_SIZE &&
	    bpf_probe_read_user(tail, sizeof(tail), buffer->tail_end - sizeof(tail)))
		return MEANS_NOTHING;
	meaning = postgres_meaning(head, tail, buffer->total);
	if (!buffer->is_send && features & OSMIA_FEATURE_DNS && is_dns_answer(head) &&
	    meaning != MEANS_POSTGRES_READY)
		return MEANS_DNS_ANSWER;
	return meaning;
}

#define BYTES(value) (0x0101010101010101ULL * (value))

/* The high bit of each byte of `word` that equals `byte`, exactly. */
static __always_inline __u64 bytes_equal(__u64 word, __u8 byte)
{
	__u64 difference = word ^ BYTES(byte);

	return ~(((difference & BYTES(0x7f)) + BYTES(0x7f)) | difference | BYTES(0x7f));
}

/*
 * Where the first blank line of a copied request ends, or 0. Eight bytes at a time, each window
 * over the last two of the one before, without a branch per byte: 85 steps for the whole snippet.
 */
static __always_inline __u32 head_end(const char *text, __u32 length)
{
	__u64 found = 0;
	__u32 at;

	for (at = 0; at + 8 <= OSMIA_REQUEST_SNIPPET; at += 6) {
		__u64 word = *(const __u64 *)(text + at), feeds = bytes_equal(word, '\n');

		found = feeds & (bytes_equal(word, '\r') >> 8) & (feeds >> 16);
		if (found || at >= length)
			break;
	}
	if (!found)
		return 0;
#pragma unroll
	for (__u32 i = 0; i < 5; i++)
		if (!(found & (0xffULL << (8 * i))))
			at++;
		else
			break;
	return at + 3 <= length ? at + 3 : 0;
}

#endif
