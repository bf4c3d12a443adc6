#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/endian.h"
#include "base/error.h"
#include "image/extent_map.h"
#include "image/live.h"

namespace kvista::image {
namespace {

constexpr uint64_t kLegacyEnd = 1 << 20;  // STRICT_DEVMEM still lets the first MiB be read

class DevMemImage final : public MemoryImage {
 public:
  DevMemImage(File file, std::vector<PhysRange> ram) : file_(std::move(file)) {
    traits_ = {file_.path(), "/dev/mem", kHostByteOrder, sizeof(long), 0, true};
    ram_ = std::move(ram);
  }

  ReadResult read(PhysAddr address, std::span<std::byte> out) const override {
    size_t done = 0;
    for (const PhysRange& range : ram_) {
      if (done == out.size()) break;
      if (!range.contains(address + done)) continue;
      const uint64_t left = range.end() - (address + done);
      const auto part = out.subspan(done, std::min<uint64_t>(left, out.size() - done));
      const size_t got = file_.read_at((address + done).value, part);
      done += got;
      if (got < part.size()) return {done, PageState::unreadable};
    }
    return {done, done == out.size() ? PageState::present : PageState::beyond};
  }

  std::vector<std::byte> read_note(const Note& /*note*/, uint64_t /*limit*/) const override { return {}; }

 private:
  File file_;
};

std::vector<PhysRange> system_ram(std::string_view iomem) {
  std::vector<Extent> ram;
  for (const IomemEntry& entry : parse_iomem(iomem)) {
    const auto& [start, size] = entry.range;
    if (entry.name.starts_with("System RAM") && size > 1)
      ram.push_back({start, size, size, size, start.value});
  }
  return ExtentMap(std::move(ram)).ranges();
}

void check_readable(const File& file, const std::vector<PhysRange>& ram) {
  for (const PhysRange& range : ram) {
    if (range.start.value < kLegacyEnd) continue;
    std::array<std::byte, 64> probe{};
    int error = 0;
    if (file.read_at(range.start.value, probe, &error) == probe.size()) return;
    throw AccessError(fmt::format(
        "cannot read {} at {:#x}: {}: the kernel keeps RAM from it (CONFIG_STRICT_DEVMEM, or lockdown); "
        "use /proc/kcore",
        file.path(), range.start.value, std::strerror(error)));
  }
}

}  // namespace

std::unique_ptr<MemoryImage> open_devmem(const std::string& path, std::string_view iomem) {
  File file = File::open(path);
  std::vector<PhysRange> ram = system_ram(iomem);
  if (ram.empty())
    throw AccessError(fmt::format(
        "cannot use {}: /proc/iomem lists no System RAM with addresses (only root sees them)", path));
  check_readable(file, ram);
  return std::make_unique<DevMemImage>(std::move(file), std::move(ram));
}

}  // namespace kvista::image
