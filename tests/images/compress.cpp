#include "images/compress.h"

#include <libdeflate.h>
#include <snappy.h>
#include <zstd.h>
#if KVISTA_HAS_LZO
#include <lzo/lzo1x.h>
#endif

#include <stdexcept>

namespace kvista::test {
namespace {

using Bytes = std::vector<std::byte>;

Bytes compress_zlib(std::span<const std::byte> in) {
  libdeflate_compressor* context = libdeflate_alloc_compressor(1);
  Bytes out(libdeflate_zlib_compress_bound(context, in.size()));
  out.resize(libdeflate_zlib_compress(context, in.data(), in.size(), out.data(), out.size()));
  libdeflate_free_compressor(context);
  return out;
}

Bytes compress_gzip(std::span<const std::byte> in) {
  libdeflate_compressor* context = libdeflate_alloc_compressor(1);
  Bytes out(libdeflate_gzip_compress_bound(context, in.size()));
  out.resize(libdeflate_gzip_compress(context, in.data(), in.size(), out.data(), out.size()));
  libdeflate_free_compressor(context);
  return out;
}

Bytes compress_lzo([[maybe_unused]] std::span<const std::byte> in) {
#if KVISTA_HAS_LZO
  Bytes out(in.size() + in.size() / 16 + 64 + 3);
  Bytes work(LZO1X_1_MEM_COMPRESS);
  lzo_uint size = out.size();
  lzo1x_1_compress(reinterpret_cast<const unsigned char*>(in.data()), in.size(),
                   reinterpret_cast<unsigned char*>(out.data()), &size, work.data());
  out.resize(size);
  return out;
#else
  throw std::runtime_error("this build has no LZO");
#endif
}

Bytes compress_snappy(std::span<const std::byte> in) {
  Bytes out(snappy::MaxCompressedLength(in.size()));
  size_t size = 0;
  snappy::RawCompress(reinterpret_cast<const char*>(in.data()), in.size(),
                      reinterpret_cast<char*>(out.data()), &size);
  out.resize(size);
  return out;
}

Bytes compress_zstd(std::span<const std::byte> in) {
  Bytes out(ZSTD_compressBound(in.size()));
  out.resize(ZSTD_compress(out.data(), out.size(), in.data(), in.size(), 1));
  return out;
}

}  // namespace

Bytes compress(codec::Codec codec, std::span<const std::byte> bytes) {
  switch (codec) {
    case codec::Codec::zlib:
      return compress_zlib(bytes);
    case codec::Codec::gzip:
      return compress_gzip(bytes);
    case codec::Codec::lzo:
      return compress_lzo(bytes);
    case codec::Codec::snappy:
      return compress_snappy(bytes);
    case codec::Codec::zstd:
      return compress_zstd(bytes);
  }
  throw std::runtime_error("no such codec");
}

}  // namespace kvista::test
