#include "codec/compress.h"

#include <libdeflate.h>
#include <snappy.h>
#include <zstd.h>

#include <new>

#include "base/error.h"
#include "codec/lzo.h"

namespace kvista::codec {
namespace {

struct FreeDeflate {
  void operator()(libdeflate_compressor* context) const { libdeflate_free_compressor(context); }
};
struct FreeZstd {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
};

class DeflateCompressor final : public Compressor {
 public:
  DeflateCompressor(bool gzip, int level) : gzip_(gzip), context_(libdeflate_alloc_compressor(level)) {
    if (!context_) throw std::bad_alloc();
  }
  size_t bound(size_t size) const override {
    return gzip_ ? libdeflate_gzip_compress_bound(context_.get(), size)
                 : libdeflate_zlib_compress_bound(context_.get(), size);
  }
  size_t compress(std::span<const std::byte> in, std::span<std::byte> out) override {
    const auto compress_with = gzip_ ? libdeflate_gzip_compress : libdeflate_zlib_compress;
    return compress_with(context_.get(), in.data(), in.size(), out.data(), out.size());
  }

 private:
  bool gzip_;
  std::unique_ptr<libdeflate_compressor, FreeDeflate> context_;
};

class SnappyCompressor final : public Compressor {
 public:
  size_t bound(size_t size) const override { return snappy::MaxCompressedLength(size); }
  size_t compress(std::span<const std::byte> in, std::span<std::byte> out) override {
    size_t size = 0;
    snappy::RawCompress(reinterpret_cast<const char*>(in.data()), in.size(),
                        reinterpret_cast<char*>(out.data()), &size);
    return size;
  }
};

class ZstdCompressor final : public Compressor {
 public:
  explicit ZstdCompressor(int level) : context_(ZSTD_createCCtx()), level_(level) {
    if (!context_) throw std::bad_alloc();
  }
  size_t bound(size_t size) const override { return ZSTD_compressBound(size); }
  size_t compress(std::span<const std::byte> in, std::span<std::byte> out) override {
    const size_t size =
        ZSTD_compressCCtx(context_.get(), out.data(), out.size(), in.data(), in.size(), level_);
    return ZSTD_isError(size) != 0 ? 0 : size;
  }

 private:
  std::unique_ptr<ZSTD_CCtx, FreeZstd> context_;
  int level_;
};

}  // namespace

LevelRange levels_of(Codec codec) {
  switch (codec) {
    case Codec::zlib:
    case Codec::gzip:
      return {1, 12, 1};
    case Codec::zstd:
      return {1, ZSTD_maxCLevel(), 1};
    case Codec::lzo:
    case Codec::snappy:
      break;
  }
  return {};
}

std::unique_ptr<Compressor> make_compressor(Codec codec, int level) {
  switch (codec) {
    case Codec::zlib:
      return std::make_unique<DeflateCompressor>(false, level);
    case Codec::gzip:
      return std::make_unique<DeflateCompressor>(true, level);
    case Codec::lzo:
      return make_lzo_compressor();
    case Codec::snappy:
      return std::make_unique<SnappyCompressor>();
    case Codec::zstd:
      return std::make_unique<ZstdCompressor>(level);
  }
  throw Unsupported("an unknown codec");
}

}  // namespace kvista::codec
