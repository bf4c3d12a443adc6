/* Takes what the kernel says about every page and every task, twice: before and after the host has dumped the
 * stopped guest. All memory it needs is there, touched and locked before the first snapshot; nothing is written
 * to a file before the second one. usage: oracle DIRECTORY, or oracle tasks FILE for one snapshot of the tasks */
#define _GNU_SOURCE
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MAX_PAGES (4UL << 20)
#define TEXT_SIZE (64UL << 10)
#define LOG_SIZE (1UL << 20)
#define TASKS_SIZE (2UL << 20)
#define RECORD_SIZE 8192
#define QUIET_PAGES 150
#define TRIES 40

struct source {
	const char *name;
	const char *path;
	size_t room; /* 0: one word for each page frame */
	size_t (*take)(int file, char *into, size_t room);
	int words;
	int file;
	char *data[2];
	size_t size[2];
};

static void die(const char *what) {
	perror(what);
	exit(1);
}

static char *locked_memory(size_t size) {
	char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (memory == MAP_FAILED)
		die("mmap");
	memset(memory, 0x5a, size);
	return memory;
}

static size_t read_all(int file, char *into, size_t room) {
	size_t got = 0;
	lseek(file, 0, SEEK_SET);
	for (ssize_t n; got < room && (n = read(file, into + got, room - got)) > 0;)
		got += (size_t)n;
	return got;
}

/* All records of the log, each followed by an empty line. */
static size_t read_log(int file, char *into, size_t room) {
	size_t got = 0;
	lseek(file, 0, SEEK_SET);
	while (got + RECORD_SIZE + 1 < room) {
		ssize_t n = read(file, into + got, RECORD_SIZE);
		if (n < 0 && (errno == EPIPE || errno == EINTR)) /* overwritten meanwhile: go on behind it */
			continue;
		if (n <= 0)
			break;
		got += (size_t)n;
		into[got++] = '\n';
	}
	return got;
}

/* A text that grows to the end of its room and no further. */
struct text {
	char *data;
	size_t size;
	size_t room;
};

/* One file below /proc: a line "== PATH SIZE", what is in it, a newline. What has ended meanwhile has size 0. */
static void add_file(struct text *text, int proc, const char *path) {
	static char content[1 << 16];
	char head[600];
	size_t size = 0;
	int file = openat(proc, path, O_RDONLY);
	if (file >= 0) {
		size = read_all(file, content, sizeof content);
		close(file);
	}
	int length = snprintf(head, sizeof head, "== %s %zu\n", path, size);
	if (text->size + (size_t)length + size + 1 > text->room)
		return;
	memcpy(text->data + text->size, head, (size_t)length);
	memcpy(text->data + text->size + length, content, size);
	text->size += (size_t)length + size;
	text->data[text->size++] = '\n';
}

struct entry {
	uint64_t inode;
	int64_t next;
	unsigned short size;
	unsigned char kind;
	char name[];
};

typedef void visitor(const char *name, void *context);

/* Calls `each` with the names in a directory that are numbers. */
static void for_numbers(int directory, char *buffer, size_t room, visitor *each, void *context) {
	lseek(directory, 0, SEEK_SET);
	for (long n; (n = syscall(SYS_getdents64, directory, buffer, room)) > 0;)
		for (long at = 0; at < n;) {
			const struct entry *entry = (const struct entry *)(buffer + at);
			if (entry->name[0] >= '0' && entry->name[0] <= '9')
				each(entry->name, context);
			at += entry->size;
		}
}

struct visit {
	struct text *text;
	int proc;
	const char *process;
};

static void add_thread(const char *name, void *context) {
	static const char *const files[] = {"stat", "stack"};
	const struct visit *visit = context;
	char path[600];
	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
		snprintf(path, sizeof path, "%s/task/%s/%s", visit->process, name, files[i]);
		add_file(visit->text, visit->proc, path);
	}
}

static void add_process(const char *name, void *context) {
	static const char *const files[] = {"status", "statm", "smaps_rollup"};
	static char buffer[1 << 15];
	struct visit visit = *(struct visit *)context;
	char path[600];
	visit.process = name;
	snprintf(path, sizeof path, "%s/task", name);
	int directory = openat(visit.proc, path, O_RDONLY | O_DIRECTORY);
	if (directory >= 0) {
		for_numbers(directory, buffer, sizeof buffer, add_thread, &visit);
		close(directory);
	}
	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
		snprintf(path, sizeof path, "%s/%s", name, files[i]);
		add_file(visit.text, visit.proc, path);
	}
}

/* What ps and the like show: the clock, the load, and of each task and process the files that tell of it. */
static size_t read_tasks(int proc, char *into, size_t room) {
	static char buffer[1 << 15];
	struct text text = {into, 0, room};
	struct visit visit = {&text, proc, NULL};
	text.size = (size_t)snprintf(into, room, "== clock 11\n%011lld\n", (long long)time(NULL));
	add_file(&text, proc, "loadavg");
	add_file(&text, proc, "uptime");
	add_file(&text, proc, "meminfo");
	for_numbers(proc, buffer, sizeof buffer, add_process, &visit);
	return text.size;
}

static struct source sources[] = {
	{.name = "kpageflags", .path = "/proc/kpageflags", .room = 0, .take = read_all},
	{.name = "kpagecount", .path = "/proc/kpagecount", .room = 0, .take = read_all},
	{.name = "buddyinfo", .path = "/proc/buddyinfo", .room = TEXT_SIZE, .take = read_all},
	{.name = "zoneinfo", .path = "/proc/zoneinfo", .room = TEXT_SIZE, .take = read_all},
	{.name = "meminfo", .path = "/proc/meminfo", .room = TEXT_SIZE, .take = read_all},
	{.name = "vmstat", .path = "/proc/vmstat", .room = TEXT_SIZE, .take = read_all},
	{.name = "kmsg", .path = "/dev/kmsg", .room = LOG_SIZE, .take = read_log},
	{.name = "tasks", .path = "/proc", .room = TASKS_SIZE, .take = read_tasks},
};
#define SOURCES (sizeof sources / sizeof sources[0])

/* How many page frames the kernel has: the size of kpageflags, found with a small buffer. */
static size_t count_pages(int file) {
	static uint64_t buffer[8192];
	size_t got = 0;
	for (ssize_t n; got < MAX_PAGES * 8 && (n = read(file, buffer, sizeof buffer)) > 0;)
		got += (size_t)n;
	return got / 8;
}

/* The flags of the pages, which the first source has, are read nearest to the dump. */
static void take(int which) {
	for (size_t n = 0; n < SOURCES; n++) {
		struct source *source = &sources[which ? n : SOURCES - 1 - n];
		source->size[which] = source->take(source->file, source->data[which], source->room);
	}
}

/* Waits until hardly any page changes within a third of a second; says how many still did. */
static long settle(size_t pages) {
	long changed = 0;
	for (int quiet = 0, tries = 0; quiet < 3 && tries < TRIES; tries++) {
		take(0);
		usleep(300000);
		take(1);
		const uint64_t *one = (const uint64_t *)sources[0].data[0], *two = (const uint64_t *)sources[0].data[1];
		changed = 0;
		for (size_t i = 0; i < pages; i++)
			changed += one[i] != two[i];
		quiet = changed <= QUIET_PAGES ? quiet + 1 : 0;
	}
	return changed;
}

static void say(const char *text) {
	if (write(1, text, strlen(text)) < 0)
		die("console");
}

static void write_file(const char *path, const char *data, size_t size) {
	int file = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0644);
	if (file < 0)
		die(path);
	for (size_t done = 0; done < size;) {
		ssize_t n = write(file, data + done, size - done);
		if (n <= 0)
			die(path);
		done += (size_t)n;
	}
	close(file);
}

/* What the kernel gives as words of 8 bytes leaves the guest in one byte order. */
static void to_little_endian(char *data, size_t size) {
	uint64_t *words = (uint64_t *)data;
	for (size_t i = 0; i < size / 8; i++)
		words[i] = htole64(words[i]);
}

static void save(const char *directory, const struct source *source, int which) {
	char path[512];
	snprintf(path, sizeof path, "%s/%s.%s", directory, source->name, which ? "after" : "before");
	if (source->words)
		to_little_endian(source->data[which], source->size[which]);
	write_file(path, source->data[which], source->size[which]);
}

/* One snapshot of the tasks, at once. */
static int save_tasks(const char *path) {
	char *into = locked_memory(TASKS_SIZE);
	int proc = open("/proc", O_RDONLY);
	if (proc < 0)
		die("/proc");
	write_file(path, into, read_tasks(proc, into, TASKS_SIZE));
	return 0;
}

int main(int argc, char **argv) {
	char answer[64];
	if (argc == 3 && strcmp(argv[1], "tasks") == 0)
		return save_tasks(argv[2]);
	if (argc != 2)
		return 3;
	for (size_t i = 0; i < SOURCES; i++)
		if ((sources[i].file = open(sources[i].path, O_RDONLY | O_NONBLOCK)) < 0)
			die(sources[i].path);
	size_t pages = count_pages(sources[0].file);
	for (size_t i = 0; i < SOURCES; i++) {
		sources[i].words = sources[i].room == 0;
		sources[i].room = sources[i].words ? pages * 8 : sources[i].room;
		for (int which = 0; which < 2; which++)
			sources[i].data[which] = locked_memory(sources[i].room);
	}
	if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0)
		die("mlockall");
	long changed = settle(pages);
	take(0);
	say("\n@@lab:dump@@\n");
	if (read(0, answer, sizeof answer) <= 0)
		die("console");
	take(1);
	printf("oracle: %zu pages, %ld changed in the last trial\n", pages, changed);
	for (size_t i = 0; i < SOURCES; i++)
		for (int which = 0; which < 2; which++)
			save(argv[1], &sources[i], which);
	return 0;
}
