// A synthetic kernel in physical memory, as a description asks for it.
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
inline constexpr uint64_t kSectionSize = 16;  ///< of struct mem_section

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
  const PageTables& tables() const { return tables_; }

  const Architecture& architecture() const { return *description_.machine.architecture; }
  const KernelAddresses& addresses() const { return addresses_; }
  ByteOrder byte_order() const { return architecture().byte_order; }
  unsigned page_shift() const { return description_.machine.page_shift; }
  uint64_t page_size() const { return uint64_t{1} << page_shift(); }
  /// x86_64's: where the image would be without the distance of its mapping.
  uint64_t phys_base() const { return kKernelMap - addresses_.image_offset; }
  uint64_t page_offset() const { return addresses_.page_offset; }
  uint64_t vmalloc() const { return addresses_.vmalloc.start; }
  uint64_t vmemmap() const { return addresses_.vmemmap; }
  uint64_t text() const { return addresses_.text; }
  uint64_t root() const { return image_phys(symbol(architecture().root)); }
  unsigned section_bits() const { return description_.section_bits.value_or(addresses_.section_bits); }
  unsigned physmem_bits() const { return addresses_.physmem_bits; }
  uint64_t sections_per_root() const { return page_size() / kSectionSize; }
  uint64_t section_roots() const {
    return (uint64_t{1} << (physmem_bits() - section_bits())) / sections_per_root();
  }
  uint64_t max_pfn() const { return description_.ram.back().end / page_size(); }
  bool is_ram(uint64_t phys) const;
  /// The memory that the builder itself took, from the kernel image on.
  Range used() const { return {image_phys(text()), next_free_}; }

  uint64_t image_phys(uint64_t virt) const { return virt - addresses_.image_offset; }
  uint64_t direct(uint64_t phys) const { return page_offset() + (phys - addresses_.phys_offset); }
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
  /// Takes physical memory behind the kernel image, whole pages where nothing else is said.
  uint64_t allocate(uint64_t size, uint64_t alignment);
  uint64_t allocate(uint64_t size) { return allocate(size, page_size()); }
  /// What a symbol table says of something that is elsewhere.
  void name(std::string_view symbol, uint64_t address) { symbols_[std::string(symbol)] = address; }
  /// The page at `phys` is left out of a dump.
  void leave_out(uint64_t phys) {
    const uint64_t page = phys / page_size() * page_size();
    description_.kdump.excluded.push_back({page, page + page_size()});
  }
  /// Takes room in the kernel image's data and gives it a name. Returns its virtual address.
  uint64_t place(std::string_view name, uint64_t size, uint64_t alignment = 8);
  void put64(uint64_t image_virt, uint64_t value) { memory_.put64(image_phys(image_virt), value); }
  /// Room in the image with a value of its own, unless the description wants another one.
  void variable(std::string_view name, uint64_t value, unsigned size = 8);

  /// Notes of the kernel image with this build-id, as __start_notes holds them.
  std::vector<std::byte> encode_notes(std::string_view build_id) const;

 private:
  uint64_t top_table_size() const;
  /// Returns its physical address.
  uint64_t place_root();
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
  SymbolEncoding symbol_encoding() const;
  void place_config();
  void place_log();

  Description description_;
  PhysicalMemory memory_;
  KernelAddresses addresses_;
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
