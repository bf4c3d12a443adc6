#include "decode/btf_search.h"

#include <gtest/gtest.h>

#include "decode/btf.h"
#include "images/btf_builder.h"
#include "unit/kallsyms_blob.h"

namespace kvista::decode {
namespace {

constexpr VirtAddr kImage{0xffffffff81000000};
using Bytes = std::vector<std::byte>;

Bytes table(const char* name) {
  test::BtfBuilder builder;
  const uint32_t i = builder.integer("int", 4);
  builder.structure(name, 4, {{"pid", i, 0}});
  return builder.build();
}

Bytes image_with(const std::vector<std::pair<size_t, Bytes>>& parts) {
  Bytes image(size_t{300} << 10);
  for (const auto& [at, bytes] : parts)
    std::copy(bytes.begin(), bytes.end(), image.begin() + static_cast<ptrdiff_t>(at));
  return image;
}

std::vector<Bytes> search(const Bytes& image) {
  return search_btf(test::KallsymsBlob::reader_of(kImage, image), {kImage, kImage + (image.size() - 1)},
                    ByteOrder::little);
}

TEST(BtfSearch, FindsAKernelsTableWhereverItBegins) {
  const Bytes wanted = table("task_struct");
  for (const size_t at : {size_t{0}, size_t{65532}, size_t{65536}, size_t{200000}})
    EXPECT_EQ(search(image_with({{at, wanted}})), std::vector<Bytes>(1, wanted)) << at;
}

TEST(BtfSearch, ShowsEveryTableAndNoOther) {
  const Bytes wanted = table("task_struct");
  EXPECT_EQ(search(image_with({{4096, wanted}, {8192, wanted}})).size(), 2U);
  EXPECT_TRUE(search(image_with({{4096, table("other")}})).empty());
  EXPECT_TRUE(search(image_with({{4098, wanted}})).empty());  // not aligned
}

TEST(BtfSearch, PassesOverPagesThatAreNotThere) {
  const Bytes wanted = table("task_struct");
  const Bytes image = image_with({{0x9000, wanted}});
  const VirtReader whole = test::KallsymsBlob::reader_of(kImage, image);
  const VirtReader read = [&](VirtAddr at, std::span<std::byte> out) -> size_t {
    const uint64_t from = at - kImage;
    if (from >= 0x1000 && from < 0x8000) return 0;
    return whole(at, from < 0x1000 ? out.first(std::min<uint64_t>(out.size(), 0x1000 - from)) : out);
  };
  EXPECT_EQ(search_btf(read, {kImage, kImage + (image.size() - 1)}, ByteOrder::little),
            std::vector<Bytes>(1, wanted));
}

}  // namespace
}  // namespace kvista::decode
