// What the registers of a dump's CPUs say, as QEMU notes them: CR3 and CR4. Not the IDT: it is at the start
// of cpu_entry_area, which KASLR does not move (CPU_ENTRY_AREA_RO_IDT; 92a0f81d8957 of 4.15).
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <vector>

#include "arch/x86_64/layout.h"
#include "arch/x86_64/paging.h"
#include "arch/x86_64/qemu_cpu.h"
#include "base/error.h"
#include "machine/x86_64/probes.h"

namespace kvista::machine::x86_64 {
namespace {

namespace x86 = arch::x86_64;

// A CPU that runs with page tables, and its number among the image's notes.
struct RunningCpu {
  size_t number = 0;
  x86::QemuCpu state;
};

// Page tables that are proven to be the kernel's: init_uts_ns, walked to through them, shows OSRELEASE.
struct ProvenTables {
  size_t cpu = 0;
  PhysAddr root;
  arch::Paging paging;
  uint64_t phys_base = 0;
};

std::vector<RunningCpu> running_cpus(Machine& machine) {
  std::vector<RunningCpu> cpus;
  size_t notes = 0;
  for (const image::Note& note : machine.image().notes()) {
    if (note.name != "QEMU" || notes == x86::kMaxCpus) continue;
    const auto state = x86::parse_qemu_cpu(machine.image().read_note(note, x86::kQemuCpuSize));
    if (state && state->is_paging()) cpus.push_back({notes, *state});
    ++notes;
  }
  if (notes == 0) throw NotFound("the image has no QEMU note of a CPU");
  if (cpus.empty()) throw NotFound("no QEMU note shows a CPU that runs with page tables");
  return cpus;
}

// What each value is said by, where CPUs contradict each other.
template <typename Value>
std::string contradiction(const std::map<Value, size_t>& cpu_by_value, const char* format) {
  std::string text = "ambiguous:";
  for (const auto& [value, cpu] : cpu_by_value)
    text += fmt::format("{} CPU {} says {}", text.ends_with(':') ? "" : ",", cpu,
                        fmt::format(fmt::runtime(format), value));
  return text;
}

std::optional<ProvenTables> prove(Machine& machine, const RunningCpu& cpu, VirtAddr init_uts_ns,
                                  std::string_view release) {
  for (const PhysAddr root : {cpu.state.root(), cpu.state.kernel_half()}) {
    for (const uint64_t mask : possible_masks(machine.note())) {
      const arch::Paging paging = x86::make_paging(cpu.state.levels(), mask);
      const Walk walk = AddressSpace(machine.image(), root, paging).walk(init_uts_ns);
      if (walk.end != WalkEnd::mapped) continue;
      const uint64_t base = walk.phys.value - (init_uts_ns - x86::kKernelMap);
      const auto uts = read_utsname(machine, image_offset(base));
      if (uts && uts->release == release) return ProvenTables{cpu.number, root, paging, base};
    }
  }
  return std::nullopt;
}

// The page tables of all CPUs that can be proven. Throws NotFound where there are none.
std::vector<ProvenTables> proven_tables(Machine& machine) {
  const auto cpus = running_cpus(machine);
  const auto symbol = machine.note().symbol("init_uts_ns");
  const auto release = machine.note().text_of("OSRELEASE");
  if (!symbol || !release || VirtAddr{*symbol} < x86::kKernelMap)
    throw NotFound("CR3 cannot be proven without SYMBOL(init_uts_ns) and OSRELEASE");
  std::vector<ProvenTables> proven;
  for (const RunningCpu& cpu : cpus)
    if (const auto tables = prove(machine, cpu, VirtAddr{*symbol}, *release)) proven.push_back(*tables);
  if (proven.empty()) throw NotFound("no CPU's CR3 leads to init_uts_ns with this OSRELEASE");
  return proven;
}

Finding phys_base_of_cpus(Machine& machine) {
  std::map<uint64_t, size_t> bases;
  for (const ProvenTables& tables : proven_tables(machine)) bases.emplace(tables.phys_base, tables.cpu);
  if (bases.size() > 1) return unavailable(contradiction(bases, "{:#x}"));
  return found(bases.begin()->first,
               fmt::format("CR3 of CPU {} leads to init_uts_ns", bases.begin()->second));
}

// Where the kernel's own top table is mapped, as far as a table of symbols says it.
std::optional<VirtAddr> top_table(Machine& machine) {
  for (const char* name : {"init_top_pgt", "init_level4_pgt", "swapper_pg_dir"})
    if (const auto symbol = machine.note().symbol(name)) return VirtAddr{*symbol};
  try {
    return machine.symbol("init_top_pgt");
  } catch (const Error&) {
    return std::nullopt;
  }
}

std::vector<std::byte> kernel_half_of(Machine& machine, PhysAddr root) {
  std::vector<std::byte> half(x86::kPageSize / 2);
  half.resize(machine.image().read(root + x86::kPageSize / 2, half).done);
  return half;
}

// A CPU's table is most often that of a process. The kernel's own is what that table maps at init_top_pgt;
// where no symbol says so, any table will do if all have the same kernel half.
Finding root_of_cpus(Machine& machine) {
  const auto proven = proven_tables(machine);
  std::map<uint64_t, size_t> roots;
  if (const auto address = top_table(machine)) {
    for (const ProvenTables& tables : proven) {
      const Walk walk = AddressSpace(machine.image(), tables.root, tables.paging).walk(*address);
      if (walk.end == WalkEnd::mapped) roots.emplace(walk.phys.value, tables.cpu);
    }
    if (roots.empty()) return unavailable("no CPU's CR3 leads to the kernel's top table");
    if (roots.size() > 1) return unavailable(contradiction(roots, "{:#x}"));
    return found(roots.begin()->first,
                 fmt::format("CR3 of CPU {} leads to init_top_pgt", roots.begin()->second));
  }
  for (const ProvenTables& tables : proven) roots.emplace(tables.root.value, tables.cpu);
  const ProvenTables& first = proven.front();
  const auto half = kernel_half_of(machine, first.root);
  for (const auto& [root, cpu] : roots)
    if (kernel_half_of(machine, PhysAddr{root}) != half) return unavailable(contradiction(roots, "{:#x}"));
  return found(first.root.value,
               fmt::format("CR3 of CPU {}{}", first.cpu,
                           roots.size() == 1 ? "" : "; the kernel's half is the same in all"));
}

Finding levels_of_cpus(Machine& machine) {
  std::map<uint64_t, size_t> levels;
  for (const RunningCpu& cpu : running_cpus(machine)) levels.emplace(cpu.state.levels(), cpu.number);
  if (levels.size() > 1) return unavailable(contradiction(levels, "{}"));
  return found(levels.begin()->first, "CR4.LA57");
}

}  // namespace

void add_cpu_note_probes(ArchProbes& all) {
  static constexpr std::array kProbes = {
      Probe{FactId::phys_base, Source::cpu_notes, true, phys_base_of_cpus},
      Probe{FactId::root_page_table, Source::cpu_notes, true, root_of_cpus},
      Probe{FactId::page_table_levels, Source::cpu_notes, true, levels_of_cpus},
  };
  all.probes.insert(all.probes.end(), kProbes.begin(), kProbes.end());
}

}  // namespace kvista::machine::x86_64
