#include "machine/address_space.h"

#include <algorithm>
#include <array>

#include "base/endian.h"
#include "base/error.h"

namespace kvista::machine {
namespace {

using arch::Entry;
using arch::EntryKind;
using arch::Half;
using arch::Paging;

// The entries of one table, read at once. The largest has 64 KiB: arm64 with pages of that size.
class Table {
 public:
  Table(const image::MemoryImage& image, const Paging& paging, PhysAddr at, unsigned level)
      : paging_(paging), level_(level), bytes_(paging.table_bytes(level)) {
    is_complete_ = image.read(at, bytes_).done == bytes_.size();
  }
  bool is_complete() const { return is_complete_; }
  Entry operator[](unsigned index) const {
    return paging_.decode(load<uint64_t>(&bytes_.at(size_t{index} * 8), paging_.format->order), level_);
  }

 private:
  const Paging& paging_;
  unsigned level_;
  std::vector<std::byte> bytes_;
  bool is_complete_ = false;
};

// Goes through all leaves of a range of addresses, table by table.
class LeafScan {
 public:
  // Called for each leaf; false stops the scan.
  using Visit = std::function<bool(const Mapping&)>;

  LeafScan(const image::MemoryImage& image, const Paging& paging, VirtRange range)
      : image_(image), paging_(paging), range_(range) {
    leave_out_what_is_no_address();
    const uint64_t least = paging.table_bytes(1);
    for (const PhysRange& ram : image.ram()) budget_ += std::min(ram.size / least + 1, kMostTables);
    budget_ = std::min(budget_, kMostTables);
  }

  void run(PhysAddr root, const Visit& visit) {
    if (range_.first > range_.last) return;
    const unsigned bits = paging_.table_bits();
    scan({EntryKind::table, root}, paging_.levels,
         VirtAddr{bits >= 64 ? 0 : range_.first.value >> bits << bits}, visit);
  }
  size_t missing_tables() const { return missing_; }

  // All tables. Those of the lowest level are known from what points to them, and not read.
  void visit_tables(const Entry& above, unsigned level, const std::function<void(PhysRange)>& visit) {
    const PhysAddr table_at = above.target;
    visit({table_at, paging_.table_bytes(level)});
    if (level == 1) return;
    check_loop(table_at, level);
    const Table table(image_, paging_, table_at, level);
    if (!table.is_complete()) return;
    for (unsigned i = 0; i < paging_.entries(level); ++i) {
      const Entry entry = table[i];
      if (entry.kind == EntryKind::table && above.has(i)) visit_tables(entry, level - 1, visit);
    }
  }

 private:
  // 8 TiB in pages of 4 KiB. An image can claim any amount of memory: this bounds the time that a loop takes.
  static constexpr uint64_t kMostTables = uint64_t{1} << 22;

  // What lies between the two halves, or beyond the one that there is, is no address.
  void leave_out_what_is_no_address() {
    const unsigned bits = paging_.address_bits();
    if (bits >= 64) return;
    const unsigned half_bits = paging_.format->half == Half::both ? bits - 1 : bits;
    const VirtAddr lower_last{(uint64_t{1} << half_bits) - 1};
    const VirtAddr upper_first{~lower_last.value};
    if (range_.first > lower_last || paging_.format->half == Half::upper)
      range_.first = std::max(range_.first, upper_first);
    if (range_.last < upper_first || paging_.format->half == Half::lower)
      range_.last = std::min(range_.last, lower_last);
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

  bool scan(const Entry& above, unsigned level, VirtAddr base, const Visit& visit) {
    const PhysAddr table_at = above.target;
    check_loop(table_at, level);
    const Table table(image_, paging_, table_at, level);
    if (!table.is_complete()) {
      ++missing_;
      return true;
    }
    const unsigned wanted = range_.first <= base ? 0 : paging_.index_at(range_.first, level);
    const unsigned end = std::min<unsigned>(paging_.entries(level), above.end);
    for (unsigned i = std::max<unsigned>(wanted, above.first); i < end; ++i) {
      const VirtAddr at = paging_.canonical(base + i * paging_.entry_size(level));
      if (at > range_.last) break;
      const Entry entry = table[i];
      if (entry.kind == EntryKind::table && !scan(entry, level - 1, at, visit)) return false;
      const uint64_t into = at.value & (paging_.page_bytes(entry, level) - 1);
      if (entry.kind == EntryKind::leaf && !visit({at, entry.target + into, paging_.entry_size(level)}))
        return false;
    }
    return true;
  }

  const image::MemoryImage& image_;
  Paging paging_;
  VirtRange range_;
  uint64_t budget_ = 1;
  std::array<PhysAddr, Paging::kMostLevels + 1>
      path_{};  // by level: the tables above the one that is scanned
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

Walk AddressSpace::walk(VirtAddr pointer) const {
  Walk walk;
  const VirtAddr address = paging_.strip(pointer);
  if (!paging_.is_canonical(address)) {
    walk.end = WalkEnd::not_canonical;
    return walk;
  }
  Entry table{EntryKind::table, root_};
  for (unsigned level = paging_.levels; level >= 1; --level) {
    const unsigned index = paging_.index_at(address, level);
    if (!table.has(index)) return walk;  // not mapped, as at the start
    const PhysAddr at = table.target + index * sizeof(uint64_t);
    std::array<std::byte, sizeof(uint64_t)> bytes{};
    const auto read = image_->read(at, bytes);
    if (read.done != bytes.size()) {
      walk.end = WalkEnd::table_missing;
      walk.missing = at;
      walk.missing_state = read.state;
      return walk;
    }
    const auto raw = load<uint64_t>(bytes.data(), paging_.format->order);
    const Entry entry = paging_.decode(raw, level);
    walk.steps.push_back({level, at, raw, entry});
    switch (entry.kind) {
      case EntryKind::none:
        walk.end = WalkEnd::not_mapped;
        return walk;
      case EntryKind::swap:
        walk.end = WalkEnd::swapped;
        return walk;
      case EntryKind::table:
        table = entry;
        continue;
      case EntryKind::leaf:
      case EntryKind::prot_none:
        walk.end = entry.kind == EntryKind::leaf ? WalkEnd::mapped : WalkEnd::prot_none;
        walk.page_size = paging_.page_bytes(entry, level);
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

void AddressSpace::for_each_table(const std::function<void(PhysRange)>& visit) const {
  LeafScan(*image_, paging_, {VirtAddr{0}, VirtAddr{UINT64_MAX}})
      .visit_tables({EntryKind::table, root_}, paging_.levels, visit);
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
