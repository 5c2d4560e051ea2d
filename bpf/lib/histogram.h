/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/* The latency histogram's bucket function; twin of src/osmia/model/histogram.py, held together by a
 * test. */
#ifndef OSMIA_HISTOGRAM_H
#define OSMIA_HISTOGRAM_H

#define HISTOGRAM_SUB_BITS	 5
#define HISTOGRAM_FIRST_EXPONENT 10
#define HISTOGRAM_LAST_EXPONENT	 36
#define HISTOGRAM_BUCKETS	 865

/* floor(log2(value)) of a value > 0, by halving: BPF has no count-leading-zeros instruction before
 * v4. */
static inline __u32 histogram_exponent(__u64 value)
{
	__u32 exponent = 0;

	if (value >> 32) {
		value >>= 32;
		exponent += 32;
	}
	if (value >> 16) {
		value >>= 16;
		exponent += 16;
	}
	if (value >> 8) {
		value >>= 8;
		exponent += 8;
	}
	if (value >> 4) {
		value >>= 4;
		exponent += 4;
	}
	if (value >> 2) {
		value >>= 2;
		exponent += 2;
	}
	return exponent + (__u32)(value >> 1);
}

static inline __u16 histogram_bucket(__u64 latency_ns)
{
	__u32 exponent, mantissa;

	if (latency_ns < (1ULL << HISTOGRAM_FIRST_EXPONENT))
		return 0;
	exponent = histogram_exponent(latency_ns);
	if (exponent > HISTOGRAM_LAST_EXPONENT)
		return HISTOGRAM_BUCKETS - 1;
	mantissa =
		(latency_ns >> (exponent - HISTOGRAM_SUB_BITS)) & ((1 << HISTOGRAM_SUB_BITS) - 1);
	return 1 + ((exponent - HISTOGRAM_FIRST_EXPONENT) << HISTOGRAM_SUB_BITS) + mantissa;
}

#endif
