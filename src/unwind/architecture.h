// How stacks are found and followed: one row for each architecture whose stacks kvista follows.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "arch/registers.h"
#include "kvista/value.h"
#include "unwind/trace.h"

namespace kvista::kernel {
class Session;
}

namespace kvista::unwind {

/// Follows the stacks of one kernel. For one thread: what was looked up is kept.
class Follower {
 public:
  Follower() = default;
  Follower(const Follower&) = delete;
  Follower& operator=(const Follower&) = delete;
  virtual ~Follower() = default;

  /// Never throws for what memory holds: the trace says where and why it ends. `stacks` must outlive it.
  virtual Trace follow(std::span<const Stack> stacks, const Start& start) const = 0;
  /// Where a task goes on that was switched out. Throws where its task_struct does not say it.
  virtual Start of_switched_out(const Value& task) const = 0;
  /// The lowest word that such a task has on its stack. Throws likewise.
  virtual VirtAddr lowest_of(const Value& task) const = 0;
  /// What is missing for stacks to be followed well, in one sentence; empty where nothing is.
  virtual std::string what_is_missing() const { return {}; }
};

/// The registers in a note's descriptor, of which `size` bytes are needed.
struct RegisterNote {
  uint64_t size = 0;
  std::optional<arch::Registers> (*parse)(std::span<const std::byte> descriptor) = nullptr;
};

struct StackRules {
  const char* architecture;  ///< by the fact `arch`
  Means usual_means;         ///< by which frames are found that were called
  /// A note NT_PRSTATUS, and a note that QEMU makes for each CPU; without a size QEMU makes NT_PRSTATUS.
  RegisterNote prstatus;
  RegisterNote qemu;
  /// Each adds some of a CPU's stacks, whose tasks' stacks have `task_stack_size` bytes. Throws where it
  /// cannot find them.
  std::span<void (*const)(const kernel::Session& session, unsigned cpu, uint64_t task_stack_size,
                          std::vector<Stack>& stacks)>
      cpu_stacks;
  /// Code that was made at run time is there, where an entry of a page table lets the kernel run it.
  VirtRange generated_code;
  bool (*is_executable)(uint64_t entry);
  std::unique_ptr<Follower> (*make_follower)(const kernel::Session& session, const StackRules& rules);
};

/// Null where stacks of that architecture are not followed.
const StackRules* stack_rules(std::string_view architecture);
/// The same for a kernel.
const StackRules* stack_rules(const kernel::Session& session);

}  // namespace kvista::unwind
