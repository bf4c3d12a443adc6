// The types of the modules that are loaded.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "machine/machine.h"
#include "type/btf_types.h"

namespace kvista::type {

struct ModuleTypes {
  std::string module;
  std::unique_ptr<BtfTypes> types;  ///< over the kernel's own
};

/// What a walk along the list of modules found.
struct AllModuleTypes {
  std::vector<ModuleTypes> modules;  ///< those that have types, in the list's order, newest first
  std::string fault;                 ///< why it is not all of them, in one sentence; empty where it is
};

/// The split BTF of each module (since 36e68442d1af, 5.11; before, modules have none). `kernel` must live
/// longer.
AllModuleTypes read_module_types(machine::Machine& machine, const BtfTypes& kernel);

}  // namespace kvista::type
