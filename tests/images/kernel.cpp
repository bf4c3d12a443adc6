#include "images/kernel.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <utility>

#include "images/byte_writer.h"
#include "images/compress.h"

namespace kvista::test {
namespace {

constexpr uint64_t kDataInImage = uint64_t{2} << 20;
constexpr uint64_t kUtsField = 65;
constexpr uint64_t kUtsNamespace = 512;

}  // namespace

Kernel::Kernel(Description description)
    : description_(std::move(description)),
      memory_(byte_order()),
      addresses_(architecture().addresses(description_)),
      next_free_(image_phys(text()) + kImageSize),
      next_in_image_(text() + kDataInImage),
      tables_(memory_, place_root(), *architecture().entries, architecture().shape(description_),
              [this] { return allocate(top_table_size()); }) {
  for (const ContentsLine& line : description_.contents) {
    const std::vector<Range> whole = line.range ? std::vector{*line.range} : description_.ram;
    for (const Range& range : whole) memory_.fill(range, line.contents);
  }
  // What the kernel wrote itself is not what `contents` says.
  memory_.fill({image_phys(text()), next_free_}, Contents::zero);
  tables_.make_root();
  symbols_["_text"] = symbols_["_stext"] = text();
  symbols_["_end"] = text() + kImageSize;
  symbols_["swapper_pg_dir"] = symbol(architecture().root);
  place_uts();
  place_notes();
  place_variables();
  if (architecture().place_more != nullptr) architecture().place_more(*this);
  place_sections();
  map_memory();
  place_objects();
  build_memory_map(*this);
  place_config();
  place_btf();
  place_log();
  place_kallsyms();
  // Behind the tables, which do not have it: by it a table is proven that someone gives.
  memory_.write(image_phys(place("linux_banner", 64)),
                std::string_view(fmt::format("Linux version {} (builder@test)", release())));
  write_extra_entries();
  damage_objects();
}

bool Kernel::is_ram(uint64_t phys) const {
  return std::any_of(description_.ram.begin(), description_.ram.end(),
                     [&](const Range& range) { return range.contains(phys); });
}

uint64_t Kernel::symbol(std::string_view name) const {
  const auto at = symbols_.find(name);
  if (at == symbols_.end()) throw DescriptionError(fmt::format("the kernel has no symbol {}", name));
  return at->second;
}

uint64_t Kernel::allocate(uint64_t size, uint64_t alignment) {
  const uint64_t at = (next_free_ + alignment - 1) / alignment * alignment;
  next_free_ = at + size;
  if (!is_ram(at) || !is_ram(next_free_ - 1))
    throw DescriptionError(fmt::format("there is no RAM at {:#x}, behind the kernel image", at));
  memory_.fill({at, next_free_}, Contents::zero);
  return at;
}

uint64_t Kernel::place(std::string_view name, uint64_t size, uint64_t alignment) {
  const uint64_t at = (next_in_image_ + alignment - 1) / alignment * alignment;
  next_in_image_ = at + size;
  if (next_in_image_ > text() + kImageSize)
    throw DescriptionError(fmt::format("no room in the image for {}", name));
  symbols_[std::string(name)] = at;
  return at;
}

uint64_t Kernel::top_table_size() const {
  const TableShape shape = architecture().shape(description_);
  return shape.table_size(shape.levels());
}

uint64_t Kernel::place_root() {
  return image_phys(place(architecture().root, top_table_size(), top_table_size()));
}

void Kernel::variable(std::string_view name, uint64_t value, unsigned size) {
  const uint64_t at = place(name, size, size);
  if (const auto lie = description_.symbols.values.find(std::string(name));
      lie != description_.symbols.values.end())
    value = lie->second;
  if (size == 4)
    memory_.put32(image_phys(at), static_cast<uint32_t>(value));
  else
    put64(at, value);
}

void Kernel::place_uts() {
  const uint64_t name_at = layout().uts_offset ? 0 : 4;  // behind the kref
  // Data stands behind the read-only data, where the symbol tables are: vmlinux.lds.S.
  const uint64_t virt = symbols_["init_uts_ns"] = text() + kImageSize - kUtsNamespace;
  const uint64_t at = image_phys(virt);
  const auto field = [&](const char* name, const std::string& right) {
    const auto lie = description_.uts.find(name);
    return lie == description_.uts.end() ? right : lie->second;
  };
  const std::vector<std::string> fields = {field("sysname", "Linux"),
                                           "testhost",
                                           field("release", release()),
                                           "#1 SMP",
                                           field("machine", std::string(architecture().uts_machine)),
                                           "(none)"};
  const uint64_t copies = description_.second_uts ? 2 : 1;
  for (uint64_t copy = 0; copy < copies; ++copy) {
    // A copy 2 MiB aligned steps away, where a search finds it too: what a kexec'ed kernel leaves behind.
    const uint64_t base = at - copy * (uint64_t{4} << 20);
    if (name_at != 0) memory_.put32(base, 2);
    for (size_t i = 0; i < fields.size(); ++i)
      memory_.write(base + name_at + i * kUtsField, std::string_view(fields[i]));
  }
}

std::vector<std::byte> Kernel::encode_notes(std::string_view build_id) const {
  ByteWriter out(byte_order());
  const auto note = [&](std::string_view name, uint32_t type, const std::vector<std::byte>& descriptor) {
    out.u32(static_cast<uint32_t>(name.size() + 1));
    out.u32(static_cast<uint32_t>(descriptor.size()));
    out.u32(type);
    out.text(name);
    out.u8(0);
    out.align(4);
    out.bytes(descriptor);
    out.align(4);
  };
  std::vector<std::byte> id;
  for (size_t i = 0; i + 1 < build_id.size(); i += 2)
    id.push_back(static_cast<std::byte>(std::stoul(std::string(build_id.substr(i, 2)), nullptr, 16)));
  note("Xen", 6, std::vector<std::byte>(7));
  note("GNU", 3, id);
  note("Linux", 257, std::vector<std::byte>(1));
  return out.take();
}

void Kernel::place_notes() {
  const std::string& lie = description_.build_id_in_memory;
  const auto notes = encode_notes(lie.empty() ? description_.build_id : lie);
  const uint64_t at = place("__start_notes", notes.size(), 4);
  memory_.write(image_phys(at), notes);
  symbols_["__stop_notes"] = at + notes.size();
  place("vmcoreinfo_note", 2 * kPage, kPage);
}

void Kernel::place_variables() {
  for (const Variable& one : architecture().variables(*this)) variable(one.name, one.value, one.size);
  // struct resource: start and end, then what is of no interest.
  const char* const names[] = {"crashk_res", "crashk_low_res"};
  for (size_t i = 0; i < 2; ++i) {
    const uint64_t at = place(names[i], 64);
    if (i < description_.crashkernel.size()) {
      put64(at, description_.crashkernel[i].start);
      put64(at + 8, description_.crashkernel[i].end - 1);
    }
    if (const auto lie = description_.symbols.values.find(names[i]); lie != description_.symbols.values.end())
      put64(at, lie->second);
  }
  place("node_online_map", kMaxNodes / 8);
  place("node_data", kMaxNodes * 8);
  place("prb", 8);
}

void Kernel::map_memory() {
  for (const Range& range : description_.ram) {
    const uint64_t start = (range.start + page_size() - 1) / page_size() * page_size();
    const uint64_t end = range.end / page_size() * page_size();
    if (end > start) tables_.map(direct(start), start, end - start, description_.machine.direct_map_leaf);
  }
  // The kernel image, where it is not mapped with all memory: its last 2 MiB in pages of 4 KiB, as where
  // protections change.
  const uint64_t phys = image_phys(text());
  if (text() != direct(phys)) {
    tables_.map(text(), phys, kImageSize - kDataInImage, 2);
    tables_.map(text() + kImageSize - kDataInImage, phys + kImageSize - kDataInImage, kDataInImage, 1);
  }
  const uint64_t size = 4 * page_size();
  if (description_.vmalloc_mapped) tables_.map(vmalloc(), allocate(size), size, 1);
}

// The array of roots, each of which points to a page of sections: SPARSEMEM_EXTREME.
void Kernel::place_sections() {
  constexpr uint64_t kPresent = 0xf;  // present, has a memory map, online, early
  const uint64_t roots = section_roots();
  uint64_t roots_at = 0;
  if (description_.section_roots == SectionRoots::array) {
    roots_at = image_phys(place("mem_section", roots * 8));
  } else {
    roots_at = allocate(roots * 8, 64);
    put64(place("mem_section", 8), direct(roots_at));
  }
  const uint64_t section_size = uint64_t{1} << section_bits();
  for (const Range& range : description_.ram) {
    for (uint64_t number = range.start / section_size; number <= (range.end - 1) / section_size; ++number) {
      const uint64_t root_at = roots_at + number / sections_per_root() * 8;
      if (memory_.get64(root_at) == 0) memory_.put64(root_at, direct(allocate(page_size())));
      const uint64_t root = memory_.get64(root_at) - direct(0);
      memory_.put64(root + number % sections_per_root() * kSectionSize,
                    description_.section_map.value_or(vmemmap()) | kPresent);
    }
  }
}

std::string Kernel::config_text() const {
  const ConfigLines& lines = description_.config;
  std::map<std::string, std::string> options = {
      {"X86_64", "y"},
      {"CC_VERSION_TEXT", "\"gcc 14\""},
      {"PAGE_SHIFT", "12"},
      {"PGTABLE_LEVELS", fmt::to_string(description_.machine.levels)},
      {"RANDOMIZE_BASE", "y"},
      {"RANDOMIZE_MEMORY", "y"},
      {"PHYSICAL_START", "0x1000000"},
      {"AMD_MEM_ENCRYPT", "y"}};
  for (const auto& [name, value] : lines.set) options[name] = value;
  const std::string version = release().substr(0, release().find_first_of("+-"));
  std::string text = fmt::format(
      "#\n# Automatically generated file; DO NOT EDIT.\n# Linux/x86 {} Kernel "
      "Configuration\n#\n",
      lines.version.empty() ? version : lines.version);
  for (const auto& [name, value] : options)
    text += value == "n" ? fmt::format("# CONFIG_{} is not set\n", name)
                         : fmt::format("CONFIG_{}={}\n", name, value);
  return text;
}

// kernel/configs.c: between two marks, with the symbol behind the first.
void Kernel::place_config() {
  if (!description_.config.memory) return;
  const std::string text = config_text();
  const auto packed = compress(codec::Codec::gzip, std::as_bytes(std::span(text)));
  constexpr std::string_view kStart = "IKCFG_ST";
  constexpr std::string_view kEnd = "IKCFG_ED";
  const uint64_t at = place("kernel_config_mark", packed.size() + kStart.size() + kEnd.size());
  memory_.write(image_phys(at), kStart);
  memory_.write(image_phys(at + kStart.size()), packed);
  memory_.write(image_phys(at + kStart.size() + packed.size()), kEnd);
  symbols_.erase("kernel_config_mark");
  symbols_["kernel_config_data"] = at + kStart.size();
}

void Kernel::write_extra_entries() {
  for (const ExtraEntry& entry : description_.entries) write_entry(entry);
}

void Kernel::write_entry(const ExtraEntry& entry) {
  switch (entry.kind) {
    case ExtraEntry::Kind::map:
      tables_.map_page(entry.virt, entry.value, entry.level);
      break;
    case ExtraEntry::Kind::prot_none:
      tables_.map_prot_none(entry.virt, entry.value, entry.level);
      break;
    case ExtraEntry::Kind::swap:
      tables_.map_swap(entry.virt, entry.swap_type, entry.value);
      break;
    case ExtraEntry::Kind::raw:
      tables_.set_entry(entry.virt, entry.level, entry.value);
      break;
    case ExtraEntry::Kind::missing:
      // A table behind the end of memory.
      tables_.set_entry(entry.virt, entry.level,
                        tables_.table_entry(description_.ram.back().end + page_size(), entry.level));
      break;
    case ExtraEntry::Kind::loop:
      tables_.loop(entry.virt, entry.level);
      break;
  }
}

}  // namespace kvista::test
