#include "debuginfo/debuginfo.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include "base/error.h"
#include "debuginfo/debuginfod.h"
#include "debuginfo/places.h"
#include "machine/probes.h"

namespace kvista::debuginfo {
namespace {

using machine::Machine;

// The file as this kernel's debug information; null, and a warning, where it is another's.
std::unique_ptr<Debuginfo> prove(Machine& machine, const std::string& path) {
  auto file = open_debug_file(path);
  machine::SymbolTable table = machine::read_symbol_file(path, machine);
  machine::prove_symbol_file(machine, table);
  if (!table.failure.empty()) {
    machine.add_warning(fmt::format("{} is not used: {}", path, table.failure));
    return nullptr;
  }
  auto debuginfo = std::make_unique<Debuginfo>(path, std::move(file), table.shift);
  if (machine.options().symbols_file.empty()) machine.use_symbol_file(path, std::move(table));
  return debuginfo;
}

// What is found by itself and cannot be used is no reason to stop.
std::unique_ptr<Debuginfo> try_to_prove(Machine& machine, const std::string& path) {
  try {
    return prove(machine, path);
  } catch (const Unsupported&) {
    throw;  // this build reads none
  } catch (const Error& error) {
    machine.add_warning(fmt::format("{} is not used: {}", path, error.what()));
    return nullptr;
  }
}

std::unique_ptr<Debuginfo> from_server(Machine& machine, const std::string& build_id) {
  try {
    return try_to_prove(machine, ask_debuginfod(build_id));
  } catch (const NotFound& error) {
    machine.add_warning(error.what());
    return nullptr;
  }
}

std::unique_ptr<Debuginfo> find(Machine& machine, const Options& options) {
  const Identity identity{machine::noted_build_id(machine.note()).value_or(""),
                          std::string(machine.note().text_of("OSRELEASE").value_or(""))};
  const auto places = usual_places(identity, machine.options().system_root);
  bool is_any = false;
  for (const std::string& path : places) {
    if (::access(path.c_str(), F_OK) != 0) continue;
    is_any = true;
    if (auto found = try_to_prove(machine, path)) return found;
  }
  if (options.ask_servers) return from_server(machine, identity.build_id);
  if (places.empty())
    machine.add_warning("no debuginfo is looked for: the kernel's note has neither BUILD-ID nor OSRELEASE");
  else if (!is_any)
    machine.add_warning(fmt::format("no debuginfo is found: there is no {}", fmt::join(places, ", no ")));
  return nullptr;
}

}  // namespace

std::unique_ptr<Debuginfo> choose(Machine& machine, const Options& options) {
  for (const std::string& path : options.files)
    if (auto found = prove(machine, path)) return found;
  return options.find || options.ask_servers ? find(machine, options) : nullptr;
}

}  // namespace kvista::debuginfo
