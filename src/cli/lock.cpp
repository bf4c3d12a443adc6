// kvista lock: who holds a lock, who waits for it, and what the holder waits for.
#include <fmt/format.h>

#include <map>
#include <utility>

#include "cli/command.h"
#include "cli/value_table.h"
#include "unwind/locks.h"
#include "unwind/task_stacks.h"

namespace kvista::cli {
namespace {

using kernel::Session;
using kernel::Task;
using unwind::Known;
using unwind::Lock;
using unwind::LockChain;
using unwind::LockType;

constexpr size_t kLocks = 0;
constexpr size_t kLines = 1;

TableSpec locks_spec() {
  return {
      "locks",
      "locks: each that was asked for, and the ones for which owners wait",
      Layout::lines,
      {{"chain", "CHAIN", Type::integer, "", "counted from 0: which lock that was asked for leads here",
        Show::only_json},
       {"depth", "DEPTH", Type::integer, "", "0: asked for; else its owner before waits for it",
        Show::only_json},
       {"known_by", "KNOWN BY", Type::text, "",
        "how that is known: task (its task_struct), stack (its entry among the waiters was found on its "
        "stack); null of the first",
        Show::only_json},
       {"type", "TYPE", Type::text, "", "mutex, rwsem, rt_mutex, semaphore", Show::only_json},
       {"lock", "LOCK", Type::hex, "", "where it is", Show::only_json},
       {"symbol", "SYMBOL", Type::text, "", "that it is in; null for none", Show::only_json},
       {"state", "STATE", Type::text, "", "locked, unlocked, locked by a writer, locked by 2 readers ...",
        Show::only_json},
       {"owner", "OWNER", Type::hex, "", "the struct task_struct of who holds it", Show::only_json},
       {"owner_pid", "PID", Type::integer, "", "the owner's", Show::only_json},
       {"owner_comm", "COMMAND", Type::text, "", "the owner's", Show::only_json},
       {"owner_state", "ST", Type::text, "", "the owner's, as in kvista ps", Show::only_json},
       {"owner_is_hint", "HINT", Type::boolean, "", "one of the owners, or the last one", Show::only_json},
       {"waiters", "WAITERS", Type::integer, "", "how many wait", Show::only_json},
       {"deadlock", "DEADLOCK", Type::boolean, "", "the chain comes back to a lock of its own",
        Show::only_json},
       {"end", "END", Type::text, "", "of a chain's last lock: why the chain ends", Show::only_json}}};
}

TableSpec waiters_spec() {
  return {"waiters",
          "who waits for these locks, in the order in which they get them",
          Layout::lines,
          {{"line", "LINE", Type::text, "", "in text also the locks", Show::only_text},
           {"lock", "LOCK", Type::hex, "", "where it is", Show::only_json},
           {"task", "TASK", Type::hex, "", "the struct task_struct of who waits", Show::only_json},
           {"pid", "PID", Type::integer, "", "its number", Show::only_json},
           {"comm", "COMMAND", Type::text, "", "its name", Show::only_json},
           {"state", "ST", Type::text, "", "as in kvista ps", Show::only_json},
           {"wants", "WANTS", Type::text, "", "of an rwsem: read or write", Show::only_json}}};
}

template <typename T>
Cell cell(const std::optional<T>& value) {
  return value ? Cell(*value) : Cell{};
}
Cell text_cell(const std::string& text) {
  return text.empty() ? Cell{} : Cell(text);
}

std::string task_text(const Task& task) {
  return fmt::format("PID: {:<6}  TASK: {:x}  ST: {}  COMMAND: {}", to_text(cell(task.pid)),
                     task.address.value, task.state.value_or("-"),
                     task.comm ? fmt::format("\"{}\"", *task.comm) : "-");
}

class LockReport {
 public:
  explicit LockReport(const Session& session) : session_(session), reader_(session), stacks_(session) {
    report_ = {"lock", {{locks_spec(), {}}, {waiters_spec(), {}}}, {}, ExitStatus::complete};
  }

  void add(LockType type, VirtAddr address) {
    if (!table(kLines).rows.empty()) add_line("");
    const LockChain chain = unwind::follow_lock(session_, reader_, stacks_, type, address);
    for (size_t depth = 0; depth < chain.links.size(); ++depth) add_link(chain, depth);
    add_line(fmt::format("{}{}", std::string(2 * chain.links.size(), ' '), chain.end));
    if (!chain.fault.empty()) add_missing(report_, chain.fault);
    ++chains_;
  }

  // Every lock that a task which cannot be interrupted sleeps for.
  void add_all() {
    kernel::TaskList list = kernel::all_tasks(session_);
    std::map<uint64_t, LockType> found;
    size_t unknown = 0;
    for (const Value& object : list.tasks) {
      if (reader_.read_identity(object).state != "UN") continue;
      std::string fault;
      const auto lock = unwind::blocked_on(session_, stacks_, object, fault);
      if (lock)
        found.emplace(lock->address.value, lock->type);
      else
        ++unknown;
      if (!fault.empty())
        add_missing(report_,
                    fmt::format("what the task at {:#x} waits for: {}", object.address()->value, fault));
    }
    for (const auto& [address, type] : found) add(type, VirtAddr{address});
    if (found.empty()) add_line("no task that cannot be interrupted waits for a lock that can be found");
    if (unknown > 0)
      add_line(fmt::format("{}{} task{} in state UN wait{} for no lock that can be found: kvista hung",
                           found.empty() ? "" : "\n", unknown, unknown == 1 ? "" : "s",
                           unknown == 1 ? "s" : ""));
    for (const std::string& fault : list.faults) add_missing(report_, fault);
  }

  Report finish() { return std::move(report_); }

 private:
  Table& table(size_t index) { return report_.tables.at(index); }
  void add_line(const std::string& text) { table(kLines).rows.push_back({text}); }

  void add_link(const LockChain& chain, size_t depth) {
    const auto& [lock, known] = chain.links[depth];
    const std::string indent(2 * depth, ' ');
    const std::string symbol = session_.symbol_text(lock.address);
    if (known)
      add_line(fmt::format("{}which waits for{}", indent,
                           known == Known::by_stack ? " (as found on its stack)" : ""));
    add_line(fmt::format("{}{} {:x}{}: {}", indent, name_of(lock.type), lock.address.value,
                         symbol.empty() ? "" : fmt::format(" <{}>", symbol),
                         lock.state.empty() ? "not known" : lock.state));
    if (lock.owner)
      add_line(fmt::format("{}  {} {}", indent,
                           lock.owner_is_hint ? "ONE OWNER:" : "OWNER:    ", task_text(*lock.owner)));
    if (lock.owner && !lock.owner->fault.empty())
      add_missing(report_,
                  fmt::format("the owner at {:#x}: {}", lock.owner->address.value, lock.owner->fault));
    add_row(chain, depth);
    for (const unwind::LockWaiter& waiter : lock.waiters) add_waiter(lock, waiter, indent);
    for (const std::string& fault : lock.faults)
      add_missing(report_, fmt::format("the {} at {:#x}: {}", name_of(lock.type), lock.address.value, fault));
  }

  void add_row(const LockChain& chain, size_t depth) {
    const auto& [lock, known] = chain.links[depth];
    const auto& owner = lock.owner;
    const bool is_last = depth + 1 == chain.links.size();
    table(kLocks).rows.push_back(
        {uint64_t{chains_}, uint64_t{depth},
         known ? Cell(std::string(known == Known::by_stack ? "stack" : "task")) : Cell{},
         std::string(name_of(lock.type)), Hex{lock.address.value},
         text_cell(session_.symbol_text(lock.address)), text_cell(lock.state),
         owner ? Cell(Hex{owner->address.value}) : Cell{}, owner ? cell(owner->pid) : Cell{},
         owner ? cell(owner->comm) : Cell{}, owner ? cell(owner->state) : Cell{}, lock.owner_is_hint,
         uint64_t{lock.waiters.size()}, is_last && chain.is_deadlock, is_last ? Cell(chain.end) : Cell{}});
  }

  void add_waiter(const Lock& lock, const unwind::LockWaiter& waiter, const std::string& indent) {
    const std::string wants = waiter.wants;
    table(kLines).rows.push_back({fmt::format("{}  WAITS:     {}{}", indent, task_text(waiter.task),
                                              wants.empty() ? "" : fmt::format("  to {}", wants)),
                                  Hex{lock.address.value}, Hex{waiter.task.address.value},
                                  cell(waiter.task.pid), cell(waiter.task.comm), cell(waiter.task.state),
                                  text_cell(wants)});
    if (!waiter.task.fault.empty())
      add_missing(report_, fmt::format("the task at {:#x} is not known: {}", waiter.task.address.value,
                                       waiter.task.fault));
  }

  const Session& session_;
  kernel::TaskReader reader_;
  unwind::TaskStacks stacks_;
  Report report_;
  size_t chains_ = 0;
};

// A variable's type says which lock it is; through a pointer too.
std::pair<LockType, VirtAddr> lock_of_value(const Session& session, const std::string& text) {
  const Value value = session.evaluate(text);
  type::Type type = value.type().resolved();
  const bool is_pointer = type.kind() == type::Kind::pointer;
  if (is_pointer) type = type.target().resolved();
  const auto lock = unwind::lock_type(type.name());
  if (!lock || (!is_pointer && !value.address()))
    throw UsageError(
        fmt::format("lock: {} is no lock: say which type it has, as in lock mutex {}", text, text));
  return {*lock, is_pointer ? value.target() : *value.address()};
}

Report run(const Invocation& invocation) {
  std::vector<std::string> words = invocation.operands;
  std::optional<LockType> type;
  if (!words.empty()) type = unwind::lock_type(words.front());
  if (type) words.erase(words.begin());
  if (type && words.empty()) throw UsageError("lock: expected where the lock is");
  return with_session(invocation, [&](const Session& session) {
    LockReport report(session);
    if (words.empty()) report.add_all();
    for (const std::string& word : words) {
      const auto [known, address] =
          type ? std::pair(*type, address_of(session, word)) : lock_of_value(session, word);
      report.add(known, address);
    }
    return report.finish();
  });
}

}  // namespace

Command make_lock() {
  return {
      "lock",
      "show who holds a lock, who waits for it, and what the holder waits for",
      "kvista -c vmcore lock\n  all locks that tasks which cannot be interrupted wait for, with deadlocks "
      "among them;\n  lock rtnl_mutex or lock rwsem ADDRESS: one lock",
      {{"LOCK",
        "a variable or an expression; or which type, mutex, rwsem (rw_semaphore), rt_mutex or semaphore, "
        "then where; default: every lock that a task in state UN waits for",
        false,
        {},
        true}},
      machine_options(),
      {locks_spec(), waiters_spec()},
      run};
}

}  // namespace kvista::cli
