#include "dump/output.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include "base/endian.h"

namespace kvista::dump {
namespace {

// So much may be in the page cache and not on the disk: the rest of memory is the capture kernel's.
constexpr uint64_t kWriteBack = uint64_t{8} << 20;

[[noreturn]] void fail_open(const std::string& path) {
  if (errno == EEXIST)
    throw AccessError(fmt::format("{}: it exists already, and is kept: -f overwrites it", path));
  throw AccessError(fmt::format("{}: cannot be made: {}", path, std::strerror(errno)));
}

bool is_full(int why) {
  return why == ENOSPC || why == EFBIG || why == EDQUOT;
}

/// A file descriptor that is written to.
class Target {
 public:
  Target(std::string path, bool overwrite) : path_(std::move(path)) {
    const int how = O_RDWR | O_CREAT | O_CLOEXEC | (overwrite ? 0 : O_EXCL);
    fd_ = ::open(path_.c_str(), how, S_IRUSR | S_IWUSR);
    if (fd_ < 0) fail_open(path_);
    // What was there before may have been open to others; a device has no contents to drop.
    struct stat status {};
    if (fstat(fd_, &status) != 0 || !S_ISREG(status.st_mode)) return;
    if (fchmod(fd_, S_IRUSR | S_IWUSR) != 0 || ftruncate(fd_, 0) != 0) fail("cannot be emptied");
  }
  Target() : path_("standard output"), fd_(STDOUT_FILENO) {}
  Target(const Target&) = delete;
  Target& operator=(const Target&) = delete;
  ~Target() {
    if (fd_ > STDERR_FILENO) close(fd_);
  }

  int fd() const { return fd_; }
  const std::string& path() const { return path_; }
  [[noreturn]] void fail(std::string_view what) const {
    const int why = errno;
    const std::string text = fmt::format("{}: {}: {}", path_, what, std::strerror(why));
    if (is_full(why)) throw OutputFull(text);
    throw OutputFailed(text);
  }

  void sync() const {
    if (fsync(fd_) != 0 && errno != EINVAL && errno != EROFS) fail("cannot be written back to the disk");
  }

 private:
  std::string path_;
  int fd_ = -1;
};

class FileOutput final : public Output {
 public:
  FileOutput(const std::string& path, bool overwrite) : target_(path, overwrite) {}

  void write(uint64_t offset, std::span<const std::byte> bytes) override {
    while (!bytes.empty()) {
      const ssize_t done = pwrite(target_.fd(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
      if (done < 0 && errno == EINTR) continue;
      if (done == 0) errno = ENOSPC;
      if (done <= 0) target_.fail("cannot be written");
      bytes = bytes.subspan(static_cast<size_t>(done));
      offset += static_cast<uint64_t>(done);
      end_ = std::max(end_, offset);
    }
    if (end_ - written_back_ >= kWriteBack) write_back();
  }

  void reserve(uint64_t offset, uint64_t size) override {
    if (size == 0) return;
    end_ = std::max(end_, offset + size);
    if (fallocate(target_.fd(), 0, static_cast<off_t>(offset), static_cast<off_t>(size)) == 0) return;
    if (is_full(errno) || errno == EIO) target_.fail("has no room for the dump's tables");
    // A file system that cannot do it, or a device: the file gets its size, and what is not written is zeros.
    if (ftruncate(target_.fd(), static_cast<off_t>(end_)) != 0 && errno != EINVAL)
      target_.fail("cannot be made as large as the dump's tables");
  }

  bool can_read() const override { return true; }
  bool has_holes() const override { return true; }

  void read(uint64_t offset, std::span<std::byte> bytes) const override {
    while (!bytes.empty()) {
      const ssize_t done = pread(target_.fd(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
      if (done < 0 && errno == EINTR) continue;
      if (done == 0) errno = EIO;
      if (done <= 0) target_.fail("cannot be read back");
      bytes = bytes.subspan(static_cast<size_t>(done));
      offset += static_cast<uint64_t>(done);
    }
  }

  void sync() override { target_.sync(); }
  void end() override {}

 private:
  // Begins to write what has come since the last time, and drops what came before that: a crash kernel has
  // little memory, and a dump is not read again.
  void write_back() {
    const auto now = static_cast<off_t>(end_ - written_back_);
    sync_file_range(target_.fd(), static_cast<off_t>(written_back_), now, SYNC_FILE_RANGE_WRITE);
    if (dropped_ < written_back_) {
      const auto before = static_cast<off_t>(written_back_ - dropped_);
      sync_file_range(target_.fd(), static_cast<off_t>(dropped_), before,
                      SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
      posix_fadvise(target_.fd(), static_cast<off_t>(dropped_), before, POSIX_FADV_DONTNEED);
    }
    dropped_ = written_back_;
    written_back_ = end_;
  }

  Target target_;
  uint64_t end_ = 0;           // of what was written
  uint64_t written_back_ = 0;  // up to here the disk was told to begin
  uint64_t dropped_ = 0;       // up to here nothing is kept in memory
};

// Records of big-endian offset, size and bytes, behind a header of 4096 bytes; one with both -1 ends it.
class FlattenedOutput final : public Output {
 public:
  FlattenedOutput(const std::string& path, bool overwrite)
      : target_(path == "-" ? Target() : Target(path, overwrite)) {
    constexpr size_t kHeaderSize = 4096;
    constexpr std::string_view kSignature = "makedumpfile";
    constexpr size_t kTypeAt = 16;
    std::array<std::byte, kHeaderSize> header{};
    std::memcpy(header.data(), kSignature.data(), kSignature.size());
    store<uint64_t>(&header[kTypeAt], 1, ByteOrder::big);
    store<uint64_t>(&header[kTypeAt + 8], 1, ByteOrder::big);
    send(header);
  }

  void write(uint64_t offset, std::span<const std::byte> bytes) override {
    if (bytes.empty()) return;
    send_head(offset, bytes.size());
    send(bytes);
  }
  // What no record gives is zeros in the file that the stream becomes, if anything comes behind it; something
  // always does.
  void reserve(uint64_t /*offset*/, uint64_t /*size*/) override {}
  void sync() override { target_.sync(); }
  void end() override { send_head(UINT64_MAX, UINT64_MAX); }

 private:
  void send_head(uint64_t offset, uint64_t size) {
    std::array<std::byte, 16> head;
    store(head.data(), offset, ByteOrder::big);
    store(&head[8], size, ByteOrder::big);
    send(head);
  }

  void send(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const ssize_t done = ::write(target_.fd(), bytes.data(), bytes.size());
      if (done < 0 && errno == EINTR) continue;
      if (done == 0) errno = ENOSPC;
      if (done <= 0) target_.fail("cannot be written");
      bytes = bytes.subspan(static_cast<size_t>(done));
    }
  }

  Target target_;
};

class LimitedOutput final : public Output {
 public:
  LimitedOutput(std::unique_ptr<Output> inner, uint64_t limit) : inner_(std::move(inner)), limit_(limit) {}

  void write(uint64_t offset, std::span<const std::byte> bytes) override {
    check(offset, bytes.size());
    inner_->write(offset, bytes);
  }
  void reserve(uint64_t offset, uint64_t size) override {
    check(offset, size);
    inner_->reserve(offset, size);
  }
  bool can_read() const override { return inner_->can_read(); }
  bool has_holes() const override { return inner_->has_holes(); }
  void read(uint64_t offset, std::span<std::byte> bytes) const override { inner_->read(offset, bytes); }
  void sync() override { inner_->sync(); }
  void end() override { inner_->end(); }

 private:
  void check(uint64_t offset, uint64_t size) const {
    if (size > limit_ || offset > limit_ - size)
      throw OutputFull(fmt::format("the dump may have {} bytes, and needs more", limit_));
  }

  std::unique_ptr<Output> inner_;
  uint64_t limit_;
};

class NoOutput final : public Output {
 public:
  void write(uint64_t /*offset*/, std::span<const std::byte> /*bytes*/) override {}
  void reserve(uint64_t /*offset*/, uint64_t /*size*/) override {}
  void sync() override {}
  void end() override {}
};

}  // namespace

void Output::read(uint64_t /*offset*/, std::span<std::byte> /*bytes*/) const {
  throw OutputFailed("this output cannot be read back");
}

std::unique_ptr<Output> create_output(const std::string& path, bool flattened, bool overwrite,
                                      std::optional<uint64_t> limit) {
  std::unique_ptr<Output> output;
  if (flattened)
    output = std::make_unique<FlattenedOutput>(path, overwrite);
  else
    output = std::make_unique<FileOutput>(path, overwrite);
  return limit ? std::make_unique<LimitedOutput>(std::move(output), *limit) : std::move(output);
}

std::unique_ptr<Output> create_nothing() {
  return std::make_unique<NoOutput>();
}

}  // namespace kvista::dump
