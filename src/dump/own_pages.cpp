#include "dump/own_pages.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <memory>

namespace kvista::dump {
namespace {

// An entry of /proc/PID/pagemap (Documentation/admin-guide/mm/pagemap.rst).
constexpr uint64_t kPresent = uint64_t{1} << 63;
constexpr uint64_t kFile = uint64_t{1} << 61;  // of a file, or shared: not this process's own
constexpr uint64_t kFrame = (uint64_t{1} << 55) - 1;

void add_range(int pagemap, uint64_t start, uint64_t end, std::vector<Pfn>& frames) {
  const auto page_size = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  std::array<uint64_t, 512> entries{};
  for (uint64_t page = start / page_size; page < end / page_size;) {
    const size_t count = std::min<uint64_t>(entries.size(), end / page_size - page);
    const ssize_t got =
        pread(pagemap, entries.data(), count * sizeof(uint64_t), static_cast<off_t>(page * sizeof(uint64_t)));
    if (got <= 0) return;
    const size_t read = static_cast<size_t>(got) / sizeof(uint64_t);
    for (size_t i = 0; i < read; ++i)
      if ((entries.at(i) & kPresent) != 0 && (entries.at(i) & kFile) == 0 && (entries.at(i) & kFrame) != 0)
        frames.push_back(Pfn{entries.at(i) & kFrame});
    page += std::max<size_t>(read, 1);
  }
}

}  // namespace

std::vector<Pfn> own_pages() {
  std::vector<Pfn> frames;
  const int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> maps(std::fopen("/proc/self/maps", "re"),
                                                             std::fclose);
  if (pagemap >= 0 && maps) {
    unsigned long start = 0;
    unsigned long end = 0;
    // NOLINTNEXTLINE(cert-err34-c): what is no range ends the loop
    while (std::fscanf(maps.get(), "%lx-%lx%*[^\n]", &start, &end) == 2)
      add_range(pagemap, start, end, frames);
  }
  if (pagemap >= 0) close(pagemap);
  std::sort(frames.begin(), frames.end());
  return frames;
}

}  // namespace kvista::dump
