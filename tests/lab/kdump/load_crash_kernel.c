/* Loads the kernel that is started when this one crashes: kexec_file_load(2), which needs no tool of its own.
 * usage: load_crash_kernel KERNEL INITRD COMMAND_LINE */
#include <errno.h>
#include <fcntl.h>
#include <linux/kexec.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int count, char **arguments) {
  if (count != 4) return 2;
  const int kernel = open(arguments[1], O_RDONLY);
  const int initrd = open(arguments[2], O_RDONLY);
  if (kernel < 0 || initrd < 0) {
    fprintf(stderr, "%s or %s: %s\n", arguments[1], arguments[2], strerror(errno));
    return 1;
  }
  if (syscall(SYS_kexec_file_load, kernel, initrd, strlen(arguments[3]) + 1, arguments[3], KEXEC_FILE_ON_CRASH) != 0) {
    fprintf(stderr, "kexec_file_load: %s\n", strerror(errno));
    return 1;
  }
  return 0;
}
