/* Runs a command and says what it took: wall time and CPU time in microseconds, peak resident set in KiB, exit
 * status. A program of its own, because a child's ru_maxrss starts with the size of whoever forked it.
 * usage: measure OUTPUT COMMAND [ARGUMENT...] */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long micros(struct timeval time) { return time.tv_sec * 1000000L + time.tv_usec; }

static long now(void) {
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000L + time.tv_nsec / 1000;
}

int main(int argc, char **argv) {
	if (argc < 3)
		return 3;
	long start = now();
	pid_t child = fork();
	if (child < 0)
		return 1;
	if (child == 0) {
		int out = open(argv[1], O_CREAT | O_TRUNC | O_WRONLY, 0600);
		if (out < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0)
			_exit(126);
		execv(argv[2], argv + 2);
		_exit(127);
	}
	int status;
	struct rusage used;
	if (wait4(child, &status, 0, &used) != child)
		return 1;
	long wall = now() - start;
	printf("%ld %ld %ld %d\n", wall, micros(used.ru_utime) + micros(used.ru_stime), used.ru_maxrss,
	       WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	return 0;
}
