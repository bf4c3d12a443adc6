#include <algorithm>
#include <array>
#include <optional>

#include "arch/arm64/paging.h"
#include "arch/riscv64/paging.h"
#include "arch/s390x/paging.h"
#include "arch/x86_64/paging.h"
#include "base/cursor.h"
#include "base/error.h"
#include "fuzz/targets.h"
#include "machine/address_space.h"

namespace kvista::fuzz {
namespace {

using machine::AddressSpace;
using machine::Mapping;
using machine::WalkEnd;

// The input's bytes as physical memory.
class InputImage final : public image::MemoryImage {
 public:
  InputImage(Input memory, bool wrap) : memory_(memory), wrap_(wrap) {
    if (!memory.empty()) ram_ = {{PhysAddr{0}, memory.size()}};
  }
  image::ReadResult read(PhysAddr address, std::span<std::byte> out) const override {
    size_t done = 0;
    while (done < out.size() && !memory_.empty()) {
      const uint64_t at = wrap_ ? (address.value + done) % memory_.size() : address.value + done;
      if (at >= memory_.size()) break;
      const auto part = memory_.subspan(at, std::min(out.size() - done, memory_.size() - at));
      std::copy(part.begin(), part.end(), out.begin() + static_cast<ptrdiff_t>(done));
      done += part.size();
    }
    return {done, done == out.size() ? image::PageState::present : image::PageState::beyond};
  }
  std::vector<std::byte> read_note(const image::Note& /*note*/, uint64_t /*limit*/) const override {
    return {};
  }

 private:
  Input memory_;
  bool wrap_;
};

std::optional<PageTablesInput> take_head(Cursor& in) {
  PageTablesInput head;
  for (uint64_t* field : {&head.flags, &head.root, &head.first, &head.last, &head.probe}) *field = in.u64();
  return in.ok() ? std::optional(head) : std::nullopt;
}

arch::Paging paging_of(const PageTablesInput& head) {
  constexpr std::array kPageSizes = {uint64_t{4096}, uint64_t{16384}, uint64_t{65536}};
  constexpr std::array kBits = {uint64_t{36}, uint64_t{39}, uint64_t{42},
                                uint64_t{47}, uint64_t{48}, uint64_t{52}};
  if ((head.flags & PageTablesInput::arm64) != 0) {
    const uint64_t bits = kBits.at(head.flags / PageTablesInput::kBitsOf % 8 % kBits.size());
    return *arch::arm64::make_paging(
        kPageSizes.at(head.flags / PageTablesInput::kPageSizeOf % 4 % kPageSizes.size()), bits,
        (head.flags & PageTablesInput::built_52) != 0 ? kBits.back() : bits);
  }
  constexpr std::array kRiscvBits = {uint64_t{39}, uint64_t{48}, uint64_t{57}};
  if ((head.flags & PageTablesInput::riscv64) != 0)
    return *arch::riscv64::make_paging(
        kRiscvBits.at(head.flags / PageTablesInput::kBitsOf % 8 % kRiscvBits.size()));
  if ((head.flags & PageTablesInput::s390x) != 0)
    return *arch::s390x::make_paging(2 + head.flags / PageTablesInput::kLevelsOf % 4);
  uint64_t mask = 0;
  if ((head.flags & PageTablesInput::mask_47) != 0) mask |= uint64_t{1} << 47;
  if ((head.flags & PageTablesInput::mask_51) != 0) mask |= uint64_t{1} << 51;
  return arch::x86_64::make_paging((head.flags & PageTablesInput::five_levels) != 0 ? 5U : 4U, mask);
}

bool check_walk(const AddressSpace& space, VirtAddr probe) {
  const auto walk = space.walk(probe);
  require(walk.steps.size() <= space.paging().levels, "a walk is as long as there are levels");
  const auto mapping = space.translate(probe);
  require(mapping.has_value() == (walk.end == WalkEnd::mapped), "what a walk finds mapped is translated");
  if (mapping) require(mapping->phys == walk.phys && mapping->size > 0, "a walk and a translation agree");
  std::array<std::byte, 9000> out{};
  const auto read = space.read(probe, out);
  require(read.done <= out.size(), "a read gives no more than was asked for");
  require(read.done == 0 || mapping.has_value(), "only mapped memory is read");
  return walk.end == WalkEnd::mapped;
}

bool check_mappings(const AddressSpace& space, VirtRange range) {
  const auto runs = space.mappings(range);
  std::optional<VirtAddr> last;
  for (const Mapping& run : runs) {
    require(run.size > 0 && range.contains(run.virt) && range.contains(run.virt + (run.size - 1)),
            "mappings are within the range");
    require(!last || run.virt > *last, "mappings are in order and disjoint");
    last = run.virt + (run.size - 1);
    for (const uint64_t into : {uint64_t{0}, run.size / 2, run.size - 1}) {
      const auto one = space.translate(run.virt + into);
      require(one && one->phys == run.phys + into, "a mapping says what a walk says");
    }
  }
  const auto first = space.first_mapped(range);
  require(first.has_value() == !runs.empty(), "there is a first page where anything is mapped");
  if (first)
    require(first->virt == runs.front().virt && first->phys == runs.front().phys,
            "it is the first mapping's");
  return !runs.empty();
}

}  // namespace

bool page_tables(Input input) {
  Cursor in(input, ByteOrder::little);
  const auto head = take_head(in);
  if (!head) return false;
  const InputImage image(in.bytes(in.remaining()), (head->flags & PageTablesInput::wrap) != 0);
  constexpr uint64_t kFrames = 0x000ffffffffff000;  // a root as a processor's CR3 can hold it
  const AddressSpace space(image, PhysAddr{head->root & kFrames}, paging_of(*head));
  const bool mapped = check_walk(space, VirtAddr{head->probe});
  if (head->last < head->first) return false;
  try {
    return check_mappings(space, {VirtAddr{head->first}, VirtAddr{head->last}}) && mapped;
  } catch (const Error&) {
    return false;  // a loop
  }
}

}  // namespace kvista::fuzz
