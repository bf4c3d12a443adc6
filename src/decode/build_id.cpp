#include "decode/build_id.h"

#include <fmt/format.h>

#include "base/cursor.h"

namespace kvista::decode {
namespace {

std::string hex_of(std::span<const std::byte> bytes) {
  std::string text;
  for (const std::byte b : bytes) text += fmt::format("{:02x}", std::to_integer<unsigned>(b));
  return text;
}

}  // namespace

std::optional<std::string> build_id_among(std::span<const std::byte> notes, ByteOrder order) {
  constexpr uint32_t kBuildIdType = 3;  // NT_GNU_BUILD_ID
  Cursor in(notes, order);
  while (in.ok() && in.remaining() > 0) {
    const uint64_t name_size = in.u32();
    const uint64_t size = in.u32();
    const uint32_t type = in.u32();
    const auto name = as_text(in.bytes(name_size));
    in.align(4);
    const auto descriptor = in.bytes(size);
    in.align(4);
    if (type == kBuildIdType && name == "GNU" && !descriptor.empty()) return hex_of(descriptor);
  }
  return std::nullopt;
}

}  // namespace kvista::decode
