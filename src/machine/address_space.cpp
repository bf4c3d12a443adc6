#include "machine/address_space.h"

#include <algorithm>
#include <array>

#include "base/endian.h"
#include "base/error.h"

namespace kvista::machine {
namespace {

using arch::x86_64::decode_entry;
using arch::x86_64::Entry;
using arch::x86_64::EntryKind;
using arch::x86_64::index_at;
using arch::x86_64::kEntriesPerTable;
using arch::x86_64::kPageSize;
using arch::x86_64::level_shift;
using arch::x86_64::level_size;
using arch::x86_64::Paging;

using Table = std::array<std::byte, kPageSize>;

// Goes through all leaves of a range of addresses, table by table.
class LeafScan {
 public:
  // Called for each leaf; false stops the scan.
  using Visit = std::function<bool(const Mapping&)>;

  LeafScan(const image::MemoryImage& image, const Paging& paging, VirtRange range)
      : image_(image), paging_(paging), range_(range) {
    for (const PhysRange& ram : image.ram()) budget_ += ram.size / kPageSize + 1;
  }

  void run(PhysAddr root, const Visit& visit) { scan(root, paging_.levels, canonical_base(), visit); }
  size_t missing_tables() const { return missing_; }

 private:
  // The address that entry 0 of the top table maps, as far as the range's half of the address space goes.
  VirtAddr canonical_base() const {
    const unsigned bits = level_shift(paging_.levels) + 9;
    return VirtAddr{range_.first.value >> bits << bits};
  }

  bool scan(PhysAddr table_at, unsigned level, VirtAddr base, const Visit& visit) {
    if (budget_-- == 0)
      throw FormatError("the page tables hold more tables than the image has pages: they loop",
                        table_at.value);
    Table table;
    if (image_.read(table_at, table).done != table.size()) {
      ++missing_;
      return true;
    }
    // The entries whose memory the range touches.
    const uint64_t last_of_table = base.value + (level_size(level) * kEntriesPerTable - 1);
    const unsigned first = range_.first <= base ? 0 : index_at(range_.first, level);
    const unsigned last =
        range_.last.value >= last_of_table ? kEntriesPerTable - 1 : index_at(range_.last, level);
    for (unsigned i = first; i <= last; ++i) {
      const Entry entry = decode_entry(load<uint64_t>(&table.at(i * 8), ByteOrder::little), level, paging_);
      const VirtAddr at = base + i * level_size(level);
      if (entry.kind == EntryKind::table && !scan(entry.target, level - 1, at, visit)) return false;
      if (entry.kind == EntryKind::leaf && !visit({at, entry.target, level_size(level)})) return false;
    }
    return true;
  }

  const image::MemoryImage& image_;
  Paging paging_;
  VirtRange range_;
  uint64_t budget_ = 1;
  size_t missing_ = 0;
};

// The part of `mapping` that lies within `range`.
Mapping clip(Mapping mapping, VirtRange range) {
  if (mapping.virt < range.first) {
    const uint64_t cut = range.first - mapping.virt;
    mapping = {range.first, mapping.phys + cut, mapping.size - cut};
  }
  const VirtAddr last = mapping.virt + (mapping.size - 1);
  if (last > range.last) mapping.size -= last - range.last;
  return mapping;
}

}  // namespace

const char* describe(WalkEnd end) {
  switch (end) {
    case WalkEnd::mapped:
      return "mapped";
    case WalkEnd::not_mapped:
      return "not mapped";
    case WalkEnd::prot_none:
      return "mapped without any access (PROT_NONE)";
    case WalkEnd::swapped:
      return "swapped out or migrating";
    case WalkEnd::table_missing:
      return "a page table is not in the image";
    case WalkEnd::not_canonical:
      return "not a canonical address";
  }
  return "";
}

Walk AddressSpace::walk(VirtAddr address) const {
  Walk walk;
  if (!arch::x86_64::is_canonical(address, paging_.levels)) {
    walk.end = WalkEnd::not_canonical;
    return walk;
  }
  PhysAddr table = root_;
  for (unsigned level = paging_.levels; level >= 1; --level) {
    const PhysAddr at = table + index_at(address, level) * sizeof(uint64_t);
    std::array<std::byte, sizeof(uint64_t)> bytes{};
    const auto read = image_->read(at, bytes);
    if (read.done != bytes.size()) {
      walk.end = WalkEnd::table_missing;
      walk.missing = at;
      walk.missing_state = read.state;
      return walk;
    }
    const auto raw = load<uint64_t>(bytes.data(), ByteOrder::little);
    const Entry entry = decode_entry(raw, level, paging_);
    walk.steps.push_back({level, at, raw, entry});
    switch (entry.kind) {
      case EntryKind::none:
        walk.end = WalkEnd::not_mapped;
        return walk;
      case EntryKind::swap:
        walk.end = WalkEnd::swapped;
        return walk;
      case EntryKind::table:
        table = entry.target;
        continue;
      case EntryKind::leaf:
      case EntryKind::prot_none:
        walk.end = entry.kind == EntryKind::leaf ? WalkEnd::mapped : WalkEnd::prot_none;
        walk.page_size = level_size(level);
        walk.phys = entry.target + (address.value & (walk.page_size - 1));
        return walk;
    }
  }
  return walk;
}

std::optional<Mapping> AddressSpace::translate(VirtAddr address) const {
  const Walk found = walk(address);
  if (found.end != WalkEnd::mapped) return std::nullopt;
  return Mapping{address, found.phys, found.page_size - (address.value & (found.page_size - 1))};
}

VirtRead AddressSpace::read(VirtAddr address, std::span<std::byte> out) const {
  VirtRead result;
  while (result.done < out.size()) {
    const Walk found = walk(address + result.done);
    result.end = found.end;
    if (found.end != WalkEnd::mapped) return result;
    const uint64_t left = found.page_size - (found.phys.value & (found.page_size - 1));
    const auto part = out.subspan(result.done, std::min<uint64_t>(left, out.size() - result.done));
    const auto bytes = image_->read(found.phys, part);
    result.done += bytes.done;
    result.state = bytes.state;
    if (bytes.done < part.size()) return result;
  }
  return result;
}

size_t AddressSpace::for_each_page(VirtRange range, const std::function<bool(const Mapping&)>& visit) const {
  LeafScan scan(*image_, paging_, range);
  scan.run(root_, [&](const Mapping& leaf) { return visit(clip(leaf, range)); });
  return scan.missing_tables();
}

std::vector<Mapping> AddressSpace::mappings(VirtRange range, size_t* missing_tables) const {
  std::vector<Mapping> joined;
  const size_t missing = for_each_page(range, [&](const Mapping& page) {
    if (!joined.empty() && joined.back().virt + joined.back().size == page.virt &&
        joined.back().phys + joined.back().size == page.phys)
      joined.back().size += page.size;
    else
      joined.push_back(page);
    return true;
  });
  if (missing_tables != nullptr) *missing_tables = missing;
  return joined;
}

std::optional<Mapping> AddressSpace::first_mapped(VirtRange range) const {
  std::optional<Mapping> found;
  for_each_page(range, [&](const Mapping& page) {
    found = page;
    return false;
  });
  return found;
}

}  // namespace kvista::machine
