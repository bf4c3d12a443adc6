#include "images/compress.h"

#include "codec/compress.h"

namespace kvista::test {

std::vector<std::byte> compress(codec::Codec codec, std::span<const std::byte> bytes) {
  const auto compressor = codec::make_compressor(codec, codec::levels_of(codec).usual);
  std::vector<std::byte> out(compressor->bound(bytes.size()));
  out.resize(compressor->compress(bytes, out));
  return out;
}

}  // namespace kvista::test
