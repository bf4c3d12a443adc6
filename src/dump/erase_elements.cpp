#include "dump/erase_elements.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

#include "base/error.h"
#include "kernel/session.h"
#include "kernel/walk.h"
#include "kvista/walk.h"

namespace kvista::dump {
namespace {

using kernel::session_of;
using type::Kind;
using Visit = std::function<void(const Value&)>;

constexpr uint64_t kMostElements = uint64_t{1} << 24;

// A variable itself, or what a pointer leads to; nothing for a pointer to nothing.
std::optional<Value> target_of(const Value& from) {
  if (!from.type().is(Kind::pointer)) return from;
  return from ? std::optional(*from) : std::nullopt;
}

void visit_array(const Value& array, const Visit& visit) {
  if (!array.type().is(Kind::array))
    throw UsageError(fmt::format("{} is a {}: no array; for others say via or within", array.expression(),
                                 array.type().declaration()));
  const uint64_t count = array.type().resolved().count();
  if (count == 0) throw UsageError(fmt::format("how many elements {} has is not known", array.expression()));
  if (count > kMostElements)
    throw UsageError(fmt::format("{} has {} elements: too many", array.expression(), count));
  for (uint64_t i = 0; i < count; ++i) visit(array[i]);
}

Value member_of(const Value& of, std::string_view path) {
  const size_t dot = path.find('.');
  const Value member = of[path.substr(0, dot)];
  return dot == std::string_view::npos ? member : member_of(member, path.substr(dot + 1));
}

void visit_chain(const Value& from, const std::string& via, const Visit& visit) {
  const auto first = target_of(from);
  if (!first) return;
  const VirtAddr start{first->pointer().number()};
  kernel::AddressSet seen;
  for (VirtAddr at = start;;) {
    if (!seen.insert(at))
      throw NotFound(
          fmt::format("{} comes back to {:#x}: a loop", kernel::after_entries(seen.size()), at.value));
    if (seen.size() > kMostElements)
      throw NotFound(fmt::format("{} it does not end", kernel::after_entries(seen.size())));
    const Value element = session_of(from).object(first->type(), at);
    const Value next = member_of(element, via);
    if (!next.type().is(Kind::pointer))
      throw UsageError(fmt::format("{} is a {}: no pointer", via, next.type().declaration()));
    visit(element);
    at = next.target();
    if (at.value == 0 || at == start) return;
  }
}

void visit_walked(const Walked& walked, const Visit& visit) {
  if (!walked.fault.empty()) throw NotFound(walked.fault);
  for (const Value& element : walked.items) visit(element);
}

void visit_walked(const WalkedEntries& walked, const Visit& visit) {
  if (!walked.fault.empty()) throw NotFound(walked.fault);
  for (const IndexedEntry& entry : walked.items) visit(entry.value);
}

// A container whose elements have a link within them, and one that holds pointers to its elements.
struct Linked {
  std::string_view type;
  Walked (*walk)(const Value& head, std::string_view type, std::string_view member);
};
constexpr std::array kLinked = {Linked{"list_head", list_entries}, Linked{"hlist_head", hlist_entries},
                                Linked{"rb_root", tree_entries}, Linked{"rb_root_cached", tree_entries}};
struct Indexed {
  std::string_view type;
  WalkedEntries (*walk)(const Value& array, std::string_view type);
};
constexpr std::array kIndexed = {Indexed{"xarray", xarray_entries},
                                 Indexed{"radix_tree_root", xarray_entries}, Indexed{"idr", xarray_entries},
                                 Indexed{"maple_tree", maple_entries}};

template <typename Table>
auto walk_of(const Table& table, const Value& container) {
  const std::string_view name = container.type().resolved().name();
  const auto* const found =
      std::find_if(table.begin(), table.end(), [&](const auto& row) { return row.type == name; });
  if (found != table.end()) return found->walk;
  std::string known;
  for (const auto& row : table) known += fmt::format("{}{}", known.empty() ? "" : ", ", row.type);
  throw UsageError(fmt::format("{} is a {}: expected one of {}", container.expression(),
                               container.type().declaration(), known));
}

}  // namespace

void for_each_element(const EraseRule& rule, const Value& from, const Visit& visit) {
  if (from.is_per_cpu())
    throw UsageError(fmt::format("each CPU has its own {0}: say whose, as in {0}:0", from.expression()));
  if (from.type().is(Kind::nothing))
    session_of(from).fail_untyped(from.expression(), "*(struct list_head *)&{}");
  if (!rule.via.empty()) return visit_chain(from, rule.via, visit);
  if (rule.within.empty()) return visit_array(from, visit);
  const auto container = target_of(from);
  if (!container) return;
  if (rule.link.empty())
    visit_walked(walk_of(kIndexed, *container)(*container, rule.within), visit);
  else
    visit_walked(walk_of(kLinked, *container)(*container, rule.within, rule.link), visit);
}

}  // namespace kvista::dump
