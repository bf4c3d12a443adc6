#include "pages/page_rules.h"

#include <fmt/format.h>

#include <array>
#include <bit>
#include <span>

#include "base/error.h"

namespace kvista::pages {
namespace {

using vmcoreinfo::VmcoreInfo;

constexpr uint64_t kMaxStructPage = 256;
constexpr const char* kUntold =
    "pages cannot be told apart (another note can be given with --vmcoreinfo FILE)";

// Members of struct page: the names that kernels exported them under, newest first.
struct MemberRule {
  uint32_t PageRules::*member;
  unsigned size;
  std::array<const char*, 2> names;
};
constexpr std::array kMembers = {
    MemberRule{&PageRules::flags, 8, {"page.flags", nullptr}},
    MemberRule{&PageRules::mapping, 8, {"page.mapping", nullptr}},
    MemberRule{&PageRules::mapcount, 4, {"page._mapcount", nullptr}},
    MemberRule{&PageRules::private_, 8, {"page.private", nullptr}},
    // Renamed in 7.1 (d50569612c29), when the upper bits became a mask; bit 0 stayed. Before 4.4 tails had a
    // flag.
    MemberRule{&PageRules::compound, 8, {"page.compound_info", "page.compound_head"}},
};

// Bits of page.flags, exported as bit numbers.
struct FlagRule {
  uint64_t PageRules::*mask;
  const char* name;
  bool required;
};
constexpr std::array kFlags = {
    FlagRule{&PageRules::lru, "PG_lru", true},
    FlagRule{&PageRules::private_flag, "PG_private", true},
    FlagRule{&PageRules::swapcache, "PG_swapcache", true},
    FlagRule{&PageRules::swapbacked, "PG_swapbacked", false},
    // A page type since 6.10 (46df8e73a4a3); the number is another flag there, so nothing is assumed without
    // it.
    FlagRule{&PageRules::slab_flag, "PG_slab", false},
    FlagRule{&PageRules::hwpoison, "PG_hwpoison", false},
};

// Tests of page_type, exported as the value that the whole word has.
struct TypeRule {
  MaskedMatch PageRules::*match;
  const char* name;
};
constexpr std::array kTypes = {
    TypeRule{&PageRules::buddy, "PAGE_BUDDY_MAPCOUNT_VALUE"},
    TypeRule{&PageRules::slab, "PAGE_SLAB_MAPCOUNT_VALUE"},              // 6.10
    TypeRule{&PageRules::hugetlb, "PAGE_HUGETLB_MAPCOUNT_VALUE"},        // 6.9
    TypeRule{&PageRules::offline, "PAGE_OFFLINE_MAPCOUNT_VALUE"},        // 5.1
    TypeRule{&PageRules::unaccepted, "PAGE_UNACCEPTED_MAPCOUNT_VALUE"},  // 6.16
};

// Where a compound page keeps its order, newest first: the first rule whose entries the note has holds. A
// rule with no entry always does. Offsets of struct folio count from the head and need no size added.
struct CompoundRule {
  const char* order;       ///< OFFSET, or null: the second page's flags
  const char* destructor;  ///< OFFSET
  bool in_folio;
};
constexpr std::array kCompound = {
    CompoundRule{"folio._folio_order", "folio._folio_dtor", true},     // 6.3 to 6.5 (1c5509be58f6)
    CompoundRule{"page.compound_order", "page.compound_dtor", false},  // 4.4 to 6.2
    CompoundRule{nullptr, nullptr, false},                             // since 6.6 (ebc1baf5c9b4)
};

// PG_table's type byte follows PG_buddy's and PG_offline's since 4ffca5a96678 (6.12), which made types
// numbers.
constexpr uint32_t kTypedBuddy = 0xf0000000;
constexpr uint32_t kTypedTable = 0xf2000000;
constexpr uint32_t kTypedMask = 0xff000000;

uint32_t member_offset(const VmcoreInfo& note, const MemberRule& rule, uint64_t struct_size) {
  for (const char* name : rule.names) {
    const auto offset = name == nullptr ? std::nullopt : note.offset(name);
    if (!offset) continue;
    if (*offset > struct_size - rule.size)
      throw NotFound(fmt::format("VMCOREINFO is wrong: OFFSET({})={} does not fit SIZE(page)={}: {}", name,
                                 *offset, struct_size, kUntold));
    return static_cast<uint32_t>(*offset);
  }
  throw NotFound(fmt::format("VMCOREINFO has no OFFSET({}): {}", rule.names[0], kUntold));
}

uint64_t flag_mask(const VmcoreInfo& note, const FlagRule& rule) {
  const auto bit = note.number(rule.name);
  if (bit && *bit < 64) return uint64_t{1} << *bit;
  if (bit || rule.required)
    throw NotFound(fmt::format("VMCOREINFO has no sensible NUMBER({}): {}", rule.name, kUntold));
  return 0;
}

// From the head's struct page on; what is read there is at most a word.
uint32_t offset_of_second(uint64_t offset, const CompoundRule& rule, uint32_t struct_size) {
  const uint64_t at = offset + (rule.in_folio ? 0 : struct_size);
  if (offset > 2 * kMaxStructPage || at + sizeof(uint64_t) > 2 * uint64_t{struct_size})
    throw NotFound(fmt::format("VMCOREINFO is wrong: OFFSET({})={} is beyond two struct pages: {}",
                               rule.order == nullptr ? "page.flags" : rule.order, offset, kUntold));
  return static_cast<uint32_t>(at);
}

void set_compound_rules(const VmcoreInfo& note, PageRules& rules) {
  for (const CompoundRule& rule : kCompound) {
    const auto order = rule.order == nullptr ? std::optional<uint64_t>(rules.flags) : note.offset(rule.order);
    if (!order) continue;
    rules.order_at = offset_of_second(*order, rule, rules.struct_size);
    if (rule.order == nullptr) {
      rules.order_rule = OrderRule::second_flags;
      break;
    }
    const auto destructor = note.offset(rule.destructor);
    // Both were unsigned short until 4.15: told by their distance.
    const bool wide = destructor && *order == *destructor + 2;
    rules.order_rule = wide ? OrderRule::second_u16 : OrderRule::second_u8;
    const auto number = note.number("HUGETLB_PAGE_DTOR");
    if (destructor && number) {
      rules.hugetlb_rule = wide ? HugetlbRule::destructor_u16 : HugetlbRule::destructor_u8;
      rules.destructor_at = offset_of_second(*destructor, rule, rules.struct_size);
      rules.hugetlb_value = *number;
    }
    break;
  }
}

void set_hugetlb_rule(const VmcoreInfo& note, PageRules& rules) {
  if (rules.hugetlb.known()) {
    rules.hugetlb_rule = HugetlbRule::type;
  } else if (const auto bit = note.number("PG_hugetlb"); bit && *bit < 64) {  // 6.6 to 6.8 (9c5ccf2db04b)
    rules.hugetlb_rule = HugetlbRule::second_flag;
    rules.hugetlb_value = uint64_t{1} << *bit;
  }
}

}  // namespace

MaskedMatch match_for_page_type(uint64_t exported) {
  const auto value = static_cast<uint32_t>(exported);
  // 6.12 (4ffca5a96678): a number in the top byte, with the page's own data below.
  if ((value & ~kTypedMask) == 0) return {kTypedMask, value};
  // 4.18 (6e292b9be7f4) to 6.11: the word has its upper bits set, less one bit that is the type.
  constexpr uint32_t kTop = 0x80000000;
  if (std::has_single_bit(~value) && (value & kTop) != 0) return {kTop | ~value, kTop};
  return {~uint32_t{0}, value};  // before: one value of _mapcount
}

PageRules derive_page_rules(const VmcoreInfo& note, std::optional<uint64_t> struct_size, ByteOrder order) {
  PageRules rules;
  rules.order = order;
  const auto size = struct_size ? struct_size : note.size("page");
  if (!size || *size < 32 || *size > kMaxStructPage || *size % 8 != 0)
    throw NotFound(struct_size ? fmt::format("struct_page_size is {}: a struct page has 32 to {} bytes, a "
                                             "multiple of 8",
                                             *struct_size, kMaxStructPage)
                               : fmt::format("VMCOREINFO has no sensible SIZE(page): {}", kUntold));
  rules.struct_size = static_cast<uint32_t>(*size);
  for (const MemberRule& rule : kMembers) rules.*rule.member = member_offset(note, rule, *size);
  for (const FlagRule& rule : kFlags) rules.*rule.mask = flag_mask(note, rule);
  for (const TypeRule& rule : kTypes)
    if (const auto value = note.number(rule.name)) rules.*rule.match = match_for_page_type(*value);
  if (!rules.buddy.known())
    throw NotFound(fmt::format("VMCOREINFO has no NUMBER(PAGE_BUDDY_MAPCOUNT_VALUE): {}", kUntold));
  if (rules.buddy.value == kTypedBuddy) rules.page_table = {kTypedMask, kTypedTable};
  // PG_reserved has stood before PG_private in enum pageflags since 2.6; it is not exported itself.
  rules.reserved = rules.private_flag >> 1;
  rules.head = note.number("PG_head_mask").value_or(0);
  if (const auto orders = note.length("zone.free_area"); orders && *orders > 0 && *orders < 32)
    rules.buddy_orders = static_cast<unsigned>(*orders);
  set_compound_rules(note, rules);
  set_hugetlb_rule(note, rules);
  return rules;
}

}  // namespace kvista::pages
