#include "codec/lzo.h"

#include <lzo/lzo1x.h>

namespace kvista::codec {

const bool kHasLzo = true;

bool decompress_lzo(std::span<const std::byte> in, std::span<std::byte> out, size_t& size) {
  lzo_uint got = out.size();
  const int result = lzo1x_decompress_safe(reinterpret_cast<const unsigned char*>(in.data()), in.size(),
                                           reinterpret_cast<unsigned char*>(out.data()), &got, nullptr);
  size = got;
  return result == LZO_E_OK;
}

}  // namespace kvista::codec
