#include "type/kernel_btf.h"

#include <fmt/format.h>

#include "base/buffer.h"
#include "base/error.h"
#include "decode/btf_search.h"

namespace kvista::type {
namespace {

constexpr uint64_t kMostImage = uint64_t{64} << 20;
constexpr unsigned kWordSize = 8;

std::vector<std::byte> bytes_by_symbols(machine::Machine& machine) {
  const VirtAddr start = machine.symbol("__start_BTF");
  const VirtAddr stop = machine.symbol("__stop_BTF");
  if (stop <= start || stop - start > kMostImage)
    throw NotFound(
        fmt::format("__start_BTF {:#x} and __stop_BTF {:#x} make no sense", start.value, stop.value));
  std::vector<std::byte> bytes = large_buffer(stop - start);
  const size_t got = machine.read_image(start, bytes);
  if (got < bytes.size())
    throw NotFound(fmt::format("the kernel's types (BTF at {:#x}) are not in the image from {:#x} on",
                               start.value, (start + got).value));
  return bytes;
}

std::vector<std::byte> bytes_by_search(machine::Machine& machine, const std::string& why) {
  const auto stext = machine.note().symbol("_stext");
  if (!stext) throw NotFound(why);
  const VirtAddr first{*stext};
  auto found =
      decode::search_btf([&](VirtAddr at, std::span<std::byte> out) { return machine.read_image(at, out); },
                         {first, first + (kMostImage - 1)}, machine.byte_order());
  if (found.empty())
    throw NotFound(
        fmt::format("the image holds no types of the kernel (BTF; CONFIG_DEBUG_INFO_BTF): {}, and a search "
                    "of the kernel image finds none",
                    why));
  if (found.size() > 1)
    throw NotFound(fmt::format("ambiguous: {} tables of types (BTF) are in the kernel image", found.size()));
  return std::move(found.front());
}

std::vector<std::byte> read_bytes(machine::Machine& machine) {
  try {
    return bytes_by_symbols(machine);
  } catch (const NotFound& error) {
    return bytes_by_search(machine, error.what());
  }
}

}  // namespace

std::unique_ptr<BtfTypes> read_kernel_types(machine::Machine& machine) {
  try {
    return std::make_unique<BtfTypes>(read_bytes(machine), machine.byte_order(), kWordSize);
  } catch (const FormatError& error) {
    throw FormatError(
        fmt::format("the kernel's types (BTF, at __start_BTF) cannot be used: {}", error.what()),
        error.offset());
  }
}

}  // namespace kvista::type
