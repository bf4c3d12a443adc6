#include "base/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <limits>
#include <string_view>
#include <utility>

#include "base/error.h"

namespace kvista {

File::File(std::string path, int fd) : path_(std::move(path)), fd_(fd) {
  struct stat st {};
  if (fstat(fd_, &st) != 0) return;
  size_ = static_cast<uint64_t>(std::max<off_t>(st.st_size, 0));
  regular_ = S_ISREG(st.st_mode);
  directory_ = S_ISDIR(st.st_mode);
}

File File::open(const std::string& path) {
  // O_NONBLOCK: do not wait for a pipe's writer.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) throw AccessError(fmt::format("cannot open {}: {}", path, std::strerror(errno)));
  return {path, fd};
}

File::File(File&& other) noexcept {
  *this = std::move(other);
}

File& File::operator=(File&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(pieces_, other.pieces_);
  std::swap(fd_, other.fd_);
  std::swap(size_, other.size_);
  std::swap(regular_, other.regular_);
  std::swap(directory_, other.directory_);
  return *this;
}

File::~File() {
  if (fd_ >= 0) ::close(fd_);
}

File File::rearranged(std::shared_ptr<const FilePieces> pieces) && {
  File file = std::move(*this);
  file.size_ = pieces->empty() ? 0 : pieces->back().end();
  file.regular_ = false;
  file.pieces_ = std::move(pieces);
  return file;
}

size_t File::read_at(uint64_t offset, std::span<std::byte> out, int* error) const {
  if (error != nullptr) *error = 0;
  if (!pieces_) return read_stored(offset, out, error);
  auto piece = std::upper_bound(pieces_->begin(), pieces_->end(), offset,
                                [](uint64_t at, const FilePiece& p) { return at < p.end(); });
  size_t done = 0;
  for (; done < out.size() && piece != pieces_->end() && piece->start <= offset + done; ++piece) {
    const uint64_t into = offset + done - piece->start;
    const auto part = out.subspan(done, std::min<uint64_t>(piece->size - into, out.size() - done));
    const bool zeros = piece->offset == kZeroPiece;
    if (zeros) std::fill(part.begin(), part.end(), std::byte{0});
    const size_t got = zeros ? part.size() : read_stored(piece->offset + into, part, error);
    done += got;
    if (got < part.size()) break;
  }
  return done;
}

size_t File::read_stored(uint64_t offset, std::span<std::byte> out, int* error) const {
  size_t done = 0;
  while (done < out.size()) {
    const uint64_t at = offset + done;
    if (at < offset || at > static_cast<uint64_t>(std::numeric_limits<off_t>::max())) break;
    const ssize_t n = ::pread(fd_, out.data() + done, out.size() - done, static_cast<off_t>(at));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && error != nullptr) *error = errno;
    if (n <= 0) break;
    done += static_cast<size_t>(n);
  }
  return done;
}

FileWindow::FileWindow(FileWindow&& other) noexcept
    : file_(other.file_),
      bytes_(std::exchange(other.bytes_, nullptr)),
      start_(other.start_),
      size_(other.size_) {}

FileWindow& FileWindow::operator=(FileWindow&& other) noexcept {
  std::swap(file_, other.file_);
  std::swap(bytes_, other.bytes_);
  std::swap(start_, other.start_);
  std::swap(size_, other.size_);
  return *this;
}

FileWindow::~FileWindow() {
  unmap();
}

void FileWindow::unmap() {
  if (bytes_ != nullptr) ::munmap(bytes_, size_);
  bytes_ = nullptr;
}

std::span<const std::byte> FileWindow::view(const File& file, uint64_t offset, size_t size) {
  // As large as a huge page, and aligned to it: where the page cache holds the file in large pieces, the
  // kernel maps these whole.
  constexpr uint64_t kWindow = uint64_t{2} << 20;
  if (size == 0 || file.pieces_ || offset >= file.size() || size > file.size() - offset) return {};
  if (bytes_ == nullptr || file_ != &file || offset < start_ || offset + size > start_ + size_) {
    unmap();
    file_ = &file;
    start_ = offset / kWindow * kWindow;
    size_ = std::min((offset + size + kWindow - 1) / kWindow * kWindow, file.size()) - start_;
    void* at = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, file.fd_, static_cast<off_t>(start_));
    if (at == MAP_FAILED) return {};
    bytes_ = static_cast<std::byte*>(at);
  }
  return {bytes_ + (offset - start_), size};
}

void guard_mappings(int exit_status) {
  static int status;
  status = exit_status;
  struct sigaction action {};
  action.sa_handler = [](int) {
    constexpr std::string_view kSentence =
        "kvista: the image cannot be read any more: its file became shorter, or its disk failed\n";
    [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, kSentence.data(), kSentence.size());
    ::_exit(status);
  };
  ::sigaction(SIGBUS, &action, nullptr);
}

std::optional<std::string> read_text_file(const std::string& path, size_t limit) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return std::nullopt;
  std::string text;
  char chunk[4096];
  ssize_t n = 0;
  while (text.size() < limit && ((n = ::read(fd, chunk, sizeof chunk)) > 0 || (n < 0 && errno == EINTR))) {
    if (n > 0) text.append(chunk, static_cast<size_t>(n));
  }
  const int error = errno;
  ::close(fd);
  errno = error;
  if (n < 0) return std::nullopt;
  text.resize(std::min(text.size(), limit));
  return text;
}

}  // namespace kvista
