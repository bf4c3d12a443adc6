#include "cli/shell_names.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <system_error>

#include "base/error.h"

namespace kvista::cli {
namespace {

using decode::BtfKind;

// What `collect` adds until it fails.
template <typename Collect>
std::vector<std::string> as_far_as_known(Collect collect) {
  std::vector<std::string> names;
  try {
    collect(names);
  } catch (const Error&) {
    // Completion has nobody to complain to.
  }
  return names;
}

bool is_asked_for(BtfKind kind) {
  constexpr std::array kKinds = {BtfKind::structure, BtfKind::union_type, BtfKind::enumeration,
                                 BtfKind::type_definition};
  return std::find(kKinds.begin(), kKinds.end(), kind) != kKinds.end();
}

type::Type without_pointers(type::Type type) {
  constexpr unsigned kMostPointers = 4;
  type = type.resolved();
  for (unsigned depth = 0; depth < kMostPointers; ++depth) {
    if (type.kind() != type::Kind::pointer && type.kind() != type::Kind::array) break;
    type = type.target().resolved();
  }
  return type;
}

// Those of members without a name are the type's own.
void add_members(const type::Type& type, std::vector<std::string>& names, unsigned depth) {
  constexpr unsigned kMostNested = 16;
  if (depth > kMostNested || !type.is_compound()) return;
  for (const type::Member& member : type.members())
    if (member.name.empty())
      add_members(member.type.resolved(), names, depth + 1);
    else
      names.emplace_back(member.name);
}

type::Type type_of_path(const kernel::Session& session, const std::string& path) {
  size_t end = std::min(path.find('.'), path.size());
  type::Type type = without_pointers(session.types().by_word(path.substr(0, end)));
  while (end < path.size()) {
    const size_t first = end + 1;
    end = std::min(path.find('.', first), path.size());
    const auto member = type.find_member(path.substr(first, end - first));
    if (!member) throw NotFound(path);
    type = without_pointers(member->type);
  }
  return type;
}

}  // namespace

std::vector<std::string> symbols_with(const kernel::Session& session, const std::string& prefix) {
  return as_far_as_known([&](std::vector<std::string>& names) {
    const auto add = [&](const symbol::Symbol& symbol) {
      if (symbol.name.starts_with(prefix)) names.push_back(symbol.name);
    };
    session.symbols().for_each(add);
    session.module_symbols().for_each(add);
  });
}

std::vector<std::string> types_with(const kernel::Session& session, const std::string& prefix) {
  return as_far_as_known([&](std::vector<std::string>& names) {
    const type::BtfTypes* types = session.types().btf();
    if (types == nullptr) return;
    const decode::Btf& btf = types->btf();
    for (decode::BtfId id = btf.first_id(); id < btf.end_id(); ++id) {
      const decode::BtfType type = btf.type(id);
      if (is_asked_for(type.kind) && !type.name.empty() && type.name.starts_with(prefix))
        names.emplace_back(type.name);
    }
  });
}

std::vector<std::string> members_of(const kernel::Session& session, const std::string& of, bool is_type) {
  return as_far_as_known([&](std::vector<std::string>& names) {
    const type::Type type =
        is_type ? type_of_path(session, of) : without_pointers(session.evaluate(of).type());
    add_members(type, names, 0);
  });
}

std::vector<std::string> files_with(const std::string& prefix) {
  namespace fs = std::filesystem;
  const size_t slash = prefix.find_last_of('/');
  const std::string folder = slash == std::string::npos ? "" : prefix.substr(0, slash + 1);
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator at(folder.empty() ? "." : folder, error), end; !error && at != end;
       at.increment(error)) {
    std::string name = folder + at->path().filename().string();
    if (!name.starts_with(prefix)) continue;
    std::error_code ignored;
    if (at->is_directory(ignored)) name += '/';
    names.push_back(std::move(name));
  }
  return names;
}

}  // namespace kvista::cli
