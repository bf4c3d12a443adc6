#include "base/error.h"
#include "codec/lzo.h"

namespace kvista::codec {

const bool kHasLzo = false;

bool decompress_lzo(std::span<const std::byte> /*in*/, std::span<std::byte> /*out*/, size_t& /*size*/) {
  throw Unsupported(
      "the image holds pages compressed with LZO, and this kvista was built without it: build it with "
      "-DKVISTA_LZO=ON");
}

std::unique_ptr<Compressor> make_lzo_compressor() {
  throw Unsupported("LZO is asked for, and this build of kvista is without it (KVISTA_LZO=OFF)");
}

}  // namespace kvista::codec
