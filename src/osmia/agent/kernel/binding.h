/* SPDX-License-Identifier: Apache-2.0 */
/* What Python sees of libbpf: one capture that loads, drains and reads. cffi reads this file as it
 * stands. */

struct osmia_capture;

struct osmia_options {
	uint32_t ignored_pid;
	uint32_t ring_bytes; /* power of two, multiple of the page size */
	uint32_t max_connections;
	uint32_t max_edges;
	uint32_t max_buckets;
};

/* struct osmia_control of bpf/events.h. */
struct osmia_asked {
	uint64_t slow_ns;
	uint32_t sample_every;
	uint32_t sample_notable_every;
	uint32_t payload_bytes;
	uint32_t features;
	uint32_t jiffy_ns;
	uint32_t reserved;
};

/* Load and attach every program of the object. Returns NULL and fills `error` (what failed and
 * libbpf's words). */
struct osmia_capture *osmia_capture_open(const char *path, const struct osmia_options *options,
					 const struct osmia_asked *asked, char *error,
					 size_t error_size);
void osmia_capture_close(struct osmia_capture *capture);

/* Move up to `max_events` events from the ring into slots of sizeof(struct osmia_event). Returns
 * how many. */
long osmia_capture_drain(struct osmia_capture *capture, void *slots, size_t max_events);

/* Read up to `max_entries` entries of the map "edges", "histogram" or "unseen". Returns how many,
 * or a negative errno. */
long osmia_capture_read(struct osmia_capture *capture, const char *map, void *keys, void *values,
			uint32_t max_entries);

/* Delete entries; those that are gone already do not matter. Returns how many there were. */
long osmia_capture_delete(struct osmia_capture *capture, const char *map, const void *keys,
			  uint32_t count);

/* Sum the ledger over all CPUs into `counters` (struct osmia_ledger as 64-bit words). 0 or a
 * negative errno. */
int osmia_capture_ledger(struct osmia_capture *capture, uint64_t *counters);

/* Change what is asked of the programs, at any time. 0 or a negative errno. */
int osmia_capture_control(struct osmia_capture *capture, const struct osmia_asked *asked);

/* Make the kernel report responses under way. 0 and the kernel's jiffies (32 bits of them), or a
 * negative errno: -ENOTSUP where the kernel cannot (before 5.13). */
int osmia_capture_sweep(struct osmia_capture *capture, uint32_t *jiffies);

/* 1 if the kernel gives maps of this type, 0 if not, negative errno if that cannot be told. */
int osmia_probe_map_type(int type);

uint32_t osmia_event_size(void);
uint32_t osmia_control_size(void);
uint16_t osmia_histogram_bucket(uint64_t latency_ns);
