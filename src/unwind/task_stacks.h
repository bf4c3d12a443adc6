// The stacks of a kernel's tasks.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kernel/tasks.h"
#include "unwind/architecture.h"
#include "unwind/cpu_registers.h"
#include "unwind/kernel_stacks.h"

namespace kvista::kernel {
class Session;
}

namespace kvista::unwind {

/// Where a task's stack was followed from.
enum class Origin : uint8_t {
  switched_out,  ///< it does not run: from where it was switched out
  cpu,           ///< it ran: from its CPU's registers
  user_mode,     ///< it ran in user mode: there is nothing on its stack
  guess,         ///< it ran, and nobody noted where: from where it was switched out last
  none,          ///< `fault` says why
};
/// "switched out", "cpu", "user mode", "guess", "none".
const char* describe(Origin origin);

struct TaskStack {
  Origin origin = Origin::none;
  std::optional<RegisterSource> source;  ///< of a CPU's registers
  std::optional<unsigned> cpu;           ///< that it runs on
  Trace trace;
  /// What the frames' stacks point into.
  std::shared_ptr<const std::vector<Stack>> stacks;
};

/// For one thread: what was looked up is kept.
class TaskStacks {
 public:
  explicit TaskStacks(const kernel::Session& session);

  /// Follows a task's stack. Never throws: the trace says what is missing.
  TaskStack read(const Value& task);

  /// The task that each CPU runs. Where that is not known, all count as switched out, and the frames tell.
  const kernel::RunningTasks& running() const { return running_; }
  /// The CPU that crashed: crashing_cpu, or panic_cpu. Nothing where none did.
  std::optional<unsigned> crashing_cpu() const;
  /// What a CPU runs. Throws NotFound where that is not known.
  Value task_on(unsigned cpu) const;
  /// What the CPU ran that crashed, else what the first one runs. Throws likewise.
  Value current_task() const;
  /// By which means frames are found most often.
  Means usual_means() const { return usual_means_; }
  /// What is missing for all stacks to be followed well, in one sentence; empty where nothing is.
  std::string what_is_missing() const { return follower_ ? follower_->what_is_missing() : ""; }
  /// Of a task that was switched out: from where it is followed, and the lowest word on its stack. Throws
  /// where its task_struct does not say it.
  Start of_switched_out(const Value& task) const { return follower().of_switched_out(task); }
  VirtAddr lowest_of(const Value& task) const { return follower().lowest_of(task); }
  const KernelStacks& stacks() const { return stacks_; }

 private:
  void follow(const Value& task, TaskStack& found);
  std::optional<Start> of_cpu(unsigned cpu, TaskStack& found) const;
  const Follower& follower() const;

  const kernel::Session& session_;
  std::unique_ptr<Follower> follower_;  // null where stacks of this architecture are not followed
  Means usual_means_;
  KernelStacks stacks_;
  std::map<unsigned, CpuRegisters> registers_;
  kernel::RunningTasks running_;
};

}  // namespace kvista::unwind
