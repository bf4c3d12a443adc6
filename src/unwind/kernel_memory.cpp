#include "unwind/kernel_memory.h"

#include <array>
#include <utility>

#include "base/error.h"
#include "kernel/code.h"
#include "kernel/session.h"

namespace kvista::unwind {

std::optional<VirtAddr> place_of(const kernel::Session& session, std::string_view symbol) {
  const auto found = session.symbols().find(symbol);
  return found.empty() ? std::nullopt : std::optional(found.front().address);
}

std::vector<VirtRange> between_labels(const kernel::Session& session, std::span<const Labels> labels) {
  std::vector<VirtRange> ranges;
  for (const auto& [start, end] : labels) {
    const auto first = place_of(session, start);
    const auto last = place_of(session, end);
    if (first && last && *first < *last) ranges.push_back({*first, *last - 1});
  }
  return ranges;
}

std::vector<VirtRange> code_of(const kernel::Session& session, std::span<const char* const> functions) {
  std::vector<VirtRange> found;
  for (const char* name : functions) {
    const auto place = place_of(session, name);
    const auto function = place ? kernel::function_at(session, *place) : std::nullopt;
    if (function && function->first < function->end) found.push_back({function->first, function->end - 1});
  }
  return found;
}

std::vector<VirtRange> kernel_code(const kernel::Session& session) {
  constexpr std::array kLabels = {Labels{"_stext", "_etext"}, Labels{"_sinittext", "_einittext"}};
  return between_labels(session, kLabels);
}

std::string read_or_say(const kernel::Session& session, VirtAddr address, std::span<std::byte> out) {
  try {
    session.read(address, out, nullptr);
    return {};
  } catch (const Error& error) {
    return error.what();
  }
}

}  // namespace kvista::unwind
