#include "dump/erase.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "dump/erase_elements.h"
#include "dump/erase_rules.h"
#include "kernel/evaluate.h"
#include "kernel/modules.h"

namespace kvista::dump {
namespace {

using kernel::Session;
using type::Kind;
using type::Type;

constexpr size_t kMostRuleText = size_t{1} << 20;
constexpr size_t kMostRanges = size_t{1} << 20;     // of physical memory: 24 MiB
constexpr uint64_t kMostPlace = uint64_t{1} << 30;  // bytes: more is a size that was misread
constexpr size_t kMostString = size_t{64} << 10;

// Where something is, and how many bytes of it are erased.
struct Place {
  VirtAddr at;
  uint64_t size = 0;
  std::byte fill = kErasedData;
};

// Gathers places as ranges of physical memory.
class PlaceList {
 public:
  explicit PlaceList(const Session& session) : session_(session) {}

  void add(const Place& place) {
    if (place.size > kMostPlace)
      throw UsageError(fmt::format("{} bytes at {:#x}: more than {} at one place are taken for a mistake",
                                   place.size, place.at.value, kMostPlace));
    for (uint64_t done = 0; done < place.size;) {
      const VirtAddr at{place.at.value + done};
      const auto mapping = session_.space().translate(at);
      if (at < place.at || !mapping)
        throw NotFound(fmt::format("{} bytes at {:#x} are to be erased, and {:#x} is not mapped", place.size,
                                   place.at.value, at.value));
      const uint64_t size = std::min(mapping->size, place.size - done);
      add_range({{mapping->phys, size}, place.fill});
      done += size;
    }
    ++count;
  }
  std::vector<ErasedRange> take() { return std::move(ranges_); }

  uint64_t count = 0;

 private:
  void add_range(const ErasedRange& range) {
    if (!ranges_.empty()) {
      ErasedRange& last = ranges_.back();
      if (last.where.end() == range.where.start && last.fill == range.fill) {
        last.where.size += range.where.size;
        return;
      }
    }
    if (ranges_.size() >= kMostRanges)
      throw Unsupported(fmt::format("the rules name more than {} places in memory", kMostRanges));
    ranges_.push_back(range);
  }

  const Session& session_;
  std::vector<ErasedRange> ranges_;
};

// "25", "1K", "2m"; nothing where it is an expression.
std::optional<uint64_t> literal_size(std::string_view text) {
  constexpr uint64_t kKibi = 1024;
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view unit(end, static_cast<size_t>(text.data() + text.size() - end));
  if (error != std::errc{}) return std::nullopt;
  if (unit.empty()) return number;
  const uint64_t factor = unit == "K" || unit == "k" ? kKibi : unit == "M" || unit == "m" ? kKibi * kKibi : 0;
  if (factor == 0) return std::nullopt;
  return number > kMostPlace ? number : number * factor;  // what is too large stays it
}

bool is_string(const Type& pointer) {
  const Type target = pointer.resolved().target().resolved();
  return target.name() == "char" && target.size() == 1;
}

// Follows the rules of a file through one kernel.
class RuleRun {
 public:
  RuleRun(const Session& session, const std::string& path)
      : session_(session), path_(path), places_(session) {}

  Erasure run(const std::vector<EraseRule>& rules) {
    follow(rules);
    Erasure erasure;
    write_record(rules, erasure.record, false);
    erasure.places = places_.count;
    erasure.ranges = ErasedRanges(places_.take());
    return erasure;
  }

 private:
  // What an erase rule came to, for the record.
  struct Tally {
    uint64_t places = 0;
    uint64_t bytes = 0;
  };

  void follow(const std::vector<EraseRule>& rules) {
    for (const EraseRule& rule : rules) follow(rule);
  }

  // An error of a rule within a loop is that rule's.
  void follow(const EraseRule& rule) {
    try {
      switch (rule.kind) {
        case EraseRule::Kind::section:
          return enter(rule.name);
        case EraseRule::Kind::erase:
          return erase(rule);
        case EraseRule::Kind::loop:
          break;
      }
      // Before the loop's own name is used: a loop around it may have the same.
      const Value container = container_of(rule);
      const auto outer = std::exchange(names_[rule.name], std::nullopt);
      for_each_element(rule, container, [&](const Value& element) {
        names_[rule.name] = element;
        follow(rule.body);
      });
      names_[rule.name] = outer;
    } catch (const RuleFailed&) {
      throw;
    } catch (const Error& error) {
      throw RuleFailed(about_rule(path_, rule, error.what()));
    }
  }

  // The whole dump is refused.
  class RuleFailed : public NotFound {
    using NotFound::NotFound;
  };

  void enter(const std::string& section) {
    module_ = section == "vmlinux" ? "" : section;
    const auto& all = session_.modules();
    const bool is_loaded =
        module_.empty() || std::any_of(all.modules.begin(), all.modules.end(),
                                       [&](const kernel::Module& module) { return module.name == module_; });
    if (!is_loaded)
      throw NotFound(
          fmt::format("no module {} is loaded{}{}", module_, all.fault.empty() ? "" : ": ", all.fault));
  }

  Value evaluate(std::string_view expression) const {
    return kernel::evaluate(session_, expression, [this](std::string_view name) { return find_name(name); });
  }
  std::optional<Value> find_name(std::string_view name) const {
    if (const auto own = names_.find(name); own != names_.end() && own->second) return own->second;
    return module_.empty() ? std::nullopt : std::optional(variable_of_module(name));
  }
  Value variable_of_module(std::string_view name) const {
    std::optional<VirtAddr> found;
    for (const symbol::Symbol& one : session_.module_symbols().find(name)) {
      if (one.module != module_ || one.address == found) continue;
      if (found) throw UsageError(fmt::format("{} is ambiguous: module {} has several", name, module_));
      found = one.address;
    }
    if (!found) throw NotFound(fmt::format("module {} has no symbol {}", module_, name));
    return session_.object(Type(), *found, std::string(name));
  }

  // A list is named by its head. makedumpfile's rules name the head's pointer to the first entry, from which
  // the head itself would look like an entry.
  Value container_of(const EraseRule& rule) const {
    if (!rule.link.empty()) {
      const auto tree = syntax::parse_expression(rule.expression, session_.types().for_parser());
      if (tree->op == syntax::Op::member && (tree->name == "next" || tree->name == "prev")) {
        const syntax::Node& of = *tree->operands[0];
        Value head = evaluate(std::string_view(rule.expression).substr(of.at, of.end - of.at));
        const Type own = head.type().resolved();
        if ((own.kind() == Kind::pointer ? own.target().resolved() : own).name() == "list_head") return head;
      }
    }
    return evaluate(rule.expression);
  }

  void erase(const EraseRule& rule) {
    const Value named = evaluate(rule.expression);
    if (!named.is_per_cpu()) return erase_one(rule, named);
    for (const unsigned cpu : session_.possible_cpus()) erase_one(rule, named.per_cpu(cpu));
  }

  void erase_one(const EraseRule& rule, const Value& named) {
    const auto place = place_of(rule, named);
    if (!place || place->size == 0) return;
    places_.add(*place);
    Tally& tally = tallies_[rule.line];
    ++tally.places;
    tally.bytes += place->size;
  }

  // A pointer stands for what it leads to: nothing where it leads nowhere.
  std::optional<Place> place_of(const EraseRule& rule, const Value& named) const {
    const Type own = named.type().resolved();
    if (rule.is_nullify) {
      if (own.kind() != Kind::pointer)
        throw UsageError(fmt::format("{} is a {}: nullify is for pointers", named.expression(),
                                     named.type().declaration()));
      return Place{VirtAddr{named.pointer().number()}, own.size(), kErasedPointer};
    }
    if (own.kind() == Kind::function)
      throw UsageError(fmt::format("{} is a function: its code is not erased", named.expression()));
    if (own.kind() == Kind::pointer)
      return named ? std::optional(Place{named.target(), size_of_target(rule, named)}) : std::nullopt;
    return Place{VirtAddr{named.pointer().number()}, size_of_place(rule, named)};
  }

  uint64_t size_of_place(const EraseRule& rule, const Value& named) const {
    if (!rule.size.empty()) return size_in(rule);
    if (named.type().is(Kind::nothing)) session_.fail_untyped(named.expression(), "erase {} size 64");
    const uint64_t size = named.type().size();
    if (size == 0) fail_size(named);
    return size;
  }

  uint64_t size_of_target(const EraseRule& rule, const Value& pointer) const {
    if (!rule.size.empty()) return size_in(rule);
    if (is_string(pointer.type())) {
      const size_t length = pointer.text(kMostString + 1).size();
      if (length > kMostString)
        throw UsageError(fmt::format("{} leads to a text of more than {} characters: say its size, as in {}",
                                     pointer.expression(), kMostString, "size 1M"));
      return length;
    }
    // Of bytes that are no text there are more than the one.
    const Type target = pointer.type().resolved().target();
    const uint64_t size = target.is(Kind::function) ? 0 : target.size();
    if (size <= 1) fail_size(pointer);
    return size;
  }

  [[noreturn]] static void fail_size(const Value& named) {
    throw UsageError(fmt::format("how many bytes {} has is not known by its type, {}: say it, as in size 64",
                                 named.expression(), named.type().declaration()));
  }

  uint64_t size_in(const EraseRule& rule) const {
    if (const auto size = literal_size(rule.size)) {
      if (*size == 0) throw UsageError("size 0 erases nothing");
      return *size;
    }
    const Value size = evaluate(rule.size);
    const uint64_t number = size.number();
    if (size.type().is_signed() && size.signed_number() < 0)
      throw UsageError(fmt::format("the size {} is {}", rule.size, size.signed_number()));
    return number;
  }

  // A rule that names one place is noted as makedumpfile notes it, another with what it came to.
  void write_record(const std::vector<EraseRule>& rules, std::string& record, bool in_loop) const {
    for (const EraseRule& rule : rules) {
      if (rule.kind != EraseRule::Kind::erase) {
        record += rule.text + '\n';
        write_record(rule.body, record, true);
        if (rule.kind == EraseRule::Kind::loop) record += "endfor\n";
        continue;
      }
      const auto found = tallies_.find(rule.line);
      const Tally tally = found == tallies_.end() ? Tally{} : found->second;
      if (tally.places == 1 && !in_loop)
        record += rule.is_nullify ? fmt::format("erase {} nullify\n", rule.expression)
                                  : fmt::format("erase {} size {}\n", rule.expression, tally.bytes);
      else
        record += fmt::format("{} # {} places, {} bytes\n", rule.text, tally.places, tally.bytes);
    }
  }

  const Session& session_;
  const std::string& path_;
  PlaceList places_;
  std::string module_;  // whose symbols are meant; empty: the kernel's
  std::map<std::string, std::optional<Value>, std::less<>> names_;  // of elements
  std::map<size_t, Tally> tallies_;                                 // by line
};

std::string read_rules(const std::string& path) {
  auto text = read_text_file(path, kMostRuleText + 1);
  if (!text) throw AccessError(fmt::format("{}: the rules cannot be read: {}", path, std::strerror(errno)));
  if (text->size() > kMostRuleText)
    throw FormatError(fmt::format("{}: no file of rules has more than {} bytes", path, kMostRuleText), 0);
  return std::move(*text);
}

}  // namespace

Erasure find_erased(const Session& session, const std::string& path) {
  return RuleRun(session, path).run(parse_erase_rules(read_rules(path), path));
}

}  // namespace kvista::dump
