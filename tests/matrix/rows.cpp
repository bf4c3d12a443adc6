#include "matrix/rows.h"

namespace kvista::test {
namespace {

using machine::FactId;
using machine::Source;
using enum LieAlone;

constexpr const char* kQemu = "segments qemu\n";
constexpr const char* kCpus = "segments qemu\nqemu_cpus\n";
constexpr const char* kVmcore = "segments vmcore\n";
constexpr const char* kKcore = "segments kcore\n";
constexpr const char* kCrashed = "segments vmcore\ncrashed 1700000000\n";
constexpr const char* kSme = "segments qemu\nmachine sme_mask=0x800000000000\n";

// Without the root page table nothing that walks can say anything, and nothing that it would check is
// checked.
#define NO_ROOT "note omit SYMBOL(init_top_pgt) SYMBOL(swapper_pg_dir)\nsymbols omit init_top_pgt\n"
constexpr const char* kNothing = "";

constexpr const char* kConfig = "segments qemu\nconfig in memory\n";
constexpr const char* kConfigFourLevels = "segments qemu\nmachine levels=4\nconfig in memory\n";
#define FIXED "machine page_offset=0xff11000000000000 vmalloc=0xffa0000000000000 vmemmap=0xffd4000000000000\n"
constexpr const char* kConfigFixed =
    "segments qemu\n" FIXED "config in memory\nconfig set RANDOMIZE_MEMORY=n\n";

}  // namespace

// The kernel is loaded at 0x2000000 and linked to 0xffffffff88a00000.
const char* const kCommon =
    "machine levels=5 kaslr=0x7a00000\n"
    "crashkernel 0x3000000-0x3800000\n"
    "note set NUMBER(page_offset_base)=$page_offset\n";

std::span<const Row> rows() {
  static const std::vector<Row> kRows = {
      // An image of another machine is refused: EvidenceTest.ImageOfAnotherMachine.
      {FactId::arch, Source::image, kQemu, "note omit SYMBOL(init_top_pgt) SYMBOL(init_uts_ns)\n", "", "",
       impossible},
      // The symbol's name is of one architecture only: it is there or not.
      {FactId::arch, Source::note, kQemu, "machine elf_machine=0\nnote omit SYMBOL(init_uts_ns)\n", "", "",
       impossible},
      {FactId::arch, Source::memory, kQemu, "machine elf_machine=0\nnote omit SYMBOL(init_top_pgt)\n",
       "memory uts machine=aarch64\n", "arm64", believed},

      {FactId::release, Source::note, kKcore, "segments qemu\nnote omit SYMBOL(init_uts_ns)\n",
       "note set OSRELEASE=5.5.5-liar\n", "5.5.5-liar", believed},
      {FactId::release, Source::memory, kKcore, "segments qemu\nnote omit OSRELEASE\n",
       "memory uts release=5.5.5-liar\n", "5.5.5-liar", believed},
      {FactId::release, Source::system, kKcore, "note omit OSRELEASE SYMBOL(init_uts_ns)\n",
       "system set release=5.5.5-liar\n", "5.5.5-liar", believed},

      {FactId::build_id, Source::note, kKcore, "segments qemu\nsymbols omit __start_notes\n",
       "note set BUILD-ID=ffee\n", "ffee", believed},
      {FactId::build_id, Source::kallsyms, kKcore, "segments qemu\nnote omit BUILD-ID\n",
       "memory build_id ffee\n", "ffee", believed},
      {FactId::build_id, Source::system, kKcore, "note omit BUILD-ID\nsymbols omit __start_notes\n",
       "system set build_id=ffee\n", "ffee", believed},

      // That it crashed is the note's word alone.
      {FactId::state,
       Source::image,
       kQemu,
       kNothing,
       "note set CRASHTIME=86400\n",
       "dead: crashed",
       believed,
       false,
       {},
       {FactId::crash_time}},
      {FactId::crash_time, Source::note, kCrashed, kNothing, "note set CRASHTIME=86400\n",
       "1970-01-02T00:00:00Z", believed},

      {FactId::cpus, Source::cpu_notes, kQemu, "symbols omit __num_online_cpus\n", "cpus 4 notes=3\n", "3",
       believed},
      {FactId::cpus, Source::kallsyms, kQemu, "cpus 4 notes=0\n", "symbols set __num_online_cpus=7\n", "7",
       believed},
      {FactId::cpus, Source::system, kKcore, "symbols omit __num_online_cpus\n",
       "system set online=0-2,4,6-8\n", "7", believed},

      {FactId::page_size,
       Source::note,
       kQemu,
       kNothing,
       "note set PAGESIZE=65536\n",
       "65536",
       overruled,
       true,
       {Source::documented}},
      {FactId::page_size, Source::documented, kQemu, "note omit PAGESIZE\n", "", "", impossible, true},

      // A copy of init_uts_ns makes the search ambiguous.
      {FactId::phys_base, Source::note, kQemu, "memory second_uts\n", "note set NUMBER(phys_base)=83886080\n",
       "0x5000000", refuted, true},
      {FactId::phys_base, Source::segments, kVmcore, "note omit NUMBER(phys_base)\nmemory second_uts\n",
       "segments with text_vaddr=0xffffffff88c00000\n", "0xfffffffff9400000", refuted, true},
      // The search is the check itself.
      {FactId::phys_base, Source::search, kQemu, "note omit NUMBER(phys_base)\n", "", "", impossible, true},

      // A walk through CR3 is believed only where it leads to init_uts_ns.
      {FactId::phys_base, Source::cpu_notes, kCpus, "note omit NUMBER(phys_base)\nmemory second_uts\n", "",
       "", impossible, true},

      {FactId::root_page_table, Source::note, kQemu, "symbols omit init_top_pgt\n",
       "note set SYMBOL(init_top_pgt)=ffffffff88d00000\n", "0x2300000", refuted, true},
      {FactId::root_page_table, Source::kallsyms, kQemu,
       "note omit SYMBOL(init_top_pgt) SYMBOL(swapper_pg_dir)\n",
       "symbols address init_top_pgt=0xffffffff88d00000\n", "0x2300000", refuted, true},

      {FactId::root_page_table, Source::cpu_notes, kCpus, NO_ROOT, "", "", impossible, true},

      {FactId::page_table_levels, Source::note, kQemu, NO_ROOT "symbols omit __pgtable_l5_enabled\n",
       "note set NUMBER(pgtable_l5_enabled)=0\n", "4", believed},
      // The page tables are the check itself.
      {FactId::page_table_levels, Source::page_tables, kQemu,
       "note omit NUMBER(pgtable_l5_enabled)\nsymbols omit __pgtable_l5_enabled\n", "", "", impossible, true},
      {FactId::page_table_levels, Source::kallsyms, kQemu, NO_ROOT "note omit NUMBER(pgtable_l5_enabled)\n",
       "symbols set __pgtable_l5_enabled=0\n", "4", believed},

      // Without init_uts_ns no CR3 is proven, and nothing walks.
      {FactId::page_table_levels, Source::cpu_notes, kCpus,
       NO_ROOT
       "note omit NUMBER(pgtable_l5_enabled) SYMBOL(init_uts_ns)\nsymbols omit __pgtable_l5_enabled\n",
       "qemu_cpus cr4=0xef0\n", "4", believed},

      {FactId::sme_mask, Source::note, kSme, NO_ROOT "symbols omit sme_me_mask\n",
       "note set NUMBER(sme_mask)=0\n", "0x0", believed},
      {FactId::sme_mask, Source::page_tables, kSme, "note omit NUMBER(sme_mask)\nsymbols omit sme_me_mask\n",
       "", "", impossible, true},
      {FactId::sme_mask, Source::kallsyms, kSme, NO_ROOT "note omit NUMBER(sme_mask)\n",
       "symbols set sme_me_mask=0\n", "0x0", believed},

      {FactId::page_offset, Source::note, kKcore, "segments qemu\n" NO_ROOT "symbols omit page_offset_base\n",
       "note set NUMBER(page_offset_base)=-50754020452597760\n", "0xff4baf7cc0000000", believed},
      {FactId::page_offset, Source::kallsyms, kKcore,
       "segments qemu\n" NO_ROOT "note omit NUMBER(page_offset_base)\n",
       "symbols set page_offset_base=0xff11000000000000\n", "0xff11000000000000", believed},
      // Where the root is known, the page tables speak too.
      {FactId::page_offset,
       Source::mem_section,
       kKcore,
       "segments qemu\nnote omit NUMBER(page_offset_base)\nsymbols omit page_offset_base\n",
       "note set SYMBOL(mem_section)=ff70e642c0000040\n",
       nullptr,
       overruled,
       true,
       {Source::page_tables}},
      {FactId::page_offset, Source::page_tables, kKcore,
       "segments qemu\nnote omit NUMBER(page_offset_base) SYMBOL(mem_section)\nsymbols omit "
       "page_offset_base\n",
       "map 0xff10000000005000 0x5000\n", "0xff10000000000000", refuted, true},
      {FactId::page_offset, Source::segments, kKcore,
       NO_ROOT "note omit NUMBER(page_offset_base)\nsymbols omit page_offset_base\n",
       "segments with page_offset=0xff11000000000000\n", "0xff11000000000000", believed},
      {FactId::page_offset, Source::documented, kQemu,
       NO_ROOT "note omit NUMBER(page_offset_base)\nsymbols omit page_offset_base\n", kNothing,
       "0xff11000000000000", impossible},

      {FactId::kaslr_offset, Source::note, kVmcore,
       "segments qemu\nnote omit SYMBOL(_stext)\nsymbols omit _text\n", "note set KERNELOFFSET=1000000\n",
       "0x1000000", believed},
      {FactId::kaslr_offset,
       Source::kallsyms,
       kVmcore,
       "segments qemu\nnote omit KERNELOFFSET SYMBOL(_stext)\n",
       "symbols address _text=0xffffffff88c00000\n",
       "0x7c00000",
       believed,
       false,
       {},
       {FactId::kernel_image}},
      {FactId::kaslr_offset, Source::segments, kVmcore,
       "note omit KERNELOFFSET SYMBOL(_stext)\nsymbols omit _text\n",
       "segments with text_vaddr=0xffffffff88c00000\n", "0x7c00000", believed},
      {FactId::kaslr_offset, Source::derived, kVmcore,
       "segments qemu\nnote omit KERNELOFFSET\nsymbols omit _text\n",
       "note set SYMBOL(_stext)=ffffffff88c00000\n", "0x7c00000", believed},

      {FactId::direct_map, Source::kallsyms, kQemu, NO_ROOT, "symbols set max_pfn=0x3000\n",
       "0xff38ad6400000000-0xff38ad6402ffffff", believed},
      {FactId::direct_map, Source::page_tables, kQemu, "symbols omit max_pfn\n",
       "entry 0xff38ad6403e00000 0 level=2\n", "0xff38ad6400000000-0xff38ad6403dfffff", believed},

      {FactId::vmalloc, Source::note, kKcore, "segments qemu\nsymbols omit vmalloc_base\n",
       "note set NUMBER(VMALLOC_START)=0xffa0000000000000\n", "0xffa0000000000000-0xffd1ffffffffffff",
       believed},
      {FactId::vmalloc, Source::kallsyms, kKcore, "segments qemu\nnote omit NUMBER(VMALLOC_START)\n",
       "symbols set vmalloc_base=0xffa0000000000000\n", "0xffa0000000000000-0xffd1ffffffffffff", believed},
      {FactId::vmalloc, Source::segments, kKcore,
       "note omit NUMBER(VMALLOC_START)\nsymbols omit vmalloc_base\n",
       "segments with vmalloc_start=0xffa0000000000000\n", "0xffa0000000000000-0xffd1ffffffffffff", believed},
      {FactId::vmalloc, Source::page_tables, kQemu,
       "note omit NUMBER(VMALLOC_START)\nsymbols omit vmalloc_base\n", "map 0xff50000000000000 0x5000\n",
       "0xff50000000000000-0xff81ffffffffffff", impossible},
      {FactId::vmalloc, Source::documented, kQemu,
       "note omit NUMBER(VMALLOC_START)\nsymbols omit vmalloc_base\n", kNothing,
       "0xffa0000000000000-0xffd1ffffffffffff", impossible},

      {FactId::vmemmap, Source::note, kKcore,
       "segments qemu\nnote omit SYMBOL(mem_section)\nsymbols omit vmemmap_base\n",
       "note set SYMBOL(vmemmap)=ffd4000000000000\n", "0xffd4000000000000-0xffd43fffffffffff", refuted, true},
      {FactId::vmemmap, Source::kallsyms, kKcore,
       "segments qemu\nnote omit SYMBOL(vmemmap) SYMBOL(mem_section)\n",
       "symbols set vmemmap_base=0xffd4000000000000\n", "0xffd4000000000000-0xffd43fffffffffff", refuted,
       true},
      {FactId::vmemmap, Source::mem_section, kKcore,
       "segments qemu\nnote omit SYMBOL(vmemmap)\nsymbols omit vmemmap_base\n",
       "memory section_map 0xffd4000000000000\n", "0xffd4000000000000-0xffd43fffffffffff", refuted, true},
      {FactId::vmemmap, Source::segments, kKcore,
       "note omit SYMBOL(vmemmap) SYMBOL(mem_section)\nsymbols omit vmemmap_base\n",
       "segments with vmemmap_start=0xffd4000000000000\n", "0xffd4000000000000-0xffd43fffffffffff", refuted,
       true},
      {FactId::vmemmap, Source::documented, kQemu,
       "note omit SYMBOL(vmemmap) SYMBOL(mem_section)\nsymbols omit vmemmap_base\n", kNothing,
       "0xffd4000000000000-0xffd43fffffffffff", impossible},

      {FactId::modules, Source::note, kKcore, "segments qemu\n",
       "note set NUMBER(KERNEL_IMAGE_SIZE)=536870912\n", "0xffffffffa0000000-0xfffffffffeffffff", believed},
      {FactId::modules, Source::segments, kKcore, "note omit NUMBER(KERNEL_IMAGE_SIZE)\n",
       "segments with modules_start=0xffffffffa0000000\n", "0xffffffffa0000000-0xfffffffffeffffff", believed},
      {FactId::modules, Source::documented, kQemu, "note omit NUMBER(KERNEL_IMAGE_SIZE)\n", kNothing,
       "0xffffffffc0000000-0xfffffffffeffffff", impossible},

      {FactId::kernel_image, Source::kallsyms, kVmcore, "segments qemu\n",
       "symbols address _end=0xffffffff88c00000\n", "0xffffffff88a00000-0xffffffff88bfffff", believed},
      {FactId::kernel_image, Source::segments, kVmcore, "symbols omit _text\n",
       "segments with text_vaddr=0xffffffff88c00000\n", "0xffffffff88c00000-0xffffffff88ffffff", believed},
      {FactId::kernel_image, Source::page_tables, kQemu, "symbols omit _text\n",
       "map 0xffffffff90000000 0x5000\n", "0xffffffff88a00000-0xffffffff90000fff", impossible},

      {FactId::struct_page_size,
       Source::note,
       kQemu,
       kNothing,
       "note set SIZE(page)=72\n",
       "72",
       believed,
       false,
       {},
       {FactId::vmemmap}},
      {FactId::struct_page_size, Source::documented, kQemu, "note omit SIZE(page)\n", kNothing, "64",
       impossible},

      {FactId::section_size_bits,
       Source::note,
       kQemu,
       kNothing,
       "note set NUMBER(SECTION_SIZE_BITS)=30\n",
       "30",
       believed,
       true,
       {Source::documented}},
      {FactId::section_size_bits, Source::documented, kQemu, "note omit NUMBER(SECTION_SIZE_BITS)\n", "", "",
       impossible},

      {FactId::max_physmem_bits,
       Source::note,
       kQemu,
       "note omit LENGTH(mem_section)\n",
       "note set NUMBER(MAX_PHYSMEM_BITS)=46\n",
       "46",
       believed,
       false,
       {},
       {FactId::vmemmap}},
      {FactId::max_physmem_bits, Source::mem_section, kQemu, "note omit NUMBER(MAX_PHYSMEM_BITS)\n",
       "note set LENGTH(mem_section)=2048\n", "46", believed},
      {FactId::max_physmem_bits, Source::documented, kQemu,
       "note omit NUMBER(MAX_PHYSMEM_BITS) LENGTH(mem_section)\n", kNothing, "52", impossible},

      {FactId::crashkernel, Source::kallsyms, kKcore, "segments qemu\n", "symbols set crashk_res=0x3100000\n",
       "0x3100000-0x37fffff", believed},
      {FactId::crashkernel, Source::system, kKcore, "symbols omit crashk_res\n",
       "system set crashkernel=0x3400000-0x3800000\n", "0x3400000-0x37fffff", believed},

      // The configuration. A page size of another architecture's is overruled by x86_64's own.
      {FactId::arch, Source::configuration, kConfig,
       "machine elf_machine=0\nnote omit SYMBOL(init_top_pgt) SYMBOL(init_uts_ns)\n", "", "", impossible},
      {FactId::page_size,
       Source::configuration,
       kConfig,
       "note omit PAGESIZE\n",
       "config set PAGE_SHIFT=16\n",
       "65536",
       overruled,
       true,
       {Source::documented}},
      {FactId::page_table_levels, Source::configuration, kConfigFourLevels,
       NO_ROOT "note omit NUMBER(pgtable_l5_enabled)\nsymbols omit __pgtable_l5_enabled\n",
       "machine levels=5\nconfig set PGTABLE_LEVELS=4\n", "4", believed},
      {FactId::sme_mask, Source::configuration,
       "segments qemu\nconfig in memory\nconfig set AMD_MEM_ENCRYPT=n\n",
       NO_ROOT "note omit NUMBER(sme_mask)\nsymbols omit sme_me_mask\n", "machine sme_mask=0x800000000000\n",
       "0x0", believed},
      {FactId::page_offset, Source::configuration, kConfigFixed,
       NO_ROOT "note omit NUMBER(page_offset_base)\nsymbols omit page_offset_base\n",
       "machine page_offset=0xff38ad6400000000\n", "0xff11000000000000", believed},
      {FactId::kaslr_offset, Source::configuration,
       "segments qemu\nmachine kaslr=0 image_size=0x20000000\n" FIXED
       "config in memory\nconfig set RANDOMIZE_BASE=n\n",
       "note omit KERNELOFFSET SYMBOL(_stext)\nsymbols omit _text\n", "machine kaslr=0x7a00000\n", "0x0",
       believed},
      {FactId::vmalloc, Source::configuration, kConfigFixed,
       "note omit NUMBER(VMALLOC_START)\nsymbols omit vmalloc_base\n", "machine vmalloc=0xff70e642c0000000\n",
       "0xffa0000000000000-0xffd1ffffffffffff", believed},
      {FactId::vmemmap, Source::configuration, kConfigFixed,
       "note omit SYMBOL(vmemmap) SYMBOL(mem_section)\nsymbols omit vmemmap_base\n",
       "machine vmemmap=0xffa4cb1280000000\n", "0xffd4000000000000-0xffd43fffffffffff", refuted, true},
      {FactId::modules, Source::configuration, kConfig, "note omit NUMBER(KERNEL_IMAGE_SIZE)\n",
       "config set RANDOMIZE_BASE=n\n", "0xffffffffa0000000-0xfffffffffeffffff", believed},
      {FactId::max_physmem_bits, Source::configuration, kConfigFourLevels,
       "note omit NUMBER(MAX_PHYSMEM_BITS) LENGTH(mem_section)\n",
       "machine levels=5\nconfig set PGTABLE_LEVELS=4\n", "46", believed},
  };
  return kRows;
}

}  // namespace kvista::test
