// VMCOREINFO: the text in which a kernel tells user-land its machine details.
// Documented in the kernel's Documentation/admin-guide/kdump/vmcoreinfo.rst.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kvista/export.h"

namespace kvista::vmcoreinfo {

/// What sort of entry a line is, from its form: KIND(name)=value, or key=value.
enum class Kind { symbol, size, offset, length, number, text };

/// The kind as it is written in the note: "SYMBOL" ...; "text" for lines without one.
KVISTA_API const char* describe(Kind kind);

struct Entry {
  Kind kind = Kind::text;
  std::string name;   ///< within the parentheses, or the whole key
  std::string value;  ///< as it stands in the note
  /// The value as a number, where the kind has one and the text is one. Negative decimals wrap, as the
  /// kernel's unsigned longs do.
  std::optional<uint64_t> number;
};

/// The parsed note. Later lines win over earlier ones of the same key, as for the kernel's own readers.
class KVISTA_API VmcoreInfo {
 public:
  VmcoreInfo() = default;
  /// Parses `text`. Never throws: what is no entry is left out and said in `warnings()`.
  explicit VmcoreInfo(std::string text);

  const std::string& text() const { return text_; }
  std::span<const Entry> entries() const { return entries_; }
  std::span<const std::string> warnings() const { return warnings_; }
  bool empty() const { return entries_.empty(); }

  /// SYMBOL(name): a virtual address.
  std::optional<uint64_t> symbol(std::string_view name) const { return number_of(Kind::symbol, name); }
  /// SIZE(name): bytes.
  std::optional<uint64_t> size(std::string_view name) const { return number_of(Kind::size, name); }
  /// OFFSET(type.member): bytes.
  std::optional<uint64_t> offset(std::string_view name) const { return number_of(Kind::offset, name); }
  /// LENGTH(name): elements of an array.
  std::optional<uint64_t> length(std::string_view name) const { return number_of(Kind::length, name); }
  /// NUMBER(name).
  std::optional<uint64_t> number(std::string_view name) const { return number_of(Kind::number, name); }
  /// A line key=value whose value is hexadecimal without a prefix: KERNELOFFSET.
  std::optional<uint64_t> hex(std::string_view key) const;
  /// A line key=value whose value is decimal: CRASHTIME, PAGESIZE.
  std::optional<uint64_t> decimal(std::string_view key) const;
  /// A line key=value: OSRELEASE, BUILD-ID, CONFIG_...
  std::optional<std::string_view> text_of(std::string_view key) const;

 private:
  const Entry* find(Kind kind, std::string_view name) const;
  std::optional<uint64_t> number_of(Kind kind, std::string_view name) const;
  void add_line(std::string_view line, size_t number);
  void warn(std::string sentence);

  std::string text_;
  std::vector<Entry> entries_;
  std::map<std::pair<Kind, std::string>, size_t, std::less<>> index_;
  std::vector<std::string> warnings_;
  size_t faults_ = 0;
};

/// A number as the kernel writes them: "-5075...", "0xff70...", "4096". With `hex` also hexadecimal without a
/// prefix ("ffffffff9c613700", as SYMBOL and KERNELOFFSET have it). Nothing where the text is no number of 64
/// bits.
KVISTA_API std::optional<uint64_t> parse_number(std::string_view text, bool hex);

}  // namespace kvista::vmcoreinfo
