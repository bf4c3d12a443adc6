#include "unwind/x86_64/orc_tables.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "kernel/session.h"
#include "unwind/kernel_memory.h"

namespace kvista::unwind {
namespace {

using arch::x86_64::OrcFormat;

constexpr uint64_t kMostEntries = uint64_t{1} << 26;

// The bytes of a variable that is too small or too odd to have a type here.
template <size_t Size>
std::optional<std::array<std::byte, Size>> bytes_of(const kernel::Session& session, const char* symbol) {
  const auto place = place_of(session, symbol);
  std::array<std::byte, Size> bytes{};
  if (!place || !read_or_say(session, *place, bytes).empty()) return std::nullopt;
  return bytes;
}

bool has_signal(const kernel::Session& session) {
  const auto type = session.types().kernel_type("orc_entry", type::Kind::structure);
  return type && type->find_member("signal");
}

// By the hash, else by the kernel's own entry whose meaning is known. Without either only the two oldest
// forms are left, if the kernel's types show one of them.
std::optional<OrcFormat> format_of(const kernel::Session& session) {
  if (const auto hash = bytes_of<arch::x86_64::kOrcHashSize>(session, "__start_orc_header"))
    if (const auto format = arch::x86_64::orc_format_of_hash(*hash)) return format;
  const auto type = session.types().kernel_type("orc_entry", type::Kind::structure);
  if (const auto sample = bytes_of<arch::x86_64::kOrcEntrySize>(session, "orc_fp_entry")) {
    if (const auto format = arch::x86_64::orc_format_of_sample(*sample, has_signal(session))) return format;
    if (!type) return arch::x86_64::orc_format_of_sample(*sample, true);
  }
  if (!type || !type->find_member("end")) return std::nullopt;
  return type->find_member("signal") ? OrcFormat::v6_3 : OrcFormat::v4_14;
}

// What a module brings along, or nothing.
OrcTable table_of_module(const kernel::Module& module) {
  try {
    const Value arch = module.object["arch"];
    if (!arch.has("num_orcs")) return {};
    const uint64_t count = arch["num_orcs"].number();
    if (count > kMostEntries) return {};
    return {arch["orc_unwind_ip"].target(), arch["orc_unwind"].target(), count};
  } catch (const Error&) {
    return {};  // its code is unwound by other means, and each frame says so
  }
}

}  // namespace

OrcTables::OrcTables(const kernel::Session& session) : session_(session), code_(kernel_code(session)) {
  try {
    find_own();
    find_format();
  } catch (const Error& error) {
    why_none_ = error.what();
  }
}

void OrcTables::find_own() {
  const auto first = place_of(session_, "__start_orc_unwind_ip");
  const auto end = place_of(session_, "__stop_orc_unwind_ip");
  const auto entries = place_of(session_, "__start_orc_unwind");
  const auto entries_end = place_of(session_, "__stop_orc_unwind");
  if (!first || !end || !entries || !entries_end)
    throw NotFound("the kernel has no ORC tables (CONFIG_UNWINDER_ORC)");
  const uint64_t count = (*end - *first) / 4;
  const uint64_t entry_count = (*entries_end - *entries) / arch::x86_64::kOrcEntrySize;
  if (*end < *first || count > kMostEntries || count > entry_count)
    throw NotFound(
        fmt::format("the ORC tables do not fit each other: {} addresses, {} entries", count, entry_count));
  own_ = {*first, *entries, count};
}

void OrcTables::find_format() {
  format_ = format_of(session_);
  if (!format_)
    throw NotFound(
        "the form of the ORC tables is not known: neither .orc_header nor orc_fp_entry is of a known kernel");
}

const OrcTable* OrcTables::table_of(VirtAddr address) {
  const auto is_within = [&](const VirtRange& range) { return range.contains(address); };
  if (std::any_of(code_.begin(), code_.end(), is_within)) return &own_;
  const kernel::Module* module = module_at(session_, address);
  if (module == nullptr) return nullptr;
  const auto [at, is_new] = modules_.try_emplace(module);
  if (is_new) at->second = table_of_module(*module);
  return at->second.count == 0 ? nullptr : &at->second;
}

OrcAnswer OrcTables::look_up(VirtAddr address) {
  const OrcTable* table = format_ ? table_of(address) : nullptr;
  if (table == nullptr) return {};
  return find_orc(*table, address, *format_, [&](VirtAddr at, std::span<std::byte> out) {
    std::string why = read_or_say(session_, at, out);
    return why.empty() ? why : "the ORC table: " + why;
  });
}

OrcAnswer OrcTables::find(VirtAddr address) {
  const auto [at, is_new] = known_.try_emplace(address.value);
  if (is_new) at->second = look_up(address);
  return at->second;
}

}  // namespace kvista::unwind
