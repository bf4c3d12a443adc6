// What lowcore, at the start of memory, leads to: the note, and os_info.
#include <fmt/format.h>

#include <array>

#include "base/endian.h"
#include "base/error.h"
#include "machine/s390x/probes.h"

namespace kvista::machine::s390x {
namespace {

namespace s390 = arch::s390x;

std::optional<uint64_t> word_at(const image::MemoryImage& image, PhysAddr at) {
  std::array<std::byte, 8> bytes{};
  if (image.read(at, bytes).done != bytes.size()) return std::nullopt;
  return load<uint64_t>(bytes.data(), ByteOrder::big);
}

}  // namespace

std::optional<PhysAddr> note_pointer(const image::MemoryImage& image) {
  const auto pointer = word_at(image, s390::kNotePointer);
  // Until there is a note, the boot code keeps the kernel's physical offset there, made odd.
  if (!pointer || *pointer == 0 || *pointer % 4 != 0) return std::nullopt;
  return PhysAddr{*pointer};
}

namespace {

// Where os_info is. Throws NotFound where lowcore does not lead to it.
PhysAddr os_info(const image::MemoryImage& image) {
  const auto pointer = word_at(image, s390::kOsInfoPointer);
  if (!pointer) throw NotFound("lowcore is not in the image");
  if (*pointer == 0 || *pointer % s390::kOsInfoAlign != 0)
    throw NotFound(fmt::format("lowcore has no pointer to os_info: {:#x}", *pointer));
  const PhysAddr info{*pointer};
  if (word_at(image, info) != s390::kOsInfoMagic)
    throw NotFound(fmt::format("no os_info at {:#x}, where lowcore says", info.value));
  return info;
}

uint64_t need_word(const image::MemoryImage& image, PhysAddr at) {
  if (const auto value = word_at(image, at)) return *value;
  throw NotFound(fmt::format("os_info is not in the image at {:#x}", at.value));
}

}  // namespace

PhysRange os_info_crash_kernel(Machine& machine) {
  const image::MemoryImage& image = machine.image();
  const PhysAddr info = os_info(image);
  return {PhysAddr{need_word(image, info + s390::kOsInfoCrashKernelAt)},
          need_word(image, info + (s390::kOsInfoCrashKernelAt + 8))};
}

uint64_t os_info_entry(Machine& machine, arch::s390x::OsInfo entry) {
  const image::MemoryImage& image = machine.image();
  const PhysAddr info = os_info(image);
  std::array<std::byte, 2> minor{};
  if (image.read(info + s390::kOsInfoMinorAt, minor).done != minor.size() ||
      load<uint16_t>(minor.data(), ByteOrder::big) < s390::kOsInfoMinor)
    throw NotFound("os_info does not say (kernels before 6.10)");
  const uint64_t into = s390::kOsInfoEntriesAt + static_cast<unsigned>(entry) * s390::kOsInfoEntrySize;
  return need_word(image, info + into);
}

}  // namespace kvista::machine::s390x
