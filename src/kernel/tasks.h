// Tasks: processes, threads and the kernel's own.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "kvista/value.h"

namespace kvista::kernel {

class Session;

/// All tasks: each CPU's idle task, then the processes, oldest first, each followed by its threads.
struct TaskList {
  std::vector<Value> tasks;
  std::vector<std::string> faults;  ///< why it may not be all of them
};
TaskList all_tasks(const Session& session);

/// The task of a process number (a thread's too), or nothing. Throws NotFound or FaultError where that cannot
/// be told.
std::optional<Value> task_by_number(const Session& session, uint64_t pid);

/// The task that each CPU runs (struct rq, curr).
struct RunningTasks {
  std::map<unsigned, VirtAddr> by_cpu;
  std::vector<std::string> faults;  ///< why it is not known of some CPUs, or of any
};
RunningTasks running_tasks(const Session& session);

/// What `ps` says of a task. What cannot be read has no value.
struct Task {
  Value object;  ///< its struct task_struct
  VirtAddr address;
  std::optional<uint64_t> pid;
  std::optional<uint64_t> tgid;
  std::optional<uint64_t> ppid;
  std::optional<uint64_t> cpu;
  std::optional<std::string> state;   ///< "RU", "IN", "UN" ...
  std::optional<uint64_t> vsz;        ///< bytes
  std::optional<uint64_t> rss;        ///< bytes
  std::optional<double> mem_percent;  ///< rss of all memory
  std::optional<std::string> comm;
  std::optional<bool> is_kernel_thread;
  bool is_active = false;               ///< it runs on its CPU
  std::optional<uint64_t> start_time;   ///< nanoseconds after the kernel started
  std::optional<uint64_t> user_time;    ///< nanoseconds
  std::optional<uint64_t> system_time;  ///< nanoseconds
  VirtAddr parent;                      ///< 0: none, or not known
  std::string fault;                    ///< why something has no value, of the first; empty where all has
};

/// Describes tasks of one kernel, and keeps what they share.
class TaskReader {
 public:
  explicit TaskReader(const Session& session);
  /// Without parent, times and memory, which take longer. Nothing is thrown: what cannot be read is left out.
  Task read_identity(const Value& object) const;
  /// Nothing is thrown: what cannot be read is left out.
  Task read(const Value& object);
  /// The tasks that are active.
  const RunningTasks& running() const { return running_; }

 private:
  struct Memory {
    std::optional<uint64_t> vsz;
    std::optional<uint64_t> rss;
    std::string fault;
  };
  void prepare_memory();
  const Memory& memory_of(const Value& mm);
  void read_memory(Task& task, const Value& mm);
  uint64_t resident_pages(const Value& mm) const;

  const Session* session_;
  uint64_t page_size_ = 0;                // this and what follows: once memory was asked for
  std::optional<uint64_t> total_memory_;  // bytes
  std::vector<unsigned> counters_;
  RunningTasks running_;
  std::vector<VirtAddr> active_;      // the same, sorted
  std::map<uint64_t, Memory> known_;  // by mm_struct: threads share one
};

/// The two letters that crash has for a task's state.
std::string state_name(uint64_t state, uint64_t exit_state);
/// All memory that the kernel manages, in bytes.
uint64_t total_memory(const Session& session);
/// Bytes in a page.
uint64_t page_size(const Session& session);

}  // namespace kvista::kernel
