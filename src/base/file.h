// A file that is read at offsets, and the small text files of /proc and /sys.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace kvista {

/// `size` bytes of a rearranged file from `start` on, which really are at `offset`.
struct FilePiece {
  uint64_t start = 0;
  uint64_t size = 0;
  uint64_t offset = 0;
  uint64_t end() const { return start + size; }
};
/// The offset of a piece whose bytes are zeros and stand nowhere.
inline constexpr uint64_t kZeroPiece = UINT64_MAX;
/// A file in another order than it is stored in: pieces sorted by start, disjoint, none empty.
using FilePieces = std::vector<FilePiece>;

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

  /// The same file, read as `pieces` say: offsets and size() are those of the rearranged file, and reading
  /// stops where no piece is. No regular file any more: it cannot be mapped.
  File rearranged(std::shared_ptr<const FilePieces> pieces) &&;

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
  size_t read_stored(uint64_t offset, std::span<std::byte> out, int* error) const;

  std::string path_;
  friend class FileWindow;
  std::shared_ptr<const FilePieces> pieces_;
  int fd_ = -1;
  uint64_t size_ = 0;
  bool regular_ = false;
  bool directory_ = false;
};

/// A piece of a regular file, mapped, that one thread moves along: looking at it costs no copy.
class FileWindow {
 public:
  FileWindow() = default;
  FileWindow(FileWindow&& other) noexcept;
  FileWindow& operator=(FileWindow&& other) noexcept;
  FileWindow(const FileWindow&) = delete;
  FileWindow& operator=(const FileWindow&) = delete;
  ~FileWindow();

  /// `size` bytes of `file` at `offset`, valid until the next call; none where the file ends before or cannot
  /// be mapped. A file that shrinks meanwhile, or whose disk fails, raises SIGBUS: see guard_mappings().
  std::span<const std::byte> view(const File& file, uint64_t offset, size_t size);

 private:
  void unmap();
  const File* file_ = nullptr;
  std::byte* bytes_ = nullptr;
  uint64_t start_ = 0;
  uint64_t size_ = 0;
};

/// From now on a mapped file that cannot be read any more ends the program with a sentence and `exit_status`.
void guard_mappings(int exit_status);

/// The contents of a small text file (at most `limit` bytes), or nothing where it cannot be read.
std::optional<std::string> read_text_file(const std::string& path, size_t limit = size_t{1} << 20);

}  // namespace kvista
