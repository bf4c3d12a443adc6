// A synthetic x86_64 kernel in physical memory, as a description asks for it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "images/description.h"
#include "images/kallsyms_builder.h"
#include "images/memory.h"
#include "images/page_tables.h"

namespace kvista::test {

inline constexpr uint64_t kKernelMap = 0xffffffff80000000;
inline constexpr uint64_t kLinkedText = 0xffffffff81000000;
inline constexpr uint64_t kImageSize = uint64_t{4} << 20;  ///< of this kernel: _text to _end
inline constexpr uint64_t kMaxNodes = 1024;

/// An object of a known type in the kernel's memory.
struct PlacedObject {
  std::string type;  ///< "struct task_struct"; empty: only its bytes are known
  uint64_t phys = 0;
  uint64_t virt = 0;
};

class Kernel {
 public:
  explicit Kernel(Description description);

  const Description& description() const { return description_; }
  const KernelLayout& layout() const { return *description_.layout; }
  PhysicalMemory& memory() { return memory_; }
  const PhysicalMemory& memory() const { return memory_; }
  PageTables& tables() { return tables_; }

  uint64_t phys_base() const { return phys_base_; }
  uint64_t page_offset() const { return page_offset_; }
  uint64_t vmalloc() const { return vmalloc_; }
  uint64_t vmemmap() const { return vmemmap_; }
  uint64_t text() const { return kLinkedText + description_.machine.kaslr; }
  uint64_t root() const { return image_phys(symbol("init_top_pgt")); }
  unsigned section_bits() const { return description_.section_bits.value_or(27); }
  unsigned physmem_bits() const { return description_.machine.levels == 5 ? 52 : 46; }
  uint64_t vmalloc_size() const { return uint64_t{description_.machine.levels == 5 ? 12800U : 32U} << 40; }
  uint64_t max_pfn() const { return description_.ram.back().end / kPage; }
  bool is_ram(uint64_t phys) const;
  /// The memory that the builder itself took, from the kernel image on.
  Range used() const { return {image_phys(text()), next_free_}; }

  uint64_t image_phys(uint64_t virt) const { return virt - kKernelMap + phys_base_; }
  uint64_t direct(uint64_t phys) const { return page_offset_ + phys; }
  /// The address of something placed in the kernel image.
  uint64_t symbol(std::string_view name) const;
  const std::map<std::string, uint64_t, std::less<>>& symbols() const { return symbols_; }
  /// What a symbol table of this kernel says, with the description's lies.
  std::vector<Symbol> table_symbols() const;
  /// The text of its configuration.
  std::string config_text() const;
  /// The lines that VMCOREINFO has for its log, where the description has one.
  const std::vector<std::pair<std::string, std::string>>& log_note() const { return log_note_; }
  std::string release() const { return description_.release.value_or(std::string(layout().release)); }

  /// An object that the description asked for, by its name there: "task:1", "symbol:modules".
  PlacedObject object(const std::string& name) const;
  void keep(const std::string& name, PlacedObject object) { objects_[name] = std::move(object); }
  /// Takes physical memory behind the kernel image.
  uint64_t allocate(uint64_t size, uint64_t alignment = kPage);
  /// What a symbol table says of something that is elsewhere.
  void name(std::string_view symbol, uint64_t address) { symbols_[std::string(symbol)] = address; }
  /// The page at `phys` is left out of a dump.
  void leave_out(uint64_t phys) {
    description_.kdump.excluded.push_back({phys / kPage * kPage, (phys / kPage + 1) * kPage});
  }
  /// Takes room in the kernel image's data and gives it a name. Returns its virtual address.
  uint64_t place(std::string_view name, uint64_t size, uint64_t alignment = 8);
  void put64(uint64_t image_virt, uint64_t value) { memory_.put64(image_phys(image_virt), value); }
  /// Room in the image with a value of its own, unless the description wants another one.
  void variable(std::string_view name, uint64_t value, unsigned size = 8);

  /// Notes of the kernel image with this build-id, as __start_notes holds them.
  static std::vector<std::byte> encode_notes(std::string_view build_id);

 private:
  void place_uts();
  void place_variables();
  void place_notes();
  void map_memory();
  void place_sections();
  void place_kallsyms();
  void place_btf();
  void place_objects();
  void damage_objects();
  void place_addresses(const std::vector<Symbol>& all);
  void write_extra_entries();
  void write_entry(const ExtraEntry& entry);
  std::vector<Symbol> kallsyms_symbols() const;
  void place_config();
  void place_log();

  Description description_;
  PhysicalMemory memory_;
  uint64_t phys_base_;
  uint64_t page_offset_;
  uint64_t vmalloc_;
  uint64_t vmemmap_;
  uint64_t next_free_;
  uint64_t next_in_image_;
  std::map<std::string, uint64_t, std::less<>> symbols_;
  std::vector<std::pair<std::string, std::string>> log_note_;
  std::map<std::string, PlacedObject> objects_;
  PageTables tables_;
};

/// Fills in the memory map, mem_section's targets and the nodes with their zones.
void build_memory_map(Kernel& kernel);
/// The class of frame `pfn`: the description's, or "kernel", "reserved" (the builder's own), "hole".
PageRun class_of(const Kernel& kernel, uint64_t pfn);
/// The text of VMCOREINFO. `truth` gives what `note set KEY=$fact` stands for.
std::string note_text(const Kernel& kernel, const std::map<std::string, std::string>& truth);

}  // namespace kvista::test
