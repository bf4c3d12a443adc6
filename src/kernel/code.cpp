#include "kernel/code.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/error.h"
#include "kernel/session.h"

namespace kvista::kernel {
namespace {

constexpr uint64_t kMostBytes = uint64_t{1} << 20;
constexpr uint64_t kBound = 4096;  // of a function that no symbol follows
constexpr uint64_t kPage = 4096;   // or larger: then it is asked for in parts

// The piece up to the end of a page; `why_missing` says why it is not there.
CodePiece read_piece(const Session& session, VirtAddr at, uint64_t size) {
  CodePiece piece{at, size, std::vector<std::byte>(size), {}};
  const machine::VirtRead got = session.space().read(at, piece.bytes);
  if (got.done == size) return piece;
  piece.why_missing = got.end == machine::WalkEnd::mapped ? session.image().describe_state(got.state)
                                                          : std::string(machine::describe(got.end));
  piece.bytes.clear();
  return piece;
}

void append(std::vector<CodePiece>& pieces, CodePiece piece) {
  if (pieces.empty() || pieces.back().why_missing != piece.why_missing) {
    pieces.push_back(std::move(piece));
    return;
  }
  CodePiece& last = pieces.back();
  last.size += piece.size;
  last.bytes.insert(last.bytes.end(), piece.bytes.begin(), piece.bytes.end());
}

}  // namespace

std::optional<Function> function_at(const Session& session, VirtAddr address) {
  const auto near = session.nearest_symbol(address);
  if (!near) return std::nullopt;
  const VirtAddr first = near->symbol.address;
  if (near->size && *near->size > near->offset)
    return Function{near->symbol, first, first + std::min(*near->size, kMostBytes), true};
  return Function{near->symbol, first, std::max(first + kBound, address + kBound), false};
}

std::vector<CodePiece> read_code(const Session& session, VirtAddr first, VirtAddr end) {
  std::vector<CodePiece> pieces;
  if (end > first + kMostBytes) end = first + kMostBytes;
  for (VirtAddr at = first; at < end;) {
    const uint64_t size = std::min(kPage - at.value % kPage, end - at);
    append(pieces, read_piece(session, at, size));
    at = at + size;
  }
  return pieces;
}

bool is_code(const Session& session, VirtAddr address) {
  constexpr std::array<std::pair<const char*, const char*>, 2> kLabels = {
      std::pair{"_stext", "_etext"}, std::pair{"_sinittext", "_einittext"}};
  for (const auto& [start, end] : kLabels) {
    const auto first = session.symbols().find(start);
    const auto last = session.symbols().find(end);
    if (!first.empty() && !last.empty() && address >= first.front().address && address < last.front().address)
      return true;
  }
  return module_at(session, address) != nullptr;
}

}  // namespace kvista::kernel
