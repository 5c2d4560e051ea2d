/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/types.h>

#include "binding.h"
#include "events.h"
#include "lib/histogram.h"

#define PROGRAMS_MAX 16

struct osmia_capture {
	struct bpf_object *object;
	struct bpf_link *links[PROGRAMS_MAX];
	int link_count;
	struct ring_buffer *ring;
	char *slots; /* of the drain that is under way */
	size_t filled, capacity;
};

/* libbpf speaks through one global callback: its warnings are kept for the next error message. */
static char libbpf_words[4096];
static size_t libbpf_length;

/* The verifier tells its reason at the end of what may be a megabyte. */
#define WORDS_TAIL 600

static int keep_words(enum libbpf_print_level level, const char *format, va_list arguments)
{
	size_t room = sizeof(libbpf_words) - libbpf_length;
	char *words, *from;
	int length;

	if (level != LIBBPF_WARN || room < 2)
		return 0;
	length = vasprintf(&words, format, arguments);
	if (length < 0)
		return 0;
	from = length > WORDS_TAIL ? words + length - WORDS_TAIL : words;
	libbpf_length += snprintf(libbpf_words + libbpf_length, room, "%s", from);
	if (libbpf_length >= sizeof(libbpf_words))
		libbpf_length = sizeof(libbpf_words) - 1;
	free(words);
	return length;
}

static int take_event(void *context, void *data, size_t size)
{
	struct osmia_capture *capture = context;

	if (size > sizeof(struct osmia_event))
		size = sizeof(struct osmia_event);
	memcpy(capture->slots + capture->filled++ * sizeof(struct osmia_event), data, size);
	/* A negative value stops the consumption after this event. */
	return capture->filled < capture->capacity ? 0 : -ENOSPC;
}

static int size_map(struct bpf_object *object, const char *name, uint32_t entries)
{
	struct bpf_map *map = bpf_object__find_map_by_name(object, name);

	return map ? bpf_map__set_max_entries(map, entries) : -ENOENT;
}

static int set_ignored_pid(struct bpf_object *object, uint32_t pid)
{
	struct bpf_map *map = bpf_object__find_map_by_name(object, ".rodata");
	size_t size = 0;
	void *rodata = map ? (void *)bpf_map__initial_value(map, &size) : NULL;

	/* `ignored_pid` is the only knob, hence the first word of .rodata. */
	if (!rodata || size < sizeof(pid))
		return -ENOENT;
	memcpy(rodata, &pid, sizeof(pid));
	return 0;
}

/* The program that nothing calls but osmia_capture_sweep; asked for where the kernel has the
 * helper it needs. */
static bool is_sweep(const struct bpf_program *program)
{
	return !strcmp(bpf_program__name(program), "sweep");
}

static void ask_for_sweep(struct bpf_object *object)
{
	struct bpf_program *sweep = bpf_object__find_program_by_name(object, "sweep");

	if (sweep && libbpf_probe_bpf_helper(BPF_PROG_TYPE_RAW_TRACEPOINT,
					     BPF_FUNC_for_each_map_elem, NULL) == 1)
		bpf_program__set_autoload(sweep, true);
}

static int set_control(struct bpf_object *object, const struct osmia_asked *asked)
{
	struct bpf_map *map = bpf_object__find_map_by_name(object, "control");
	uint32_t zero = 0;

	return map ? bpf_map_update_elem(bpf_map__fd(map), &zero, asked, BPF_ANY) : -ENOENT;
}

static int attach_all(struct osmia_capture *capture, const char **step)
{
	struct bpf_program *program;

	bpf_object__for_each_program(program, capture->object)
	{
		*step = bpf_program__name(program);
		if (!bpf_program__autoload(program) || is_sweep(program))
			continue;
		if (capture->link_count == PROGRAMS_MAX)
			return -E2BIG;
		capture->links[capture->link_count] = bpf_program__attach(program);
		if (!capture->links[capture->link_count])
			return -errno;
		capture->link_count++;
	}
	return 0;
}

static int build(struct osmia_capture *capture, const char *path,
		 const struct osmia_options *options, const struct osmia_asked *asked,
		 const char **step)
{
	int error;

	*step = "open the BPF object";
	capture->object = bpf_object__open_file(path, NULL);
	if (!capture->object)
		return -errno;
	*step = "size its maps";
	if ((error = size_map(capture->object, "events", options->ring_bytes)) ||
	    (error = size_map(capture->object, "connections", options->max_connections)) ||
	    (error = size_map(capture->object, "edges", options->max_edges)) ||
	    (error = size_map(capture->object, "histogram", options->max_buckets)) ||
	    (error = set_ignored_pid(capture->object, options->ignored_pid)))
		return error;
	ask_for_sweep(capture->object);
	*step = "load it into the kernel";
	error = bpf_object__load(capture->object);
	if (error)
		return error;
	*step = "tell it what to do";
	error = set_control(capture->object, asked);
	if (error)
		return error;
	*step = "map the ring buffer";
	capture->ring = ring_buffer__new(bpf_object__find_map_fd_by_name(capture->object, "events"),
					 take_event, capture, NULL);
	if (!capture->ring)
		return -errno;
	return attach_all(capture, step);
}

struct osmia_capture *osmia_capture_open(const char *path, const struct osmia_options *options,
					 const struct osmia_asked *asked, char *error,
					 size_t error_size)
{
	struct osmia_capture *capture = calloc(1, sizeof(*capture));
	const char *step = "allocate memory";
	int code;

	libbpf_length = 0;
	libbpf_words[0] = 0;
	libbpf_set_print(keep_words);
	code = capture ? build(capture, path, options, asked, &step) : -ENOMEM;
	if (!code)
		return capture;
	snprintf(error, error_size, "%s: %s\n%s", step, strerror(-code), libbpf_words);
	if (capture)
		osmia_capture_close(capture);
	return NULL;
}

void osmia_capture_close(struct osmia_capture *capture)
{
	for (int i = 0; i < capture->link_count; i++)
		bpf_link__destroy(capture->links[i]);
	ring_buffer__free(capture->ring);
	bpf_object__close(capture->object);
	free(capture);
}

long osmia_capture_drain(struct osmia_capture *capture, void *slots, size_t max_events)
{
	int result;

	capture->slots = slots;
	capture->filled = 0;
	capture->capacity = max_events;
	result = ring_buffer__consume(capture->ring);
	return result < 0 && result != -ENOSPC ? result : (long)capture->filled;
}

/* Kernels before 5.6 have no batch operations: there, key by key. */
static long read_one_by_one(int fd, char *keys, char *values, uint32_t key_size,
			    uint32_t value_size, uint32_t max_entries)
{
	uint32_t count = 0;
	void *previous = NULL;

	while (count < max_entries &&
	       !bpf_map_get_next_key(fd, previous, keys + count * key_size)) {
		previous = keys + count * key_size;
		if (!bpf_map_lookup_elem(fd, previous, values + count * value_size))
			count++;
	}
	return count;
}

long osmia_capture_read(struct osmia_capture *capture, const char *name, void *keys, void *values,
			uint32_t max_entries)
{
	struct bpf_map *map = bpf_object__find_map_by_name(capture->object, name);
	uint32_t position = 0, done = 0, count, key_size, value_size;
	void *from = NULL;
	int fd, error;

	if (!map)
		return -ENOENT;
	fd = bpf_map__fd(map);
	key_size = bpf_map__key_size(map);
	value_size = bpf_map__value_size(map);
	do {
		count = max_entries - done;
		error = bpf_map_lookup_batch(fd, from, &position, (char *)keys + done * key_size,
					     (char *)values + done * value_size, &count, NULL);
		if (error && errno != ENOENT)
			return done ? -errno
				    : read_one_by_one(fd, keys, values, key_size, value_size,
						      max_entries);
		done += count;
		from = &position;
	} while (!error && done < max_entries);
	return done;
}

long osmia_capture_delete(struct osmia_capture *capture, const char *name, const void *keys,
			  uint32_t count)
{
	struct bpf_map *map = bpf_object__find_map_by_name(capture->object, name);
	long deleted = 0;

	if (!map)
		return -ENOENT;
	for (uint32_t i = 0; i < count; i++)
		deleted += !bpf_map_delete_elem(bpf_map__fd(map),
						(const char *)keys + i * bpf_map__key_size(map));
	return deleted;
}

int osmia_capture_ledger(struct osmia_capture *capture, uint64_t *counters)
{
	struct bpf_map *map = bpf_object__find_map_by_name(capture->object, "ledger");
	int cpus = libbpf_num_possible_cpus(), error;
	size_t words = sizeof(struct osmia_ledger) / sizeof(uint64_t);
	uint64_t *values;
	uint32_t zero = 0;

	if (!map || cpus < 1)
		return -ENOENT;
	values = calloc(cpus, sizeof(struct osmia_ledger));
	if (!values)
		return -ENOMEM;
	error = bpf_map_lookup_elem(bpf_map__fd(map), &zero, values);
	memset(counters, 0, sizeof(struct osmia_ledger));
	for (int cpu = 0; !error && cpu < cpus; cpu++)
		for (size_t i = 0; i < words; i++)
			counters[i] += values[cpu * words + i];
	free(values);
	return error;
}

int osmia_capture_control(struct osmia_capture *capture, const struct osmia_asked *asked)
{
	return set_control(capture->object, asked);
}

int osmia_capture_sweep(struct osmia_capture *capture, uint32_t *jiffies)
{
	struct bpf_program *sweep = bpf_object__find_program_by_name(capture->object, "sweep");
	LIBBPF_OPTS(bpf_test_run_opts, run);
	int error;

	if (!sweep || bpf_program__fd(sweep) < 0)
		return -ENOTSUP;
	error = bpf_prog_test_run_opts(bpf_program__fd(sweep), &run);
	*jiffies = run.retval;
	return error;
}

int osmia_probe_map_type(int type)
{
	return libbpf_probe_bpf_map_type(type, NULL);
}

uint32_t osmia_event_size(void)
{
	return sizeof(struct osmia_event);
}

uint32_t osmia_control_size(void)
{
	return sizeof(struct osmia_control) == sizeof(struct osmia_asked)
		       ? sizeof(struct osmia_control)
		       : 0;
}

uint16_t osmia_histogram_bucket(uint64_t latency_ns)
{
	return histogram_bucket(latency_ns);
}
