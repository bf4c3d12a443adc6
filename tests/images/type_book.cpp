#include "images/type_book.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "images/description.h"

namespace kvista::test {
namespace {

constexpr uint64_t kWord = 8;

struct Basic {
  std::string_view name;  // as C writes it
  std::string_view btf;   // as compilers name it
  uint64_t size;
  bool is_signed;
};
constexpr std::array kBasic = {Basic{"char", "char", 1, true},
                               Basic{"unsigned char", "unsigned char", 1, false},
                               Basic{"unsigned short", "short unsigned int", 2, false},
                               Basic{"int", "int", 4, true},
                               Basic{"unsigned int", "unsigned int", 4, false},
                               Basic{"long", "long int", 8, true},
                               Basic{"unsigned long", "long unsigned int", 8, false},
                               Basic{"long long", "long long int", 8, true},
                               Basic{"unsigned long long", "long long unsigned int", 8, false}};

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

std::vector<std::string> tokens_of(std::string_view text) {
  std::vector<std::string> tokens;
  for (size_t at = 0; at < text.size();) {
    if (std::isspace(static_cast<unsigned char>(text[at])) != 0) {
      ++at;
      continue;
    }
    size_t end = at + 1;
    while (is_word(text[at]) && end < text.size() && is_word(text[end])) ++end;
    tokens.emplace_back(text.substr(at, end - at));
    at = end;
  }
  return tokens;
}

uint64_t align_up(uint64_t value, uint64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

}  // namespace

class BookReader {
 public:
  BookReader(TypeBook& book, std::string_view text) : book_(book), tokens_(tokens_of(text)) {}

  void run() {
    while (at_ < tokens_.size()) {
      const std::string word = take();
      if (word == "typedef")
        definition();
      else if (word == "enum")
        enumeration();
      else if (word == "struct" || word == "union")
        compound(word == "union");
      else
        throw DescriptionError(fmt::format("types: {} begins no declaration", word));
    }
  }

 private:
  using Type = TypeBook::Type;

  const std::string& peek() const {
    if (at_ >= tokens_.size()) throw DescriptionError("types: the declarations end too early");
    return tokens_[at_];
  }
  std::string take() {
    std::string token = peek();
    ++at_;
    return token;
  }
  bool accept(std::string_view text) {
    if (peek() != text) return false;
    ++at_;
    return true;
  }
  void expect(std::string_view text) {
    if (!accept(text)) throw DescriptionError(fmt::format("types: expected {}, found {}", text, peek()));
  }

  // "struct list_head *next", "char comm[16]".
  TypeBook::Member member() {
    TypeBook::Member member;
    std::vector<std::string> words;
    for (; peek() != ";" && peek() != "["; ++at_)
      if (peek() == "*")
        ++member.type.pointers;
      else
        words.push_back(peek());
    if (words.size() < 2) throw DescriptionError("types: a member needs a type and a name");
    member.name = words.back();
    words.pop_back();
    member.type.base = fmt::format("{}", fmt::join(words, " "));
    if (accept("[")) {
      member.type.count = parse_size(take());
      expect("]");
    }
    expect(";");
    return member;
  }

  void definition() {
    const TypeBook::Member named = member();
    Type type;
    type.kind = Type::Kind::definition;
    type.name = named.name;
    type.target = named.type;
    type.size = book_.size_of(named.type);
    type.alignment = book_.alignment_of(named.type);
    book_.add(named.name, std::move(type));
  }

  void enumeration() {
    Type type;
    type.kind = Type::Kind::enumeration;
    type.size = type.alignment = 4;
    type.name = take();
    expect("{");
    for (int64_t next = 0; !accept("}"); accept(",")) {
      const std::string name = take();
      if (accept("=")) next = static_cast<int64_t>(parse_size(take()));
      type.values.emplace_back(name, next++);
    }
    expect(";");
    const std::string full = "enum " + type.name;
    book_.add(full, std::move(type));
  }

  void compound(bool is_union) {
    Type type;
    type.kind = is_union ? Type::Kind::union_type : Type::Kind::compound;
    type.name = take();
    const std::string full = fmt::format("{} {}", is_union ? "union" : "struct", type.name);
    expect("{");
    while (!accept("}")) {
      TypeBook::Member one = member();
      const uint64_t alignment = book_.alignment_of(one.type);
      one.offset = is_union ? 0 : align_up(type.size, alignment);
      type.size = std::max(type.size, one.offset + book_.size_of(one.type));
      type.alignment = std::max(type.alignment, alignment);
      type.members.push_back(std::move(one));
    }
    expect(";");
    type.size = align_up(type.size, type.alignment);
    book_.add(full, std::move(type));
  }

  TypeBook& book_;
  std::vector<std::string> tokens_;
  size_t at_ = 0;
};

// Named types have the numbers of their places in the book; what is derived from them follows.
class BookWriter {
 public:
  explicit BookWriter(const TypeBook& book)
      : book_(book), next_(static_cast<uint32_t>(book.types_.size()) + 1) {}

  BtfBuilder run() {
    for (const auto& type : book_.types_) write(type);
    for (size_t i = 0; i < derived_.size(); ++i) {
      const auto [target, count] = derived_[i];
      if (count)
        out_.array(target, id_of("unsigned int"), static_cast<uint32_t>(*count));
      else
        out_.pointer(target);
    }
    return out_;
  }

 private:
  using Type = TypeBook::Type;

  uint32_t id_of(const std::string& base) const {
    return base == "void" ? 0 : static_cast<uint32_t>(book_.by_name_.at(base)) + 1;
  }
  uint32_t derive(uint32_t target, std::optional<uint64_t> count) {
    const auto found = std::find(derived_.begin(), derived_.end(), std::pair(target, count));
    const auto index = static_cast<uint32_t>(found - derived_.begin());
    if (found == derived_.end()) derived_.emplace_back(target, count);
    return next_ + index;
  }
  uint32_t id_of(const TypeBook::Use& use) {
    uint32_t id = id_of(use.base);
    for (unsigned i = 0; i < use.pointers; ++i) id = derive(id, std::nullopt);
    return use.count ? derive(id, use.count) : id;
  }

  void write(const Type& type) {
    switch (type.kind) {
      case Type::Kind::basic:
        out_.integer(type.name, static_cast<uint32_t>(type.size), type.is_signed);
        break;
      case Type::Kind::compound:
      case Type::Kind::union_type: {
        std::vector<BtfBuilder::Member> members;
        for (const auto& member : type.members)
          members.push_back({member.name, id_of(member.type), static_cast<uint32_t>(member.offset * 8)});
        out_.structure(type.name, static_cast<uint32_t>(type.size), members,
                       type.kind == Type::Kind::union_type);
        break;
      }
      case Type::Kind::enumeration: {
        std::vector<BtfBuilder::Enumerator> values;
        for (const auto& [name, value] : type.values) values.push_back({name, value});
        out_.enumeration(type.name, values);
        break;
      }
      case Type::Kind::definition:
        out_.reference(8, type.name, id_of(type.target));
        break;
      case Type::Kind::forward:
        out_.reference(7, type.name, 0);
        break;
    }
  }

  const TypeBook& book_;
  BtfBuilder out_;
  uint32_t next_;
  std::vector<std::pair<uint32_t, std::optional<uint64_t>>> derived_;  // arrays have a count
};

TypeBook::TypeBook(std::string_view declarations) {
  for (const Basic& basic : kBasic) {
    Type type;
    type.name = basic.btf;
    type.size = type.alignment = basic.size;
    type.is_signed = basic.is_signed;
    add(std::string(basic.name), std::move(type));
  }
  BookReader(*this, declarations).run();
  // What only pointers lead to.
  std::vector<std::string> missing;
  for (const Type& type : types_)
    for (const Member& member : type.members)
      if (member.type.base != "void" && !by_name_.contains(member.type.base))
        missing.push_back(member.type.base);
  for (const std::string& name : missing) {
    if (by_name_.contains(name)) continue;
    Type type;
    type.kind = Type::Kind::forward;
    type.name = name.substr(name.find(' ') + 1);
    add(name, std::move(type));
  }
}

void TypeBook::add(std::string full_name, Type type) {
  if (!by_name_.try_emplace(std::move(full_name), types_.size()).second)
    throw DescriptionError(fmt::format("types: {} is declared twice", type.name));
  types_.push_back(std::move(type));
}

const TypeBook::Type& TypeBook::of(std::string_view full_name) const {
  const auto found = by_name_.find(full_name);
  if (found == by_name_.end()) throw DescriptionError(fmt::format("types: there is no {}", full_name));
  return types_[found->second];
}

const TypeBook::Type& TypeBook::resolve(std::string_view full_name) const {
  const Type* type = &of(full_name);
  while (type->kind == Type::Kind::definition) type = &of(type->target.base);
  return *type;
}

uint64_t TypeBook::size_of(const Use& use) const {
  return (use.pointers > 0 ? kWord : of(use.base).size) * use.count.value_or(1);
}

uint64_t TypeBook::alignment_of(const Use& use) const {
  return use.pointers > 0 ? kWord : of(use.base).alignment;
}

uint64_t TypeBook::size(std::string_view type) const {
  return of(type).size;
}

std::pair<uint64_t, uint64_t> TypeBook::find(std::string_view type, std::string_view path) const {
  const Type* at = &resolve(type);
  std::pair<uint64_t, uint64_t> place{0, at->size};
  while (!path.empty()) {
    const size_t end = std::min(path.find('.'), path.size());
    std::string_view word = path.substr(0, end);
    path.remove_prefix(std::min(end + 1, path.size()));
    std::optional<uint64_t> index;
    if (const size_t bracket = word.find('['); bracket != std::string_view::npos) {
      index = parse_size(word.substr(bracket + 1, word.find(']') - bracket - 1));
      word = word.substr(0, bracket);
    }
    const auto member = std::find_if(at->members.begin(), at->members.end(),
                                     [&](const Member& one) { return one.name == word; });
    if (member == at->members.end())
      throw DescriptionError(fmt::format("types: {} has no member {}", at->name, word));
    const uint64_t size = size_of(member->type);
    const uint64_t element = size / member->type.count.value_or(1);
    place = {place.first + member->offset + index.value_or(0) * element, index ? element : size};
    if (!path.empty()) at = &resolve(member->type.base);
  }
  return place;
}

BtfBuilder TypeBook::btf() const {
  return BookWriter(*this).run();
}

}  // namespace kvista::test
