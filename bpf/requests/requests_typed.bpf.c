// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/* The same programs for kernels that let them read through typed pointers (Linux 6.2): see
 * lib/read.h. */
#define OSMIA_TYPED_READS
#include "requests.bpf.c"
