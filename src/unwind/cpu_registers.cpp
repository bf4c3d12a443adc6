#include "unwind/cpu_registers.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <vector>

#include "base/cursor.h"
#include "base/error.h"
#include "kernel/session.h"
#include "unwind/architecture.h"
#include "unwind/kernel_memory.h"

namespace kvista::unwind {
namespace {

using arch::Registers;
using kernel::Session;
using AllRegisters = std::map<unsigned, CpuRegisters>;

constexpr uint32_t kPrStatus = 1;  // NT_PRSTATUS
constexpr std::string_view kCore = "CORE";
constexpr unsigned kMostCpus = 8192;

void add(AllRegisters& all, unsigned cpu, const std::optional<Registers>& registers, RegisterSource source) {
  // A note that nobody filled in is all zeros.
  if (registers && registers->ip() != 0) all.emplace(cpu, CpuRegisters{*registers, source});
}

// The n-th note is the n-th CPU's (qemu/dump/dump.c).
AllRegisters of_qemu(const Session& session, const StackRules& rules) {
  AllRegisters all;
  if (rules.qemu.size == 0) return all;
  unsigned cpu = 0;
  for (const image::Note& note : session.image().notes()) {
    if (note.name != "QEMU" || cpu >= kMostCpus) continue;
    const auto bytes = session.image().read_note(note, rules.qemu.size);
    add(all, cpu, rules.qemu.parse(bytes), RegisterSource::qemu);
    ++cpu;
  }
  return all;
}

// A note as crash_save_cpu() writes it (kernel/crash_core.c): name, descriptor, and an empty one to end with.
std::optional<Registers> of_crash_note(std::span<const std::byte> bytes, ByteOrder order,
                                       const RegisterNote& expected) {
  Cursor in(bytes, order);
  const uint32_t name_size = in.u32();
  const uint32_t size = in.u32();
  const uint32_t type = in.u32();
  const std::string_view name = as_text(in.bytes(8));
  if (!in.ok() || name_size != kCore.size() + 1 || type != kPrStatus || name != kCore ||
      size != expected.size)
    return std::nullopt;
  return expected.parse(in.bytes(size));
}

AllRegisters of_crash_notes(const Session& session, const StackRules& rules) {
  constexpr size_t kHeader = 20;
  AllRegisters all;
  const auto place = place_of(session, "crash_notes");
  const uint64_t notes = place ? session.read_number(*place, session.word_size(), nullptr) : 0;
  if (notes == 0) return all;
  std::vector<std::byte> bytes(kHeader + rules.prstatus.size);
  for (const unsigned cpu : session.present_cpus()) try {
      session.read(VirtAddr{notes + session.per_cpu_offset(cpu)}, bytes, nullptr);
      add(all, cpu, of_crash_note(bytes, session.byte_order(), rules.prstatus), RegisterSource::crash_notes);
    } catch (const Error&) {
      continue;  // that CPU's are not known
    }
  return all;
}

// Who makes the notes leaves out CPUs that did not answer, so that the n-th is the n-th CPU's only where
// there is one for each.
AllRegisters of_prstatus(const Session& session, const StackRules& rules) {
  std::vector<std::optional<Registers>> found;
  for (const image::Note& note : session.image().notes())
    if (note.name == kCore && note.type == kPrStatus && found.size() < kMostCpus)
      found.push_back(rules.prstatus.parse(session.image().read_note(note, rules.prstatus.size)));
  AllRegisters all;
  const auto& cpus = session.present_cpus();
  if (found.size() != cpus.size()) return all;
  for (size_t i = 0; i < cpus.size(); ++i) add(all, cpus[i], found[i], RegisterSource::prstatus);
  return all;
}

}  // namespace

const char* describe(RegisterSource source) {
  switch (source) {
    case RegisterSource::qemu:
      return "QEMU note";
    case RegisterSource::crash_notes:
      return "crash_notes";
    case RegisterSource::prstatus:
      return "NT_PRSTATUS";
  }
  return "";
}

std::map<unsigned, CpuRegisters> read_cpu_registers(const Session& session, const StackRules& rules) {
  if (session.image().traits().live) return {};
  for (const auto ask : {of_qemu, of_crash_notes, of_prstatus}) try {
      if (AllRegisters found = ask(session, rules); !found.empty()) return found;
    } catch (const Error&) {
      continue;  // the next may have them
    }
  return {};
}

}  // namespace kvista::unwind
