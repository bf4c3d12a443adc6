#include <algorithm>
#include <string_view>

#include "fuzz/targets.h"
#include "image/live.h"

namespace kvista::fuzz {

bool iomem(Input input) {
  const std::string_view text(reinterpret_cast<const char*>(input.data()), input.size());
  const auto entries = image::parse_iomem(text);
  for (const image::IomemEntry& entry : entries) {
    require(entry.range.size > 0 && entry.range.end() > entry.range.start, "no range is empty or wraps");
    require(entry.name.find('\n') == std::string::npos, "a name is within its line");
  }
  const auto lines = static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
  require(entries.size() <= lines + 1, "a line has one entry at most");
  return !entries.empty() && entries.size() == lines;
}

}  // namespace kvista::fuzz
