// Workqueues: what their workers run, and what waits for them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kernel/tasks.h"

namespace kvista::kernel {

class Session;

enum class WorkState : uint8_t {
  running,    ///< a worker runs it
  scheduled,  ///< it is in the line of one worker
  pending,    ///< it is in the line of a pool
  inactive,   ///< its workqueue runs as much as it may at once
  delayed,    ///< its timer has not run out
};
/// "running", "scheduled", "pending", "inactive", "delayed".
const char* name_of(WorkState state);

struct Work {
  WorkState state = WorkState::pending;
  VirtAddr address;                      ///< its struct work_struct
  VirtAddr function;                     ///< that runs; 0: not known
  std::string queue;                     ///< the name of its workqueue; empty: not known
  std::optional<unsigned> cpu = {};      ///< of a delayed one: whose timer it is
  std::optional<uint64_t> expires = {};  ///< of a delayed one: in jiffies
};

struct Worker {
  VirtAddr address;
  std::optional<uint64_t> id;
  std::optional<Task> task;
  std::string description;  ///< what it did last; of a rescuer its workqueue's name
  bool is_idle = false;
  std::optional<Work> current;
  std::vector<Work> scheduled;
};

struct WorkerPool {
  VirtAddr address;
  uint64_t id = 0;
  std::optional<int64_t> cpu;  ///< -1: of any CPU
  std::optional<int64_t> nice;
  std::optional<uint64_t> workers_counted, idle_counted;  ///< as the pool says
  std::vector<Worker> workers;
  std::vector<Work> pending;
};

/// A workqueue's part in a pool (struct pool_workqueue).
struct PoolQueue {
  VirtAddr address;
  std::optional<uint64_t> pool;    ///< its id
  std::optional<uint64_t> active;  ///< how many works run or are pending
  std::vector<Work> inactive;
};

struct WorkQueue {
  VirtAddr address;
  std::string name;
  std::optional<uint64_t> flags;
  std::optional<uint64_t> most_active;  ///< at once, in a pool
  std::optional<Worker> rescuer;
  std::vector<PoolQueue> pools;
};

/// What cannot be read is left out, and `faults` says why.
struct WorkQueues {
  std::vector<WorkerPool> pools;  ///< by id
  std::vector<WorkQueue> queues;
  std::vector<Work> delayed;
  std::optional<uint64_t> now;  ///< in jiffies
  std::vector<std::string> faults;
};
/// Throws NotFound where the kernel's variables are not known.
WorkQueues read_work_queues(const Session& session);

}  // namespace kvista::kernel
