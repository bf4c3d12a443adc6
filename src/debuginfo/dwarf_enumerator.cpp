#include "debuginfo/dwarf_enumerator.h"

#include <dwarf.h>

namespace kvista::debuginfo {
namespace {

constexpr unsigned kMostSteps = 64;  // of typedefs and qualifiers

std::optional<uint64_t> encoding_of(Dwarf_Die die) {
  for (unsigned step = 0; step < kMostSteps; ++step) {
    if (const auto encoding = number_of(die, DW_AT_encoding)) return encoding;
    const auto target = target_of(die, DW_AT_type);
    if (!target) return std::nullopt;
    die = *target;
  }
  return std::nullopt;
}

bool has_signed_form(const Dwarf_Attribute& value) {
  return value.form == DW_FORM_sdata || value.form == DW_FORM_implicit_const;
}

}  // namespace

uint64_t enumerator_value(Dwarf_Die& die) {
  Dwarf_Attribute value{};
  if (dwarf_attr(&die, DW_AT_const_value, &value) == nullptr) return 0;
  if (!has_signed_form(value)) return to_number(value).value_or(0);
  Dwarf_Sword number = 0;
  return dwarf_formsdata(&value, &number) == 0 ? static_cast<uint64_t>(number) : 0;
}

bool is_signed_enumeration(Dwarf_Die& die) {
  if (const auto encoding = encoding_of(die))
    return *encoding == DW_ATE_signed || *encoding == DW_ATE_signed_char;
  bool negative = false;
  for_each_child(die, [&](Dwarf_Die& child) {
    Dwarf_Attribute value{};
    Dwarf_Sword number = 0;
    if (dwarf_attr(&child, DW_AT_const_value, &value) != nullptr && has_signed_form(value) &&
        dwarf_formsdata(&value, &number) == 0)
      negative = negative || number < 0;
  });
  return negative;
}

}  // namespace kvista::debuginfo
