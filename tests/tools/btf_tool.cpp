// btf_tool extract IMAGE DIR: writes the kernel's and the modules' BTF as files. btf_tool raw FILE [BASE]:
// BTF as text, in the form of "bpftool btf dump file FILE format raw", for comparison with it.
#include <fmt/format.h>

#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "base/error.h"
#include "decode/btf.h"
#include "image/open.h"
#include "type/kernel_btf.h"
#include "type/module_btf.h"

namespace {

using kvista::ByteOrder;
using kvista::decode::Btf;
using kvista::decode::BtfKind;
using kvista::decode::BtfType;

std::vector<std::byte> contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw kvista::AccessError(fmt::format("cannot read {}", path));
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  std::vector<std::byte> bytes;
  for (const char c : text) bytes.push_back(static_cast<std::byte>(c));
  return bytes;
}

std::string quoted(std::string_view name) {
  return fmt::format("'{}'", name.empty() ? "(anon)" : name);
}

void print_members(const Btf& btf, const BtfType& type) {
  fmt::print(" size={} vlen={}", type.size_or_type, type.entries);
  for (const auto& one : btf.members(type)) {
    fmt::print("\n\t{} type_id={} bits_offset={}", quoted(one.name), one.type, one.bit_offset);
    if (one.bit_size != 0) fmt::print(" bitfield_size={}", one.bit_size);
  }
}

void print_enumerators(const Btf& btf, const BtfType& type, const char* suffix) {
  fmt::print(" encoding={} size={} vlen={}", type.flag ? "SIGNED" : "UNSIGNED", type.size_or_type,
             type.entries);
  for (const auto& one : btf.enumerators(type)) {
    if (type.flag)
      fmt::print("\n\t{} val={}{}", quoted(one.name), static_cast<int64_t>(one.value),
                 *suffix != 0 ? "LL" : "");
    else
      fmt::print("\n\t{} val={}{}", quoted(one.name), one.value, suffix);
  }
}

const char* linkage(uint32_t value) {
  static constexpr const char* kNames[] = {"static", "global", "extern"};
  return value < 3 ? kNames[value] : "(unknown)";
}

void print_section(const Btf& btf, const BtfType& type) {
  fmt::print(" size={} vlen={}", type.size_or_type, type.entries);
  for (const auto& one : btf.variables(type))
    fmt::print("\n\ttype_id={} offset={} size={} (VAR {})", one.variable, one.offset, one.size,
               quoted(btf.type(one.variable).name));
}

void print_type(const Btf& btf, uint32_t id) {
  const BtfType type = btf.type(id);
  fmt::print("[{}] {} {}", id, name_of(type.kind), quoted(type.name));
  switch (type.kind) {
    case BtfKind::integer: {
      const auto integer = btf.integer(type);
      const char* encoding = integer.is_signed      ? "SIGNED"
                             : integer.is_character ? "CHAR"
                             : integer.is_boolean   ? "BOOL"
                                                    : "(none)";
      fmt::print(" size={} bits_offset={} nr_bits={} encoding={}", type.size_or_type, integer.bit_offset,
                 integer.bits, encoding);
      break;
    }
    case BtfKind::array: {
      const auto array = btf.array(type);
      fmt::print(" type_id={} index_type_id={} nr_elems={}", array.element, array.index, array.count);
      break;
    }
    case BtfKind::structure:
    case BtfKind::union_type:
      print_members(btf, type);
      break;
    case BtfKind::enumeration:
      print_enumerators(btf, type, "");
      break;
    case BtfKind::enumeration64:
      print_enumerators(btf, type, "ULL");
      break;
    case BtfKind::forward:
      fmt::print(" fwd_kind={}", type.flag ? "union" : "struct");
      break;
    case BtfKind::function:
      fmt::print(" type_id={} linkage={}", type.size_or_type, linkage(type.entries));
      break;
    case BtfKind::prototype:
      fmt::print(" ret_type_id={} vlen={}", type.size_or_type, type.entries);
      for (const auto& one : btf.members(type)) fmt::print("\n\t{} type_id={}", quoted(one.name), one.type);
      break;
    case BtfKind::variable:
      fmt::print(" type_id={}, linkage={}", type.size_or_type, linkage(btf.word(type)));
      break;
    case BtfKind::section:
      print_section(btf, type);
      break;
    case BtfKind::floating:
      fmt::print(" size={}", type.size_or_type);
      break;
    case BtfKind::declaration_tag:
      fmt::print(" type_id={} component_idx={}", type.size_or_type, static_cast<int32_t>(btf.word(type)));
      break;
    default:
      fmt::print(" type_id={}", type.size_or_type);
  }
  fmt::print("\n");
}

void print_raw(const std::string& file, const std::string& base_file) {
  std::optional<Btf> base;
  if (!base_file.empty()) base.emplace(contents(base_file), ByteOrder::little);
  const Btf btf(contents(file), ByteOrder::little, base ? &*base : nullptr);
  for (uint32_t id = btf.first_id(); id < btf.end_id(); ++id) print_type(btf, id);
  if (!btf.damage().empty()) throw kvista::FormatError(btf.damage(), 0);
}

void write(const std::string& path, std::span<const std::byte> bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  if (!file.flush()) throw kvista::AccessError(fmt::format("cannot write {}", path));
}

void extract(const std::string& image, const std::string& directory) {
  kvista::machine::Machine machine(kvista::image::open_image(image), {});
  const auto types = kvista::type::read_kernel_types(machine);
  write(directory + "/vmlinux", types->btf().bytes());
  const auto all = kvista::type::read_module_types(machine, *types);
  for (const auto& one : all.modules)
    write(fmt::format("{}/{}", directory, one.module), one.types->btf().bytes());
  if (!all.fault.empty()) throw kvista::NotFound(all.fault);
}

}  // namespace

int main(int argc, char** argv) try {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.size() == 3 && arguments[0] == "extract")
    extract(arguments[1], arguments[2]);
  else if (arguments.size() >= 2 && arguments.size() <= 3 && arguments[0] == "raw")
    print_raw(arguments[1], arguments.size() == 3 ? arguments[2] : "");
  else
    throw kvista::UsageError("usage: btf_tool extract IMAGE DIR | btf_tool raw FILE [BASE]");
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "btf_tool: %s\n", error.what());
  return 2;
}
