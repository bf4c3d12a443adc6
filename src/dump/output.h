// Where a dump goes: a file, or a stream of records that becomes one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/error.h"

namespace kvista::dump {

/// The output took no more: a full disk, a broken pipe, a limit. What was written stays.
class OutputFailed : public Error {
  using Error::Error;
};

/// There is no room for it: a full disk, a quota, a limit. What is smaller can fit.
class OutputFull : public OutputFailed {
  using OutputFailed::OutputFailed;
};

/// Bytes at offsets. One thread at a time. All functions throw OutputFailed.
class Output {
 public:
  Output() = default;
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;
  virtual ~Output() = default;

  virtual void write(uint64_t offset, std::span<const std::byte> bytes) = 0;
  /// Takes room for what comes later, so that a full disk shows now: [offset, offset + size), read as zeros.
  virtual void reserve(uint64_t offset, uint64_t size) = 0;
  /// Whether what was written can be read back.
  virtual bool can_read() const { return false; }
  /// Reads back bytes that were written or reserved. Only where can_read(). Safe from several threads.
  virtual void read(uint64_t offset, std::span<std::byte> bytes) const;
  /// Whether what is not written, before the end, is read as zeros.
  virtual bool has_holes() const { return false; }
  /// All that was written is safe on the disk after this.
  virtual void sync() = 0;
  /// Nothing more comes.
  virtual void end() = 0;
};

/// Makes a file of its own, with mode 0600; with `flattened` one of makedumpfile's records, for which "-" is
/// standard output. What reaches beyond `limit` bytes throws OutputFull. Throws AccessError where it exists
/// and `overwrite` is not set, or cannot be made.
std::unique_ptr<Output> create_output(const std::string& path, bool flattened, bool overwrite,
                                      std::optional<uint64_t> limit = {});

/// An output that goes nowhere.
std::unique_ptr<Output> create_nothing();

}  // namespace kvista::dump
