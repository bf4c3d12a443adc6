// The tasks of a described kernel: task_struct, memory, signals, numbers, and each CPU's run queue.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

#include "images/object_writer.h"
#include "images/xarray_builder.h"

namespace kvista::test {
namespace {

constexpr uint64_t kKernelThread = 0x00200000;
constexpr uint64_t kRunQueue = 0x34000;  // where per-CPU variables are, from a CPU's area on
constexpr uint64_t kAreaSize = 0x40000;

// Bits of __state and exit_state, by the letters of /proc/PID/stat.
struct State {
  std::string_view letter;
  uint64_t state, exit_state;
};
constexpr std::array kStates = {State{"R", 0, 0},     State{"S", 1, 0},    State{"D", 2, 0},
                                State{"T", 4, 0},     State{"t", 8, 0},    State{"Z", 0, 0x20},
                                State{"I", 0x402, 0}, State{"X", 0, 0x10}, State{"?", 0x10000, 0}};

class TaskPlacer {
 public:
  TaskPlacer(ObjectWriter& writer, const std::vector<TaskLine>& tasks, unsigned cpus)
      : out_(writer), lines_(tasks), cpus_(cpus) {}

  void run() {
    place_areas();
    place_idle();
    for (const TaskLine& line : lines_) tasks_[line.pid] = make_task(fmt::format("task:{}", line.pid), line);
    for (const TaskLine& line : lines_) relate(line);
    link_all();
    place_numbers();
  }

 private:
  using Link = ObjectWriter::Link;

  void place_areas() {
    Kernel& kernel = out_.kernel();
    const uint64_t offsets = kernel.place("__per_cpu_offset", uint64_t{cpus_} * 8);
    for (const char* mask : {"__cpu_possible_mask", "__cpu_present_mask"})
      out_.set(out_.variable(mask, "struct cpumask"), "bits[0]", (uint64_t{1} << cpus_) - 1);
    kernel.variable("nr_cpu_ids", cpus_, 4);
    kernel.name("runqueues", kRunQueue);
    for (unsigned cpu = 0; cpu < cpus_; ++cpu) {
      areas_.push_back(kernel.allocate(kAreaSize));
      kernel.put64(offsets + uint64_t{cpu} * 8, kernel.direct(areas_.back()));
      queues_.push_back(out_.keep(fmt::format("rq:{}", cpu), "struct rq", areas_.back() + kRunQueue));
    }
    kernel.name("__per_cpu_start", 0);
    kernel.name("__per_cpu_end", kPerCpuEnd);
  }

  void place_idle() {
    for (unsigned cpu = 0; cpu < cpus_; ++cpu) {
      TaskLine line;
      line.pid = 0;
      line.comm = fmt::format("swapper/{}", cpu);
      line.cpu = cpu;
      line.state.assign(1, 'R');
      line.is_kernel_thread = true;
      const PlacedObject idle = cpu == 0 ? out_.variable("init_task", "struct task_struct")
                                         : out_.make(fmt::format("idle:{}", cpu), "struct task_struct");
      describe(idle, line);
      for (const char* member : {"idle", "curr"}) out_.set(queues_[cpu], member, idle.virt);
      if (cpu == 0) init_ = idle;
    }
  }

  PlacedObject make_task(const std::string& name, const TaskLine& line) {
    const PlacedObject task = out_.make(name, "struct task_struct");
    describe(task, line);
    if (line.is_running) out_.set(queues_.at(line.cpu), "curr", task.virt);
    return task;
  }

  void describe(const PlacedObject& task, const TaskLine& line) {
    const auto* const state = std::find_if(kStates.begin(), kStates.end(),
                                           [&](const State& one) { return one.letter == line.state; });
    if (state == kStates.end()) throw DescriptionError(fmt::format("task: no state is {}", line.state));
    out_.set(task, "__state", state->state);
    out_.set(task, "exit_state", state->exit_state);
    out_.set(task, "thread_info.cpu", line.cpu);
    out_.set(task, "flags", line.is_kernel_thread ? kKernelThread : 0);
    out_.set(task, "pid", line.pid);
    out_.set(task, "tgid", line.process.value_or(line.pid));
    out_.set(task, "start_time", line.start);
    out_.set(task, "utime", line.utime);
    out_.set(task, "stime", line.stime);
    out_.write(task, "comm", line.comm);
  }

  const PlacedObject& task_of(uint64_t pid) const {
    if (pid == 0) return init_;
    const auto found = tasks_.find(pid);
    if (found == tasks_.end()) throw DescriptionError(fmt::format("no task has the number {}", pid));
    return found->second;
  }

  // Parents, and what the threads of a process share.
  void relate(const TaskLine& line) {
    const PlacedObject& task = task_of(line.pid);
    out_.set(task, "real_parent", task_of(line.parent).virt);
    const uint64_t process = line.process.value_or(line.pid);
    threads_[process].push_back(out_.link(task, "thread_node"));
    if (!line.process) {
      const PlacedObject signal = out_.make(fmt::format("signal:{}", process), "struct signal_struct");
      heads_[process] = out_.link(signal, "thread_head");
      signals_[process] = signal.virt;
      if (!line.is_kernel_thread) memory_[process] = make_memory(process, line);
    }
    out_.set(task, "signal", signals_.at(process));
    if (const auto memory = memory_.find(process); memory != memory_.end())
      out_.set(task, "mm", memory->second);
  }

  // A part of the anonymous pages is counted by the last CPU alone.
  uint64_t make_memory(uint64_t process, const TaskLine& line) {
    const PlacedObject memory = out_.make(fmt::format("mm:{}", process), "struct mm_struct");
    out_.set(memory, "total_vm", line.vsz / kPage);
    const uint64_t pages = line.rss / kPage;
    const uint64_t own = pages / 2;
    out_.set(memory, "rss_stat[0].count", pages - own);
    const uint64_t place = next_counter_;
    next_counter_ += 4;
    out_.set(memory, "rss_stat[1].counters", place);
    out_.put(areas_.back() + place, own, 4);
    return memory.virt;
  }

  void link_all() {
    std::vector<Link> processes;
    for (const TaskLine& line : lines_)
      if (!line.process) processes.push_back(out_.link(task_of(line.pid), "tasks"));
    out_.make_list(out_.link(init_, "tasks"), processes);
    for (const auto& [process, links] : threads_) out_.make_list(heads_.at(process), links);
  }

  // The IDR of process numbers, each with its struct pid.
  void place_numbers() {
    std::map<uint64_t, uint64_t> entries;
    for (const TaskLine& line : lines_) {
      const PlacedObject& task = task_of(line.pid);
      const PlacedObject number = out_.make(fmt::format("pid:{}", line.pid), "struct pid");
      out_.set(number, "tasks[0].first", out_.at(task, "pid_links[0]"));
      out_.set(task, "thread_pid", number.virt);
      entries[line.pid] = number.virt;
    }
    Kernel& kernel = out_.kernel();
    const TypeBook& types = out_.types();
    const XarrayLayout layout{types.offset("struct xa_node", "shift"),
                              types.offset("struct xa_node", "slots"), types.size("struct xa_node"), 2, 6};
    XarrayBuilder array(
        layout, [&](uint64_t size) { return kernel.direct(kernel.allocate(size)); },
        [&](uint64_t virt, uint64_t value, unsigned size) {
          out_.put(virt - kernel.page_offset(), value, size);
        });
    out_.set(out_.variable("init_pid_ns", "struct pid_namespace"), "idr.idr_rt.xa_head",
             array.build(entries));
    for (size_t i = 0; i < array.nodes.size(); ++i)
      out_.keep(fmt::format("pid_node:{}", i), "struct xa_node", array.nodes[i] - kernel.page_offset());
  }

  ObjectWriter& out_;
  const std::vector<TaskLine>& lines_;
  unsigned cpus_;
  uint64_t next_counter_ = 0x1000;
  std::vector<uint64_t> areas_;  // of each CPU, physical addresses
  std::vector<PlacedObject> queues_;
  PlacedObject init_;
  std::map<uint64_t, PlacedObject> tasks_;
  std::map<uint64_t, std::vector<Link>> threads_;
  std::map<uint64_t, Link> heads_;
  std::map<uint64_t, uint64_t> signals_;
  std::map<uint64_t, uint64_t> memory_;
};

}  // namespace

void place_tasks(ObjectWriter& writer, const std::vector<TaskLine>& tasks, unsigned cpus) {
  TaskPlacer(writer, tasks, cpus).run();
}

}  // namespace kvista::test
