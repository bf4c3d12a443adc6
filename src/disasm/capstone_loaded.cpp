#include <dlfcn.h>
#include <fmt/format.h>

#include <string>

#include "base/error.h"
#include "disasm/capstone.h"

namespace kvista::disasm {
namespace {

template <typename Function>
void find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  if (function == nullptr) throw Unsupported(fmt::format("Capstone lacks {}", name));
}

Capstone load() {
  const std::string name = fmt::format("libcapstone.so.{}", CS_API_MAJOR);
  // It stays loaded.
  void* const library = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr)
    throw Unsupported(
        fmt::format("code cannot be disassembled: {} cannot be loaded, install Capstone {} ({})", name,
                    CS_API_MAJOR, dlerror()));
  Capstone all{};
  find(library, "cs_support", all.support);
  find(library, "cs_open", all.open);
  find(library, "cs_close", all.close);
  find(library, "cs_option", all.option);
  find(library, "cs_strerror", all.strerror);
  find(library, "cs_malloc", all.malloc);
  find(library, "cs_free", all.free);
  find(library, "cs_disasm_iter", all.disasm_iter);
  find(library, "cs_insn_group", all.insn_group);
  return all;
}

}  // namespace

const Capstone& capstone() {
  static const Capstone kAll = load();
  return kAll;
}

}  // namespace kvista::disasm
