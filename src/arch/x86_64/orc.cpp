#include "arch/x86_64/orc.h"

#include <algorithm>
#include <array>

#include "base/cursor.h"

namespace kvista::arch::x86_64 {
namespace {

constexpr size_t kBases = 16;
constexpr size_t kTypes = 8;
constexpr unsigned kTypeShift = 8;
constexpr OrcBase kNone = OrcBase::unknown;

// Number 10 was free, and is AX where that alone was taken back to a stable kernel.
constexpr std::array<OrcBase, kBases> kFirstBases = {OrcBase::undefined,
                                                     OrcBase::previous_sp,
                                                     OrcBase::dx,
                                                     OrcBase::di,
                                                     OrcBase::bp,
                                                     OrcBase::sp,
                                                     OrcBase::r10,
                                                     OrcBase::r13,
                                                     OrcBase::bp_indirect,
                                                     OrcBase::sp_indirect,
                                                     OrcBase::ax,
                                                     kNone,
                                                     kNone,
                                                     kNone,
                                                     kNone,
                                                     kNone};
constexpr std::array<OrcBase, kBases> kNewBases = {OrcBase::undefined,
                                                   OrcBase::ax,
                                                   OrcBase::dx,
                                                   OrcBase::sp,
                                                   OrcBase::bp,
                                                   OrcBase::di,
                                                   OrcBase::r10,
                                                   OrcBase::r13,
                                                   OrcBase::previous_sp,
                                                   OrcBase::sp_indirect,
                                                   OrcBase::bp_indirect,
                                                   kNone,
                                                   kNone,
                                                   kNone,
                                                   kNone,
                                                   kNone};

constexpr std::array<OrcType, kTypes> kFirstTypes = {
    OrcType::call,    OrcType::registers, OrcType::partial_registers, OrcType::unknown,
    OrcType::unknown, OrcType::unknown,   OrcType::unknown,           OrcType::unknown};
constexpr std::array<OrcType, kTypes> kNewTypes = {
    OrcType::undefined,         OrcType::end_of_stack, OrcType::call,    OrcType::registers,
    OrcType::partial_registers, OrcType::unknown,      OrcType::unknown, OrcType::unknown};

using Hash = std::array<uint8_t, kOrcHashSize>;

struct Form {
  OrcFormat format;
  const char* name;
  const std::array<OrcBase, kBases>& bases;
  const std::array<OrcType, kTypes>& types;
  unsigned type_bits;
  std::optional<unsigned> signal_bit;
  std::optional<unsigned> end_bit;
  uint16_t sample;           // the last two bytes of orc_fp_entry
  std::optional<Hash> hash;  // scripts/orc_hash.sh < arch/x86/include/asm/orc_types.h
};

constexpr std::array kForms = {
    Form{OrcFormat::v4_14, "4.14", kFirstBases, kFirstTypes, 2, std::nullopt, 10, 0x0014, std::nullopt},
    Form{OrcFormat::v6_3, "6.3", kFirstBases, kFirstTypes, 2, 10, 11, 0x0014,
         Hash{0xdb, 0x84, 0xae, 0xd4, 0x10, 0x3b, 0x31, 0xdd, 0x51, 0xe0,
              0x17, 0xf8, 0xf7, 0x97, 0x83, 0xca, 0x98, 0x5c, 0x2c, 0x51}},
    Form{OrcFormat::v6_4, "6.4", kFirstBases, kNewTypes, 3, 11, std::nullopt, 0x0214,
         Hash{0xfe, 0x5d, 0x32, 0xbf, 0x58, 0x1b, 0xd6, 0x3b, 0x2c, 0xa9,
              0xa5, 0xc6, 0x5b, 0xa5, 0xa6, 0x25, 0xea, 0xb3, 0xfe, 0x24}},
    Form{OrcFormat::v7_1, "7.1", kNewBases, kNewTypes, 3, 11, std::nullopt, 0x0284,
         Hash{0x13, 0x7c, 0x36, 0xad, 0x76, 0x27, 0xc4, 0xdd, 0x55, 0x93,
              0x21, 0x76, 0xbb, 0x0e, 0xcd, 0xbd, 0x50, 0x41, 0xfc, 0x82}},
};

const Form& form_of(OrcFormat format) {
  return kForms.at(static_cast<size_t>(format));
}

bool is_set(uint16_t flags, std::optional<unsigned> bit) {
  return bit && (flags >> *bit & 1) != 0;
}

// Before types had one for the end, the register told it.
OrcType type_of(const Form& form, uint16_t flags, OrcBase sp_base) {
  if (form.end_bit && sp_base == OrcBase::undefined)
    return is_set(flags, form.end_bit) ? OrcType::end_of_stack : OrcType::undefined;
  return form.types.at(flags >> kTypeShift & ((1U << form.type_bits) - 1));
}

}  // namespace

const char* describe(OrcFormat format) {
  return form_of(format).name;
}

std::optional<OrcFormat> orc_format_of_hash(std::span<const std::byte> hash) {
  const auto is_same = [&](const Form& form) {
    return form.hash &&
           std::equal(hash.begin(), hash.end(), form.hash->begin(), form.hash->end(),
                      [](std::byte one, uint8_t other) { return std::to_integer<uint8_t>(one) == other; });
  };
  const auto* const found = std::find_if(kForms.begin(), kForms.end(), is_same);
  return found == kForms.end() ? std::nullopt : std::optional(found->format);
}

std::optional<OrcFormat> orc_format_of_sample(std::span<const std::byte> entry, bool has_signal) {
  constexpr uint16_t kSpOffset = 16;      // two words above bp
  constexpr uint16_t kBpOffset = 0xfff0;  // two words below that
  Cursor in(entry, ByteOrder::little);
  if (in.u16() != kSpOffset || in.u16() != kBpOffset) return std::nullopt;
  const uint16_t flags = in.u16();
  for (const Form& form : kForms)
    if (in.ok() && form.sample == flags && form.signal_bit.has_value() == has_signal) return form.format;
  return std::nullopt;
}

std::optional<OrcEntry> decode_orc(std::span<const std::byte> bytes, OrcFormat format) {
  Cursor in(bytes, ByteOrder::little);
  const Form& form = form_of(format);
  OrcEntry entry;
  entry.sp_offset = static_cast<int16_t>(in.u16());
  entry.bp_offset = static_cast<int16_t>(in.u16());
  const uint16_t flags = in.u16();
  if (!in.ok()) return std::nullopt;
  entry.sp_base = form.bases.at(flags & (kBases - 1));
  entry.bp_base = form.bases.at(flags >> 4 & (kBases - 1));
  entry.type = type_of(form, flags, entry.sp_base);
  // Before `signal`, whatever had registers was taken for interrupted.
  entry.is_signal = form.signal_bit
                        ? is_set(flags, form.signal_bit)
                        : entry.type == OrcType::registers || entry.type == OrcType::partial_registers;
  return entry;
}

}  // namespace kvista::arch::x86_64
