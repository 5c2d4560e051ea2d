// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/* The same programs for kernels whose sockets have tracepoints of their own (Linux 6.16): see
 * requests/sockets.h. */
#define OSMIA_TYPED_READS
#define OSMIA_SOCKET_HOOKS
#include "requests.bpf.c"
