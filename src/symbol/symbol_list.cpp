#include "symbol/symbol_list.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "base/error.h"

namespace kvista::symbol {
namespace {

// What compilers and assemblers mark places with (".L...", "$x"), which is no function's name: the kernel
// names no address by it (is_mapping_symbol() of include/linux/module_symbol.h). On riscv64 modules are full
// of them.
bool is_mapping_symbol(std::string_view name) {
  return name.starts_with(".L") || name.starts_with("L0") || name.starts_with('$');
}

}  // namespace

void SymbolListBuilder::add(VirtAddr address, char type, std::string_view name, std::string_view module) {
  auto& modules = list_.modules_;
  const bool is_new = modules.empty() || modules.back() != module;
  if (is_new && modules.size() > std::numeric_limits<uint16_t>::max())
    throw FormatError(fmt::format("the symbols are of more than {} modules", modules.size()), modules.size());
  if (list_.names_.size() > std::numeric_limits<uint32_t>::max() - name.size())
    throw FormatError(fmt::format("the names of symbols have more than {} bytes", list_.names_.size()),
                      list_.names_.size());
  if (is_new) modules.emplace_back(module);
  list_.entries_.push_back(
      {address, static_cast<uint32_t>(list_.names_.size()), static_cast<uint16_t>(modules.size() - 1), type});
  list_.names_.insert(list_.names_.end(), name.begin(), name.end());
  list_.names_.push_back(0);
}

SymbolList SymbolListBuilder::finish() && {
  SymbolList& list = list_;
  list.by_address_.resize(list.entries_.size());
  std::iota(list.by_address_.begin(), list.by_address_.end(), 0U);
  std::stable_sort(list.by_address_.begin(), list.by_address_.end(), [&](uint32_t one, uint32_t other) {
    return list.entries_[one].address < list.entries_[other].address;
  });
  list.by_name_ = list.by_address_;
  std::erase_if(list.by_address_,
                [&](uint32_t one) { return is_mapping_symbol(list.name_at(list.entries_[one].name)); });
  std::stable_sort(list.by_name_.begin(), list.by_name_.end(), [&](uint32_t one, uint32_t other) {
    return list.name_at(list.entries_[one].name) < list.name_at(list.entries_[other].name);
  });
  return std::move(list_);
}

Symbol SymbolList::symbol_at(const Entry& entry) const {
  return {entry.address, entry.type, std::string(name_at(entry.name)), modules_[entry.module]};
}

std::vector<Symbol> SymbolList::find(std::string_view name) const {
  auto at = std::lower_bound(
      by_name_.begin(), by_name_.end(), name,
      [&](uint32_t one, std::string_view wanted) { return name_at(entries_[one].name) < wanted; });
  std::vector<Symbol> found;
  for (; at != by_name_.end() && name_at(entries_[*at].name) == name; ++at)
    found.push_back(symbol_at(entries_[*at]));
  return found;
}

std::optional<NearSymbol> SymbolList::nearest(VirtAddr address) const {
  const auto less = [&](uint32_t one, VirtAddr wanted) { return entries_[one].address < wanted; };
  const auto next =
      std::upper_bound(by_address_.begin(), by_address_.end(), address,
                       [&](VirtAddr wanted, uint32_t one) { return wanted < entries_[one].address; });
  if (next == by_address_.begin()) return std::nullopt;
  const VirtAddr start = entries_[*(next - 1)].address;
  const auto first = std::lower_bound(by_address_.begin(), next, start, less);
  NearSymbol near{symbol_at(entries_[*first]), address - start};
  if (next != by_address_.end()) near.size = entries_[*next].address - start;
  return near;
}

void SymbolList::for_each(const VisitSymbol& visit) const {
  for (const Entry& entry : entries_) visit(symbol_at(entry));
}

}  // namespace kvista::symbol
