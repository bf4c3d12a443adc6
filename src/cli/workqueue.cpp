// kvista workqueue: what workers run, and what waits for them.
#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "cli/command.h"
#include "kernel/session.h"
#include "kernel/work_queues.h"

namespace kvista::cli {
namespace {

using kernel::PoolQueue;
using kernel::Session;
using kernel::Work;
using kernel::Worker;
using kernel::WorkerPool;
using kernel::WorkQueue;
using kernel::WorkQueues;

constexpr size_t kPools = 0;
constexpr size_t kWorkers = 1;
constexpr size_t kQueues = 2;
constexpr size_t kWorks = 3;

TableSpec pools_spec() {
  return {"pools",
          "pools of workers",
          Layout::lines,
          {{"pool", "POOL", Type::integer, "", "its number", Show::only_json},
           {"address", "ADDRESS", Type::hex, "", "of its struct worker_pool", Show::only_json},
           {"cpu", "CPU", Type::integer, "", "its workers' CPU; null where they are bound to none",
            Show::only_json},
           {"nice", "NICE", Type::integer, "", "its workers' niceness", Show::only_json},
           {"workers", "WORKERS", Type::integer, "", "how many, as it counts", Show::only_json},
           {"idle", "IDLE", Type::integer, "", "how many do nothing, as it counts", Show::only_json},
           {"pending", "PENDING", Type::integer, "", "works that wait for a worker", Show::only_json}}};
}

TableSpec workers_spec() {
  return {"workers",
          "the workers of each pool, and the rescuers of workqueues",
          Layout::lines,
          {{"pool", "POOL", Type::integer, "", "its pool's number; null of a rescuer", Show::only_json},
           {"address", "ADDRESS", Type::hex, "", "of its struct worker", Show::only_json},
           {"task", "TASK", Type::hex, "", "its struct task_struct", Show::only_json},
           {"pid", "PID", Type::integer, "", "of its task", Show::only_json},
           {"comm", "COMMAND", Type::text, "", "its task's name", Show::only_json},
           {"idle", "IDLE", Type::boolean, "", "it does nothing", Show::only_json},
           {"description", "DESCRIPTION", Type::text, "", "what it was used for last", Show::only_json}}};
}

TableSpec queues_spec() {
  return {"queues",
          "workqueues, a row for each pool that they use",
          Layout::lines,
          {{"queue", "WORKQUEUE", Type::text, "", "its name", Show::only_json},
           {"address", "ADDRESS", Type::hex, "", "of its struct workqueue_struct", Show::only_json},
           {"flags", "FLAGS", Type::hex, "", "include/linux/workqueue.h, WQ_...", Show::only_json},
           {"max_active", "MAX ACTIVE", Type::integer, "", "works at once", Show::only_json},
           {"pool", "POOL", Type::integer, "", "which pool's workers", Show::only_json},
           {"pool_queue", "POOL WORKQUEUE", Type::hex, "", "the struct pool_workqueue between the two",
            Show::only_json},
           {"active", "ACTIVE", Type::integer, "", "works that run or are pending", Show::only_json},
           {"inactive", "INACTIVE", Type::integer, "", "works beyond what may be at once", Show::only_json}}};
}

TableSpec works_spec() {
  return {
      "works",
      "works that run or wait",
      Layout::lines,
      {{"line", "LINE", Type::text, "", "in text also pools, workers and workqueues", Show::only_text},
       {"state", "STATE", Type::text, "",
        "running, scheduled (in one worker's line), pending (in a pool's line), inactive (beyond what its "
        "workqueue may run at once), delayed (its timer has not run out)",
        Show::only_json},
       {"work", "WORK", Type::hex, "", "where its struct work_struct is", Show::only_json},
       {"function", "FUNCTION", Type::text, "", "what runs", Show::only_json},
       {"queue", "WORKQUEUE", Type::text, "", "its workqueue's name; null where it is not known",
        Show::only_json},
       {"pool", "POOL", Type::integer, "", "the pool's number", Show::only_json},
       {"pid", "PID", Type::integer, "", "the worker's", Show::only_json},
       {"cpu", "CPU", Type::integer, "", "of a delayed one: whose timer it is", Show::only_json},
       {"expires", "EXPIRES", Type::integer, "jiffies", "of a delayed one: when its timer runs out",
        Show::only_json}}};
}

template <typename T>
Cell cell(const std::optional<T>& value) {
  return value ? Cell(*value) : Cell{};
}
Cell text_cell(const std::string& text) {
  return text.empty() ? Cell{} : Cell(text);
}

class WorkQueueReport {
 public:
  WorkQueueReport(const Session& session, bool all) : session_(session), all_(all) {
    report_ = {"workqueue",
               {{pools_spec(), {}}, {workers_spec(), {}}, {queues_spec(), {}}, {works_spec(), {}}},
               {},
               ExitStatus::complete};
  }

  Report make() {
    const WorkQueues found = kernel::read_work_queues(session_);
    now_ = found.now;
    for (const WorkerPool& pool : found.pools) add_pool(pool);
    for (const WorkQueue& queue : found.queues) add_queue(queue);
    if (!found.delayed.empty()) {
      begin("DELAYED WORKS");
      for (const Work& work : found.delayed) add_work(work, "  ", std::nullopt, std::nullopt);
    }
    if (table(kWorks).rows.empty()) add_line("no work runs, and none waits");
    for (const std::string& fault : found.faults) add_missing(report_, fault);
    return std::move(report_);
  }

 private:
  Table& table(size_t index) { return report_.tables.at(index); }
  void add_line(const std::string& text) { table(kWorks).rows.push_back({text}); }
  void begin(const std::string& title) {
    if (!table(kWorks).rows.empty()) add_line("");
    add_line(title);
  }

  std::string function_text(const Work& work) const {
    const std::string name = session_.symbol_text(work.function);
    return name.empty() ? fmt::format("{:#x}", work.function.value) : name;
  }

  std::string when_text(const Work& work) const {
    const uint64_t expires = work.expires.value_or(0);
    if (!now_) return fmt::format("at {} jiffies", expires);
    return expires >= *now_ ? fmt::format("in {} jiffies", expires - *now_)
                            : fmt::format("{} jiffies ago", *now_ - expires);
  }

  void add_work(const Work& work, const std::string& head, std::optional<uint64_t> pool,
                std::optional<uint64_t> pid) {
    std::string line =
        fmt::format("{}{:<9}  {:x}  {}", head, name_of(work.state), work.address.value, function_text(work));
    if (!work.queue.empty()) line += fmt::format("  [{}]", work.queue);
    if (work.cpu) line += fmt::format("  CPU {}, {}", *work.cpu, when_text(work));
    table(kWorks).rows.push_back({line, std::string(name_of(work.state)), Hex{work.address.value},
                                  function_text(work), text_cell(work.queue), cell(pool), cell(pid),
                                  work.cpu ? Cell(uint64_t{*work.cpu}) : Cell{}, cell(work.expires)});
  }

  static bool is_busy(const Worker& worker) { return worker.current || !worker.scheduled.empty(); }
  void add_worker(const Worker& worker, std::optional<uint64_t> pool, const char* title) {
    if (!shown_.insert(worker.address).second) return;  // a rescuer is its pool's while it works there
    const auto pid = worker.task ? worker.task->pid : std::nullopt;
    const auto comm = worker.task ? worker.task->comm : std::nullopt;
    table(kWorkers).rows.push_back({cell(pool), Hex{worker.address.value},
                                    worker.task ? Cell(Hex{worker.task->address.value}) : Cell{}, cell(pid),
                                    cell(comm), worker.is_idle, text_cell(worker.description)});
    if (!all_ && !is_busy(worker)) return;
    add_line(fmt::format("  {} PID: {:<6}  TASK: {:x}  COMMAND: {}{}", title, to_text(cell(pid)),
                         worker.task ? worker.task->address.value : 0,
                         comm ? fmt::format("\"{}\"", *comm) : "-", is_busy(worker) ? "" : "  (idle)"));
    if (worker.current) add_work(*worker.current, "    ", pool, pid);
    for (const Work& work : worker.scheduled) add_work(work, "    ", pool, pid);
  }

  void add_pool(const WorkerPool& pool) {
    const bool is_bound = pool.cpu.value_or(-1) >= 0;
    table(kPools).rows.push_back({pool.id, Hex{pool.address.value}, is_bound ? cell(pool.cpu) : Cell{},
                                  cell(pool.nice), cell(pool.workers_counted), cell(pool.idle_counted),
                                  uint64_t{pool.pending.size()}});
    const bool is_shown =
        all_ || !pool.pending.empty() || std::any_of(pool.workers.begin(), pool.workers.end(), is_busy);
    if (is_shown)
      begin(fmt::format("POOL {}  {:x}  {}  NICE: {}  WORKERS: {}  IDLE: {}", pool.id, pool.address.value,
                        is_bound ? fmt::format("CPU: {}", *pool.cpu) : "CPU: any", to_text(cell(pool.nice)),
                        to_text(cell(pool.workers_counted)), to_text(cell(pool.idle_counted))));
    for (const Worker& worker : pool.workers) add_worker(worker, pool.id, "WORKER ");
    for (const Work& work : pool.pending) add_work(work, "  ", pool.id, std::nullopt);
  }

  void add_queue(const WorkQueue& queue) {
    const bool is_shown = all_ || (queue.rescuer && is_busy(*queue.rescuer)) ||
                          std::any_of(queue.pools.begin(), queue.pools.end(), [](const PoolQueue& part) {
                            return part.active.value_or(0) != 0 || !part.inactive.empty();
                          });
    if (is_shown)
      begin(fmt::format("WORKQUEUE {}  {:x}  FLAGS: {}  MAX ACTIVE: {}",
                        queue.name.empty() ? "-" : queue.name, queue.address.value,
                        queue.flags ? fmt::format("{:#x}", *queue.flags) : "-",
                        to_text(cell(queue.most_active))));
    for (const PoolQueue& part : queue.pools) add_part(queue, part, is_shown);
    if (queue.rescuer) add_worker(*queue.rescuer, std::nullopt, "RESCUER");
  }
  void add_part(const WorkQueue& queue, const PoolQueue& part, bool is_shown) {
    table(kQueues).rows.push_back({text_cell(queue.name), Hex{queue.address.value},
                                   queue.flags ? Cell(Hex{*queue.flags}) : Cell{}, cell(queue.most_active),
                                   cell(part.pool), Hex{part.address.value}, cell(part.active),
                                   uint64_t{part.inactive.size()}});
    const bool has_any = part.active.value_or(0) != 0 || !part.inactive.empty();
    if (is_shown && (all_ || has_any))
      add_line(fmt::format("  POOL {}  ACTIVE: {}  INACTIVE: {}", to_text(cell(part.pool)),
                           to_text(cell(part.active)), part.inactive.size()));
    for (const Work& work : part.inactive) add_work(work, "    ", part.pool, std::nullopt);
  }

  const Session& session_;
  bool all_;
  std::optional<uint64_t> now_;  // in jiffies
  std::set<VirtAddr> shown_;     // workers
  Report report_;
};

Report run(const Invocation& invocation) {
  return with_session(invocation, [&](const Session& session) {
    return WorkQueueReport(session, invocation.flag("-a")).make();
  });
}

}  // namespace

Command make_workqueue() {
  std::vector<OptionSpec> options = {{"-a", "", "also what is idle: all pools, workers and workqueues"}};
  for (OptionSpec& one : machine_options()) options.push_back(std::move(one));
  return {
      "workqueue",
      "show what the workers of workqueues run, and what waits for them",
      "kvista -c vmcore workqueue\n  running, pending, inactive and delayed works, by pool and workqueue; "
      "-a: idle ones, too",
      {},
      options,
      {pools_spec(), workers_spec(), queues_spec(), works_spec()},
      run};
}

}  // namespace kvista::cli
