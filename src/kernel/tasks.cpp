#include "kernel/tasks.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/error.h"
#include "kernel/session.h"
#include "kernel/walk.h"

namespace kvista::kernel {
namespace {

constexpr uint64_t kKernelThread = 0x00200000;  // PF_KTHREAD, include/linux/sched.h
constexpr size_t kMostThreads = size_t{1} << 24;

struct StateName {
  uint64_t bits;
  const char* name;
};
// include/linux/sched.h since 4.14 (8ef9925b02c2): the order decides where several bits are set.
constexpr std::array kStates = {
    StateName{0x10, "DE"},  StateName{0x20, "ZO"}, StateName{0x80, "DE"},  StateName{0x08, "TR"},
    StateName{0x04, "ST"},  StateName{0x40, "PA"}, StateName{0x800, "NE"}, StateName{0x200, "WA"},
    StateName{0x402, "ID"}, StateName{0x02, "UN"}, StateName{0x01, "IN"},
};

// The head of the table of process numbers: an IDR since 95846ecf9dac (4.15).
uint64_t numbers(const Session& session) {
  const Value table = session.own_global("init_pid_ns")["idr"]["idr_rt"];
  return table[table.has("xa_head") ? "xa_head" : "rnode"].number();
}

// The task that a struct pid stands for, if it has one.
std::optional<Value> task_of_number(const Session& session, uint64_t pid) {
  const type::Type type = type_by_word(session, "task_struct");
  const Value number = session.object(type_by_word(session, "pid"), VirtAddr{pid});
  const Value first = number["tasks"][0]["first"];  // PIDTYPE_PID
  if (!first) return std::nullopt;
  const uint64_t offset = member_offset(type, type.find_member("pid_links") ? "pid_links" : "pids");
  return session.object(type, first.target() - offset);
}

// Collects tasks, each once.
class Collector {
 public:
  explicit Collector(const Session& session)
      : session_(session), type_(type_by_word(session, "task_struct")) {}

  void add(const Value& task) {
    if (seen_.insert(*task.address())) list.tasks.push_back(task);
  }
  void add_fault(const std::string& fault) {
    if (!fault.empty()) list.faults.push_back(fault);
  }

  void add_idle() {
    try {
      const Value queues = session_.own_global("runqueues");
      for (const unsigned cpu : session_.present_cpus()) {
        const Value idle = queues.per_cpu(cpu)["idle"];
        if (idle) add(session_.object(type_, idle.target()));
      }
    } catch (const Error& error) {
      add_fault(fmt::format("the idle tasks are not known: {}", error.what()));
    }
    add(session_.own_global("init_task"));
  }

  // A process, and its other threads.
  void add_process(const Value& leader) {
    add(leader);
    std::string fault;
    try {
      const Value signal = leader["signal"];
      if (!signal || !signal.has("thread_head")) return;
      const uint64_t offset = member_offset(type_, "thread_node");
      fault = walk_list(session_, *signal["thread_head"].address(), [&](VirtAddr node) {
        add(session_.object(type_, node - offset));
        return list.tasks.size() < kMostThreads;
      });
    } catch (const FaultError& error) {
      fault = error.what();
    }
    if (!fault.empty())
      add_fault(fmt::format("the threads of the task at {:#x}: {}", leader.address()->value, fault));
  }

  void add_processes() {
    const Value head = session_.own_global("init_task")["tasks"];
    const uint64_t offset = member_offset(type_, "tasks");
    const std::string fault = walk_list(session_, *head.address(), [&](VirtAddr node) {
      add_process(session_.object(type_, node - offset));
      return list.tasks.size() < kMostThreads;
    });
    if (!fault.empty()) add_fault(fmt::format("the list of tasks: {}; {}", fault, add_by_number()));
  }

  TaskList list;

 private:
  // Where the list is broken, the table of process numbers leads to the others. Returns how far that helped.
  std::string add_by_number() {
    const size_t before = list.tasks.size();
    std::string fault;
    try {
      fault = walk_xarray(session_, numbers(session_), [&](uint64_t, uint64_t, uint64_t entry) {
        if (const auto task = task_of_number(session_, entry)) add(*task);
        return list.tasks.size() < kMostThreads;
      });
    } catch (const Error& error) {
      fault = error.what();
    }
    const size_t found = list.tasks.size() - before;
    std::string text = found == 0 ? ""
                                  : fmt::format("{} more {} found by {}", found, found == 1 ? "was" : "were",
                                                found == 1 ? "its number" : "their numbers");
    if (!fault.empty())
      text += fmt::format("{}the table of process numbers: {}", text.empty() ? "" : "; ", fault);
    return text.empty() ? "the table of process numbers has no others" : text;
  }

  const Session& session_;
  type::Type type_;
  AddressSet seen_;
};

}  // namespace

RunningTasks running_tasks(const Session& session) {
  RunningTasks running;
  try {
    const Value queues = session.own_global("runqueues");
    const type::Type type = type_by_word(session, "task_struct");
    for (const unsigned cpu : session.present_cpus()) {
      try {
        const VirtAddr task = queues.per_cpu(cpu)["curr"].target();
        session.object(type, task)["pid"].number();  // whether there is one
        running.by_cpu[cpu] = task;
      } catch (const FaultError& error) {
        running.faults.push_back(fmt::format("what CPU {} runs is not known: {}", cpu, error.what()));
      }
    }
  } catch (const Error& error) {
    running.faults.push_back(fmt::format("which tasks run is not known: {}", error.what()));
  }
  return running;
}

std::string state_name(uint64_t state, uint64_t exit_state) {
  const uint64_t all = state | exit_state;
  if (all == 0) return "RU";
  for (const StateName& one : kStates)
    if ((all & one.bits) == one.bits) return one.name;
  return "??";
}

uint64_t page_size(const Session& session) {
  return session.with_machine(
      [](machine::Machine& machine) { return machine.need_number(machine::FactId::page_size); });
}

// An array of one number since ca79b0c211af (5.0); the kernel's table may have either.
uint64_t total_memory(const Session& session) {
  const char* name = session.has_global("_totalram_pages") ? "_totalram_pages" : "totalram_pages";
  return session.own_global(name).number() * page_size(session);
}

TaskList all_tasks(const Session& session) {
  Collector found(session);
  found.add_idle();
  found.add_processes();
  return std::move(found.list);
}

std::optional<Value> task_by_number(const Session& session, uint64_t pid) {
  const uint64_t entry = xarray_entry(session, numbers(session), pid);
  return entry == 0 ? std::nullopt : task_of_number(session, entry);
}

TaskReader::TaskReader(const Session& session) : session_(&session), running_(running_tasks(session)) {
  for (const auto& [cpu, task] : running_.by_cpu) active_.push_back(task);
  std::sort(active_.begin(), active_.end());
}

// What only memory needs is not looked up before it is asked for.
void TaskReader::prepare_memory() {
  if (page_size_ != 0) return;
  page_size_ = page_size(*session_);
  try {
    total_memory_ = total_memory(*session_);
  } catch (const Error&) {
    total_memory_.reset();  // no percentage then
  }
  for (const char* name : {"MM_FILEPAGES", "MM_ANONPAGES", "MM_SHMEMPAGES"})
    if (const auto index = session_->types().enumerator(name); index && *index < 16)
      counters_.push_back(static_cast<unsigned>(*index));
}

// Counters of each CPU since f1a7941243c1 (6.2). Before, threads keep some to themselves, which
// /proc/PID/status does not count either.
uint64_t TaskReader::resident_pages(const Value& mm) const {
  const Value counters = mm["rss_stat"];
  int64_t pages = 0;
  for (const unsigned index : counters_) {
    const int64_t one = counters.has("count") ? counters["count"][index]["counter"].signed_number()
                                              : percpu_counter_sum(counters[index]);
    pages += std::max<int64_t>(one, 0);
  }
  return static_cast<uint64_t>(pages);
}

namespace {

// Runs what reads one value. Where that cannot be done, the first reason is kept.
template <typename Read>
void ask(std::string& fault, Read read) {
  try {
    read();
  } catch (const Error& error) {
    if (fault.empty()) fault = error.what();
  }
}

// An idle task was made by some other task, which is not its parent.
void read_parent(Task& task) {
  const Value parent = task.object["real_parent"];
  task.parent = parent.target();
  task.ppid = task.pid != 0 && task.parent.value != 0 ? parent["tgid"].number() : 0;
}

}  // namespace

const TaskReader::Memory& TaskReader::memory_of(const Value& mm) {
  const auto [known, is_new] = known_.try_emplace(mm.number());
  Memory& memory = known->second;
  if (!is_new) return memory;
  if (known->first == 0) {
    memory.vsz = memory.rss = 0;
    return memory;
  }
  ask(memory.fault, [&] { memory.vsz = mm["total_vm"].number() * page_size_; });
  ask(memory.fault, [&] { memory.rss = resident_pages(mm) * page_size_; });
  return memory;
}

void TaskReader::read_memory(Task& task, const Value& mm) {
  prepare_memory();
  const Memory& memory = memory_of(mm);
  task.vsz = memory.vsz;
  task.rss = memory.rss;
  if (task.fault.empty()) task.fault = memory.fault;
  if (task.rss && total_memory_)
    task.mem_percent = 100.0 * static_cast<double>(*task.rss) / static_cast<double>(*total_memory_);
}

Task TaskReader::read_identity(const Value& object) const {
  Task task;
  task.object = object;
  task.address = *object.address();
  std::string& fault = task.fault;
  ask(fault, [&] { task.pid = object["pid"].number(); });
  ask(fault, [&] { task.tgid = object["tgid"].number(); });
  ask(fault, [&] { task.comm = object["comm"].text(); });
  // Since bcf9033e5449 (5.16) only thread_info has the CPU.
  ask(fault,
      [&] { task.cpu = object.has("cpu") ? object["cpu"].number() : object["thread_info"]["cpu"].number(); });
  // Renamed by 2f064a59a11f (5.14).
  ask(fault, [&] {
    const uint64_t state = object[object.has("__state") ? "__state" : "state"].number();
    task.state = state_name(state, object["exit_state"].number());
  });
  ask(fault,
      [&] { task.is_kernel_thread = task.pid == 0 || (object["flags"].number() & kKernelThread) != 0; });
  task.is_active = std::binary_search(active_.begin(), active_.end(), task.address);
  return task;
}

Task TaskReader::read(const Value& object) {
  Task task = read_identity(object);
  std::string& fault = task.fault;
  ask(fault, [&] { read_parent(task); });
  ask(fault, [&] { task.start_time = object["start_time"].number(); });
  ask(fault, [&] { task.user_time = object["utime"].number(); });
  ask(fault, [&] { task.system_time = object["stime"].number(); });
  ask(fault, [&] { read_memory(task, object["mm"]); });
  return task;
}

}  // namespace kvista::kernel
