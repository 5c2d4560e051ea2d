/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * Reading a field of a kernel struct whose address is only a number to the verifier.
 *
 * With OSMIA_TYPED_READS the address is given its type by bpf_rdonly_cast (a kernel function since
 * Linux 6.2) and the field is one load, which faults harmlessly. Without, each field is a call of
 * bpf_probe_read_kernel: a request costs 0.4 to 0.5 us more (docs/decisions/0012).
 */
#ifndef OSMIA_READ_H
#define OSMIA_READ_H

#ifdef OSMIA_TYPED_READS

void *bpf_rdonly_cast(const void *object, __u32 btf_id) __ksym;

/* The barrier keeps clang from merging loads of two types into one, which the verifier refuses. */
#define READ(address, type, field)                                                                 \
	({                                                                                         \
		const struct type *typed_ = bpf_rdonly_cast((const void *)(address),               \
							    bpf_core_type_id_kernel(struct type)); \
		__u64 value_ = (__u64)typed_->field;                                               \
		asm volatile("" : "+r"(value_));                                                   \
		(typeof(typed_->field))value_;                                                     \
	})

/* A pointer in an array of pointers. */
static __always_inline void *read_pointer(const void *place)
{
	return READ(place, hlist_head, first);
}

#else

#define READ(address, type, field) BPF_CORE_READ((struct type *)(address), field)

static __always_inline void *read_pointer(const void *place)
{
	void *pointer = 0;

	bpf_probe_read_kernel(&pointer, sizeof(pointer), place);
	return pointer;
}

#endif

#endif
