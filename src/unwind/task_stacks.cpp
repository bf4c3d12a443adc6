#include "unwind/task_stacks.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "kernel/session.h"
#include "kernel/walk.h"

namespace kvista::unwind {
namespace {

using kernel::Session;

std::unique_ptr<Follower> make_follower(const Session& session) {
  const StackRules* const rules = stack_rules(session);
  return rules == nullptr ? nullptr : rules->make_follower(session, *rules);
}

Means usual_means_of(const Session& session) {
  const StackRules* const rules = stack_rules(session);
  return rules == nullptr ? Means::registers : rules->usual_means;
}

std::map<unsigned, CpuRegisters> registers_of_cpus(const Session& session) {
  const StackRules* const rules = stack_rules(session);
  return rules == nullptr ? std::map<unsigned, CpuRegisters>{} : read_cpu_registers(session, *rules);
}

bool is_on(const std::vector<Stack>& stacks, VirtAddr sp) {
  return std::any_of(stacks.begin(), stacks.end(), [&](const Stack& stack) { return stack.contains(sp); });
}

}  // namespace

const char* describe(Origin origin) {
  switch (origin) {
    case Origin::switched_out:
      return "switched out";
    case Origin::cpu:
      return "cpu";
    case Origin::user_mode:
      return "user mode";
    case Origin::guess:
      return "guess";
    case Origin::none:
      return "none";
  }
  return "";
}

TaskStacks::TaskStacks(const Session& session)
    : session_(session),
      follower_(make_follower(session)),
      usual_means_(usual_means_of(session)),
      stacks_(session),
      registers_(registers_of_cpus(session)),
      running_(kernel::running_tasks(session)) {}

const Follower& TaskStacks::follower() const {
  if (follower_) return *follower_;
  const std::string name = session_.with_machine(
      [](machine::Machine& machine) { return std::string(machine.architecture().name); });
  throw Unsupported(fmt::format("stacks of {} are not followed yet", name));
}

// -1 where no CPU crashed.
std::optional<unsigned> TaskStacks::crashing_cpu() const {
  const auto ask = [&](const char* name, const char* member) -> std::optional<unsigned> {
    try {
      const Value variable = session_.own_global(name);
      const int64_t cpu = (member == nullptr ? variable : variable[member]).signed_number();
      return running_.by_cpu.contains(static_cast<unsigned>(cpu)) ? std::optional(static_cast<unsigned>(cpu))
                                                                  : std::nullopt;
    } catch (const Error&) {
      return std::nullopt;
    }
  };
  const auto cpu = ask("crashing_cpu", nullptr);
  return cpu ? cpu : ask("panic_cpu", "counter");
}

Value TaskStacks::task_on(unsigned cpu) const {
  const auto at = running_.by_cpu.find(cpu);
  if (at == running_.by_cpu.end())
    throw NotFound(running_.faults.empty()
                       ? fmt::format("what CPU {} runs is not known: there is no such CPU", cpu)
                       : fmt::format("CPU {}: {}", cpu, running_.faults.front()));
  return session_.object(kernel::type_by_word(session_, "task_struct"), at->second);
}

Value TaskStacks::current_task() const {
  const unsigned first = running_.by_cpu.empty() ? 0 : running_.by_cpu.begin()->first;
  return task_on(crashing_cpu().value_or(first));
}

std::optional<Start> TaskStacks::of_cpu(unsigned cpu, TaskStack& found) const {
  const auto at = registers_.find(cpu);
  if (at == registers_.end()) return std::nullopt;
  const arch::Registers& registers = at->second.registers;
  // It may be just about to change to another task's stack.
  if (!registers.is_user() && !is_on(*found.stacks, VirtAddr{registers.sp()})) return std::nullopt;
  found.source = at->second.source;
  return Start{Means::registers, registers, true, true};
}

void TaskStacks::follow(const Value& task, TaskStack& found) {
  // Before anything is read that has the shape of another architecture's.
  const Follower& follower = this->follower();
  if (task["stack"].number() == 0) {  // 68f24b08ee89 (4.9): as soon as it has ended
    const bool has_ended = task["exit_state"].number() != 0;
    found.trace.end = has_ended ? End::complete : End::damaged;
    found.trace.fault =
        has_ended ? "it has ended, and its stack was given back" : "it has no stack, and has not ended";
    return;
  }
  const auto runs = std::find_if(running_.by_cpu.begin(), running_.by_cpu.end(),
                                 [&](const auto& one) { return one.second == *task.address(); });
  auto stacks = std::make_shared<std::vector<Stack>>(std::vector{stacks_.of_task(task)});
  found.stacks = stacks;
  std::optional<Start> start;
  if (runs != running_.by_cpu.end()) {
    found.cpu = runs->first;
    const auto& more = stacks_.of_cpu(runs->first);
    stacks->insert(stacks->end(), more.begin(), more.end());
    start = of_cpu(runs->first, found);
    found.origin = start ? Origin::cpu : Origin::guess;
  } else {
    found.origin = Origin::switched_out;
  }
  if (start && start->registers.is_user()) {
    found.origin = Origin::user_mode;
    found.trace.end = End::complete;
    found.trace.user = start->registers;
    return;
  }
  found.trace = follower.follow(*stacks, start ? *start : follower.of_switched_out(task));
}

TaskStack TaskStacks::read(const Value& task) {
  TaskStack found;
  try {
    follow(task, found);
  } catch (const Error& error) {
    found.origin = Origin::none;
    found.trace.fault = error.what();
  }
  return found;
}

}  // namespace kvista::unwind
