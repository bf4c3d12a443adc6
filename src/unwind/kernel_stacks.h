// Where the stacks of tasks and CPUs are.
#pragma once

#include <map>
#include <vector>

#include "kvista/value.h"
#include "unwind/stack.h"

namespace kvista::kernel {
class Session;
}

namespace kvista::unwind {

struct StackRules;

/// For one thread: what was found is kept.
class KernelStacks {
 public:
  explicit KernelStacks(const kernel::Session& session);

  /// THREAD_SIZE, in bytes.
  uint64_t task_stack_size() const { return task_stack_size_; }
  /// Throws FaultError or NotFound where its task_struct does not say where it is.
  Stack of_task(const Value& task) const;
  /// Those of a CPU: for interrupts, exceptions ... What cannot be found is left out.
  const std::vector<Stack>& of_cpu(unsigned cpu);

 private:
  const kernel::Session& session_;
  const StackRules* rules_;  // null where stacks of this architecture are not followed
  uint64_t task_stack_size_;
  std::map<unsigned, std::vector<Stack>> of_cpus_;
};

}  // namespace kvista::unwind
