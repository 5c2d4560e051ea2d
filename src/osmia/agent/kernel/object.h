/* SPDX-License-Identifier: Apache-2.0 */
/* Any BPF object: loaded, attached, its maps read by name. What a program needs beyond that (the
 * ring of requests) is in binding.h. cffi reads this file as it stands. */

struct osmia_object;

struct osmia_map_size {
	const char *map;
	uint32_t entries;
};

/* Load and attach every program but the one called `without` ("": all). Each map of `sizes` gets
 * room for so many entries. Returns NULL and fills `error` (what failed and libbpf's words). */
struct osmia_object *osmia_object_open(const char *path, uint32_t ignored_pid, const char *without,
				       const struct osmia_map_size *sizes, uint32_t size_count,
				       char *error, size_t error_size);
void osmia_object_close(struct osmia_object *object);

/* Bytes of a key and a value of a map, so that the reader can check its own idea of them. 0 or a
 * negative errno. */
int osmia_object_sizes(struct osmia_object *object, const char *map, uint32_t *key_bytes,
		       uint32_t *value_bytes);

/* Read up to `max_entries` entries of a hash map. Returns how many, or a negative errno. */
long osmia_object_read(struct osmia_object *object, const char *map, void *keys, void *values,
		       uint32_t max_entries);

/* Delete entries; those that are gone already do not matter. Returns how many there were. */
long osmia_object_delete(struct osmia_object *object, const char *map, const void *keys,
			 uint32_t count);

/* Sum the one entry of a per-CPU array of 64-bit words over all CPUs. 0 or a negative errno. */
int osmia_object_sum(struct osmia_object *object, const char *map, uint64_t *words, uint32_t count);

/* Run an iterator program over everything once. 0 or a negative errno. */
int osmia_object_walk(struct osmia_object *object, const char *program);
