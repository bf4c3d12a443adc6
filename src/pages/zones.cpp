#include "pages/zones.h"

#include <fmt/format.h>

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

uint64_t word(const AddressSpace& space, VirtAddr at, std::string_view what) {
  std::array<std::byte, 8> bytes{};
  if (space.read(at, bytes).done != bytes.size())
    throw NotFound(fmt::format("{} at {:#x} is not in the image", what, at.value));
  return load<uint64_t>(bytes.data(), ByteOrder::little);
}

std::vector<VirtAddr> nodes(Machine& machine, const AddressSpace& space) {
  const auto& note = machine.note();
  const auto array = note.symbol("node_data");
  if (!array) {
    // Without NUMA there is one node.
    const auto only = note.symbol("contig_page_data");
    return {only ? VirtAddr{*only} : machine.symbol("contig_page_data")};
  }
  std::vector<VirtAddr> found;
  const uint64_t count = need(note.length("node_data"), "LENGTH(node_data)", kMaxNodes);
  std::vector<std::byte> pointers(count * 8);
  if (space.read(VirtAddr{*array}, pointers).done != pointers.size())
    throw NotFound("node_data is not in the image");
  for (uint64_t i = 0; i < count; ++i)
    if (const auto pointer = load<uint64_t>(&pointers[i * 8], ByteOrder::little); pointer != 0)
      found.push_back(VirtAddr{pointer});
  return found;
}

uint64_t count_zone(const AddressSpace& space, const Layout& layout, VirtAddr zone) {
  uint64_t pages = 0;
  for (uint64_t order = 0; order < layout.orders; ++order)
    pages += word(space, zone + layout.free_area + order * layout.area_size + layout.nr_free, "free_area")
             << order;
  return pages;
}

}  // namespace

uint64_t count_free_lists(Machine& machine) {
  const Layout layout = read_layout(machine.note());
  const AddressSpace space = machine.kernel_space();
  uint64_t pages = 0;
  bool any = false;
  for (const VirtAddr node : nodes(machine, space)) {
    // nr_zones is an int: the number of the last populated zone plus one.
    const uint64_t zones = word(space, node + layout.node_zone_count, "pglist_data") & 0xffffffff;
    if (zones > kMaxZones)
      throw NotFound(fmt::format("the node at {:#x} says that it has {} zones", node.value, zones));
    any = any || zones != 0;
    for (uint64_t i = 0; i < zones; ++i)
      pages += count_zone(space, layout, node + layout.node_zones + i * layout.zone_size);
  }
  if (!any) throw NotFound("no node has a zone");
  return pages;
}

}  // namespace kvista::pages
