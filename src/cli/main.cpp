// The command kvista.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <iostream>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "cli/command_line.h"
#include "cli/makedumpfile.h"
#include "cli/shell.h"

namespace kvista::cli {
namespace {

// Where standard input, output or error is closed, the next file that is opened takes its number: the shell
// would read its commands from the image, and a dump would have warnings in it.
void hold_standard_files() {
  for (const int number : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    // To read only, so that what is written is an error as before. The lowest free number is this one.
    if (fcntl(number, F_GETFD) < 0 && open("/dev/null", O_RDONLY) != number)
      std::_Exit(static_cast<int>(ExitStatus::nothing));
}

// Nothing that was printed may be lost in silence: a full disk shows only now.
int run_and_flush(std::vector<std::string> words) {
  if (is_for_shell(words)) words.insert(words.begin(), "shell");
  const int status = run_command_line(words, nullptr);
  if (status == static_cast<int>(ExitStatus::nothing)) return status;  // a sentence was printed already
  std::cout.flush();
  if (std::cout.good() && std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return status;
  fmt::print(stderr, "kvista: cannot write to standard output: {}\n", std::strerror(errno));
  return static_cast<int>(ExitStatus::nothing);
}

}  // namespace
}  // namespace kvista::cli

int main(int argc, char** argv) {
  kvista::cli::hold_standard_files();
  if (kvista::cli::makedumpfile::is_meant_by(argc > 0 ? argv[0] : nullptr))
    return kvista::cli::makedumpfile::run(argc, argv);
  kvista::guard_mappings(static_cast<int>(kvista::ExitStatus::nothing));
  try {
    return kvista::cli::run_and_flush({argv + (argc > 0 ? 1 : 0), argv + argc});
  } catch (const std::exception& error) {
    // What is said here must not throw again.
    for (const char* part : {"kvista: ", error.what(), "\n"}) std::fputs(part, stderr);
  } catch (...) {
    std::fputs("kvista: an error of unknown kind\n", stderr);
  }
  return static_cast<int>(kvista::ExitStatus::nothing);
}
