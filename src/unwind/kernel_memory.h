// Small questions to a kernel that unwinding asks often.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"

namespace kvista::kernel {
class Session;
}

namespace kvista::unwind {

/// Where a symbol is; nothing where there is none.
std::optional<VirtAddr> place_of(const kernel::Session& session, std::string_view symbol);
/// Two symbols, with what the kernel has between them.
struct Labels {
  const char* start;
  const char* end;
};
/// What is between each two; those that the kernel lacks are left out.
std::vector<VirtRange> between_labels(const kernel::Session& session, std::span<const Labels> labels);
/// The code of functions; those that the kernel lacks are left out.
std::vector<VirtRange> code_of(const kernel::Session& session, std::span<const char* const> functions);
/// The code between pairs of the linker's labels: the kernel's, and what only its start needed.
std::vector<VirtRange> kernel_code(const kernel::Session& session);
/// Reads all of `out`. Returns why that cannot be done, or an empty text.
std::string read_or_say(const kernel::Session& session, VirtAddr address, std::span<std::byte> out);

}  // namespace kvista::unwind
