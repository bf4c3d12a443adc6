#include "kernel/system.h"

#include <fmt/format.h>

#include <array>
#include <functional>

#include "base/error.h"
#include "kernel/session.h"
#include "kernel/tasks.h"
#include "machine/kernel_log.h"

namespace kvista::kernel {
namespace {

// include/linux/sched/loadavg.h: fixed point with 11 bits behind it, shown rounded to the nearest hundredth.
std::string load_average(const Session& session) {
  constexpr uint64_t kOne = 1 << 11;
  const Value loads = session.own_global("avenrun");
  std::string text;
  for (unsigned i = 0; i < 3; ++i) {
    const uint64_t load = loads[i].number() + kOne / 200;
    text += fmt::format("{}{}.{:02}", i == 0 ? "" : ", ", load / kOne, load % kOne * 100 / kOne);
  }
  return text;
}

constexpr std::array<std::string_view, 6> kDeaths = {
    "Kernel panic - not syncing", "Oops", "BUG: ", "general protection fault", "sysrq: Trigger a crash",
    "SysRq : Trigger a crash"};

// The line of the log that says why: the panic's own, else the last of what comes before one.
std::string panic_line(const Session& session) {
  const auto log =
      session.with_machine([](machine::Machine& machine) { return machine::read_kernel_log(machine); });
  std::string found;
  for (const auto& record : log.log.records) {
    for (size_t i = 0; i < kDeaths.size(); ++i) {
      if (record.text.find(kDeaths.at(i)) == std::string::npos) continue;
      if (i == 0) return record.text;
      found = record.text;
    }
  }
  return found;
}

void read_names(const Session& session, System& system) {
  const Value names = session.own_global("init_uts_ns")["name"];
  system.nodename = names["nodename"].text();
  system.release = names["release"].text();
  system.version = names["version"].text();
  system.machine = names["machine"].text();
}

void read_clock(const Session& session, System& system) {
  const Value clock = timekeeper(session);
  constexpr int64_t kNanoseconds = 1'000'000'000;
  const int64_t seconds = clock["xtime_sec"].signed_number();
  system.date = seconds;
  system.uptime = seconds + clock["wall_to_monotonic"]["tv_sec"].signed_number() +
                  clock["offs_boot"].signed_number() / kNanoseconds;
}

}  // namespace

// The kernel's clock: tk_core.timekeeper until 6.16, an array of them since (timekeeper_data).
Value timekeeper(const Session& session) {
  if (session.has_global("timekeeper_data")) return session.own_global("timekeeper_data")[0]["timekeeper"];
  if (session.has_global("tk_core")) return session.own_global("tk_core")["timekeeper"];
  return session.own_global("timekeeper");
}

namespace {

// What is missing, in one line for all that lack the same.
class Missing {
 public:
  explicit Missing(const Session& session) {
    add_common([&] { return session.symbols().why_incomplete(); });
    add_common([&] { return session.types().why_none(); });
  }
  void ask(const char* what, const std::function<void()>& read) {
    try {
      read();
    } catch (const Error& error) {
      add(what, error.what());
    }
  }
  std::vector<std::string> lines() const {
    std::vector<std::string> lines;
    for (const Reason& reason : reasons_) {
      if (reason.of.empty()) continue;
      std::string of = reason.of.front();
      for (size_t i = 1; i < reason.of.size(); ++i)
        of += fmt::format("{}{}", i + 1 < reason.of.size() ? ", " : " and ", reason.of[i]);
      lines.push_back(
          fmt::format("{} {} not known: {}", of, reason.of.size() == 1 ? "is" : "are", reason.text));
    }
    return lines;
  }

 private:
  struct Reason {
    std::string text;
    std::vector<std::string> of;
  };
  void add_common(const std::function<std::string()>& reason) {
    try {
      if (std::string text = reason(); !text.empty()) reasons_.push_back({std::move(text), {}});
    } catch (const Error&) {
      // There are no symbols at all: each question says so itself.
    }
  }
  void add(const char* what, const std::string& why) {
    for (Reason& reason : reasons_)
      if (why.ends_with(reason.text)) {
        reason.of.emplace_back(what);
        return;
      }
    reasons_.push_back({why, {what}});
  }

  std::vector<Reason> reasons_;
};

}  // namespace

System read_system(const Session& session) {
  System system;
  Missing missing(session);
  std::vector<std::string> faults;
  missing.ask("the number of CPUs", [&] {
    system.cpus = session.with_machine(
        [](machine::Machine& machine) { return machine.need_number(machine::FactId::cpus); });
  });
  missing.ask("the date", [&] { read_clock(session, system); });
  missing.ask("the load average", [&] { system.load_average = load_average(session); });
  missing.ask("the number of tasks", [&] {
    TaskList list = all_tasks(session);
    system.tasks = list.tasks.size();
    faults = std::move(list.faults);
  });
  missing.ask("the system's name", [&] { read_names(session, system); });
  missing.ask("the size of memory", [&] { system.memory = total_memory(session); });
  missing.ask("what taints the kernel", [&] { system.taints = read_taints(session); });
  if (!session.image().traits().live) missing.ask("the panic", [&] { system.panic = panic_line(session); });
  system.missing = missing.lines();
  system.missing.insert(system.missing.end(), faults.begin(), faults.end());
  if (system.taints && !system.taints->fault.empty())
    system.missing.push_back(fmt::format("which modules taint the kernel: {}", system.taints->fault));
  return system;
}

}  // namespace kvista::kernel
