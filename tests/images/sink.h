// Where the bytes of a file that a test builds go: into memory, or to a path.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace kvista::test {

class Sink {
 public:
  Sink() = default;
  Sink(const Sink&) = delete;
  Sink& operator=(const Sink&) = delete;
  virtual ~Sink() = default;
  /// Bytes that belong `offset` bytes into the file, in any order; what is never written is zeros.
  virtual void write(uint64_t offset, std::span<const std::byte> bytes) = 0;
  /// The file grows, with zeros, or is cut.
  virtual void set_size(uint64_t size) = 0;
};

class MemorySink final : public Sink {
 public:
  void write(uint64_t offset, std::span<const std::byte> bytes) override;
  void set_size(uint64_t size) override { bytes_.resize(size); }
  std::vector<std::byte> take() { return std::exchange(bytes_, {}); }

 private:
  std::vector<std::byte> bytes_;
};

/// A new file, with holes where nothing is written. Its methods throw std::runtime_error where they fail.
class FileSink final : public Sink {
 public:
  explicit FileSink(const std::string& path);
  FileSink(const FileSink&) = delete;
  FileSink& operator=(const FileSink&) = delete;
  ~FileSink() override;

  void write(uint64_t offset, std::span<const std::byte> bytes) override;
  void set_size(uint64_t size) override;

 private:
  [[noreturn]] void fail() const;

  std::string path_;
  int fd_ = -1;
};

}  // namespace kvista::test
