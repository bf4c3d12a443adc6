#include "codec/codec.h"

#include <libdeflate.h>
#include <snappy.h>
#include <zstd.h>

#include <memory>
#include <new>

#include "codec/lzo.h"

namespace kvista::codec {
namespace {

struct FreeDeflate {
  void operator()(libdeflate_decompressor* context) const { libdeflate_free_decompressor(context); }
};
struct FreeZstd {
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

bool decompress_deflate(decltype(libdeflate_zlib_decompress) decompress_with, std::span<const std::byte> in,
                        std::span<std::byte> out, size_t& size) {
  thread_local const std::unique_ptr<libdeflate_decompressor, FreeDeflate> kContext(
      libdeflate_alloc_decompressor());
  if (!kContext) throw std::bad_alloc();
  return decompress_with(kContext.get(), in.data(), in.size(), out.data(), out.size(), &size) ==
         LIBDEFLATE_SUCCESS;
}

bool decompress_snappy(std::span<const std::byte> in, std::span<std::byte> out, size_t& size) {
  const auto* chars = reinterpret_cast<const char*>(in.data());
  // The block's own header says how much will be written.
  if (!snappy::GetUncompressedLength(chars, in.size(), &size) || size > out.size()) return false;
  return snappy::RawUncompress(chars, in.size(), reinterpret_cast<char*>(out.data()));
}

bool decompress_zstd(std::span<const std::byte> in, std::span<std::byte> out, size_t& size) {
  thread_local const std::unique_ptr<ZSTD_DCtx, FreeZstd> kContext(ZSTD_createDCtx());
  if (!kContext) throw std::bad_alloc();
  size = ZSTD_decompressDCtx(kContext.get(), out.data(), out.size(), in.data(), in.size());
  return ZSTD_isError(size) == 0;
}

}  // namespace

const char* describe(Codec codec) {
  switch (codec) {
    case Codec::zlib:
      return "zlib";
    case Codec::gzip:
      return "gzip";
    case Codec::lzo:
      return "LZO";
    case Codec::snappy:
      return "snappy";
    case Codec::zstd:
      return "zstd";
  }
  return "unknown";
}

bool is_available(Codec codec) {
  return codec != Codec::lzo || kHasLzo;
}

bool decompress(Codec codec, std::span<const std::byte> in, std::span<std::byte> out, size_t& size) {
  size = 0;
  switch (codec) {
    case Codec::zlib:
      return decompress_deflate(libdeflate_zlib_decompress, in, out, size);
    case Codec::gzip:
      return decompress_deflate(libdeflate_gzip_decompress, in, out, size);
    case Codec::lzo:
      return decompress_lzo(in, out, size);
    case Codec::snappy:
      return decompress_snappy(in, out, size);
    case Codec::zstd:
      return decompress_zstd(in, out, size);
  }
  return false;
}

bool decompress_exactly(Codec codec, std::span<const std::byte> in, std::span<std::byte> out) {
  size_t size = 0;
  return decompress(codec, in, out, size) && size == out.size();
}

}  // namespace kvista::codec
