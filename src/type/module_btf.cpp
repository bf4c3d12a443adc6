#include "type/module_btf.h"

#include <fmt/format.h>

#include <array>
#include <functional>
#include <set>

#include "base/cursor.h"
#include "base/endian.h"
#include "base/error.h"

namespace kvista::type {
namespace {

constexpr size_t kMostModules = 10'000;
constexpr uint64_t kMostBytes = uint64_t{64} << 20;
constexpr uint64_t kMostName = 256;
constexpr unsigned kBits = 8;

// Where the members are that lead from one to the next, in bytes (kernel/bpf/btf.c). What struct module says
// of its types is gone once it is initialised.
struct ModuleLayout {
  uint64_t list;  // in struct btf_module
  uint64_t btf;
  uint64_t name;  // in struct btf
  uint64_t name_size;
  uint64_t data;
  uint64_t size;
};

std::optional<ModuleLayout> module_layout(const BtfTypes& kernel) {
  const auto modules = kernel.find("btf_module", Kind::structure);
  const auto tables = kernel.find("btf", Kind::structure);
  if (modules.empty() || tables.empty()) return std::nullopt;
  const auto list = modules[0].find_member("list");
  const auto btf = modules[0].find_member("btf");
  const auto name = tables[0].find_member("name");
  const auto data = tables[0].find_member("data");
  const auto size = tables[0].find_member("data_size");
  if (!list || !btf || !name || !data || !size) return std::nullopt;
  return ModuleLayout{list->bit_offset / kBits, btf->bit_offset / kBits,
                      name->bit_offset / kBits, std::min(name->type.size(), kMostName),
                      data->bit_offset / kBits, size->bit_offset / kBits};
}

class ModuleWalk {
 public:
  ModuleWalk(machine::Machine& machine, const BtfTypes& kernel, const ModuleLayout& layout)
      : space_(machine.kernel_space()),
        describe_state_(
            [&image = machine.image()](image::PageState state) { return image.describe_state(state); }),
        order_(machine.byte_order()),
        kernel_(kernel),
        layout_(layout) {}

  // From the list's head on, up to the first thing that cannot be read.
  void run(VirtAddr head, AllModuleTypes& found) const {
    std::set<VirtAddr> seen;
    for (VirtAddr at{word(head)}; at != head; at = VirtAddr{word(at)}) {
      if (seen.size() >= kMostModules)
        throw NotFound(fmt::format("the list btf_modules does not end after {} entries", seen.size()));
      if (!seen.insert(at).second)
        throw NotFound(fmt::format("the list btf_modules comes back to {:#x} after {} entries: a loop",
                                   at.value, seen.size()));
      try {
        add(VirtAddr{at.value - layout_.list}, found.modules);
      } catch (const Error& error) {
        if (found.fault.empty()) found.fault = error.what();  // the others are of use without it
      }
    }
  }

 private:
  void read(VirtAddr at, std::span<std::byte> out) const {
    const auto got = space_.read(at, out);
    if (got.done == out.size()) return;
    throw NotFound(
        fmt::format("{:#x} is {}", (at + got.done).value,
                    got.end == machine::WalkEnd::mapped ? describe_state_(got.state) : describe(got.end)));
  }
  uint64_t word(VirtAddr at) const {
    std::array<std::byte, 8> bytes{};
    read(at, bytes);
    return load<uint64_t>(bytes.data(), order_);
  }
  void add(VirtAddr module, std::vector<ModuleTypes>& found) const {
    const VirtAddr btf{word(module + layout_.btf)};
    std::vector<std::byte> name(layout_.name_size);
    read(btf + layout_.name, name);
    const std::string text(as_text(name));
    std::array<std::byte, 4> size_bytes{};
    read(btf + layout_.size, size_bytes);
    const uint64_t size = load<uint32_t>(size_bytes.data(), order_);
    if (size > kMostBytes)
      throw NotFound(fmt::format("the types of module {} have an absurd size, {}", text, size));
    std::vector<std::byte> bytes(size);
    try {
      read(VirtAddr{word(btf + layout_.data)}, bytes);
      found.push_back(
          {text, std::make_unique<BtfTypes>(std::move(bytes), order_, kernel_.word_size(), &kernel_)});
    } catch (const Error& error) {
      throw NotFound(fmt::format("those of module {}: {}", text, error.what()));
    }
  }

  machine::AddressSpace space_;
  std::function<std::string(image::PageState)> describe_state_;
  ByteOrder order_;
  const BtfTypes& kernel_;
  ModuleLayout layout_;
};

}  // namespace

AllModuleTypes read_module_types(machine::Machine& machine, const BtfTypes& kernel) {
  AllModuleTypes all;
  const auto layout = module_layout(kernel);
  if (!layout) return all;
  try {
    ModuleWalk(machine, kernel, *layout).run(machine.symbol("btf_modules"), all);
  } catch (const Error& error) {
    if (all.fault.empty()) all.fault = error.what();
  }
  if (!all.fault.empty()) all.fault = fmt::format("not all modules' types (BTF) can be read: {}", all.fault);
  return all;
}

}  // namespace kvista::type
