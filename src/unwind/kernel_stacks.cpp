#include "unwind/kernel_stacks.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "kernel/session.h"
#include "kernel/tasks.h"
#include "unwind/architecture.h"
#include "unwind/kernel_memory.h"

namespace kvista::unwind {
namespace {

using kernel::Session;

// THREAD_SIZE without KASAN; where stacks are mapped page by page, at least a page (arm64's THREAD_SHIFT).
constexpr uint64_t kUsualStackSize = 16384;
constexpr uint64_t kMostStackSize = 1 << 20;
constexpr uint64_t kPage = 4096;

// The linker puts init_task's stack between two labels; 8f69cba096b5 (6.10) took task_struct out of there.
uint64_t find_task_stack_size(const Session& session) {
  constexpr std::array kLabels = {std::pair{"__start_init_stack", "__end_init_stack"},
                                  std::pair{"__start_init_task", "__end_init_task"}};
  for (const auto& [start, end] : kLabels) {
    const auto first = place_of(session, start);
    const auto last = place_of(session, end);
    if (!first || !last || *last <= *first) continue;
    const uint64_t size = *last - *first;
    if (size % kPage == 0 && size <= kMostStackSize) return size;
  }
  return std::max(kUsualStackSize, kernel::page_size(session));
}

}  // namespace

KernelStacks::KernelStacks(const Session& session)
    : session_(session), rules_(stack_rules(session)), task_stack_size_(find_task_stack_size(session)) {}

Stack KernelStacks::of_task(const Value& task) const {
  const VirtAddr first = task["stack"].target();
  return {StackKind::task, "task", first, first + task_stack_size_};
}

const std::vector<Stack>& KernelStacks::of_cpu(unsigned cpu) {
  const auto [at, is_new] = of_cpus_.try_emplace(cpu);
  if (!is_new || rules_ == nullptr) return at->second;
  for (const auto add : rules_->cpu_stacks) try {
      add(session_, cpu, task_stack_size_, at->second);
    } catch (const Error&) {
      continue;  // a frame on that stack will be said to be in none
    }
  return at->second;
}

}  // namespace kvista::unwind
