// VMCOREINFO as kernel/crash_core.c writes it.
#include <fmt/format.h>

#include <algorithm>

#include "images/kernel.h"

namespace kvista::test {
namespace {

class NoteBuilder {
 public:
  explicit NoteBuilder(const Kernel& kernel) : kernel_(kernel), layout_(kernel.layout()) {}

  std::vector<std::pair<std::string, std::string>> lines() {
    identity();
    sections();
    page();
    zones();
    page_rules();
    kallsyms();
    for (auto& line : kernel_.architecture().note(kernel_)) lines_.push_back(std::move(line));
    if (const auto time = kernel_.description().crashed) add("CRASHTIME", fmt::to_string(*time));
    return std::move(lines_);
  }

 private:
  void add(std::string key, std::string value) { lines_.emplace_back(std::move(key), std::move(value)); }
  void symbol(std::string_view name, uint64_t value) {
    add(fmt::format("SYMBOL({})", name), fmt::format("{:x}", value));
  }
  void symbol(std::string_view name) { symbol(name, kernel_.symbol(name)); }
  void size(std::string_view name, uint64_t value) {
    add(fmt::format("SIZE({})", name), fmt::to_string(value));
  }
  void offset(std::string_view name, uint64_t value) {
    add(fmt::format("OFFSET({})", name), fmt::to_string(value));
  }
  void length(std::string_view name, uint64_t value) {
    add(fmt::format("LENGTH({})", name), fmt::to_string(value));
  }
  // Most numbers are printed as signed decimals.
  void number(std::string_view name, int64_t value) {
    add(fmt::format("NUMBER({})", name), fmt::to_string(value));
  }

  void identity() {
    add("OSRELEASE", kernel_.release());
    if (layout_.sme_mask) add("BUILD-ID", kernel_.description().build_id);
    add("PAGESIZE", fmt::to_string(kernel_.page_size()));
    symbol("init_uts_ns");
    if (layout_.uts_offset) offset("uts_namespace.name", 0);
    symbol("node_online_map");
    symbol("swapper_pg_dir");
    symbol("_stext");
    if (!layout_.ranges) return;
    add("NUMBER(VMALLOC_START)", fmt::format("{:#x}", kernel_.vmalloc()));
    symbol("vmemmap", kernel_.vmemmap());
  }

  void sections() {
    const uint64_t at = kernel_.symbol("mem_section");
    const bool value = kernel_.description().section_roots == SectionRoots::value;
    symbol("mem_section", value ? kernel_.memory().get64(kernel_.image_phys(at)) : at);
    length("mem_section", kernel_.section_roots());
    size("mem_section", kSectionSize);
    offset("mem_section.section_mem_map", 0);
    if (!layout_.section_bits) return;
    number("SECTION_SIZE_BITS", kernel_.section_bits());
    number("MAX_PHYSMEM_BITS", kernel_.physmem_bits());
  }

  void page() {
    size("page", kernel_.description().page_struct_size);
    size("pglist_data", layout_.zones.pglist_data);
    size("zone", layout_.zones.zone);
    size("free_area", layout_.zones.free_area);
    size("list_head", 16);
    size("nodemask_t", kMaxNodes / 8);
    offset("page.flags", 0);
    offset("page._refcount", 52);
    offset("page.mapping", 24);
    offset("page.lru", 8);
    offset("page._mapcount", 48);
    offset("page.private", 40);
    if (layout_.page.compound == CompoundStyle::bytes) {
      offset("page.compound_dtor", 16);
      offset("page.compound_order", 17);
    }
    offset(layout_.page.compound_info ? "page.compound_info" : "page.compound_head", 8);
  }

  void zones() {
    const ZoneLayout& zones = layout_.zones;
    offset("pglist_data.node_zones", 0);
    offset("pglist_data.nr_zones", zones.nr_zones);
    offset("pglist_data.node_start_pfn", zones.node_start_pfn);
    offset("pglist_data.node_spanned_pages", zones.node_spanned_pages);
    offset("pglist_data.node_id", zones.node_id);
    offset("zone.free_area", zones.free_area_offset);
    offset("zone.vm_stat", zones.vm_stat);
    offset("zone.spanned_pages", zones.spanned_pages);
    offset("free_area.free_list", 0);
    offset("list_head.next", 0);
    offset("list_head.prev", 8);
    length("zone.free_area", 11);
    if (kernel_.description().log)
      for (const auto& [key, value] : kernel_.log_note()) add(key, value);
    else
      symbol("prb");
    length("free_area.free_list", zones.migrate_types);
    number("NR_FREE_PAGES", 0);
  }

  void page_rules() {
    const PageLayout& page = layout_.page;
    number("PG_lru", page.lru);
    number("PG_private", page.priv);
    number("PG_swapcache", page.swapcache);
    number("PG_swapbacked", page.swapbacked);
    if (page.slab) number("PG_slab", *page.slab);
    if (page.slab_type) number("PAGE_SLAB_MAPCOUNT_VALUE", *page.slab_type);
    if (page.exports_hwpoison) number("PG_hwpoison", page.hwpoison);
    number("PG_head_mask", int64_t{1} << page.head);
    number("PAGE_BUDDY_MAPCOUNT_VALUE", page.buddy);
    if (page.hugetlb_type) number("PAGE_HUGETLB_MAPCOUNT_VALUE", *page.hugetlb_type);
    if (page.compound == CompoundStyle::bytes) number("HUGETLB_PAGE_DTOR", 2);
    if (page.offline) number("PAGE_OFFLINE_MAPCOUNT_VALUE", *page.offline);
    if (page.unaccepted) number("PAGE_UNACCEPTED_MAPCOUNT_VALUE", *page.unaccepted);
  }

  void kallsyms() {
    if (!layout_.kallsyms || kernel_.description().symbols.none) return;
    for (const char* name :
         {"kallsyms_names", "kallsyms_num_syms", "kallsyms_token_table", "kallsyms_token_index",
          "kallsyms_offsets", "kallsyms_addresses", "kallsyms_relative_base"})
      if (kernel_.symbols().contains(name)) symbol(name);
  }

  const Kernel& kernel_;
  const KernelLayout& layout_;
  std::vector<std::pair<std::string, std::string>> lines_;
};

// "$page_offset" is that fact's value, as the kernel would print it.
std::string resolve(const std::string& value, const std::map<std::string, std::string>& truth) {
  if (!value.starts_with('$')) return value;
  const auto at = truth.find(value.substr(1));
  if (at == truth.end()) throw DescriptionError("note: there is no fact " + value.substr(1));
  return fmt::to_string(static_cast<int64_t>(parse_size(at->second)));
}

bool omitted(const NoteLines& note, const std::string& key) {
  return note.omit_all || std::any_of(note.omit.begin(), note.omit.end(), [&](const std::string& pattern) {
           return pattern.ends_with('*') ? key.starts_with(pattern.substr(0, pattern.size() - 1))
                                         : key == pattern;
         });
}

}  // namespace

std::string note_text(const Kernel& kernel, const std::map<std::string, std::string>& truth) {
  const NoteLines& note = kernel.description().note;
  auto left = note.set;
  std::string text;
  for (const auto& [key, value] : NoteBuilder(kernel).lines()) {
    const auto set = left.find(key);
    if (set == left.end() && omitted(note, key)) continue;
    text += fmt::format("{}={}\n", key, set == left.end() ? value : resolve(set->second, truth));
    if (set != left.end()) left.erase(set);
  }
  for (const auto& [key, value] : left) text += fmt::format("{}={}\n", key, resolve(value, truth));
  if (note.truncate) text.resize(std::min<size_t>(text.size(), *note.truncate));
  return text;
}

}  // namespace kvista::test
