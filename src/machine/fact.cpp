#include "kvista/fact.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <ctime>

namespace kvista::machine {
namespace {

std::optional<uint64_t> parse_integer(std::string_view text, int base) {
  const bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  if (text.starts_with("0x")) {
    text.remove_prefix(2);
    base = 16;
  }
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  constexpr uint64_t kLeast = uint64_t{1} << 63;
  if (negative && value > kLeast) return std::nullopt;
  return negative ? uint64_t{0} - value : value;
}

std::optional<VirtRange> parse_range(std::string_view text) {
  const size_t dash = text.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  const auto first = parse_integer(text.substr(0, dash), 16);
  const auto last = parse_integer(text.substr(dash + 1), 16);
  if (!first || !last || *last < *first) return std::nullopt;
  return VirtRange{VirtAddr{*first}, VirtAddr{*last}};
}

std::optional<FactValue> parse_phys_ranges(std::string_view text) {
  PhysRanges ranges;
  if (text == "none") return ranges;
  for (;;) {
    const size_t comma = text.find(',');
    const auto one = parse_range(text.substr(0, comma));
    if (!one || one->last.value == UINT64_MAX) return std::nullopt;
    ranges.push_back({PhysAddr{one->first.value}, one->last - one->first + 1});
    if (comma == std::string_view::npos) return ranges;
    text.remove_prefix(comma + 1);
  }
}

std::string format_phys_ranges(const PhysRanges& ranges) {
  if (ranges.empty()) return "none";
  std::string text;
  for (const PhysRange& range : ranges)
    text += fmt::format("{}{:#x}-{:#x}", text.empty() ? "" : ",", range.start.value, range.end().value - 1);
  return text;
}

constexpr std::string_view kFarTime = " s after 1970";

std::string format_time(uint64_t value) {
  if (value == 0) return "none";
  constexpr uint64_t kLatest = 253402300799;  // the end of the year 9999
  if (value > kLatest) return fmt::format("{}{}", value, kFarTime);
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(static_cast<std::time_t>(value)));
}

std::optional<uint64_t> parse_time(std::string_view text) {
  if (text == "none") return 0;
  if (text.ends_with(kFarTime)) text.remove_suffix(kFarTime.size());
  if (const auto seconds = parse_integer(text, 10)) return seconds;
  std::tm parts{};
  const std::string whole(text);
  const char* end = strptime(whole.c_str(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  if (end == nullptr || *end != '\0') return std::nullopt;
  const auto seconds = static_cast<uint64_t>(timegm(&parts));
  // strptime(3) lets 30 February pass.
  return format_time(seconds) == text ? std::optional(seconds) : std::nullopt;
}

std::string format_number(uint64_t value, Form form) {
  switch (form) {
    case Form::hex:
      return fmt::format("{:#x}", value);
    case Form::time:
      return format_time(value);
    default:
      return fmt::format("{}", value);
  }
}

}  // namespace

const char* describe(Source source) {
  switch (source) {
    case Source::user:
      return "user";
    case Source::note:
      return "VMCOREINFO";
    case Source::kallsyms:
      return "kallsyms";
    case Source::proc_kallsyms:
      return "/proc/kallsyms";
    case Source::symbol_file:
      return "symbol file";
    case Source::memory:
      return "memory";
    case Source::mem_section:
      return "mem_section";
    case Source::page_tables:
      return "page tables";
    case Source::segments:
      return "segments";
    case Source::image:
      return "image";
    case Source::cpu_notes:
      return "CPU notes";
    case Source::system:
      return "system files";
    case Source::search:
      return "memory search";
    case Source::derived:
      return "derived";
    case Source::configuration:
      return "configuration";
    case Source::documented:
      return "documented";
  }
  return "";
}

const char* describe(Verdict verdict) {
  switch (verdict) {
    case Verdict::chosen:
      return "chosen";
    case Verdict::agrees:
      return "agrees";
    case Verdict::disagrees:
      return "disagrees";
    case Verdict::unavailable:
      return "not available";
    case Verdict::candidate:
      return "candidate";
  }
  return "";
}

const std::vector<FactInfo>& all_facts() {
  static const std::vector<FactInfo> kFacts = {
      {FactId::arch, "arch", Form::text, "architecture"},
      {FactId::release, "release", Form::text, "kernel release (uname -r)"},
      {FactId::build_id, "build_id", Form::text, "build-id of vmlinux"},
      {FactId::state, "state", Form::text, "live, or dead and how it came to that"},
      {FactId::crash_time, "crash_time", Form::time, "time of the panic (UTC)"},
      {FactId::cpus, "cpus", Form::decimal, "CPUs online"},
      {FactId::page_size, "page_size", Form::decimal, "bytes in a page"},
      {FactId::va_bits, "va_bits", Form::decimal, "bits of a virtual address, as the kernel was built"},
      {FactId::va_bits_actual, "va_bits_actual", Form::decimal,
       "bits of a virtual address that the CPU gives it"},
      {FactId::page_table_levels, "page_table_levels", Form::decimal, "levels of the page tables"},
      {FactId::root_page_table, "root_page_table", Form::hex,
       "physical address of the kernel's top page table"},
      {FactId::phys_base, "phys_base", Form::hex, "physical address minus offset in the kernel mapping"},
      {FactId::kimage_voffset, "kimage_voffset", Form::hex,
       "virtual minus physical address in the kernel image"},
      {FactId::va_kernel_pa_offset, "va_kernel_pa_offset", Form::hex,
       "virtual minus physical address in the kernel image"},
      {FactId::kaslr_offset, "kaslr_offset", Form::hex, "how far KASLR moved the kernel image"},
      {FactId::page_offset, "page_offset", Form::hex, "start of the direct map of physical memory"},
      {FactId::phys_offset, "phys_offset", Form::hex, "physical address at the start of the direct map"},
      {FactId::direct_map, "direct_map", Form::virt_range, "extent of the direct map"},
      {FactId::vmalloc, "vmalloc", Form::virt_range, "vmalloc area"},
      {FactId::vmemmap, "vmemmap", Form::virt_range, "array of struct page"},
      {FactId::modules, "modules", Form::virt_range, "area for modules"},
      {FactId::kernel_image, "kernel_image", Form::virt_range, "kernel image, _text to _end"},
      {FactId::sme_mask, "sme_mask", Form::hex, "memory encryption bit in page-table entries"},
      {FactId::kernel_pac_mask, "kernel_pac_mask", Form::hex, "signature bits in return addresses"},
      {FactId::struct_page_size, "struct_page_size", Form::decimal, "bytes in a struct page"},
      {FactId::section_size_bits, "section_size_bits", Form::decimal, "log2 of a memory section's bytes"},
      {FactId::max_physmem_bits, "max_physmem_bits", Form::decimal, "bits of a physical address, at most"},
      {FactId::crashkernel, "crashkernel", Form::phys_ranges, "memory reserved for the crash kernel"},
  };
  return kFacts;
}

const FactInfo& info_of(FactId id) {
  return all_facts().at(static_cast<size_t>(id));
}

std::optional<FactId> fact_by_name(std::string_view name) {
  const auto& facts = all_facts();
  const auto at =
      std::find_if(facts.begin(), facts.end(), [&](const FactInfo& info) { return info.name == name; });
  if (at == facts.end()) return std::nullopt;
  return at->id;
}

std::string format(const FactValue& value, Form form) {
  if (const auto* number = std::get_if<uint64_t>(&value)) return format_number(*number, form);
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  if (const auto* range = std::get_if<VirtRange>(&value))
    return fmt::format("{:#x}-{:#x}", range->first.value, range->last.value);
  return format_phys_ranges(std::get<PhysRanges>(value));
}

std::optional<FactValue> parse(std::string_view text, Form form) {
  switch (form) {
    case Form::text:
      return FactValue(std::string(text));
    case Form::decimal:
      if (const auto number = parse_integer(text, 10)) return FactValue(*number);
      return std::nullopt;
    case Form::time:
      if (const auto seconds = parse_time(text)) return FactValue(*seconds);
      return std::nullopt;
    case Form::hex:
      if (const auto number = parse_integer(text, 16)) return FactValue(*number);
      return std::nullopt;
    case Form::virt_range:
      if (const auto range = parse_range(text)) return FactValue(*range);
      return std::nullopt;
    case Form::phys_ranges:
      return parse_phys_ranges(text);
  }
  return std::nullopt;
}

}  // namespace kvista::machine
