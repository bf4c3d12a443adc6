/* Fills every page class of a kernel with pages: one child process for each kind of memory. A child
 * reports "ok" or why its kind cannot be had in this kernel, then sleeps for ever, so that the memory
 * stays as it is. One makes tasks of many kinds instead. The program ends when all have reported; a child that
 * dies is an error. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096UL
#define MIB (1UL << 20)
#ifdef __s390x__
#define HUGE_PAGE MIB /* a segment table's entry */
#else
#define HUGE_PAGE (2 * MIB)
#endif

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif
#ifndef MADV_SOFT_OFFLINE
#define MADV_SOFT_OFFLINE 101
#endif

static uint64_t random_state = 0x9e3779b97f4a7c15ULL;

/* xorshift64*: the same content in every run. */
static uint64_t random_word(void) {
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return random_state * 0x2545f4914f6cdd1dULL;
}

/* Pages that compress not at all, well, and to nothing, and text, in turn. */
static void fill(char *memory, size_t size) {
	for (size_t at = 0; at < size; at += PAGE) {
		uint64_t *words = (uint64_t *)(memory + at);
		int kind = (int)(at / PAGE % 4);
		for (size_t i = 0; i < PAGE / 8; i++)
			words[i] = kind == 0 ? 0 : kind == 1 ? random_word() : 0x6120656e696c2061ULL + (kind == 2 ? random_word() % 16 : i);
	}
}

static char *anonymous(size_t size, int flags) {
	char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | flags, -1, 0);
	return memory == MAP_FAILED ? NULL : memory;
}

/* A stretch of private memory that starts on a huge page. */
static char *aligned(size_t size) {
	char *memory = anonymous(size + HUGE_PAGE, MAP_PRIVATE);
	return memory ? (char *)(((uintptr_t)memory + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1)) : NULL;
}

static const char *role_anon(void) {
	char *memory = anonymous(16 * MIB, MAP_PRIVATE);
	if (!memory)
		return "out of memory";
	madvise(memory, 16 * MIB, MADV_NOHUGEPAGE);
	fill(memory, 16 * MIB);
	return NULL;
}

static const char *role_shared(void) {
	char *memory = anonymous(4 * MIB, MAP_SHARED);
	if (!memory)
		return "out of memory";
	fill(memory, 4 * MIB);
	return NULL;
}

/* Whole huge pages, one of which is cut in two by munmap, and one that is only read (the huge zero page). */
static const char *role_thp(void) {
	size_t size = 12 * HUGE_PAGE;
	char *memory = aligned(size);
	if (!memory)
		return "out of memory";
	if (madvise(memory, size, MADV_HUGEPAGE) != 0)
		return strerror(errno);
	fill(memory, 10 * HUGE_PAGE);
	munmap(memory + 9 * HUGE_PAGE, MIB);
	return *(volatile char *)(memory + 11 * HUGE_PAGE) == 0 ? NULL : "fresh memory is not zero";
}

/* Half of the pool is mapped, and most of that touched: the rest stays in the pool. */
static const char *role_hugetlb(void) {
	char *memory = anonymous(8 * HUGE_PAGE, MAP_PRIVATE | MAP_HUGETLB);
	if (!memory)
		return strerror(errno);
	fill(memory, 6 * HUGE_PAGE);
	return NULL;
}

static const char *write_setting(const char *path, const char *value) {
	int file = open(path, O_WRONLY);
	if (file < 0)
		return strerror(errno);
	const char *problem = write(file, value, strlen(value)) < 0 ? strerror(errno) : NULL;
	close(file);
	return problem;
}

/* Equal pages that the kernel merges; merging is switched off again when it has seen them all. */
static const char *role_ksm(void) {
	size_t size = 2 * MIB;
	char *memory = anonymous(size, MAP_PRIVATE);
	if (!memory)
		return "out of memory";
	madvise(memory, size, MADV_NOHUGEPAGE);
	for (size_t at = 0; at < size; at += PAGE)
		memset(memory + at, (int)(at / PAGE % 8) + 1, PAGE);
	if (madvise(memory, size, MADV_MERGEABLE) != 0)
		return strerror(errno);
	write_setting("/sys/kernel/mm/ksm/pages_to_scan", "4000");
	write_setting("/sys/kernel/mm/ksm/sleep_millisecs", "10");
	const char *problem = write_setting("/sys/kernel/mm/ksm/run", "1");
	if (problem)
		return problem;
	usleep(800000);
	return write_setting("/sys/kernel/mm/ksm/run", "0");
}

/* Pages that went to swap; a part is read back and then is in the swap cache as well. */
static const char *role_swap(void) {
	size_t size = 8 * MIB;
	char *memory = anonymous(size, MAP_PRIVATE);
	if (!memory)
		return "out of memory";
	madvise(memory, size, MADV_NOHUGEPAGE);
	fill(memory, size);
	if (madvise(memory, size, MADV_PAGEOUT) != 0)
		return strerror(errno);
	usleep(300000);
	unsigned sum = 0;
	for (size_t at = 0; at < size / 4; at += 2 * PAGE)
		sum += *(volatile unsigned char *)(memory + at);
	return sum == 1 ? "" : NULL;
}

/* One page in each of many 2 MiB stretches: mostly page tables. */
static const char *role_tables(void) {
	size_t size = 512 * HUGE_PAGE;
	char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		return strerror(errno);
	madvise(memory, size, MADV_NOHUGEPAGE);
	for (size_t at = 0; at < size; at += HUGE_PAGE)
		memory[at] = 1;
	return NULL;
}

/* Writes a file (page cache with buffer heads on ext4) or reads one (page cache without). */
static const char *write_file(const char *path, size_t size) {
	char *memory = anonymous(MIB, MAP_PRIVATE);
	int file = open(path, O_CREAT | O_RDWR, 0600);
	if (file < 0 || !memory)
		return strerror(errno);
	for (size_t at = 0; at < size; at += MIB) {
		fill(memory, MIB);
		if (write(file, memory, MIB) != (ssize_t)MIB)
			return strerror(errno);
	}
	fsync(file);
	return NULL;
}

static const char *role_written(void) { return write_file("/disk/written", 24 * MIB); }
static const char *role_tmpfs(void) { return write_file("/tmp/file", 12 * MIB); }

static const char *role_read(void) {
	static char buffer[1 << 16];
	int file = open("/disk/given", O_RDONLY);
	if (file < 0)
		return strerror(errno);
	while (read(file, buffer, sizeof buffer) > 0)
		;
	struct stat about;
	fstat(file, &about);
	volatile char *memory = mmap(NULL, (size_t)about.st_size, PROT_READ, MAP_SHARED, file, 0);
	if (memory == MAP_FAILED)
		return strerror(errno);
	for (off_t at = 0; at < about.st_size / 2; at += (off_t)PAGE)
		(void)memory[at];
	return NULL;
}

/* The kernel tells a process early that a page of its is broken; this one does not mind. */
static void unmoved(int signal_number) { (void)signal_number; }

/* Pages that the kernel is told are broken: anonymous ones, clean file pages and some offlined softly. */
static const char *role_poison(void) {
	char *memory = anonymous(16 * PAGE, MAP_PRIVATE);
	int file = open("/disk/poison", O_RDONLY);
	signal(SIGBUS, unmoved);
	if (!memory || file < 0)
		return strerror(errno);
	char *mapped = mmap(NULL, 4 * PAGE, PROT_READ, MAP_SHARED, file, 0);
	fill(memory, 16 * PAGE);
	for (size_t i = 0; i < 4; i++)
		(void)*(volatile char *)(mapped + i * PAGE);
	for (size_t i = 0; i < 6; i++)
		if (madvise(memory + i * PAGE, PAGE, MADV_HWPOISON) != 0)
			return strerror(errno);
	for (size_t i = 0; i < 3; i++)
		madvise(mapped + i * PAGE, PAGE, MADV_HWPOISON);
	for (size_t i = 8; i < 14; i++)
		madvise(memory + i * PAGE, PAGE, MADV_SOFT_OFFLINE);
	return NULL;
}

static void sleep_for_ever(void) {
	for (;;)
		pause();
}

static void *named_thread(void *name) {
	prctl(PR_SET_NAME, name);
	sleep_for_ever();
	return NULL;
}

static void start_threads(void) {
	static char *const names[] = {"lab-thread-1", "lab-thread-2", "lab thread (3)"};
	pthread_t thread;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (pthread_create(&thread, NULL, named_thread, names[i]) != 0)
			_exit(1);
}

static void become_threads(void) {
	start_threads();
	sleep_for_ever();
}

/* The first thread ends, the others stay. */
static void become_leaderless(void) {
	start_threads();
	syscall(SYS_exit, 0);
}

static void become_stopped(void) {
	raise(SIGSTOP);
	sleep_for_ever();
}

static void become_traced(void) {
	ptrace(PTRACE_TRACEME, 0, NULL, NULL);
	become_stopped();
}

static void become_zombie(void) { _exit(7); }

/* A parent waits for its vfork as for a disk: in no state that a signal interrupts. */
static void become_waiting(void) {
	if (vfork() == 0)
		sleep_for_ever();
}

struct task {
	const char *name;
	void (*become)(void);
};

/* The last name is made to lead a reader of /proc/PID/stat astray. */
static const struct task tasks[] = {
	{"lab-threads", become_threads}, {"lab-leaderless", become_leaderless}, {"lab-stopped", become_stopped},
	{"lab-traced", become_traced},	 {"lab-zombie", become_zombie},	        {"lab-waiting", become_waiting},
	{"odd ) R 1 (x", sleep_for_ever},
};

/* Tasks in every state, with threads, and with odd names. Nothing waits for those that end. */
static const char *role_tasks(void) {
	for (size_t i = 0; i < sizeof tasks / sizeof tasks[0]; i++) {
		pid_t child = fork();
		if (child < 0)
			return strerror(errno);
		if (child == 0) {
			for (int file = 3; file < 16; file++) /* the report ends when nobody holds it open any more */
				close(file);
			prctl(PR_SET_NAME, tasks[i].name);
			tasks[i].become();
			_exit(1);
		}
	}
	usleep(300000);
	return NULL;
}

struct role {
	const char *name;
	const char *(*run)(void);
};

static const struct role roles[] = {
	{"thp", role_thp},	   {"hugetlb", role_hugetlb}, {"anon-1", role_anon},	 {"anon-2", role_anon},
	{"anon-3", role_anon},	   {"anon-4", role_anon},     {"shared", role_shared},	 {"swap", role_swap},
	{"tables", role_tables},   {"written", role_written}, {"tmpfs", role_tmpfs},	 {"read", role_read},
	{"poison", role_poison},   {"ksm", role_ksm},         {"tasks", role_tasks},
};

/* The child's side: play the role, report, sleep. */
static void play(const struct role *role, size_t number, int report) {
	prctl(PR_SET_NAME, role->name);
	random_state += number * 7919;
	const char *problem = role->run();
	dprintf(report, "%s", problem ? problem : "ok");
	close(report);
	sleep_for_ever();
}

int main(void) {
	signal(SIGCHLD, SIG_DFL);
	for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++) {
		int ends[2];
		char text[200] = "";
		if (pipe(ends) != 0)
			return 1;
		pid_t child = fork();
		if (child < 0)
			return 1;
		if (child == 0) {
			close(ends[0]);
			play(&roles[i], i, ends[1]);
		}
		close(ends[1]);
		size_t got = 0;
		for (ssize_t n; got < sizeof text - 1 && (n = read(ends[0], text + got, sizeof text - 1 - got)) > 0;)
			got += (size_t)n;
		close(ends[0]);
		if (got == 0) {
			printf("%s died\n", roles[i].name);
			return 1;
		}
		printf("%s: %s\n", roles[i].name, text);
		fflush(stdout);
	}
	return 0;
}
