#include "cli/shell_job.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <iostream>

#include "base/error.h"

namespace kvista::cli {
namespace {

constexpr int kFailed = static_cast<int>(ExitStatus::nothing);

sigset_t interrupt_only() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  return set;
}

bool flush_all() {
  std::cout.flush();
  return std::fflush(stdout) == 0 && std::cout.good();
}

// Puts `from` in the place of `to`.
void replace(int to, int from) {
  if (from < 0 || dup2(from, to) < 0) throw Error(fmt::format("dup2: {}", std::strerror(errno)));
  close(from);
}

int open_output(const Statement& statement) {
  const int flags = O_WRONLY | O_CREAT | O_CLOEXEC | (statement.is_appended ? O_APPEND : O_TRUNC);
  constexpr int kMode = 0666;
  const int opened = open(statement.output.c_str(), flags, kMode);
  if (opened < 0)
    throw AccessError(fmt::format("{}: cannot be written: {}", statement.output, std::strerror(errno)));
  return opened;
}

// What the process ends with. Only here is anything printed of an error that came so far.
int guarded(const std::function<int()>& body) {
  try {
    const int status = body();
    if (flush_all() || status == kFailed) return status;
    fmt::print(stderr, "kvista: cannot write to standard output: {}\n", std::strerror(errno));
  } catch (const Error& error) {
    fmt::print(stderr, "kvista: {}\n", error.what());
    return static_cast<int>(error.exit_status());
  } catch (const std::exception& error) {
    fmt::print(stderr, "kvista: {}\n", error.what());
  }
  return kFailed;
}

int exec_shell(const std::string& text) {
  execl("/bin/sh", "sh", "-c", text.c_str(), static_cast<char*>(nullptr));
  throw Error(fmt::format("/bin/sh: {}", std::strerror(errno)));
}

JobResult result_of(int wait_status, bool is_writer) {
  if (WIFEXITED(wait_status)) return {WEXITSTATUS(wait_status), false};
  const int signal = WTERMSIG(wait_status);
  if (signal == SIGINT) return {kFailed, true};
  if (signal == SIGPIPE && is_writer) return {};  // as of `| head`
  fmt::print(stderr, "kvista: the command was ended by signal {} ({})\n", signal, strsignal(signal));
  return {kFailed, false};
}

}  // namespace

Jobs::Jobs(bool has_terminal) : has_terminal_(has_terminal) {
  if (!has_terminal_) return;
  own_group_ = getpgrp();
  tcgetattr(STDIN_FILENO, &modes_);
  for (const int signal : {SIGQUIT, SIGTSTP, SIGTTOU, SIGTTIN}) std::signal(signal, SIG_IGN);
  // Kept until it is asked for: between two commands it is for what comes next.
  const sigset_t interrupt = interrupt_only();
  sigprocmask(SIG_BLOCK, &interrupt, nullptr);
}

void Jobs::give_terminal_to(pid_t group) const {
  if (has_terminal_) tcsetpgrp(STDIN_FILENO, group);
}

// Both sides do this: whoever is first.
void Jobs::enter(pid_t group) const {
  std::signal(SIGPIPE, SIG_DFL);  // as of `| head`, whatever the shell was started with
  if (!has_terminal_) {
    replace(STDIN_FILENO, open("/dev/null", O_RDONLY | O_CLOEXEC));
    return;
  }
  setpgid(0, group);
  give_terminal_to(getpgrp());
  // SIGTSTP stays ignored: there is no way back to what was stopped.
  for (const int signal : {SIGQUIT, SIGTTOU, SIGTTIN, SIGINT}) std::signal(signal, SIG_DFL);
  const sigset_t interrupt = interrupt_only();
  sigprocmask(SIG_UNBLOCK, &interrupt, nullptr);
}

pid_t Jobs::start(pid_t group, const std::function<int()>& body) const {
  const pid_t process = fork();
  if (process < 0) throw Error(fmt::format("no process can be made: {}", std::strerror(errno)));
  if (process == 0)
    _exit(guarded([&] {
      enter(group);
      return body();
    }));
  if (has_terminal_) setpgid(process, group == 0 ? process : group);
  return process;
}

int Jobs::wait_for(pid_t process, pid_t group) const {
  int status = 0;
  for (;;) {
    const pid_t found = waitpid(process, &status, WUNTRACED);
    if (found < 0 && errno != EINTR) return kFailed << 8;
    if (found != process) continue;
    if (!WIFSTOPPED(status)) return status;
    give_terminal_to(group);
    kill(has_terminal_ ? -group : process, SIGCONT);
  }
}

JobResult Jobs::run(const Statement& statement, const std::function<int()>& work) const {
  flush_all();
  std::array<int, 2> ends = {-1, -1};
  if (!statement.pipe.empty() && pipe2(ends.data(), O_CLOEXEC) != 0)
    throw Error(fmt::format("no pipe can be made: {}", std::strerror(errno)));
  const pid_t writer = start(0, [&] {
    if (!statement.pipe.empty()) {
      close(ends[0]);  // else the pipe would never be seen to have lost its reader
      replace(STDOUT_FILENO, ends[1]);
    }
    if (!statement.output.empty()) replace(STDOUT_FILENO, open_output(statement));
    return work();
  });
  give_terminal_to(writer);
  pid_t reader = -1;
  if (!statement.pipe.empty()) {
    reader = start(writer, [&] {
      replace(STDIN_FILENO, ends[0]);
      return exec_shell(statement.pipe);
    });
    for (const int end : ends) close(end);
  }
  const int read_status = reader < 0 ? 0 : wait_for(reader, writer);
  const int status = wait_for(writer, writer);
  give_terminal_to(own_group_);
  if (has_terminal_) tcsetattr(STDIN_FILENO, TCSADRAIN, &modes_);  // whatever it left behind
  JobResult result = result_of(status, !statement.pipe.empty());
  if (WIFSIGNALED(read_status) && WTERMSIG(read_status) == SIGINT) result.is_interrupted = true;
  if (result.is_interrupted && has_terminal_) std::fputs("\n", stderr);
  return result;
}

JobResult Jobs::run_host(const std::string& text) const {
  return run({}, [&] { return exec_shell(text); });
}

bool Jobs::pause(unsigned seconds) const {
  const timespec time = {static_cast<time_t>(seconds), 0};
  if (!has_terminal_) {
    nanosleep(&time, nullptr);
    return true;
  }
  const sigset_t interrupt = interrupt_only();
  return sigtimedwait(&interrupt, nullptr, &time) != SIGINT;
}

}  // namespace kvista::cli
