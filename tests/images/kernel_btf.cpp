// The types of a described kernel.
#include "images/btf_builder.h"
#include "images/kernel.h"

namespace kvista::test {
namespace {

// A few types with all that a layout can show: holes, bit-fields, members without a name, padding.
BtfBuilder sample_types() {
  BtfBuilder types;
  const uint32_t c = types.integer("char", 1, true);
  const uint32_t i = types.integer("int", 4, true);
  const uint32_t u = types.integer("unsigned int", 4);
  const uint32_t l = types.integer("long unsigned int", 8);
  const uint32_t list = types.structure("list_head", 16, {{"next", 6, 0}, {"prev", 6, 64}});
  types.pointer(list);
  const uint32_t pid_t = types.reference(8, "pid_t", i);
  const uint32_t name = types.array(c, u, 16);
  const uint32_t inner = types.structure("", 4, {{"low", u, 0, 4}, {"high", u, 5, 27}});
  const uint32_t either = types.structure("", 8, {{"", inner, 0}, {"all", l, 0}}, true);
  const uint32_t task = types.structure("task_struct", 64,
                                        {{"state", c, 0},
                                         {"pid", pid_t, 32},
                                         {"tasks", list, 64},
                                         {"", either, 192},
                                         {"comm", name, 256},
                                         {"cpu", u, 448}});
  types.structure("thread_union", 64, {{"task", task, 0}, {"stack", types.array(l, u, 8), 0}}, true);
  types.enumeration("zone_type", {{"ZONE_DMA", 0}, {"ZONE_NORMAL", 2}});
  types.enumeration("state", {{"LOST", -1}, {"RUNNING", 0}});
  types.reference(12, "schedule", types.prototype(0, {}));
  types.variable("current_task", types.pointer(task));
  return types;
}

}  // namespace

void Kernel::place_btf() {
  if (!description_.btf) return;
  BtfBuilder types = sample_types();
  if (description_.btf->future_kind) types.add("future", 25, 0, 0);
  const auto bytes = types.build();
  const uint64_t at = place("__start_BTF", bytes.size(), kPage);
  memory_.write(image_phys(at), bytes);
  symbols_["__stop_BTF"] = at + bytes.size();
  if (description_.btf->magic_damaged) memory_.put32(image_phys(at), 0);
  if (description_.btf->unnamed)
    for (const char* symbol : {"__start_BTF", "__stop_BTF"}) symbols_.erase(symbol);
}

}  // namespace kvista::test
