#include "machine/kernel_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <span>
#include <vector>

#include "base/endian.h"
#include "base/error.h"
#include "base/file.h"
#include "codec/codec.h"
#include "machine/machine.h"

namespace kvista::machine {
namespace {

// 6.12 of Debian: 280 kB, 60 kB compressed.
constexpr size_t kMostText = size_t{8} << 20;
constexpr size_t kMostPacked = size_t{1} << 20;
constexpr std::string_view kStart = "IKCFG_ST";  // kernel/configs.c
constexpr std::string_view kEnd = "IKCFG_ED";

bool is_gzip(std::string_view bytes) {
  return bytes.starts_with("\x1f\x8b");
}

// Nothing where the bytes are damaged, or hold more than any configuration.
std::optional<std::string> unpack(std::string_view packed) {
  constexpr size_t kTrailer = 8;  // checksum and size, both of 4 bytes
  if (packed.size() < kTrailer) return std::nullopt;
  const auto bytes = std::as_bytes(std::span(packed));
  const size_t size = load<uint32_t>(&bytes[bytes.size() - 4], ByteOrder::little);
  if (size > kMostText) return std::nullopt;
  std::string text(size, '\0');
  if (!codec::decompress_exactly(codec::Codec::gzip, bytes, std::as_writable_bytes(std::span(text))))
    return std::nullopt;
  return text;
}

// The numbers that a version begins with: 6, 12, 57 of "6.12.57+deb13-amd64".
std::array<unsigned, 3> numbers_of(std::string_view version) {
  std::array<unsigned, 3> numbers{};
  const char* at = version.data();
  const char* const end = at + version.size();
  for (unsigned& number : numbers) {
    const auto parsed = std::from_chars(at, end, number);
    if (parsed.ec != std::errc{} || parsed.ptr == end || *parsed.ptr != '.') break;
    at = parsed.ptr + 1;
  }
  return numbers;
}

// Distributions that keep one interface for years call 6.1.176 6.1.0-50.
bool fits(std::string_view version, std::string_view release) {
  const auto of_config = numbers_of(version);
  const auto of_kernel = numbers_of(release);
  return of_config[0] == of_kernel[0] && of_config[1] == of_kernel[1] &&
         (of_config[2] == of_kernel[2] || of_kernel[2] == 0);
}

// The configuration in `bytes`; `failure` where it is another kernel's. Throws FormatError where it is none.
KernelConfig judge(std::string_view bytes, std::string source, std::string_view release) {
  std::optional<std::string> unpacked;
  if (is_gzip(bytes)) {
    unpacked = unpack(bytes);
    if (!unpacked) throw FormatError(fmt::format("{}: cannot be decompressed: it is damaged", source), 0);
    bytes = *unpacked;
  }
  decode::ConfigText text(bytes);
  if (text.size() == 0)
    throw FormatError(
        fmt::format("{}: holds no kernel configuration: expected lines CONFIG_NAME=VALUE", source), 0);
  if (text.version().empty())
    throw FormatError(fmt::format("{}: does not say of which kernel it is: expected a line \"# Linux/x86 "
                                  "VERSION Kernel Configuration\"",
                                  source),
                      0);
  KernelConfig config{std::nullopt, std::move(source), {}};
  if (fits(text.version(), release))
    config.text = std::move(text);
  else
    config.failure = fmt::format("the configuration is that of Linux {}, and the image's kernel is {}",
                                 text.version(), release.empty() ? "unknown" : release);
  return config;
}

std::string read_whole(const std::string& path) {
  const auto text = read_text_file(path, kMostText + 1);
  if (!text) throw AccessError(fmt::format("cannot read {}: {}", path, std::strerror(errno)));
  if (text->size() > kMostText)
    throw FormatError(fmt::format("{}: too large for a configuration (more than {} bytes)", path, kMostText),
                      kMostText);
  return *text;
}

// What stands between the two marks. The symbol has been behind the first since 13610aa908dc (5.1).
std::string packed_at(Machine& machine, VirtAddr at) {
  std::string bytes(2 * kStart.size() + kMostPacked, '\0');
  bytes.resize(machine.read_image(at - kStart.size(), std::as_writable_bytes(std::span(bytes))));
  const size_t start = std::string_view(bytes).substr(0, 2 * kStart.size()).find(kStart);
  const size_t end = start == std::string::npos ? start : bytes.find(kEnd, start);
  if (end == std::string::npos)
    throw NotFound(
        fmt::format("kernel_config_data at {:#x} is not between {} and {}", at.value, kStart, kEnd));
  return bytes.substr(start + kStart.size(), end - start - kStart.size());
}

std::optional<VirtAddr> packed_config(Machine& machine) {
  try {
    return machine.symbol("kernel_config_data");
  } catch (const Error&) {
    return std::nullopt;
  }
}

}  // namespace

KernelConfig read_config_file(const std::string& path, std::string_view release) {
  return judge(read_whole(path), path, release);
}

KernelConfig find_config(Machine& machine) {
  const std::string release(machine.note().text_of("OSRELEASE").value_or(""));
  const bool live = machine.image().traits().live;
  std::string failures;
  const auto attempt = [&](std::string_view bytes, const std::string& source) {
    try {
      KernelConfig config = judge(bytes, source, release);
      if (config.text) return config;
      failures += (failures.empty() ? "" : "; ") + config.failure;
    } catch (const FormatError& error) {
      failures += (failures.empty() ? "" : "; ") + std::string(error.what());
    }
    return KernelConfig{};
  };
  if (live) {
    for (const std::string& path : {std::string("/proc/config.gz"), "/boot/config-" + release}) {
      const auto bytes = read_text_file(machine.options().system_root + path, kMostText);
      if (!bytes) continue;
      if (KernelConfig config = attempt(*bytes, path); config.text) return config;
    }
  }
  if (const auto at = packed_config(machine)) try {
      KernelConfig config = attempt(packed_at(machine, *at), "kernel_config_data in memory");
      if (config.text) return config;
    } catch (const NotFound& error) {
      failures += (failures.empty() ? "" : "; ") + std::string(error.what());
    }
  if (failures.empty())
    failures = fmt::format("{}: give it with --config FILE",
                           live ? "no configuration in /proc/config.gz, /boot or the kernel's memory"
                                : "the image carries no configuration (CONFIG_IKCONFIG)");
  return {std::nullopt, {}, failures};
}

}  // namespace kvista::machine
