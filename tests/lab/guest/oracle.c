/* Takes what the kernel says about every page, twice: before and after the host has dumped the stopped
 * guest. All memory it needs is there, touched and locked before the first snapshot; nothing is written
 * to a file before the second one. usage: oracle DIRECTORY */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAX_PAGES (4UL << 20)
#define TEXT_SIZE (64UL << 10)
#define LOG_SIZE (1UL << 20)
#define RECORD_SIZE 8192
#define QUIET_PAGES 150
#define TRIES 40

struct source {
	const char *name;
	const char *path;
	size_t room;
	int records; /* of /dev/kmsg: one a read() */
	int file;
	char *data[2];
	size_t size[2];
};

static struct source sources[] = {
	{.name = "kpageflags", .path = "/proc/kpageflags", .room = 0},
	{.name = "kpagecount", .path = "/proc/kpagecount", .room = 0},
	{.name = "buddyinfo", .path = "/proc/buddyinfo", .room = TEXT_SIZE},
	{.name = "zoneinfo", .path = "/proc/zoneinfo", .room = TEXT_SIZE},
	{.name = "meminfo", .path = "/proc/meminfo", .room = TEXT_SIZE},
	{.name = "vmstat", .path = "/proc/vmstat", .room = TEXT_SIZE},
	{.name = "kmsg", .path = "/dev/kmsg", .room = LOG_SIZE, .records = 1},
};
#define SOURCES (sizeof sources / sizeof sources[0])

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

/* How many page frames the kernel has: the size of kpageflags, found with a small buffer. */
static size_t count_pages(int file) {
	static uint64_t buffer[8192];
	size_t got = 0;
	for (ssize_t n; got < MAX_PAGES * 8 && (n = read(file, buffer, sizeof buffer)) > 0;)
		got += (size_t)n;
	return got / 8;
}

static void take(int which) {
	for (size_t i = 0; i < SOURCES; i++)
		sources[i].size[which] = (sources[i].records ? read_log : read_all)(sources[i].file, sources[i].data[which],
		                                                                   sources[i].room);
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

static void save(const char *directory, const struct source *source, int which) {
	char path[512];
	snprintf(path, sizeof path, "%s/%s.%s", directory, source->name, which ? "after" : "before");
	int file = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0644);
	if (file < 0)
		die(path);
	for (size_t done = 0; done < source->size[which];) {
		ssize_t n = write(file, source->data[which] + done, source->size[which] - done);
		if (n <= 0)
			die(path);
		done += (size_t)n;
	}
	close(file);
}

int main(int argc, char **argv) {
	char answer[64];
	if (argc != 2)
		return 3;
	for (size_t i = 0; i < SOURCES; i++)
		if ((sources[i].file = open(sources[i].path, O_RDONLY | O_NONBLOCK)) < 0)
			die(sources[i].path);
	size_t pages = count_pages(sources[0].file);
	for (size_t i = 0; i < SOURCES; i++) {
		sources[i].room = sources[i].room ? sources[i].room : pages * 8;
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
