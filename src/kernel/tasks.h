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

/// What `ps` says of a task.
struct Task {
  Value object;  ///< its struct task_struct
  VirtAddr address;
  uint64_t pid = 0;
  uint64_t tgid = 0;
  uint64_t ppid = 0;
  uint64_t cpu = 0;
  std::string state;       ///< "RU", "IN", "UN" ...
  uint64_t vsz = 0;        ///< bytes
  uint64_t rss = 0;        ///< bytes
  double mem_percent = 0;  ///< rss of all memory
  std::string comm;
  bool is_kernel_thread = false;
  bool is_active = false;    ///< it runs on its CPU
  uint64_t start_time = 0;   ///< nanoseconds after the kernel started
  uint64_t user_time = 0;    ///< nanoseconds
  uint64_t system_time = 0;  ///< nanoseconds
  VirtAddr parent;
};

/// Describes tasks of one kernel, and keeps what they share.
class TaskReader {
 public:
  explicit TaskReader(const Session& session);
  /// Throws FaultError where the task's own memory cannot be read.
  Task read(const Value& object);

 private:
  struct Memory {
    uint64_t vsz = 0;
    uint64_t rss = 0;
  };
  Memory memory_of(const Value& mm);
  uint64_t resident_pages(const Value& mm) const;

  uint64_t page_size_;
  uint64_t total_memory_ = 0;  // bytes
  std::vector<unsigned> counters_;
  std::vector<VirtAddr> active_;
  std::map<uint64_t, Memory> known_;  // by mm_struct: threads share one
};

/// The two letters that crash has for a task's state.
std::string state_name(uint64_t state, uint64_t exit_state);
/// All memory that the kernel manages, in bytes.
uint64_t total_memory(const Session& session);
/// Bytes in a page.
uint64_t page_size(const Session& session);

}  // namespace kvista::kernel
