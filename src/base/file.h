// A file that is read at offsets, and the small text files of /proc and /sys.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace kvista {

/// An open file descriptor, closed when it goes.
class File {
 public:
  /// Opens `path` for reading. Throws AccessError with the reason in plain words.
  static File open(const std::string& path);

  File(File&& other) noexcept;
  File& operator=(File&& other) noexcept;
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File();

  const std::string& path() const { return path_; }
  /// Size in bytes as stat gives it; 0 for most of /proc.
  uint64_t size() const { return size_; }
  bool is_regular() const { return regular_; }
  bool is_directory() const { return directory_; }

  /// Reads up to `out.size()` bytes at `offset`: the number read, fewer at the end of the file or at an
  /// error, in which case `error` (an errno) is set. Safe from several threads.
  size_t read_at(uint64_t offset, std::span<std::byte> out, int* error = nullptr) const;

 private:
  File(std::string path, int fd);

  std::string path_;
  int fd_ = -1;
  uint64_t size_ = 0;
  bool regular_ = false;
  bool directory_ = false;
};

/// The contents of a small text file (at most `limit` bytes), or nothing where it cannot be read.
std::optional<std::string> read_text_file(const std::string& path, size_t limit = size_t{1} << 20);

}  // namespace kvista
