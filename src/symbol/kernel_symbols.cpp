#include "symbol/kernel_symbols.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"

namespace kvista::symbol {

using machine::Source;

KernelSymbols::KernelSymbols(machine::Machine& machine) {
  const auto& options = machine.options();
  const bool has_kallsyms = use_kallsyms(machine);
  bool has_list =
      !options.symbols_file.empty() && use_file(machine, Source::symbol_file, options.symbols_file);
  if (!has_kallsyms && !has_list && machine.image().traits().live)
    has_list = use_file(machine, Source::proc_kallsyms, options.system_root + "/proc/kallsyms");
  if (!has_kallsyms && !has_list)
    throw NotFound(fmt::format("the kernel's symbols are not known: {}", failures_));
  // The section's marks are in every table.
  const auto first = find("_text");
  const auto start = first.empty() ? find("_stext") : first;
  const auto last = find("_end");
  if (!start.empty() && !last.empty() && start.front().address < last.front().address)
    image_ = VirtRange{start.front().address, last.front().address - 1};
}

bool KernelSymbols::use_kallsyms(machine::Machine& machine) {
  try {
    kallsyms_ = &machine.kallsyms();
    lookup_ = std::make_unique<decode::KallsymsLookup>(*kallsyms_);
    return true;
  } catch (const Error& error) {
    failures_ = error.what();
    return false;
  }
}

bool KernelSymbols::use_file(machine::Machine& machine, Source source, const std::string& path) {
  try {
    const machine::SymbolTable& table = machine.symbol_table(source);
    if (!table.failure.empty()) throw NotFound(table.failure);
    SymbolListBuilder list;
    machine::for_each_file_symbol(path, [&](VirtAddr address, char type, std::string_view name) {
      list.add(address + table.shift, type, name);
    });
    listed_ = std::move(list).finish();
    return listed_.size() != 0;
  } catch (const Error& error) {
    failures_ += fmt::format("{}{}", failures_.empty() ? "" : "; ", error.what());
    return false;
  }
}

std::vector<Symbol> KernelSymbols::find_in_kallsyms(std::string_view name) const {
  std::vector<Symbol> found;
  if (kallsyms_ == nullptr) return found;
  for (const size_t number : lookup_->find(name))
    if (auto symbol = kallsyms_->at(number))
      found.push_back({symbol->address, symbol->type, std::move(symbol->name), {}});
  return found;
}

std::vector<Symbol> KernelSymbols::find(std::string_view name) const {
  auto found = find_in_kallsyms(name);
  return found.empty() ? listed_.find(name) : found;
}

std::optional<NearSymbol> KernelSymbols::nearest(VirtAddr address) const {
  if (image_ && !image_->contains(address)) return std::nullopt;
  // A file has all of the kernel's symbols, its own table often functions only.
  if (kallsyms_ == nullptr || listed_.size() > kallsyms_->size()) return listed_.nearest(address);
  const auto near = kallsyms_->near(address);
  auto symbol = near ? kallsyms_->at(near->index) : std::nullopt;
  if (!symbol) return std::nullopt;
  NearSymbol found{{symbol->address, symbol->type, std::move(symbol->name), {}}, address - symbol->address};
  if (near->end) found.size = *near->end - symbol->address;
  return found;
}

void KernelSymbols::for_each(const VisitSymbol& visit) const {
  if (kallsyms_ == nullptr) return listed_.for_each(visit);
  try {
    Symbol symbol;
    kallsyms_->for_each([&](const decode::KallsymsSymbol& one) {
      symbol.address = one.address;
      symbol.type = one.type;
      symbol.name = one.name;
      visit(symbol);
    });
  } catch (const FormatError&) {
    // What came before has been shown; is_damaged() says that it is not all.
  }
}

bool KernelSymbols::functions_only() const {
  return kallsyms_ != nullptr && find("init_task").empty() && find("init_uts_ns").empty();
}

std::string KernelSymbols::why_incomplete() const {
  return functions_only() ? "the kernel's table has functions only (CONFIG_KALLSYMS_ALL is off): give "
                            "--symbols a vmlinux or System.map"
                          : "";
}

bool KernelSymbols::is_damaged() const {
  return kallsyms_ != nullptr && kallsyms_->damaged() != 0;
}

}  // namespace kvista::symbol
