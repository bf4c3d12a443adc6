// dwarf_check IMAGE FILE: compares the types, functions and enumerators that the kernel's BTF in an image has
// with those in a file of debug information of the same kernel. Prints a line "RULE: NAME: WHAT" for each
// difference, with the rule that explains it or "unexplained", then what was compared.
#include <dwarf.h>
#include <fmt/format.h>

#include <cstdio>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"
#include "debuginfo/debug_file.h"
#include "debuginfo/dwarf_handle.h"
#include "image/open.h"
#include "type/kernel_btf.h"

namespace {

using kvista::debuginfo::DebugFile;
using kvista::decode::BtfKind;
using kvista::type::Kind;
using kvista::type::Type;

// What explains a difference; they are described where tests/lab/full_debuginfo.py counts them.
constexpr const char* kFlattened = "flattened";
constexpr const char* kLocal = "local";
constexpr const char* kForward = "forward";
constexpr const char* kAssembler = "assembler";
constexpr const char* kUnexplained = "unexplained";

struct Counts {
  size_t types = 0;
  size_t members = 0;
  size_t enumerators = 0;
  size_t functions = 0;
  size_t variables = 0;
};

void print(const char* rule, const std::string& name, const std::string& what) {
  fmt::print("{}: {}: {}\n", rule, name, what);
}

bool is_nameless(const Type& type) {
  const Kind kind = type.kind();
  return (kind == Kind::structure || kind == Kind::union_type || kind == Kind::enumeration) &&
         type.name().empty();
}

// An array of arrays as one: how many elements there are in all, and the innermost's type.
struct Flat {
  uint64_t count = 1;
  Type element;
};
Flat flat(Type type) {
  Flat all;
  for (; type.kind() == Kind::array; type = type.target()) all.count *= type.count();
  all.element = type;
  return all;
}

// pahole makes one dimension of several.
bool is_flattened(const Type& btf, const Type& dwarf) {
  if (btf.kind() != Kind::array || dwarf.kind() != Kind::array) return false;
  const Flat one = flat(btf);
  const Flat other = flat(dwarf);
  return one.count == other.count && one.element.declaration() == other.element.declaration();
}

// What differs between two types of one name, in a few words; empty where nothing does.
std::string difference(const Type& btf, const Type& dwarf, unsigned depth, Counts& counts) {
  if (depth > 20) return "it is too deep";
  if (btf.kind() != dwarf.kind()) return "another kind";
  if (btf.size() != dwarf.size()) return fmt::format("size {} in BTF, {} in DWARF", btf.size(), dwarf.size());
  if (btf.kind() == Kind::type_definition) {
    if (is_nameless(btf.target())) return difference(btf.target(), dwarf.target(), depth + 1, counts);
    const std::string one = btf.target().declaration();
    const std::string other = dwarf.target().declaration();
    if (one != other && is_flattened(btf.target(), dwarf.target())) {
      print(kFlattened, btf.declaration(), fmt::format("'{}' in BTF, '{}' in DWARF", one, other));
      return {};
    }
    return one == other ? "" : fmt::format("'{}' in BTF, '{}' in DWARF", one, other);
  }
  if (btf.kind() == Kind::enumeration) {
    if (btf.enumerators().size() != dwarf.enumerators().size()) return "another number of enumerators";
    for (size_t i = 0; i < btf.enumerators().size(); ++i) {
      const auto& one = btf.enumerators()[i];
      const auto& other = dwarf.enumerators()[i];
      ++counts.enumerators;
      if (one.name != other.name)
        return fmt::format("enumerator {} in BTF, {} in DWARF", one.name, other.name);
      if (one.value != other.value)
        return fmt::format("enumerator {}: {:#x} in BTF, {:#x} in DWARF", one.name, one.value, other.value);
    }
    return {};
  }
  const auto& ours = btf.members();
  const auto& theirs = dwarf.members();
  if (ours.size() != theirs.size())
    return fmt::format("{} members in BTF, {} in DWARF", ours.size(), theirs.size());
  for (size_t i = 0; i < ours.size(); ++i) {
    const auto& one = ours[i];
    const auto& other = theirs[i];
    ++counts.members;
    if (one.name != other.name) return fmt::format("member {} in BTF, {} in DWARF", one.name, other.name);
    if (one.bit_offset != other.bit_offset || one.bit_size != other.bit_size)
      return fmt::format("member {}: bits {}:{} in BTF, {}:{} in DWARF", one.name, one.bit_offset,
                         one.bit_size, other.bit_offset, other.bit_size);
    if (is_nameless(one.type)) {
      const std::string inner = difference(one.type, other.type, depth + 1, counts);
      if (!inner.empty()) return fmt::format("in member {}: {}", one.name, inner);
      continue;
    }
    const std::string ours_text = one.type.declaration(one.name);
    const std::string theirs_text = other.type.declaration(other.name);
    if (ours_text == theirs_text) continue;
    const std::string what = fmt::format("'{}' in BTF, '{}' in DWARF", ours_text, theirs_text);
    if (!is_flattened(one.type, other.type)) return what;
    print(kFlattened, btf.declaration(), what);
  }
  return {};
}

// The tags and names of the types that are declared within functions.
class LocalTypes {
 public:
  explicit LocalTypes(const std::string& path) : handle_(path) {
    std::string damage;
    for (const auto ref : handle_.units(damage)) {
      Dwarf_Die unit = handle_.at(ref);
      kvista::debuginfo::for_each_child(unit, [&](Dwarf_Die& die) {
        if (dwarf_tag(&die) == DW_TAG_subprogram) add_within(die, 0);
      });
    }
  }
  bool contains(const Type& type) const { return names_.contains({type.kind(), std::string(type.name())}); }

 private:
  void add_within(Dwarf_Die& parent, unsigned depth) {
    kvista::debuginfo::for_each_child(parent, [&](Dwarf_Die& die) {
      const std::string name(kvista::debuginfo::name_of(die));
      switch (dwarf_tag(&die)) {
        case DW_TAG_structure_type:
          names_.emplace(Kind::structure, name);
          break;
        case DW_TAG_union_type:
          names_.emplace(Kind::union_type, name);
          break;
        case DW_TAG_enumeration_type:
          names_.emplace(Kind::enumeration, name);
          break;
        case DW_TAG_typedef:
          names_.emplace(Kind::type_definition, name);
          break;
        case DW_TAG_lexical_block:
          if (depth < 100) add_within(die, depth + 1);
          break;
        default:
          break;
      }
    });
  }

  kvista::debuginfo::DwarfHandle handle_;
  std::set<std::pair<Kind, std::string>> names_;
};

// Whether one of those in DWARF is the same; else what differs from the first.
void compare(const Type& btf, const std::vector<Type>& dwarf, const LocalTypes& local, Counts& counts) {
  std::string what;
  for (const Type& one : dwarf) {
    const std::string here = difference(btf, one, 0, counts);
    if (here.empty()) return;
    if (what.empty()) what = here;
  }
  const std::string name = btf.declaration();
  if (btf.kind() == Kind::enumeration && btf.enumerators().empty())
    return print(kForward, name, "only declared");
  if (local.contains(btf)) return print(kLocal, name, "declared within a function");
  print(kUnexplained, name, dwarf.empty() ? "not in DWARF" : what);
}

void compare_function(const Type& btf, const std::vector<Type>& dwarf, const std::string& name,
                      Counts& counts) {
  ++counts.functions;
  const std::string wanted = btf.declaration(name);
  for (const Type& one : dwarf)
    if (one.declaration(name) == wanted) return;
  const bool says_nothing = btf.members().empty() && btf.target().kind() == Kind::nothing;
  print(dwarf.empty() && says_nothing ? kAssembler : kUnexplained, name,
        dwarf.empty() ? "not in DWARF"
                      : fmt::format("'{}' in BTF, '{}' in DWARF", wanted, dwarf.front().declaration(name)));
}

// Where the symbol table has each variable.
std::multimap<std::string, kvista::VirtAddr> addresses_in(const std::string& path) {
  std::multimap<std::string, kvista::VirtAddr> all;
  kvista::machine::for_each_file_symbol(
      path, [&](kvista::VirtAddr address, char, std::string_view name) { all.emplace(name, address); });
  return all;
}

void compare_variable(const Type& btf, const DebugFile& file, const std::string& name,
                      const std::multimap<std::string, kvista::VirtAddr>& addresses, Counts& counts) {
  ++counts.variables;
  const std::string wanted = btf.declaration(name);
  std::string what = "not in DWARF";
  const auto [first, last] = addresses.equal_range(name);
  for (auto at = first; at != last; ++at) {
    const auto found = file.variable(name, at->second);
    if (!found) continue;
    if (found->declaration(name) == wanted || is_flattened(btf, *found)) return;
    what = fmt::format("'{}' in BTF, '{}' in DWARF", wanted, found->declaration(name));
  }
  print(kUnexplained, name, what);
}

void run(const std::string& image, const std::string& path) {
  kvista::machine::Machine machine(kvista::image::open_image(image), {});
  const auto types = kvista::type::read_kernel_types(machine);
  const auto file = kvista::debuginfo::open_debug_file(path);
  const LocalTypes local(path);
  const auto addresses = addresses_in(path);
  const auto& btf = types->btf();
  Counts counts;
  for (uint32_t id = btf.first_id(); id < btf.end_id(); ++id) {
    const auto raw = btf.type(id);
    const std::string name(raw.name);
    if (name.empty()) continue;
    if (raw.kind == BtfKind::function) {
      compare_function(*types->function(name), file->types().functions(name), name, counts);
      continue;
    }
    if (raw.kind == BtfKind::variable) {
      compare_variable(*types->variable(name), *file, name, addresses, counts);
      continue;
    }
    const Type type(types.get(), id);
    const Kind kind = type.kind();
    if (kind != Kind::structure && kind != Kind::union_type && kind != Kind::enumeration &&
        kind != Kind::type_definition)
      continue;
    ++counts.types;
    compare(type, file->types().find(name, kind), local, counts);
  }
  fmt::print("compared: types={} members={} enumerators={} functions={} variables={} damage='{}'\n",
             counts.types, counts.members, counts.enumerators, counts.functions, counts.variables,
             file->types().damage());
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 3) throw kvista::UsageError("usage: dwarf_check IMAGE FILE");
  run(argv[1], argv[2]);
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "dwarf_check: %s\n", error.what());
  return 2;
}
