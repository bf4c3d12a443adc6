// The types of a described kernel.
#include "images/btf_builder.h"
#include "images/kernel.h"
#include "images/kernel_types.h"

namespace kvista::test {
namespace {

// A few types with all that a layout can show: holes, bit-fields, members without a name, padding.
BtfBuilder sample_types(ByteOrder order) {
  BtfBuilder types(order);
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

// What no compiler writes. A type's number is one more than that of the type before it.
void add_cyclic(BtfBuilder& types) {
  const uint32_t word = types.integer("cyclic_word", 8);
  types.reference(8, "endless", word + 1);
  types.array(word + 2, word, 2);
  const uint32_t definition = types.reference(8, "endless_array", word + 2);
  types.structure("matryoshka", 16, {{"count", word, 0}, {"inner", definition + 1, 64}});
  types.structure("nameless_matryoshka", 16, {{"count", word, 0}, {"", definition + 2, 64}});
  const uint32_t chain = types.structure("has_endless", 16, {{"next", word + 1, 0}, {"array", word + 2, 64}});
  types.variable("endless_variable", word + 1);
  types.reference(8, "ping", chain + 3);
  types.reference(10, "", chain + 2);
  types.prototype(chain + 4, {{"itself", chain + 4, 0}});
  types.reference(12, "endless_function", chain + 4);
}

void add_wrong_sizes(BtfBuilder& types) {
  const uint32_t word = types.integer("sized_word", 8);
  types.structure("too_small", 4, {{"first", word, 0}, {"second", word, 64}});
  types.structure("far_member", 16, {{"near", word, 0}, {"far", word, 0xfffffff0}});
  const uint32_t wide = types.array(word, word, 0xffffffff);
  const uint32_t wider = types.array(wide, word, 0xffffffff);
  types.structure("huge_array", 8, {{"all", types.array(wider, word, 0xffffffff), 0}});
  types.structure("many_elements", 16, {{"all", wide, 0}});
  types.structure("wide_bits", 8, {{"bits", word, 0, 255}});
  types.structure("no_such_type", 8, {{"member", 0x00ffffff, 0}});
  const uint32_t odd = types.integer("odd_number", 7);
  types.structure("odd_member", 8, {{"odd", odd, 0}});
}

}  // namespace

BtfBuilder btf_of(const Description& description) {
  const ByteOrder order = description.machine.architecture->byte_order;
  BtfBuilder types = description.objects.empty() ? sample_types(order) : kernel_types().btf();
  const BtfLine line = description.btf.value_or(BtfLine());
  if (line.cyclic) add_cyclic(types);
  if (line.wrong_sizes) add_wrong_sizes(types);
  if (line.future_kind) types.add("future", 25, 0, 0);
  return types;
}

void Kernel::place_btf() {
  if (!description_.btf) return;
  const auto bytes = btf_of(description_).build();
  const uint64_t at = place("__start_BTF", bytes.size(), kPage);
  memory_.write(image_phys(at), bytes);
  symbols_["__stop_BTF"] = at + bytes.size();
  if (description_.btf->magic_damaged) memory_.put32(image_phys(at), 0);
  if (description_.btf->unnamed)
    for (const char* symbol : {"__start_BTF", "__stop_BTF"}) symbols_.erase(symbol);
}

}  // namespace kvista::test
