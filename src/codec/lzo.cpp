#include "codec/lzo.h"

#include <lzo/lzo1x.h>

#include <array>

namespace kvista::codec {
namespace {

// LZO1X-1(12): what LZO1X-1 clears before each page is four times as large, and gives nothing to one of 4
// KiB.
class LzoCompressor final : public Compressor {
 public:
  // As liblzo2's documentation gives it for data that cannot be compressed.
  size_t bound(size_t size) const override { return size + size / 16 + 64 + 3; }
  size_t compress(std::span<const std::byte> in, std::span<std::byte> out) override {
    lzo_uint size = out.size();
    const int result = lzo1x_1_12_compress(reinterpret_cast<const unsigned char*>(in.data()), in.size(),
                                           reinterpret_cast<unsigned char*>(out.data()), &size, work_.data());
    return result == LZO_E_OK ? size : 0;
  }

 private:
  alignas(lzo_align_t) std::array<unsigned char, LZO1X_1_12_MEM_COMPRESS> work_{};
};

}  // namespace

const bool kHasLzo = true;

bool decompress_lzo(std::span<const std::byte> in, std::span<std::byte> out, size_t& size) {
  lzo_uint got = out.size();
  const int result = lzo1x_decompress_safe(reinterpret_cast<const unsigned char*>(in.data()), in.size(),
                                           reinterpret_cast<unsigned char*>(out.data()), &got, nullptr);
  size = got;
  return result == LZO_E_OK;
}

std::unique_ptr<Compressor> make_lzo_compressor() {
  return std::make_unique<LzoCompressor>();
}

}  // namespace kvista::codec
