/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * The kernel types that only the TCP programs touch, as vmlinux.h has the others.
 *
 * A name's part after three underscores is ours: CO-RE relocates `sock___tcp` as `sock`, so these
 * stand beside the narrower views of vmlinux.h.
 */
#ifndef OSMIA_TCP_TYPES_H
#define OSMIA_TCP_TYPES_H

#define IPPROTO_TCP 6
#define PF_KTHREAD  0x00200000

/* include/net/tcp_states.h */
#define TCP_ESTABLISHED 1
#define TCP_SYN_SENT	2
#define TCP_SYN_RECV	3
#define TCP_FIN_WAIT1	4
#define TCP_CLOSE	7
#define TCP_CLOSE_WAIT	8
#define TCP_LAST_ACK	9
#define TCP_LISTEN	10

/* include/uapi/asm-generic/errno.h, the same on x86-64 and arm64 */
#define ENETDOWN     100
#define ENETUNREACH  101
#define ETIMEDOUT    110
#define ECONNREFUSED 111
#define EHOSTDOWN    112
#define EHOSTUNREACH 113

#define SOCK_DONE_BIT 1 /* of skc_flags, enum sock_flags: the peer's FIN has come */

enum {
	MAP_TYPE_LRU_HASH = 9, /* bpf_map_type */
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	int counter;
} counter_t;

struct sock_common___tcp {
	unsigned long skc_flags;
};

struct sock___tcp {
	__u16 sk_protocol;
	int sk_err;
	__u32 sk_ack_backlog;
	__u32 sk_max_ack_backlog;
	counter_t sk_drops;
};

struct inet_sock___tcp {
	__be16 inet_sport; /* unlike skc_num it is still there in the state CLOSE */
};

struct tcp_sock___tcp {
	__u64 bytes_sent;
	__u64 bytes_retrans;
	__u64 bytes_received;
	__u32 data_segs_out;
	__u32 total_retrans;
	__u32 srtt_us; /* in eighths */
};

struct kernfs_node___tcp {
	__u64 id;
};

struct cgroup___tcp {
	struct kernfs_node___tcp *kn;
};

struct css_set___tcp {
	struct cgroup___tcp *dfl_cgrp;
};

struct task_struct___tcp {
	unsigned int flags;
	int tgid;
	struct css_set___tcp *cgroups;
};

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	__u32 fd;
	struct file *file;
};

#pragma clang attribute pop

#endif
