#include "images/image.h"

#include <fmt/format.h>

#include <algorithm>

#include "images/byte_writer.h"
#include "images/compress.h"
#include "images/segments.h"
#include "images/temporary.h"

namespace kvista::test {
namespace {

constexpr uint32_t kNtPrStatus = 1;

std::string ranges_text(const std::vector<Range>& ranges) {
  std::vector<Range> sorted = ranges;
  std::sort(sorted.begin(), sorted.end(), [](const Range& a, const Range& b) { return a.start < b.start; });
  std::string text;
  for (const Range& range : sorted)
    text += fmt::format("{}{:#x}-{:#x}", text.empty() ? "" : ",", range.start, range.end - 1);
  return text.empty() ? "none" : text;
}

bool is_live(const Description& description) {
  return description.segments.style == SegmentStyle::kcore;
}

std::string state(const Description& description) {
  if (is_live(description)) return "live";
  return description.crashed ? "dead: crashed" : "dead: saved while it ran";
}

Facts true_facts(const Kernel& kernel) {
  const Description& description = kernel.description();
  const KernelAddresses& at = kernel.addresses();
  // What an architecture says itself comes first.
  Facts facts = kernel.architecture().facts(kernel);
  facts.merge(Facts{
      {"arch", std::string(kernel.architecture().name)},
      {"release", kernel.release()},
      {"build_id", description.build_id},
      {"state", state(description)},
      {"crash_time", fmt::to_string(is_live(description) ? 0 : description.crashed.value_or(0))},
      {"cpus", fmt::to_string(description.cpus)},
      {"page_size", fmt::to_string(kernel.page_size())},
      {"page_table_levels", fmt::to_string(kernel.tables().shape().levels())},
      {"root_page_table", hex(kernel.root())},
      {"kaslr_offset", hex(description.machine.kaslr)},
      {"page_offset", hex(kernel.page_offset())},
      {"direct_map",
       range_text({kernel.page_offset(), kernel.direct(kernel.max_pfn() * kernel.page_size())})},
      {"vmalloc", range_text(at.vmalloc)},
      {"vmemmap", range_text(at.memory_map)},
      {"modules", range_text(at.modules)},
      {"kernel_image", range_text({kernel.text(), kernel.text() + kImageSize})},
      {"struct_page_size", fmt::to_string(description.page_struct_size)},
      {"section_size_bits", fmt::to_string(kernel.section_bits())},
      {"max_physmem_bits", fmt::to_string(kernel.physmem_bits())},
      {"crashkernel", ranges_text(description.crashkernel)},
  });
  return facts;
}

// QEMUCPUState of QEMU's target/i386/arch_dump.c: registers, ten segments, CR0 to CR4, the kernel's GS base.
std::vector<std::byte> qemu_cpu_state(const Kernel& kernel, unsigned cpu) {
  uint64_t cr0 = 0x80050033;
  uint64_t cr3 = kernel.root();
  uint64_t cr4 = kernel.description().machine.levels == 5 ? 0x1ef0 : 0xef0;
  for (const CpuRegisters& said : kernel.description().qemu_cpus) {
    if (said.cpu.value_or(cpu) != cpu) continue;
    cr0 = said.cr0.value_or(cr0);
    cr3 = said.cr3.value_or(cr3);
    cr4 = said.cr4.value_or(cr4);
  }
  ByteWriter out;
  out.u32(1);
  out.u32(440);
  out.zeros(18 * 8 + 9 * 24 + 16);
  out.u64(0xfffffe0000000000);  // the IDT
  for (const uint64_t value : {cr0, uint64_t{0}, uint64_t{0}, cr3, cr4, uint64_t{0}}) out.u64(value);
  return out.take();
}

// The note with another value of one line.
std::string changed_note(std::string note, const std::string& key, const std::string& value) {
  const size_t at = key.empty() ? std::string::npos : note.find(key + "=");
  if (at == std::string::npos) return note;
  const size_t from = at + key.size() + 1;
  return note.replace(from, note.find('\n', from) - from, value);
}

std::string iomem(const Description& description, const std::vector<Range>& crashkernel, bool hidden) {
  std::string text;
  const auto line = [&](unsigned depth, const Range& range, const char* name) {
    text += fmt::format("{}{:08x}-{:08x} : {}\n", std::string(size_t{2} * depth, ' '),
                        hidden ? 0 : range.start, hidden ? 0 : range.end - 1, name);
  };
  line(0, {0, 0xfff + 1}, "Reserved");
  for (const Range& range : description.ram) {
    line(0, range, "System RAM");
    for (const Range& inner : crashkernel)
      if (range.contains(inner.start)) line(1, inner, "Crash kernel");
  }
  return text;
}

}  // namespace

TestImage::TestImage(std::string_view description)
    : kernel_(parse_description(description)),
      truth_(true_facts(kernel_)),
      note_(note_text(kernel_, truth_)) {
  write_note_to_memory();
}

void TestImage::write_note_to_memory() {
  const NoteLines& lines = kernel_.description().note;
  const auto put = [this](uint64_t at, const std::string& text) {
    ByteWriter out(kernel_.byte_order());
    out.u32(11);
    out.u32(static_cast<uint32_t>(text.size()));
    out.u32(0);
    out.text("VMCOREINFO");
    out.zeros(2);
    out.text(text);
    kernel_.memory().write(at, out.take());
  };
  for (const NoteCopy& copy : lines.copies) put(copy.address, changed_note(note_, copy.key, copy.value));
  if (lines.place == NotePlace::elf || lines.place == NotePlace::none) return;
  put(kernel_.image_phys(kernel_.symbol("vmcoreinfo_note")), note_);
}

Saved TestImage::saved() const {
  const Description& description = kernel_.description();
  Saved saved;
  saved.ram = description.ram;
  saved.bytes = kernel_.memory().bytes();
  saved.cpu_notes = cpu_notes();
  const NotePlace place = description.note.place;
  if (place == NotePlace::elf || place == NotePlace::both) saved.vmcoreinfo = note_;
  saved.elf.machine = description.machine.elf_machine.value_or(kernel_.architecture().elf_machine);
  saved.elf.byte_order = kernel_.byte_order();
  saved.uts_machine = kernel_.architecture().uts_machine;
  saved.page_size = kernel_.page_size();
  saved.elf.headers_last = description.segments.headers_last;
  saved.elf.extended_count = description.segments.extended_count;
  saved.elf.truncate = description.truncate;
  saved.elf.segments = segments_of(kernel_);
  return saved;
}

std::vector<ElfNote> TestImage::cpu_notes() const {
  const Description& description = kernel_.description();
  const unsigned count = is_live(description) ? 1 : description.cpu_notes.value_or(description.cpus);
  std::vector<ElfNote> notes(count, {"CORE", kNtPrStatus, std::vector<std::byte>(336)});
  for (unsigned cpu = 0; cpu < count && !description.qemu_cpus.empty(); ++cpu)
    notes.push_back({"QEMU", 0, qemu_cpu_state(kernel_, cpu)});
  return notes;
}

void TestImage::write(const std::string& path) const {
  save(saved(), kernel_.description(), path);
  write_beside(path);
}

std::string TestImage::symbol_text(uint64_t shift, bool hidden) const {
  std::string text;
  for (const Symbol& symbol : kernel_.table_symbols())
    text += fmt::format("{:016x} {} {}\n", hidden ? 0 : symbol.address + shift, symbol.type, symbol.name);
  return text;
}

void TestImage::write_beside(const std::string& path) const {
  const Description& description = kernel_.description();
  // As it was linked: KASLR has not moved it.
  if (description.symbols.file)
    std::ofstream(path + ".map", std::ios::binary) << symbol_text(0 - parse_size(truth_.at("kaslr_offset")));
  if (description.config.file) std::ofstream(path + ".config", std::ios::binary) << kernel_.config_text();
}

void TestImage::write_system(const std::string& root) const {
  const Description& description = kernel_.description();
  if (description.system_none) return;
  const auto put = [&](const char* key, const char* path, const std::string& contents) {
    if (description.system_omit.contains(key)) return;
    const auto at = std::filesystem::path(root) / path;
    std::filesystem::create_directories(at.parent_path());
    std::ofstream(at, std::ios::binary) << contents;
  };
  const auto value = [&](const char* key, const std::string& right) {
    const auto lie = description.system.find(key);
    return lie == description.system.end() ? right : lie->second;
  };
  put("release", "proc/sys/kernel/osrelease", value("release", kernel_.release()) + "\n");
  const auto notes = kernel_.encode_notes(value("build_id", description.build_id));
  put("build_id", "sys/kernel/notes", {reinterpret_cast<const char*>(notes.data()), notes.size()});
  put("online", "sys/devices/system/cpu/online",
      value("online", fmt::format("0-{}", description.cpus - 1)) + "\n");
  std::vector<Range> crashkernel = description.crashkernel;
  const std::string reserved = value("crashkernel", "");
  if (!reserved.empty()) crashkernel.clear();
  if (const size_t dash = reserved.find('-'); dash != std::string::npos)
    crashkernel.push_back({parse_size(reserved.substr(0, dash)), parse_size(reserved.substr(dash + 1))});
  put("crashkernel", "proc/iomem", iomem(description, crashkernel, reserved == "hidden"));
  const bool hidden = value("kallsyms", "") == "hidden";
  put("kallsyms", "proc/kallsyms", symbol_text(0, hidden) + "ffffffffc0000000 t _text\t[module]\n");
  const std::string config = kernel_.config_text();
  if (description.config.proc) {
    const auto packed = compress(codec::Codec::gzip, std::as_bytes(std::span(config)));
    put("config", "proc/config.gz", {reinterpret_cast<const char*>(packed.data()), packed.size()});
  }
  if (description.config.boot) put("config", ("boot/config-" + kernel_.release()).c_str(), config);
  const uint64_t note_at = kernel_.image_phys(kernel_.symbol("vmcoreinfo_note"));
  put("vmcoreinfo", "sys/kernel/vmcoreinfo",
      value("vmcoreinfo", fmt::format("{:x} {:x}", note_at, 2 * kPage)) + "\n");
}

}  // namespace kvista::test
