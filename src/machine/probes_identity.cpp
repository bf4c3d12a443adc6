#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "base/cursor.h"
#include "base/error.h"
#include "decode/build_id.h"
#include "machine/probes.h"

namespace kvista::machine {
namespace {

Finding text_of_note(Machine& machine, std::string_view key) {
  const auto value = machine.note().text_of(key);
  if (!value) return unavailable(fmt::format("VMCOREINFO has no {}", key));
  return found(std::string(*value), std::string(key));
}

// --- arch ---

Finding arch_of_image(Machine& machine) {
  if (machine.image().traits().elf_machine == 0) return unavailable("the format does not say");
  return found(machine.architecture().name,
               fmt::format("ELF machine {}", machine.image().traits().elf_machine));
}

Finding arch_of_note(Machine& machine) {
  if (const Architecture* told = architecture_of_note(machine.note()))
    for (const std::string_view key : told->note_keys)
      if (has_key(machine.note(), key))
        return found(told->name, fmt::format("{} is of {} only", key, told->name));
  return unavailable(
      fmt::format("VMCOREINFO has none of {}", fmt::join(machine.architecture().note_keys, ", ")));
}

std::optional<Utsname> utsname_of(Machine& machine) {
  const auto offset = machine.image_offset();
  return offset ? read_utsname(machine, *offset) : std::nullopt;
}

Finding arch_of_memory(Machine& machine) {
  const auto uts = utsname_of(machine);
  if (!uts) return unavailable("init_uts_ns cannot be read");
  for (const Architecture& known : architectures())
    if (uts->machine == known.uts_machine) return found(known.name, "init_uts_ns");
  return found(uts->machine, "init_uts_ns");
}

// --- release ---

Finding release_of_note(Machine& machine) {
  return text_of_note(machine, "OSRELEASE");
}

Finding release_of_memory(Machine& machine) {
  const auto uts = utsname_of(machine);
  if (!uts) return unavailable("init_uts_ns cannot be read");
  return found(uts->release, "init_uts_ns");
}

Finding release_of_system(Machine& machine) {
  std::string release = machine.system_file("/proc/sys/kernel/osrelease");
  while (release.ends_with('\n')) release.pop_back();
  return found(release, "/proc/sys/kernel/osrelease");
}

// --- build_id ---

Finding build_id_of_note(Machine& machine) {
  Finding text = text_of_note(machine, "BUILD-ID");
  if (text.value && !noted_build_id(machine.note())) return unavailable("BUILD-ID is garbage");
  return text;
}

Finding build_id_of_memory(Machine& machine) {
  const VirtAddr start = machine.symbol("__start_notes");
  const VirtAddr stop = machine.symbol("__stop_notes");
  constexpr uint64_t kMaxNotes = 65536;
  if (stop <= start || stop - start > kMaxNotes)
    return unavailable("__start_notes and __stop_notes make no sense");
  std::vector<std::byte> notes(stop - start);
  notes.resize(machine.read_image(start, notes));
  auto id = decode::build_id_among(notes, machine.byte_order());
  if (!id) return unavailable("no GNU build-id between __start_notes and __stop_notes");
  return found(std::move(*id), "notes of the kernel image");
}

Finding build_id_of_system(Machine& machine) {
  const std::string notes = machine.system_file("/sys/kernel/notes");
  auto id = decode::build_id_among(std::as_bytes(std::span(notes)), machine.byte_order());
  if (!id) return unavailable("no GNU build-id in /sys/kernel/notes");
  return found(std::move(*id), "/sys/kernel/notes");
}

// --- state, crash_time ---

Finding state_of_image(Machine& machine) {
  const auto& traits = machine.image().traits();
  if (traits.live) return found("live", traits.path);
  return found(machine.note().text_of("CRASHTIME") ? "dead: crashed" : "dead: saved while it ran",
               "CRASHTIME is appended to VMCOREINFO by a panic");
}

Finding crash_time_of_note(Machine& machine) {
  if (machine.image().traits().live) return found(uint64_t{0}, "the image is live");
  if (machine.note().empty()) return unavailable("no VMCOREINFO");
  if (!machine.note().text_of("CRASHTIME"))
    return found(uint64_t{0}, "VMCOREINFO has no CRASHTIME: no panic");
  const auto time = machine.note().decimal("CRASHTIME");
  if (!time) return unavailable("CRASHTIME is no number");
  return found(*time, "CRASHTIME");
}

// --- cpus ---

Finding cpus_of_notes(Machine& machine) {
  if (machine.image().traits().live) return unavailable("a live image has no note per CPU");
  constexpr uint32_t kPrStatus = 1;
  const auto notes = machine.image().notes();
  const auto cpus =
      static_cast<uint64_t>(std::count_if(notes.begin(), notes.end(), [](const image::Note& note) {
        return note.name == "CORE" && note.type == kPrStatus;
      }));
  if (cpus == 0) return unavailable("the image has no NT_PRSTATUS note");
  return found(cpus, "NT_PRSTATUS notes");
}

constexpr uint64_t kMaxCpus = 8192;  // NR_CPUS with CONFIG_MAXSMP of x86_64: no architecture has more

Finding cpus_of_memory(Machine& machine) {
  const uint64_t count = machine.variable("__num_online_cpus", 4);
  if (count == 0 || count > kMaxCpus)
    return unavailable(fmt::format("__num_online_cpus is {}: no sensible number", count));
  return found(count, "value of __num_online_cpus");
}

// "0-3,8": the number of CPUs named.
std::optional<uint64_t> count_cpu_list(std::string_view list) {
  uint64_t count = 0;
  const char* at = list.data();
  const char* const end = at + list.size();
  while (at != end && *at != '\n') {
    uint32_t first = 0;
    auto parsed = std::from_chars(at, end, first);
    if (parsed.ec != std::errc{}) return std::nullopt;
    uint32_t last = first;
    if (parsed.ptr != end && *parsed.ptr == '-') parsed = std::from_chars(parsed.ptr + 1, end, last);
    if (parsed.ec != std::errc{} || last < first) return std::nullopt;
    count += uint64_t{last} - first + 1;
    at = parsed.ptr != end && *parsed.ptr == ',' ? parsed.ptr + 1 : parsed.ptr;
    if (at == parsed.ptr && at != end && *at != '\n') return std::nullopt;
  }
  return count;
}

Finding cpus_of_system(Machine& machine) {
  constexpr const char* kPath = "/sys/devices/system/cpu/online";
  const auto count = count_cpu_list(machine.system_file(kPath));
  if (!count || *count == 0) return unavailable(fmt::format("{} is no list of CPUs", kPath));
  return found(*count, kPath);
}

}  // namespace

std::optional<std::string> noted_build_id(const vmcoreinfo::VmcoreInfo& note) {
  const auto id = note.text_of("BUILD-ID");
  const bool hex = id && !id->empty() && id->find_first_not_of("0123456789abcdef") == std::string::npos;
  // Garbage was seen on 6.12-rc and on stable kernels of late 2024, where it was written before it was known.
  if (!hex || id->find_first_not_of('0') == std::string::npos) return std::nullopt;
  return std::string(*id);
}

std::optional<Utsname> read_utsname(Machine& machine, uint64_t image_offset) {
  return read_utsname(machine.image(), machine.note(), image_offset);
}

std::optional<Utsname> read_utsname(const image::MemoryImage& image, const vmcoreinfo::VmcoreInfo& note,
                                    uint64_t image_offset) {
  const auto symbol = note.symbol("init_uts_ns");
  if (!symbol) return std::nullopt;
  const PhysAddr at{*symbol - image_offset};
  // The kref stood before the name until 9a56493f6942 (5.11), which also exported the offset.
  std::vector<uint64_t> offsets = {0, 4};
  if (const auto offset = note.offset("uts_namespace.name")) offsets = {*offset};
  for (const uint64_t offset : offsets) {
    std::array<std::byte, 6 * kUtsField> name{};
    if (image.read(at + offset, name).done != name.size()) continue;
    const auto field = [&](size_t i) {
      return std::string(as_text(std::span(name).subspan(i * kUtsField, kUtsField)));
    };
    if (field(0) == "Linux")
      return Utsname{
          field(2), field(4), {field(0), field(1), field(2), field(3), field(4), field(5)}, at + offset};
  }
  return std::nullopt;
}

void add_identity_probes(ArchProbes& all) {
  static constexpr std::array kProbes = {
      Probe{FactId::arch, Source::image, true, arch_of_image},
      Probe{FactId::arch, Source::note, true, arch_of_note},
      Probe{FactId::arch, Source::memory, true, arch_of_memory},
      Probe{FactId::release, Source::note, true, release_of_note},
      Probe{FactId::release, Source::memory, true, release_of_memory},
      Probe{FactId::release, Source::system, true, release_of_system},
      Probe{FactId::build_id, Source::note, true, build_id_of_note},
      Probe{FactId::build_id, Source::kallsyms, true, build_id_of_memory},
      Probe{FactId::build_id, Source::system, true, build_id_of_system},
      Probe{FactId::state, Source::image, true, state_of_image},
      Probe{FactId::crash_time, Source::note, true, crash_time_of_note},
      Probe{FactId::cpus, Source::cpu_notes, true, cpus_of_notes},
      Probe{FactId::cpus, Source::kallsyms, true, cpus_of_memory},
      Probe{FactId::cpus, Source::system, true, cpus_of_system},
  };
  all.probes.insert(all.probes.end(), kProbes.begin(), kProbes.end());
}

}  // namespace kvista::machine
