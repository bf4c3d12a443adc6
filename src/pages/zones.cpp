#include "pages/zones.h"

#include <fmt/format.h>

#include <bit>

#include <algorithm>
#include <string_view>
#include <vector>

#include "base/endian.h"
#include "base/error.h"

namespace kvista::pages {
namespace {

using machine::AddressSpace;
using machine::Machine;
using vmcoreinfo::VmcoreInfo;

constexpr uint64_t kMaxNodes = 1 << 16;
constexpr uint64_t kMaxZones = 16;
constexpr uint64_t kMaxStruct = 1 << 22;

// Offsets and sizes of pglist_data, zone and free_area: all of them are in VMCOREINFO.
struct Layout {
  uint64_t node_size;
  uint64_t node_zones;
  uint64_t node_zone_count;
  uint64_t zone_size;
  uint64_t free_area;
  uint64_t area_size;
  uint64_t orders;
  uint64_t nr_free;  // in free_area: it follows the lists
};

uint64_t need(std::optional<uint64_t> value, std::string_view what, uint64_t most = kMaxStruct) {
  if (!value || *value > most) throw NotFound(fmt::format("VMCOREINFO has no sensible {}", what));
  return *value;
}

Layout read_layout(const VmcoreInfo& note) {
  Layout layout{};
  layout.node_size = need(note.size("pglist_data"), "SIZE(pglist_data)");
  layout.node_zones = need(note.offset("pglist_data.node_zones"), "OFFSET(pglist_data.node_zones)");
  layout.node_zone_count = need(note.offset("pglist_data.nr_zones"), "OFFSET(pglist_data.nr_zones)");
  layout.zone_size = need(note.size("zone"), "SIZE(zone)");
  layout.free_area = need(note.offset("zone.free_area"), "OFFSET(zone.free_area)");
  layout.area_size = need(note.size("free_area"), "SIZE(free_area)");
  layout.orders = need(note.length("zone.free_area"), "LENGTH(zone.free_area)", 32);
  if (layout.orders == 0) throw NotFound("VMCOREINFO has no sensible LENGTH(zone.free_area)");
  const uint64_t lists = need(note.length("free_area.free_list"), "LENGTH(free_area.free_list)", 64);
  layout.nr_free = lists * need(note.size("list_head"), "SIZE(list_head)", 64);
  if (layout.nr_free + 8 > layout.area_size ||
      layout.free_area + layout.orders * layout.area_size > layout.zone_size)
    throw NotFound("VMCOREINFO is wrong: free_area does not fit in zone");
  return layout;
}

// Numbers in the kernel's memory, in its byte order.
class NumberReader {
 public:
  explicit NumberReader(Machine& machine) : space_(machine.kernel_space()), order_(machine.byte_order()) {}

  uint64_t word(VirtAddr at, std::string_view what) const { return read<uint64_t>(at, what); }
  uint32_t half(VirtAddr at, std::string_view what) const { return read<uint32_t>(at, what); }
  std::vector<uint64_t> words(VirtAddr at, uint64_t count, std::string_view what) const {
    std::vector<std::byte> bytes(count * sizeof(uint64_t));
    read(at, bytes, what);
    std::vector<uint64_t> all(count);
    for (size_t i = 0; i < count; ++i) all[i] = load<uint64_t>(&bytes[i * sizeof(uint64_t)], order_);
    return all;
  }

 private:
  void read(VirtAddr at, std::span<std::byte> out, std::string_view what) const {
    if (space_.read(at, out).done != out.size())
      throw NotFound(fmt::format("{} at {:#x} is not in the image", what, at.value));
  }
  template <typename T>
  T read(VirtAddr at, std::string_view what) const {
    std::array<std::byte, sizeof(T)> bytes{};
    read(at, bytes, what);
    return load<T>(bytes.data(), order_);
  }

  AddressSpace space_;
  ByteOrder order_;
};

// The elements of node_data that are nodes. Not each architecture's note has the array (x86_64's has), or its
// length: then the nodes are those that are online, by their bits in node_online_map.
std::vector<VirtAddr> nodes_of_array(Machine& machine, const NumberReader& memory) {
  const auto& note = machine.note();
  const auto noted = note.symbol("node_data");
  const VirtAddr array = noted ? VirtAddr{*noted} : machine.symbol("node_data");
  uint64_t online = UINT64_MAX;
  uint64_t count = 64;
  if (noted) {
    count = need(note.length("node_data"), "LENGTH(node_data)", kMaxNodes);
  } else {
    const auto map = note.symbol("node_online_map");
    online = memory.word(map ? VirtAddr{*map} : machine.symbol("node_online_map"), "node_online_map");
    count = 64 - static_cast<uint64_t>(std::countl_zero(online));
  }
  const auto pointers = memory.words(array, count, "node_data");
  std::vector<VirtAddr> found;
  for (uint64_t i = 0; i < count; ++i) {
    const bool is_online = i >= 64 || (online >> i & 1) != 0;
    if (is_online && pointers[i] != 0) found.push_back(VirtAddr{pointers[i]});
  }
  return found;
}

// Without NUMA there is one node.
std::vector<VirtAddr> nodes(Machine& machine, const NumberReader& memory) {
  const auto& note = machine.note();
  if (note.symbol("node_data")) return nodes_of_array(machine, memory);
  if (const auto only = note.symbol("contig_page_data")) return {VirtAddr{*only}};
  try {
    return {machine.symbol("contig_page_data")};
  } catch (const NotFound&) {
    try {
      return nodes_of_array(machine, memory);
    } catch (const NotFound&) {
      // That the usual variable is not there says more.
    }
    throw;
  }
}

uint64_t count_zone(const NumberReader& memory, const Layout& layout, VirtAddr zone) {
  uint64_t pages = 0;
  for (uint64_t order = 0; order < layout.orders; ++order)
    pages += memory.word(zone + layout.free_area + order * layout.area_size + layout.nr_free, "free_area")
             << order;
  return pages;
}

}  // namespace

uint64_t count_free_lists(Machine& machine) {
  const Layout layout = read_layout(machine.note());
  const NumberReader memory(machine);
  uint64_t pages = 0;
  bool any = false;
  for (const VirtAddr node : nodes(machine, memory)) {
    // nr_zones is an int: the number of the last populated zone plus one.
    const uint64_t zones = memory.half(node + layout.node_zone_count, "pglist_data");
    if (zones > kMaxZones)
      throw NotFound(fmt::format("the node at {:#x} says that it has {} zones", node.value, zones));
    any = any || zones != 0;
    for (uint64_t i = 0; i < zones; ++i)
      pages += count_zone(memory, layout, node + layout.node_zones + i * layout.zone_size);
  }
  if (!any) throw NotFound("no node has a zone");
  return pages;
}

}  // namespace kvista::pages
