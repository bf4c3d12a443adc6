#include "cli/task_tables.h"

#include <fmt/format.h>

namespace kvista::cli {
namespace {

using kernel::Task;

constexpr uint64_t kKib = 1024;

template <typename T>
Cell cell(const std::optional<T>& value) {
  return value ? Cell(*value) : Cell{};
}
Cell kib(const std::optional<uint64_t>& bytes) {
  return bytes ? Cell(*bytes / kKib) : Cell{};
}

Cell shown_name(const Task& task) {
  if (task.comm && task.is_kernel_thread.value_or(false)) return fmt::format("[{}]", *task.comm);
  return cell(task.comm);
}

}  // namespace

TableSpec ps_spec() {
  return {"tasks",
          "every task: processes, their threads, the kernel's own, each CPU's idle task",
          Layout::grid,
          {{"marker", "", Type::text, "", "> runs on its CPU", Show::only_text},
           {"pid", "PID", Type::integer, "", "of the task; a process's is its first thread's"},
           {"tgid", "TGID", Type::integer, "", "the process that the task is of", Show::only_json},
           {"ppid", "PPID", Type::integer, "", "the parent process"},
           {"cpu", "CPU", Type::integer, "", "that it runs on, or ran on last"},
           {"task", "TASK", Type::hex, "", "where its struct task_struct is"},
           {"state", "ST", Type::text, "",
            "RU running, IN interruptible, UN uninterruptible, ID idle, ST stopped, TR traced, ZO zombie, DE "
            "dead, PA "
            "parked, WA waking, NE new"},
           {"mem_percent", "%MEM", Type::real, "%", "of memory, by rss_kib"},
           {"vsz_kib", "VSZ", Type::integer, "KiB", "virtual memory"},
           {"rss_kib", "RSS", Type::integer, "KiB", "resident memory"},
           {"command", "COMM", Type::text, "", "the name, in brackets where it is the kernel's own",
            Show::only_text},
           {"comm", "COMM", Type::text, "", "the name", Show::only_json},
           {"kernel_thread", "KERNEL THREAD", Type::boolean, "", "whether it is the kernel's own",
            Show::only_json},
           {"active", "ACTIVE", Type::boolean, "", "whether it runs on its CPU", Show::only_json},
           {"start_time", "START TIME", Type::integer, "ns", "after the kernel started", Show::only_json},
           {"user_time", "USER TIME", Type::integer, "ns", "that it ran by itself", Show::only_json},
           {"system_time", "SYSTEM TIME", Type::integer, "ns", "that it ran in the kernel", Show::only_json},
           {"fault", "FAULT", Type::text, "",
            "why something is null, of the first; null where all could be read", Show::only_json}}};
}

Row ps_row(const Task& task) {
  return {std::string(task.is_active ? ">" : ""),
          cell(task.pid),
          cell(task.tgid),
          cell(task.ppid),
          cell(task.cpu),
          Hex{task.address.value},
          cell(task.state),
          cell(task.mem_percent),
          kib(task.vsz),
          kib(task.rss),
          shown_name(task),
          cell(task.comm),
          cell(task.is_kernel_thread),
          task.is_active,
          cell(task.start_time),
          cell(task.user_time),
          cell(task.system_time),
          task.fault.empty() ? Cell{} : Cell(task.fault)};
}

void add_unreadable_tasks(Report& report, const std::vector<const Task*>& shown) {
  size_t count = 0;
  std::string why;
  for (const Task* task : shown)
    if (!task->fault.empty() && count++ == 0) why = task->fault;
  if (count > 0)
    add_missing(report, fmt::format("not all of {} can be read{}: {}",
                                    count == 1 ? "one task" : fmt::format("{} tasks", count),
                                    count == 1 ? "" : ", the first", why));
}

}  // namespace kvista::cli
