// How large a dump would be, from a sample of its pages, and what memory to reserve for taking it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "dump/request.h"
#include "kernel/session.h"

namespace kvista::dump {

/// What is estimated for pages of one class.
struct ClassEstimate {
  uint64_t pages = 0;    ///< that the dump would hold; counted
  uint64_t sampled = 0;  ///< of them, how many were read and compressed
  double zeros = 0;      ///< estimated pages of zeros
  double bytes = 0;      ///< estimated bytes in the dump
};

struct Estimate {
  unsigned level = 0;
  uint64_t page_size = 0;
  uint64_t frames = 0;   ///< of memory
  uint64_t pages = 0;    ///< that the dump would hold; counted
  uint64_t tables = 0;   ///< bytes of headers, notes, bitmaps, descriptors: known
  double bytes = 0;      ///< of the whole dump
  double error = 0;      ///< in 95 of 100 cases the dump has `bytes` +- `error`
  uint64_t missing = 0;  ///< sampled pages that the image lacks; they count as no bytes
  std::array<ClassEstimate, pages::kClassCount> classes{};
  std::vector<std::string> warnings;
};

inline constexpr uint64_t kUsualSample = 6000;

/// Counts the pages that `request` asks for, as a dry run does, reads about `sample` of them, and compresses
/// them. Works on the running kernel, too. The same `seed` takes the same pages. Throws as write_dump.
Estimate estimate(const kernel::Session& session, DumpRequest request, uint64_t sample, uint64_t seed);

/// A part of the memory that crashkernel= must reserve.
struct MemoryNeed {
  const char* what;
  uint64_t bytes = 0;
  std::string how;  ///< where the number is from
};

/// What is known of the crash kernel; nothing: assumed.
struct CrashKernel {
  std::optional<uint64_t> kernel_file;     ///< bytes of the bzImage
  std::optional<uint64_t> initramfs_file;  ///< bytes of it, packed
  unsigned cpus = 1;                       ///< that it runs on (nr_cpus=, maxcpus=)
};

/// The parts of which the memory to reserve is composed: kernel, initramfs, the kernel's own needs, and this
/// tool's peak. The kernel's image and its pages are taken to be as large as those of the session's.
std::vector<MemoryNeed> memory_needs(const kernel::Session& session, const CrashKernel& crash,
                                     uint64_t page_size);

/// Their sum, rounded up to what crashkernel= is given in: MiB, a multiple of 16.
uint64_t reservation_mib(const std::vector<MemoryNeed>& needs);

}  // namespace kvista::dump
