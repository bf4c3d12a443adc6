#include "kernel/work_queues.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/endian.h"
#include "base/error.h"
#include "kernel/session.h"
#include "kernel/walk.h"

namespace kvista::kernel {
namespace {

constexpr size_t kMostObjects = size_t{1} << 20;  // in all lists together

std::optional<uint64_t> number_of(const Value& object, std::string_view member) {
  return object.has(member) ? std::optional(object[member].number()) : std::nullopt;
}
std::optional<int64_t> signed_of(const Value& object, std::string_view member) {
  return object.has(member) ? std::optional(object[member].signed_number()) : std::nullopt;
}

class WorkQueueReader {
 public:
  explicit WorkQueueReader(const Session& session)
      : session_(session),
        tasks_(session),
        work_type_(type_by_word(session, "work_struct")),
        worker_type_(type_by_word(session, "worker")),
        entry_(member_offset(work_type_, "entry")),
        pwq_shift_(shift_of_pwq(session)),
        idle_flag_(session.types().enumerator("WORKER_IDLE").value_or(4)) {}

  WorkQueues run() {
    const Value pools = session_.own_global("worker_pool_idr")["idr_rt"];
    const Value queues = session_.own_global("workqueues");
    ask("the worker pools", [&] { read_pools(pools); });
    ask("the workqueues", [&] { read_queues(queues); });
    ask("delayed works", [&] { read_delayed(); });
    if (left_ == 0)
      found_.faults.push_back(fmt::format("there are more than {} works and workers", kMostObjects));
    return std::move(found_);
  }

 private:
  // Where in work_struct.data the pointer to the pool_workqueue begins: a name of its own since 6.9
  // (e563d0a7cdc1).
  static unsigned shift_of_pwq(const Session& session) {
    constexpr uint64_t kDefault = 8;
    constexpr uint64_t kMost = 20;
    const auto own = session.types().enumerator("WORK_STRUCT_PWQ_SHIFT");
    const auto flags = session.types().enumerator("WORK_STRUCT_FLAG_BITS");
    return static_cast<unsigned>(std::min(own ? *own : flags.value_or(kDefault), kMost));
  }

  template <typename Read>
  void ask(const std::string& what, Read read) try {
    read();
  } catch (const Error& error) {
    add_fault(what, error.what());
  }
  void add_fault(const std::string& what, const std::string& why) {
    if (!why.empty()) found_.faults.push_back(fmt::format("{}: {}", what, why));
  }
  bool take_one() { return left_ > 0 && --left_ > 0; }

  // Each struct that hangs in a list; what cannot be read of one is said, and the others are read.
  template <typename Visit>
  void each(const std::string& what, const Value& head, const type::Type& type, uint64_t offset,
            Visit visit) {
    add_fault(what, walk_list(session_, *head.address(), [&](VirtAddr node) {
                ask(what, [&] { visit(session_.object(type, node - offset)); });
                return take_one();
              }));
  }
  void read_works(const std::string& what, const Value& head, WorkState state, std::vector<Work>& works) {
    each(what, head, work_type_, entry_, [&](const Value& work) { works.push_back(read_work(work, state)); });
  }

  Work read_work(const Value& work, WorkState state) {
    Work one{state, *work.address(), work["func"].target(), {}};
    constexpr uint64_t kHasPwq = 4;  // WORK_STRUCT_PWQ
    const Value data = work["data"];
    const uint64_t word = data.type().resolved().is_compound() ? data["counter"].number() : data.number();
    if ((word & kHasPwq) != 0) one.queue = name_of_pwq(VirtAddr{word >> pwq_shift_ << pwq_shift_});
    return one;
  }
  std::string name_of_pwq(VirtAddr pwq) try {
    return session_.object(type_by_word(session_, "pool_workqueue"), pwq)["wq"]["name"].text();
  } catch (const Error&) {
    return {};  // a work is shown without it
  }

  void read_pools(const Value& pools) {
    const Value head = pools[pools.has("xa_head") ? "xa_head" : "rnode"];
    const type::Type type = type_by_word(session_, "worker_pool");
    add_fault("the worker pools",
              walk_xarray(session_, head.number(), [&](uint64_t id, uint64_t, uint64_t entry) {
                if (is_number_entry(session_, entry)) return true;
                WorkerPool pool;
                pool.id = id;
                pool.address = VirtAddr{entry};
                read_pool(session_.object(type, pool.address), pool);
                found_.pools.push_back(std::move(pool));
                return take_one();
              }));
  }

  void read_pool(const Value& object, WorkerPool& pool) {
    const std::string what = fmt::format("pool {}", pool.id);
    try {
      static_cast<void>(object["worklist"]["next"].number());
    } catch (const Error& error) {
      add_fault(what, error.what());  // one for all of it
      return;
    }
    ask(what, [&] {
      pool.cpu = signed_of(object, "cpu");
      pool.workers_counted = number_of(object, "nr_workers");
      pool.idle_counted = number_of(object, "nr_idle");
    });
    ask(what, [&] {
      if (object.has("attrs") && object["attrs"]) pool.nice = object["attrs"]["nice"].signed_number();
    });
    ask(what + ": its pending works", [&] {
      read_works(what + ": its pending works", object["worklist"], WorkState::pending, pool.pending);
    });
    ask(what + ": its workers", [&] {
      each(what + ": its workers", object["workers"], worker_type_, member_offset(worker_type_, "node"),
           [&](const Value& worker) { pool.workers.push_back(read_worker(worker)); });
    });
  }

  Worker read_worker(const Value& object) {
    Worker worker;
    worker.address = *object.address();
    worker.id = number_of(object, "id");
    if (object["task"])
      worker.task = tasks_.read_identity(
          session_.object(type_by_word(session_, "task_struct"), object["task"].target()));
    worker.is_idle = (object["flags"].number() & idle_flag_) != 0;
    if (object.has("desc")) worker.description = object["desc"].text();
    if (object["current_work"]) {
      Work current{WorkState::running, object["current_work"].target(), object["current_func"].target(), {}};
      if (object["current_pwq"]) current.queue = name_of_pwq(object["current_pwq"].target());
      worker.current = std::move(current);
    }
    const std::string what = fmt::format("the worker at {:#x}: its line", worker.address.value);
    ask(what, [&] { read_works(what, object["scheduled"], WorkState::scheduled, worker.scheduled); });
    return worker;
  }

  void read_queues(const Value& head) {
    const type::Type type = type_by_word(session_, "workqueue_struct");
    each("the workqueues", head, type, member_offset(type, "list"), [&](const Value& object) {
      WorkQueue queue;
      queue.address = *object.address();
      read_queue(object, queue);
      found_.queues.push_back(std::move(queue));
    });
  }

  void read_queue(const Value& object, WorkQueue& queue) {
    std::string what = fmt::format("the workqueue at {:#x}", queue.address.value);
    ask(what, [&] { queue.name = object["name"].text(); });
    ask(what, [&] {
      queue.flags = number_of(object, "flags");
      // Of the workqueue, and not of its parts, since a045a272d887 (6.9).
      queue.most_active = number_of(object, object.has("max_active") ? "max_active" : "saved_max_active");
    });
    ask(what + ": its rescuer", [&] {
      if (object.has("rescuer") && object["rescuer"]) queue.rescuer = read_worker(*object["rescuer"]);
    });
    const type::Type type = type_by_word(session_, "pool_workqueue");
    ask(what, [&] {
      each(what, object["pwqs"], type, member_offset(type, "pwqs_node"), [&](const Value& pwq) {
        PoolQueue part;
        part.address = *pwq.address();
        ask(what, [&] { read_part(pwq, part); });
        queue.pools.push_back(std::move(part));
      });
    });
  }

  // Renamed by f97a4a1a3f87 (5.15).
  void read_part(const Value& pwq, PoolQueue& part) {
    part.active = number_of(pwq, "nr_active");
    read_works(fmt::format("the inactive works at {:#x}", part.address.value),
               pwq[pwq.has("inactive_works") ? "inactive_works" : "delayed_works"], WorkState::inactive,
               part.inactive);
    if (pwq["pool"]) part.pool = pwq["pool"]["id"].number();
  }

  // A delayed work is in no list of its workqueue, but its timer is in a CPU's.
  void read_delayed() {
    const auto function = session_.find_symbols("delayed_work_timer_fn");
    if (function.empty() || !session_.has_global("timer_bases")) return;
    if (session_.has_global("jiffies")) found_.now = session_.own_global("jiffies").number();
    const Value bases = session_.own_global("timer_bases");
    for (const unsigned cpu : session_.present_cpus())
      ask(fmt::format("the timers of CPU {}", cpu), [&] {
        const Value own = bases.per_cpu(cpu);
        for (uint64_t i = 0; i < own.type().resolved().info().count; ++i)
          read_timers(own[i]["vectors"], function.front().address, cpu);
      });
  }
  void read_timers(const Value& vectors, VirtAddr function, unsigned cpu) {
    const unsigned word = session_.word_size();
    std::vector<std::byte> heads(vectors.type().size());
    session_.read(*vectors.address(), heads, nullptr);
    const type::Type timer = type_by_word(session_, "timer_list");
    const uint64_t link = member_offset(timer, "entry");
    for (size_t at = 0; at + word <= heads.size(); at += word) {
      const VirtAddr first{load_sized(std::span(heads).subspan(at, word), session_.byte_order())};
      if (first.value == 0) continue;
      add_fault(fmt::format("the timers of CPU {}", cpu),
                walk_chain(session_, first, {0, VirtAddr{}}, [&](VirtAddr node) {
                  ask(fmt::format("a timer of CPU {}", cpu),
                      [&] { read_timer(session_.object(timer, node - link), function, cpu); });
                  return take_one();
                }));
    }
  }
  void read_timer(const Value& timer, VirtAddr function, unsigned cpu) {
    if (timer["function"].target() != function) return;
    const Value delayed = timer.container_of("delayed_work", "timer");
    Work work = read_work(delayed["work"], WorkState::delayed);
    if (delayed.has("wq") && delayed["wq"]) work.queue = delayed["wq"]["name"].text();
    work.cpu = cpu;
    work.expires = timer["expires"].number();
    found_.delayed.push_back(std::move(work));
  }

  const Session& session_;
  TaskReader tasks_;
  type::Type work_type_, worker_type_;
  uint64_t entry_;
  unsigned pwq_shift_;
  uint64_t idle_flag_;
  size_t left_ = kMostObjects;
  WorkQueues found_;
};

}  // namespace

const char* name_of(WorkState state) {
  switch (state) {
    case WorkState::running:
      return "running";
    case WorkState::scheduled:
      return "scheduled";
    case WorkState::pending:
      return "pending";
    case WorkState::inactive:
      return "inactive";
    case WorkState::delayed:
      return "delayed";
  }
  return "";
}

WorkQueues read_work_queues(const Session& session) {
  return WorkQueueReader(session).run();
}

}  // namespace kvista::kernel
