#include "arch/x86_64/layout.h"

#include <array>

namespace kvista::arch::x86_64 {
namespace {

constexpr uint64_t kTiB = uint64_t{1} << 40;

constexpr std::array kLayouts = {
    DocumentedLayout{5, VirtAddr{0xff11000000000000}, VirtAddr{0xff10000000000000},
                     uint64_t{32} * 1024 * kTiB, VirtAddr{0xffa0000000000000}, 12800 * kTiB,
                     VirtAddr{0xffd4000000000000}, 52},
    DocumentedLayout{4, VirtAddr{0xffff888000000000}, VirtAddr{0xffff880000000000}, 64 * kTiB,
                     VirtAddr{0xffffc90000000000}, 32 * kTiB, VirtAddr{0xffffea0000000000}, 46},
};

}  // namespace

const DocumentedLayout& documented_layout(unsigned levels) {
  return levels == 5 ? kLayouts[0] : kLayouts[1];
}

}  // namespace kvista::arch::x86_64
