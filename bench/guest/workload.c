/* The work of the reference dumps: page cache and processes whose pages compress not at all, well, or to
 * nothing. Ends when all pages are written; the processes stay. usage: bench-workload PROCESSES MIB_EACH FILE_MIB */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#define PAGE 4096UL
#define WORDS (PAGE / sizeof(uint64_t))
#define PAGES_PER_MIB 256UL

static uint64_t state = 88172645463325252ULL;

/* xorshift64: the same bytes in every run. */
static uint64_t random_word(void) {
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static void fill(uint64_t *words, uint64_t mask) {
	for (size_t i = 0; i < WORDS; i++)
		words[i] = random_word() & mask;
}

static void die(const char *what) {
	perror(what);
	exit(1);
}

static void write_file(unsigned long mib) {
	static uint64_t page[WORDS];
	int file = open("/tmp/cached", O_CREAT | O_WRONLY, 0600);
	if (file < 0)
		die("open");
	for (unsigned long i = 0; i < mib * PAGES_PER_MIB; i++) {
		fill(page, i % 3 == 0 ? 0 : i % 3 == 1 ? ~0ULL : 0x3f3f3f3f3f3f3f3fULL);
		if (write(file, page, PAGE) != (ssize_t)PAGE)
			die("write");
	}
	close(file);
}

static void use_memory(unsigned long mib) {
	char *memory = mmap(NULL, mib << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		die("mmap");
	for (unsigned long i = 0; i < mib * PAGES_PER_MIB; i++) {
		char *page = memory + i * PAGE;
		if (i % 4 == 0)
			*(volatile char *)page = 0;
		else if (i % 4 < 3)
			fill((uint64_t *)page, i % 4 == 1 ? ~0ULL : 0x0f0f0f0f0f0f0f0fULL);
		else
			for (size_t k = 0; k < PAGE / 16; k++)
				snprintf(page + 16 * k, 16, "line %08x", (unsigned)random_word() & 0xffff);
	}
}

int main(int argc, char **argv) {
	int ready[2];
	if (argc != 4 || pipe(ready) != 0)
		return 3;
	unsigned long processes = strtoul(argv[1], NULL, 0);
	write_file(strtoul(argv[3], NULL, 0));
	for (unsigned long i = 0; i < processes; i++) {
		pid_t child = fork();
		if (child < 0)
			die("fork");
		if (child != 0)
			continue;
		char name[16];
		snprintf(name, sizeof name, "worker-%lu", i);
		prctl(PR_SET_NAME, name);
		state += i * 7919;
		use_memory(strtoul(argv[2], NULL, 0));
		if (write(ready[1], "+", 1) != 1)
			die("pipe");
		for (;;)
			pause();
	}
	char sign;
	close(ready[1]);
	for (unsigned long i = 0; i < processes; i++)
		if (read(ready[0], &sign, 1) != 1)
			return 1;
	return 0;
}
