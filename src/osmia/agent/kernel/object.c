/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* vasprintf */
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "object.h"

#define PROGRAMS_MAX 16

struct osmia_object {
	struct bpf_object *bpf;
	struct bpf_program *programs[PROGRAMS_MAX];
	struct bpf_link *links[PROGRAMS_MAX];
	int link_count;
};

/* libbpf speaks through one global callback: its warnings are kept for the error message. */
static char words[4096];
static size_t word_length;

/* The verifier tells its reason at the end of what may be a megabyte. */
#define WORDS_TAIL 600

static int keep_words(enum libbpf_print_level level, const char *format, va_list arguments)
{
	size_t room = sizeof(words) - word_length;
	char *said;
	int length;

	if (level != LIBBPF_WARN || room < 2)
		return 0;
	length = vasprintf(&said, format, arguments);
	if (length < 0)
		return 0;
	word_length += snprintf(words + word_length, room, "%s",
				length > WORDS_TAIL ? said + length - WORDS_TAIL : said);
	if (word_length >= sizeof(words))
		word_length = sizeof(words) - 1;
	free(said);
	return length;
}

static int size_maps(struct bpf_object *bpf, const struct osmia_map_size *sizes, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct bpf_map *map = bpf_object__find_map_by_name(bpf, sizes[i].map);
		int error = map ? bpf_map__set_max_entries(map, sizes[i].entries) : -ENOENT;

		if (error)
			return error;
	}
	return 0;
}

/* By convention the first word of .rodata, where there is one. */
static void ignore_pid(struct bpf_object *bpf, uint32_t pid)
{
	struct bpf_map *map = bpf_object__find_map_by_name(bpf, ".rodata");
	size_t size = 0;
	void *rodata = map ? (void *)bpf_map__initial_value(map, &size) : NULL;

	if (rodata && size >= sizeof(pid))
		memcpy(rodata, &pid, sizeof(pid));
}

static void leave_out(struct bpf_object *bpf, const char *name)
{
	struct bpf_program *program = bpf_object__find_program_by_name(bpf, name);

	if (program)
		bpf_program__set_autoload(program, false);
}

static int attach_all(struct osmia_object *object, const char **step)
{
	struct bpf_program *program;

	bpf_object__for_each_program(program, object->bpf)
	{
		if (!bpf_program__autoload(program))
			continue;
		*step = bpf_program__name(program);
		if (object->link_count == PROGRAMS_MAX)
			return -E2BIG;
		object->links[object->link_count] = bpf_program__attach(program);
		if (!object->links[object->link_count])
			return -errno;
		object->programs[object->link_count++] = program;
	}
	return 0;
}

static int build(struct osmia_object *object, const char *path, uint32_t ignored_pid,
		 const char *without, const struct osmia_map_size *sizes, uint32_t size_count,
		 const char **step)
{
	int error;

	*step = "open the BPF object";
	object->bpf = bpf_object__open_file(path, NULL);
	if (!object->bpf)
		return -errno;
	*step = "size its maps";
	error = size_maps(object->bpf, sizes, size_count);
	if (error)
		return error;
	ignore_pid(object->bpf, ignored_pid);
	leave_out(object->bpf, without);
	*step = "load it into the kernel";
	error = bpf_object__load(object->bpf);
	return error ? error : attach_all(object, step);
}

struct osmia_object *osmia_object_open(const char *path, uint32_t ignored_pid, const char *without,
				       const struct osmia_map_size *sizes, uint32_t size_count,
				       char *error, size_t error_size)
{
	struct osmia_object *object = calloc(1, sizeof(*object));
	const char *step = "allocate memory";
	int code;

	word_length = 0;
	words[0] = 0;
	libbpf_set_print(keep_words);
	code = object ? build(object, path, ignored_pid, without, sizes, size_count, &step)
		      : -ENOMEM;
	if (!code)
		return object;
	snprintf(error, error_size, "%s: %s\n%s", step, strerror(-code), words);
	if (object)
		osmia_object_close(object);
	return NULL;
}

void osmia_object_close(struct osmia_object *object)
{
	for (int i = 0; i < object->link_count; i++)
		bpf_link__destroy(object->links[i]);
	bpf_object__close(object->bpf);
	free(object);
}

int osmia_object_sizes(struct osmia_object *object, const char *name, uint32_t *key_bytes,
		       uint32_t *value_bytes)
{
	struct bpf_map *map = bpf_object__find_map_by_name(object->bpf, name);

	if (!map)
		return -ENOENT;
	*key_bytes = bpf_map__key_size(map);
	*value_bytes = bpf_map__value_size(map);
	return 0;
}

/* Kernels before 5.6 have no batch operations: there, key by key. */
static long read_one_by_one(const struct bpf_map *map, char *keys, char *values,
			    uint32_t max_entries)
{
	uint32_t count = 0;
	void *previous = NULL;

	while (count < max_entries &&
	       !bpf_map_get_next_key(bpf_map__fd(map), previous,
				     keys + count * bpf_map__key_size(map))) {
		previous = keys + count * bpf_map__key_size(map);
		if (!bpf_map_lookup_elem(bpf_map__fd(map), previous,
					 values + count * bpf_map__value_size(map)))
			count++;
	}
	return count;
}

long osmia_object_read(struct osmia_object *object, const char *name, void *keys, void *values,
		       uint32_t max_entries)
{
	struct bpf_map *map = bpf_object__find_map_by_name(object->bpf, name);
	uint32_t position = 0, done = 0, count;
	void *from = NULL;
	int error;

	if (!map)
		return -ENOENT;
	do {
		count = max_entries - done;
		error = bpf_map_lookup_batch(bpf_map__fd(map), from, &position,
					     (char *)keys + done * bpf_map__key_size(map),
					     (char *)values + done * bpf_map__value_size(map),
					     &count, NULL);
		if (error && errno != ENOENT)
			return done ? -errno : read_one_by_one(map, keys, values, max_entries);
		done += count;
		from = &position;
	} while (!error && done < max_entries);
	return done;
}

long osmia_object_delete(struct osmia_object *object, const char *name, const void *keys,
			 uint32_t count)
{
	struct bpf_map *map = bpf_object__find_map_by_name(object->bpf, name);
	long deleted = 0;

	if (!map)
		return -ENOENT;
	for (uint32_t i = 0; i < count; i++)
		deleted += !bpf_map_delete_elem(bpf_map__fd(map),
						(const char *)keys + i * bpf_map__key_size(map));
	return deleted;
}

int osmia_object_sum(struct osmia_object *object, const char *name, uint64_t *sums, uint32_t count)
{
	struct bpf_map *map = bpf_object__find_map_by_name(object->bpf, name);
	int cpus = libbpf_num_possible_cpus(), error;
	uint32_t zero = 0;
	uint64_t *values;

	if (!map || cpus < 1)
		return -ENOENT;
	if (bpf_map__value_size(map) != count * sizeof(*sums))
		return -EINVAL;
	values = calloc(cpus, count * sizeof(*sums));
	if (!values)
		return -ENOMEM;
	error = bpf_map_lookup_elem(bpf_map__fd(map), &zero, values);
	memset(sums, 0, count * sizeof(*sums));
	for (int cpu = 0; !error && cpu < cpus; cpu++)
		for (uint32_t i = 0; i < count; i++)
			sums[i] += values[(size_t)cpu * count + i];
	free(values);
	return error;
}

int osmia_object_walk(struct osmia_object *object, const char *name)
{
	char nothing[64]; /* such a program writes no text, but is run by reading it */
	int fd = -ENOENT;
	ssize_t got;

	for (int i = 0; i < object->link_count; i++)
		if (!strcmp(bpf_program__name(object->programs[i]), name))
			fd = bpf_iter_create(bpf_link__fd(object->links[i]));
	if (fd < 0)
		return fd;
	do {
		got = read(fd, nothing, sizeof(nothing)); /* EAGAIN: after a million objects */
	} while (got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR)));
	close(fd);
	return got < 0 ? -errno : 0;
}
