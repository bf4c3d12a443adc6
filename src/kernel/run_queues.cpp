#include "kernel/run_queues.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "kernel/session.h"
#include "kernel/walk.h"

namespace kvista::kernel {
namespace {

constexpr unsigned kMostGroups = 64;  // within each other
constexpr size_t kMostTasks = size_t{1} << 20;
constexpr unsigned kMostPriorities = 256;

// A member, or a value that is not there: kernels differ.
std::optional<uint64_t> number_of(const Value& object, std::string_view member) {
  return object.has(member) ? std::optional(object[member].number()) : std::nullopt;
}

class QueueReader {
 public:
  QueueReader(const Session& session, const TaskReader& reader, RunQueue& queue)
      : session_(session), reader_(reader), queue_(queue), task_type_(type_by_word(session, "task_struct")) {}

  void run(const Value& rq) {
    ask("", [&] { queue_.running = number_of(rq, "nr_running"); });
    ask("", [&] { queue_.clock = number_of(rq, "clock"); });
    ask("what it runs", [&] { read_current(rq["curr"]); });
    for (const auto& [sched_class, member, read] : kClasses) {
      const size_t faults = queue_.faults.size();
      ask(fmt::format("its {} tasks", name_of(sched_class)), [&, member = member, read = read] {
        if (rq.has(member)) (this->*read)(rq[member]);
      });
      of_class(sched_class).is_whole = queue_.faults.size() == faults;
    }
  }

 private:
  using Read = void (QueueReader::*)(const Value&);
  struct Class {
    SchedClass sched_class;
    const char* member;  // of struct rq
    Read read;
  };
  static const std::array<Class, 4> kClasses;

  template <typename Work>
  void ask(const std::string& what, Work work) try {
    work();
  } catch (const Error& error) {
    add_fault(what, error.what());
  }
  void add_fault(const std::string& what, const std::string& why) {
    if (why.empty()) return;
    queue_.faults.push_back(what.empty() ? why : fmt::format("{}: {}", what, why));
  }
  RunQueue::Queue& of_class(SchedClass sched_class) {
    return queue_.queues.at(static_cast<size_t>(sched_class));
  }

  void read_current(const Value& current) {
    if (!current) return;
    const Value task = session_.object(task_type_, current.target());
    queue_.current = reader_.read_identity(task);
    if (task.has("sched_info")) queue_.since = number_of(task["sched_info"], "last_arrival");
    if (queue_.since == 0) queue_.since.reset();  // of idle tasks it is not kept
  }

  // The task whose `member` a scheduling entity is.
  bool add(SchedClass sched_class, const Value& entity, const char* member, unsigned depth,
           const char* key_member) {
    QueuedTask one;
    one.sched_class = sched_class;
    one.depth = depth;
    const Value task = session_.object(task_type_, *entity.address() - member_offset(task_type_, member));
    one.task = reader_.read_identity(task);
    one.fault = one.task.fault;
    try {
      one.priority = number_of(task, "prio");
      if (key_member != nullptr) one.key = number_of(entity, key_member);
      one.is_delayed = entity.has("sched_delayed") && entity["sched_delayed"].number() != 0;
    } catch (const Error& error) {
      if (one.fault.empty()) one.fault = error.what();
    }
    queue_.tasks.push_back(std::move(one));
    return queue_.tasks.size() < kMostTasks;
  }

  // Each node of a red-black tree as the struct that it is in.
  template <typename Visit>
  std::string walk_entities(const Value& root, const char* type_name, const char* node_member, Visit visit) {
    const type::Type type = type_by_word(session_, type_name);
    const uint64_t offset = member_offset(type, node_member);
    const Value top = root.has("rb_root") ? root["rb_root"]["rb_node"] : root["rb_node"];
    std::string fault;
    const std::string torn = walk_tree(session_, top.target(), [&](VirtAddr node) {
      try {
        return visit(session_.object(type, node - offset));
      } catch (const Error& error) {
        if (fault.empty()) fault = error.what();
        return queue_.tasks.size() < kMostTasks;
      }
    });
    return torn.empty() ? fault : torn;
  }

  void read_fair(const Value& cfs) {
    of_class(SchedClass::fair).address = cfs["tasks_timeline"].address();
    read_fair_group(cfs, 0);
  }
  // An entity is a task's, or a group's, whose own queue is `my_q`. The one that runs is in no tree: of a
  // group, that others of it wait can only be known through it.
  void read_fair_group(const Value& cfs, unsigned depth) {
    if (!seen_.insert(*cfs.address())) return;
    if (depth > kMostGroups) throw NotFound("groups are within each other without an end");
    const std::string fault =
        walk_entities(cfs["tasks_timeline"], "sched_entity", "run_node", [&](const Value& entity) {
          if (read_fair_group_of(entity, depth)) return queue_.tasks.size() < kMostTasks;
          return add(SchedClass::fair, entity, "se", depth, "vruntime");
        });
    add_fault("its CFS tasks", fault);
    const Value current = cfs["curr"];
    if (current) read_fair_group_of(*current, depth);
  }
  bool read_fair_group_of(const Value& entity, unsigned depth) {
    if (!entity.has("my_q")) return false;
    const Value own = entity["my_q"];
    if (!own) return false;
    read_fair_group(*own, depth + 1);
    return true;
  }

  void read_realtime(const Value& rt) {
    of_class(SchedClass::realtime).address = rt["active"].address();
    read_realtime_group(rt, 0);
  }
  void read_realtime_group(const Value& rt, unsigned depth) {
    if (!seen_.insert(*rt.address())) return;
    if (depth > kMostGroups) throw NotFound("groups are within each other without an end");
    const Value lists = rt["active"]["queue"];
    std::vector<std::byte> heads(lists.type().size());
    session_.read(*lists.address(), heads, nullptr);  // one fault for all of them
    const type::Type type = type_by_word(session_, "sched_rt_entity");
    const uint64_t offset = member_offset(type, "run_list");
    const uint64_t count = std::min<uint64_t>(lists.type().resolved().info().count, kMostPriorities);
    for (uint64_t i = 0; i < count; ++i)
      add_fault(fmt::format("its RT tasks of priority {}", i),
                walk_list(session_, *lists[i].address(), [&](VirtAddr node) {
                  const Value entity = session_.object(type, node - offset);
                  const Value own = entity.has("my_q") ? entity["my_q"] : Value();
                  if (entity.has("my_q") && own) {
                    read_realtime_group(*own, depth + 1);
                    return queue_.tasks.size() < kMostTasks;
                  }
                  return add(SchedClass::realtime, entity, "rt", depth, nullptr);
                }));
  }

  // Entities that stand for a whole class (dl_server, since 6.8) are no tasks.
  void read_deadline(const Value& dl) {
    const Value root = dl[dl.has("root") ? "root" : "rb_root"];
    of_class(SchedClass::deadline).address = root.address();
    add_fault("its DL tasks", walk_entities(root, "sched_dl_entity", "rb_node", [&](const Value& entity) {
                if (entity.has("dl_server") && entity["dl_server"].number() != 0) return true;
                return add(SchedClass::deadline, entity, "dl", 0, "deadline");
              }));
  }

  void read_extensible(const Value& scx) {
    if (!scx.has("runnable_list")) return;
    const type::Type type = type_by_word(session_, "sched_ext_entity");
    const uint64_t offset = member_offset(type, "runnable_node");
    of_class(SchedClass::extensible).address = scx["runnable_list"].address();
    add_fault("its EXT tasks", walk_list(session_, *scx["runnable_list"].address(), [&](VirtAddr node) {
                return add(SchedClass::extensible, session_.object(type, node - offset), "scx", 0, nullptr);
              }));
  }

  const Session& session_;
  const TaskReader& reader_;
  RunQueue& queue_;
  type::Type task_type_;
  AddressSet seen_;
};

// In the order in which the scheduler asks them.
const std::array<QueueReader::Class, 4> QueueReader::kClasses = {
    {{SchedClass::deadline, "dl", &QueueReader::read_deadline},
     {SchedClass::realtime, "rt", &QueueReader::read_realtime},
     {SchedClass::fair, "cfs", &QueueReader::read_fair},
     {SchedClass::extensible, "scx", &QueueReader::read_extensible}}};

}  // namespace

const char* name_of(SchedClass one) {
  switch (one) {
    case SchedClass::deadline:
      return "DL";
    case SchedClass::realtime:
      return "RT";
    case SchedClass::fair:
      return "CFS";
    case SchedClass::extensible:
      return "EXT";
  }
  return "";
}

RunQueue read_run_queue(const Session& session, const TaskReader& reader, unsigned cpu) {
  RunQueue queue;
  queue.cpu = cpu;
  try {
    const Value rq = session.own_global("runqueues").per_cpu(cpu);
    queue.address = *rq.address();
    static_cast<void>(rq["curr"].number());  // one fault where none of it is there
    QueueReader(session, reader, queue).run(rq);
  } catch (const Error& error) {
    queue.faults.emplace_back(error.what());
  }
  return queue;
}

// The run queue's clock and last_arrival are of one CPU, so that they can be compared.
std::optional<uint64_t> since_last_run(const Session& session, const Task& task) {
  try {
    if (!task.cpu || !task.object.has("sched_info")) return std::nullopt;
    const uint64_t now =
        session.own_global("runqueues").per_cpu(static_cast<unsigned>(*task.cpu))["clock"].number();
    const uint64_t since = task.object["sched_info"]["last_arrival"].number();
    return since == 0 ? std::nullopt : std::optional(now > since ? now - since : 0);
  } catch (const Error&) {
    return std::nullopt;
  }
}

}  // namespace kvista::kernel
