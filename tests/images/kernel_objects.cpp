// What a described kernel has beside its memory map, and what is wrong with it.
#include <fmt/format.h>

#include "images/object_writer.h"

namespace kvista::test {

// The clock shows 2026-01-02 03:04:05 UTC, a day and an hour after the start, and a minute of that was sleep.
void place_system(ObjectWriter& writer) {
  constexpr uint64_t kDate = 1767323045;
  constexpr uint64_t kUptime = 90'000;
  constexpr uint64_t kSlept = 60;
  const PlacedObject clock = writer.variable("tk_core", "struct tk_data");
  writer.set(clock, "timekeeper.xtime_sec", kDate);
  writer.set(clock, "timekeeper.wall_to_monotonic.tv_sec", kUptime - kSlept - kDate);
  writer.set(clock, "timekeeper.offs_boot", kSlept * 1'000'000'000);
  const PlacedObject loads = writer.variable("avenrun", "unsigned long", 3);
  for (uint64_t i = 0; i < 3; ++i) writer.put(loads.phys + 8 * i, (i + 1) << 10, 8);
  uint64_t pages = 0;
  for (const Range& range : writer.kernel().description().ram)
    pages += (range.end - range.start) / writer.kernel().page_size();
  writer.kernel().variable("_totalram_pages", pages);
  writer.kernel().variable("tainted_mask", 0);
  writer.kernel().variable("crashing_cpu", 0xffffffff, 4);
}

// What the kernel itself allocated behind its per-CPU variables early; the rest of an area is given back:
// pcpu_embed_first_chunk().
void place_first_chunk(ObjectWriter& writer) {
  constexpr uint64_t kEarlyPages = 2;
  Kernel& kernel = writer.kernel();
  const uint64_t base = kernel.object("rq:0").virt - kernel.symbol("runqueues");
  const PlacedObject chunk = writer.make("pcpu_chunk:0", "struct pcpu_chunk");
  writer.set(chunk, "base_addr", base + kPerCpuEnd);
  writer.set(chunk, "nr_pages", kEarlyPages);
  kernel.variable("pcpu_base_addr", base);
  kernel.variable("pcpu_first_chunk", chunk.virt);
}

void Kernel::place_objects() {
  const ObjectLines& lines = description_.objects;
  if (lines.empty()) return;
  ObjectWriter writer(*this);
  place_tasks(writer, lines.tasks, description_.cpus);
  place_modules(writer, lines.modules);
  place_system(writer);
  place_stacks(writer, description_);
  for (const ObjectLine& line : lines.made)
    if (line.is_variable)
      writer.variable(line.name, line.type);
    else
      writer.make(line.name, line.type);
  place_first_chunk(writer);
}

PlacedObject Kernel::object(const std::string& name) const {
  if (const auto found = objects_.find(name); found != objects_.end()) return found->second;
  constexpr std::string_view kSymbol = "symbol:";
  if (!name.starts_with(kSymbol)) throw DescriptionError(fmt::format("there is no object {}", name));
  const uint64_t virt = symbol(name.substr(kSymbol.size()));
  return {"", image_phys(virt), virt};
}

void Kernel::damage_objects() {
  struct Place {
    uint64_t phys, virt, size;
  };
  const auto find = [this](const ObjectPlace& place) -> Place {
    const PlacedObject found = object(place.object);
    uint64_t offset = place.offset;
    uint64_t size = 8;
    if (!place.member.empty()) {
      offset += kernel_types().offset(found.type, place.member);
      size = kernel_types().size(found.type, place.member);
    }
    return {found.phys + offset, found.virt + offset, size};
  };
  ObjectWriter writer(*this);
  for (const ObjectDamage& damage : description_.objects.damage) {
    const Place place = find(damage.place);
    if (!damage.entries.empty()) {
      std::vector<ObjectWriter::Link> links;
      for (const ObjectPlace& entry : damage.entries) {
        const Place at = find(entry);
        links.push_back({at.phys, at.virt});
      }
      writer.make_list({place.phys, place.virt}, links);
      continue;
    }
    if (damage.is_missing && description_.format != FileFormat::kdump)
      throw DescriptionError("only a dump (format kdump) can leave out a page");
    if (damage.is_missing)
      leave_out(place.phys);
    else
      writer.put(place.phys, damage.target ? find(*damage.target).virt : damage.value, place.size);
  }
}

}  // namespace kvista::test
