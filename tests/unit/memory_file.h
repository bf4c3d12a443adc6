// A file that exists in memory only, for code that reads files by path.
#pragma once

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

#include "base/file.h"

namespace kvista::test {

class MemoryFile {
 public:
  explicit MemoryFile(std::span<const std::byte> contents) : fd_(memfd_create("kvista-test", MFD_CLOEXEC)) {
    if (fd_ < 0) throw std::runtime_error("memfd_create failed");
    while (!contents.empty()) {
      const ssize_t n = ::write(fd_, contents.data(), contents.size());
      if (n <= 0) throw std::runtime_error("writing to a memory file failed");
      contents = contents.subspan(static_cast<size_t>(n));
    }
  }
  explicit MemoryFile(std::string_view text) : MemoryFile(std::as_bytes(std::span(text))) {}
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  ~MemoryFile() { ::close(fd_); }

  /// A path that opens this file anew, as long as this object lives.
  std::string path() const { return fmt::format("/proc/self/fd/{}", fd_); }
  File open() const { return File::open(path()); }
  /// Cuts the file, or makes it longer without writing anything.
  void resize(off_t size) const {
    if (ftruncate(fd_, size) != 0) throw std::runtime_error("ftruncate failed");
  }

 private:
  int fd_;
};

}  // namespace kvista::test
