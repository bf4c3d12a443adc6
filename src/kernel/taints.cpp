#include "kernel/taints.h"

#include <array>
#include <utility>

#include "base/error.h"
#include "kernel/session.h"

namespace kvista::kernel {
namespace {

struct Known {
  char letter;
  const char* meaning;
};
// Documentation/admin-guide/tainted-kernels.rst, by bit.
constexpr std::array kKnown = {
    Known{'P', "a proprietary module was loaded"},
    Known{'F', "a module was loaded by force"},
    Known{'S', "the machine is out of its specification"},
    Known{'R', "a module was unloaded by force"},
    Known{'M', "the processor reported a machine check"},
    Known{'B', "a bad page was met, or unexpected page flags"},
    Known{'U', "a program asked for it"},
    Known{'D', "the kernel died: there was an oops or a BUG"},
    Known{'A', "an ACPI table was overridden"},
    Known{'W', "the kernel issued a warning"},
    Known{'C', "a staging driver was loaded"},
    Known{'I', "a bug in the firmware was worked around"},
    Known{'O', "a module from outside of the kernel's source was loaded"},
    Known{'E', "a module without a signature was loaded"},
    Known{'L', "there was a soft lockup"},
    Known{'K', "the kernel was live patched"},
    Known{'X', "for the distribution to define"},
    Known{'T', "the kernel was built with randomised structs"},
    Known{'N', "a test was run in the kernel"},
    Known{'J', "a debug operation of fwctl changed something"},
};

// The kernel's own letter, where it can be read.
char letter_of(const Session& session, unsigned bit) {
  try {
    const Value flags = session.own_global("taint_flags");
    if (bit < flags.type().count()) return static_cast<char>(flags[bit]["c_true"].number());
  } catch (const Error&) {
    // The table has it.
  }
  return bit < kKnown.size() ? kKnown.at(bit).letter : '?';
}

void add_modules(const Session& session, Taints& taints) {
  taints.fault = session.modules().fault;
  for (const Module& module : session.modules().modules) try {
      const uint64_t bits = module.object["taints"].number();
      for (Taint& taint : taints.list)
        if ((bits >> taint.bit & 1) != 0) taint.modules.push_back(module.name);
    } catch (const Error&) {
      continue;  // the kernel's own mask has what the module brought
    }
}

}  // namespace

Taints read_taints(const Session& session) {
  constexpr unsigned kBits = 64;
  Taints taints;
  taints.mask = session.own_global("tainted_mask").number();
  for (unsigned bit = 0; bit < kBits; ++bit) {
    if ((taints.mask >> bit & 1) == 0) continue;
    const char* meaning = bit < kKnown.size() ? kKnown.at(bit).meaning : "not known";
    taints.list.push_back({bit, letter_of(session, bit), meaning, {}});
  }
  if (!taints.list.empty()) add_modules(session, taints);
  return taints;
}

}  // namespace kvista::kernel
