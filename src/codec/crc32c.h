// CRC-32C (Castagnoli), the checksum of Snappy's framing format.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace kvista::codec {

/// The checksum of `bytes`: polynomial 0x1edc6f41 with its bits reversed, all ones before and inverted after
/// (RFC 3720, appendix B.4).
uint32_t crc32c(std::span<const std::byte> bytes);

}  // namespace kvista::codec
