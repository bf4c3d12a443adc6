#include "kernel/format_value.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "kernel/session.h"

namespace kvista::kernel {
namespace {

using type::Kind;
using type::Type;

constexpr unsigned kMostDepth = 24;

// u8 and s8, which C makes of char too, are numbers in the kernel.
bool is_char(const Type& type) {
  const Type own = type.resolved();
  return own.size() == 1 && own.name() == "char";
}
bool is_text(const Type& array) {
  return is_char(array.resolved().target());
}

std::string quoted(std::string_view bytes) {
  std::string text = "\"";
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\')
      text += fmt::format("\\{}", c);
    else if (c == '\n')
      text += "\\n";
    else if (byte < ' ' || byte >= 0x7f)
      text += fmt::format("\\{:03o}", byte);
    else
      text += c;
  }
  return text + "\"";
}

std::string enumeration_text(const Value& value) {
  const uint64_t number = value.number();
  for (const type::Enumerator& one : value.type().enumerators())
    if (one.value == number) return std::string(one.name);
  return fmt::format("{}", static_cast<int64_t>(number));
}

std::string pointer_text(const Session& session, const Value& value, Radix radix) {
  const uint64_t number = value.number();
  std::string text = radix == Radix::decimal ? fmt::format("{}", number) : fmt::format("{:#x}", number);
  if (value.type().resolved().target().is(Kind::function)) {
    const std::string name = session.symbol_text(VirtAddr{number});
    if (!name.empty()) text += fmt::format(" <{}>", name);
  }
  return text;
}

class Writer {
 public:
  Writer(const Session& session, const ValueStyle& style) : session_(session), style_(style) {}

  void add(const Value& value, unsigned depth, const std::string& path, const std::string& label,
           const std::string& tail) {
    const size_t before = result_.lines.size();
    try {
      add_parts(value, depth, path, label, tail);
    } catch (const FormatError& error) {
      // A type that is damaged costs this value, not those beside it.
      result_.lines.resize(before);
      add_damaged(error.what(), depth, path, label, tail);
    }
  }

  ValueLines take() { return std::move(result_); }

 private:
  void add_damaged(const char* why, unsigned depth, const std::string& path, const std::string& label,
                   const std::string& tail) {
    ++result_.faults;
    const std::string text = fmt::format("<not shown: {}>", why);
    add_line({depth, label + text + tail, path, "?", text, {}});
  }

  void add_parts(const Value& value, unsigned depth, const std::string& path, const std::string& label,
                 const std::string& tail) {
    const Type own = value.type().resolved();
    if (depth > kMostDepth) {
      ++result_.cut;
      return open(depth, label + "..." + tail);
    }
    if (own.is_compound()) return add_members(value, depth, path, label, tail);
    if (own.kind() == Kind::array && !is_text(own)) return add_elements(value, depth, path, label, tail);
    const std::string text = text_of(value);
    add_line({depth, label + text + tail, path, value.type().declaration(), text, value.address()});
  }

  std::string text_of(const Value& value) {
    try {
      return scalar_text(session_, value, style_.radix);
    } catch (const FaultError& error) {
      ++result_.faults;
      return fmt::format("<not readable: {}>", error.end() == machine::WalkEnd::mapped
                                                   ? session_.image().describe_state(error.state())
                                                   : machine::describe(error.end()));
    }
  }

  void add_line(ValueLine line) { result_.lines.push_back(std::move(line)); }
  void open(unsigned depth, const std::string& text) { add_line({depth, text, {}, {}, {}, {}}); }
  bool is_full() const { return result_.lines.size() >= style_.most_lines; }
  void leave_out(unsigned depth, const std::string& what) {
    ++result_.cut;
    open(depth, "... " + what);
  }

  void add_members(const Value& value, unsigned depth, const std::string& path, const std::string& label,
                   const std::string& tail) {
    open(depth, label + "{");
    const auto& members = value.type().members();
    for (size_t i = 0; i < members.size(); ++i) {
      if (is_full()) {
        leave_out(depth + 1, fmt::format("{} members in all", members.size()));
        break;
      }
      const type::Member& member = members[i];
      const std::string comma = i + 1 < members.size() ? "," : "";
      if (member.name.empty()) {
        if (!member.type.is_compound()) continue;  // bits that only fill up
        const VirtAddr at = *value.address() + member.bit_offset / 8;
        add(session_.object(member.type, at, value.expression()), depth + 1, path, "", comma);
        continue;
      }
      const std::string name(member.name);
      const std::string inner = path.empty() ? name : fmt::format("{}.{}", path, name);
      try {
        add(value[name], depth + 1, inner, name + " = ", comma);
      } catch (const FormatError& error) {
        add_damaged(error.what(), depth + 1, inner, name + " = ", comma);
      }
    }
    open(depth, "}" + tail);
  }

  // Neighbours of one value are shown once, with their number.
  void add_elements(const Value& value, unsigned depth, const std::string& path, const std::string& label,
                    const std::string& tail) {
    const Type own = value.type().resolved();
    const uint64_t count = std::min(own.count(), style_.most_elements);
    const bool is_simple = !own.target().is_compound() && !own.target().is(Kind::array);
    if (is_simple) {
      const std::string text = simple_elements(value, count, own.count());
      add_line({depth, label + text + tail, path, value.type().declaration(), text, value.address()});
      if (count < own.count()) ++result_.cut;
      return;
    }
    open(depth, label + "{");
    uint64_t done = 0;
    for (; done < count && !is_full(); ++done)
      add(value[done], depth + 1, fmt::format("{}[{}]", path, done), "", done + 1 < own.count() ? "," : "");
    if (done < own.count()) leave_out(depth + 1, fmt::format("{} elements in all", own.count()));
    open(depth, "}" + tail);
  }

  std::string simple_elements(const Value& value, uint64_t count, uint64_t all) {
    std::string text = "{";
    for (uint64_t i = 0; i < count;) {
      const std::string one = text_of(value[i]);
      uint64_t next = i + 1;
      while (next < count && text_of(value[next]) == one) ++next;
      text += i == 0 ? "" : ", ";
      text += next - i > 4 ? fmt::format("{} <repeats {} times>", one, next - i) : one;
      if (next - i <= 4)
        for (uint64_t k = i + 1; k < next; ++k) text += ", " + one;
      i = next;
    }
    return text + (count < all ? ", ...}" : "}");
  }

  const Session& session_;
  ValueStyle style_;
  ValueLines result_;
};

// __int128, of which registers are kept (arm64's vectors): hexadecimal in either radix.
std::string wide_text(const Session& session, const Value& value) {
  const VirtAddr at = *value.address();  // what is as wide was read from memory
  const bool is_big = session.byte_order() == ByteOrder::big;
  const uint64_t upper = session.read_number(at + (is_big ? 0 : 8), 8, nullptr);
  const uint64_t lower = session.read_number(at + (is_big ? 8 : 0), 8, nullptr);
  return upper == 0 ? fmt::format("{:#x}", lower) : fmt::format("{:#x}{:016x}", upper, lower);
}

}  // namespace

std::string scalar_text(const Session& session, const Value& value, Radix radix) {
  const Type own = value.type().resolved();
  switch (own.kind()) {
    case Kind::pointer:
      return pointer_text(session, value, radix);
    case Kind::boolean:
      return value.number() == 0 ? "false" : "true";
    case Kind::enumeration:
      return enumeration_text(value);
    case Kind::array:
      return own.count() == 0 ? "{}" : quoted(value.text());
    case Kind::function: {
      const std::string name = session.symbol_text(VirtAddr{value.number()});
      return fmt::format("{{{}}} {:#x}{}", own.declaration(), value.number(),
                         name.empty() ? "" : fmt::format(" <{}>", name));
    }
    case Kind::floating:
      throw UsageError(
          fmt::format("{} is a {}, which kernels do not keep", value.expression(), own.declaration()));
    default:
      break;
  }
  if (own.kind() == Kind::integer && own.size() == 16) return wide_text(session, value);
  const uint64_t number = value.number();
  if (radix == Radix::hexadecimal) {
    const unsigned bits = static_cast<unsigned>(own.size()) * 8;
    return fmt::format("{:#x}", bits < 64 && bits > 0 ? number & ((uint64_t{1} << bits) - 1) : number);
  }
  std::string text =
      own.is_signed() ? fmt::format("{}", static_cast<int64_t>(number)) : fmt::format("{}", number);
  if (is_char(own) && number >= ' ' && number < 0x7f) text += fmt::format(" '{}'", static_cast<char>(number));
  return text;
}

ValueLines value_lines(const Session& session, const Value& value, const ValueStyle& style) {
  Writer writer(session, style);
  writer.add(value, 0, {}, {}, {});
  return writer.take();
}

}  // namespace kvista::kernel
