#include "kernel/firmware.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "kernel/session.h"

namespace kvista::kernel {
namespace {

type::Type enumeration(const Session& session, std::string_view name) {
  const auto found = session.types().kernel_type(name, type::Kind::enumeration);
  if (!found) throw NotFound(fmt::format("the kernel has no enum {}", name));
  return *found;
}

std::string name_of(const type::Type& all, uint64_t value) {
  const auto& enumerators = all.enumerators();
  const auto at = std::find_if(enumerators.begin(), enumerators.end(),
                               [&](const type::Enumerator& one) { return one.value == value; });
  return at == enumerators.end() ? fmt::format("{}", value) : std::string(at->name);
}

}  // namespace

// drivers/firmware/dmi_scan.c: dmi_ident, by enum dmi_field (include/linux/mod_devicetable.h).
std::vector<DmiField> dmi_fields(const Session& session) {
  constexpr size_t kMostText = 256;
  const Value texts = session.own_global("dmi_ident");
  const uint64_t count = texts.type().resolved().count();
  const type::Type names = enumeration(session, "dmi_field");
  std::vector<DmiField> fields;
  for (const type::Enumerator& one : names.enumerators()) {
    if (one.value >= count) continue;  // DMI_STRING_MAX, and what is never a text of the machine
    const Value text = texts[one.value];
    if (text) fields.push_back({std::string(one.name), text.text(kMostText)});
  }
  return fields;
}

// arch/x86/kernel/e820.c; struct e820_table since 544a0f47e780 (4.12).
std::vector<FirmwareRange> firmware_map(const Session& session) {
  const Value map = session.own_global("e820_table");
  const Value entries = map["entries"];
  const uint64_t count = std::min(map["nr_entries"].number(), entries.type().resolved().count());
  const type::Type types = enumeration(session, "e820_type");
  std::vector<FirmwareRange> ranges;
  for (uint64_t i = 0; i < count; ++i) {
    const Value one = entries[i];
    ranges.push_back(
        {PhysAddr{one["addr"].number()}, one["size"].number(), name_of(types, one["type"].number())});
  }
  return ranges;
}

}  // namespace kvista::kernel
