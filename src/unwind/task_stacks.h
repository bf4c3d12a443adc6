// The stacks of a kernel's tasks.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kernel/tasks.h"
#include "machine/architecture.h"
#include "unwind/cpu_registers.h"
#include "unwind/kernel_stacks.h"
#include "unwind/kernel_target.h"
#include "unwind/unwinder.h"

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
  /// Why there are no ORC tables, in one sentence; empty where there are.
  const std::string& why_no_orc() const { return target_.tables().why_none(); }
  const KernelStacks& stacks() const { return stacks_; }

 private:
  void follow(const Value& task, TaskStack& found);
  std::optional<Start> of_cpu(unsigned cpu, TaskStack& found) const;
  Start of_switched_out(const Value& task) const;

  const kernel::Session& session_;
  const machine::Architecture& architecture_;
  KernelTarget target_;
  KernelStacks stacks_;
  std::map<unsigned, CpuRegisters> registers_;
  kernel::RunningTasks running_;
  std::optional<VirtAddr> ret_from_fork_;
};

}  // namespace kvista::unwind
