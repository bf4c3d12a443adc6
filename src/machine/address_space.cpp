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
    const unsigned bits = level_shift(paging.levels) + 9;
    const VirtAddr lower_last{(uint64_t{1} << (bits - 1)) - 1};
    const VirtAddr upper_first{~lower_last.value};
    // What lies between the two halves is no address.
    if (range_.first > lower_last) range_.first = std::max(range_.first, upper_first);
    if (range_.last < upper_first) range_.last = std::min(range_.last, lower_last);
    for (const PhysRange& ram : image.ram()) budget_ += std::min(ram.size / kPageSize + 1, kMostTables);
    budget_ = std::min(budget_, kMostTables);
  }

  void run(PhysAddr root, const Visit& visit) {
    const unsigned bits = level_shift(paging_.levels) + 9;
    if (range_.first <= range_.last)
      scan(root, paging_.levels, VirtAddr{range_.first.value >> bits << bits}, visit);
  }
  size_t missing_tables() const { return missing_; }

  // All tables. Those of the lowest level are known from what points to them, and not read.
  void visit_tables(PhysAddr table_at, unsigned level, const std::function<void(PhysAddr)>& visit) {
    visit(table_at);
    if (level == 1) return;
    check_loop(table_at, level);
    Table table;
    if (image_.read(table_at, table).done != table.size()) return;
    for (unsigned i = 0; i < kEntriesPerTable; ++i) {
      const Entry entry =
          decode_entry(load<uint64_t>(&table.at(size_t{i} * 8), ByteOrder::little), level, paging_);
      if (entry.kind == EntryKind::table) visit_tables(entry.target, level - 1, visit);
    }
  }

 private:
  // 8 TiB in pages of 4 KiB. An image can claim any amount of memory: this bounds the time that a loop takes.
  static constexpr uint64_t kMostTables = uint64_t{1} << 22;

  // The address with its upper bits as the processor demands: entries from 256 on of the top table map the
  // upper half.
  VirtAddr canonical(VirtAddr address) const {
    const unsigned unused = 64 - 9 - level_shift(paging_.levels);
    return {static_cast<uint64_t>(static_cast<int64_t>(address.value << unused) >> unused)};
  }

  void check_loop(PhysAddr table_at, unsigned level) {
    for (unsigned above = level + 1; above <= paging_.levels; ++above)
      if (path_.at(above) == table_at)
        throw FormatError("the page tables loop: a table is below itself", table_at.value);
    if (budget_-- == 0)
      throw FormatError("the page tables hold more tables than the image has pages: they loop",
                        table_at.value);
    path_.at(level) = table_at;
  }

  bool scan(PhysAddr table_at, unsigned level, VirtAddr base, const Visit& visit) {
    check_loop(table_at, level);
    Table table;
    if (image_.read(table_at, table).done != table.size()) {
      ++missing_;
      return true;
    }
    for (unsigned i = range_.first <= base ? 0 : index_at(range_.first, level); i < kEntriesPerTable; ++i) {
      const VirtAddr at = canonical(base + i * level_size(level));
      if (at > range_.last) break;
      const Entry entry =
          decode_entry(load<uint64_t>(&table.at(size_t{i} * 8), ByteOrder::little), level, paging_);
      if (entry.kind == EntryKind::table && !scan(entry.target, level - 1, at, visit)) return false;
      if (entry.kind == EntryKind::leaf && !visit({at, entry.target, level_size(level)})) return false;
    }
    return true;
  }

  const image::MemoryImage& image_;
  Paging paging_;
  VirtRange range_;
  uint64_t budget_ = 1;
  std::array<PhysAddr, 6> path_{};  // by level: the tables above the one that is scanned
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
    if (!checked_add(address.value, result.done)) {  // nothing follows the last address
      result.end = WalkEnd::not_canonical;
      return result;
    }
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

void AddressSpace::for_each_table(const std::function<void(PhysAddr)>& visit) const {
  LeafScan(*image_, paging_, {VirtAddr{0}, VirtAddr{UINT64_MAX}}).visit_tables(root_, paging_.levels, visit);
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
