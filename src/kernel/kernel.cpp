#include "kvista/kernel.h"

#include <fmt/format.h>

#include <array>
#include <mutex>
#include <utility>

#include "base/endian.h"
#include "base/parallel.h"
#include "image/open.h"
#include "machine/kernel_log.h"
#include "machine/machine.h"
#include "pages/census.h"

namespace kvista {
namespace {

machine::Options machine_options(KernelOptions options) {
  machine::Options wanted;
  wanted.explain = options.ask_all_sources;
  wanted.overrides = std::move(options.facts);
  wanted.vmcoreinfo_file = std::move(options.vmcoreinfo_file);
  wanted.symbols_file = std::move(options.symbols_file);
  wanted.config_file = std::move(options.config_file);
  return wanted;
}

std::unique_ptr<image::MemoryImage> open(const std::vector<std::string>& paths) {
  return paths.empty() ? image::open_image(image::default_image_path()) : image::open_image_set(paths);
}

}  // namespace

// The image can be read by all threads at once; a Machine's facts are for one at a time.
class Kernel::Session {
 public:
  Session(const std::vector<std::string>& paths, KernelOptions options)
      : machine_(open(paths), machine_options(std::move(options))) {}

  const image::MemoryImage& image() const { return machine_.image(); }
  const vmcoreinfo::VmcoreInfo& note() const { return machine_.note(); }

  /// Calls `ask` with the machine, which is its own meanwhile.
  template <typename Ask>
  decltype(auto) with_machine(Ask ask) {
    const std::lock_guard lock(mutex_);
    return ask(machine_);
  }

  const machine::AddressSpace& space() {
    std::call_once(space_once_, [this] {
      space_.emplace(with_machine([](machine::Machine& machine) { return machine.kernel_space(); }));
    });
    return *space_;
  }

 private:
  std::mutex mutex_;
  machine::Machine machine_;
  std::once_flag space_once_;
  std::optional<machine::AddressSpace> space_;
};

Kernel::Kernel(const std::vector<std::string>& paths, KernelOptions options)
    : session_(std::make_unique<Session>(paths, std::move(options))) {}
Kernel::Kernel(Kernel&& other) noexcept = default;
Kernel& Kernel::operator=(Kernel&& other) noexcept = default;
Kernel::~Kernel() = default;

const image::Traits& Kernel::image() const {
  return session_->image().traits();
}

std::span<const PhysRange> Kernel::ram() const {
  return session_->image().ram();
}

const vmcoreinfo::VmcoreInfo& Kernel::note() const {
  return session_->note();
}

std::vector<std::string> Kernel::warnings() const {
  return session_->with_machine([](const machine::Machine& machine) { return machine.warnings(); });
}

const machine::Fact& Kernel::fact(machine::FactId id) const {
  return session_->with_machine(
      [id](machine::Machine& machine) -> const machine::Fact& { return machine.fact(id); });
}

std::optional<uint64_t> Kernel::number(machine::FactId id) const {
  return session_->with_machine([id](machine::Machine& machine) { return machine.number(id); });
}

std::optional<std::string> Kernel::text(machine::FactId id) const {
  return session_->with_machine([id](machine::Machine& machine) { return machine.text(id); });
}

image::ReadResult Kernel::read(PhysAddr address, std::span<std::byte> out) const {
  return session_->image().read(address, out);
}

machine::VirtRead Kernel::read(VirtAddr address, std::span<std::byte> out) const {
  return session_->space().read(address, out);
}

uint64_t Kernel::read_number(VirtAddr address, size_t size) const {
  std::array<std::byte, sizeof(uint64_t)> bytes{};
  const auto [done, end, state] = read(address, std::span(bytes).first(size));
  if (done != size)
    throw FaultError(fmt::format("{}: {} bytes at {:#x} cannot be read: {:#x} is {}", image().path, size,
                                 address.value, (address + done).value,
                                 end == machine::WalkEnd::mapped ? describe(state) : describe(end)),
                     address + done, end, state);
  const ByteOrder order = image().byte_order;
  switch (size) {
    case 1:
      return load<uint8_t>(bytes.data(), order);
    case 2:
      return load<uint16_t>(bytes.data(), order);
    case 4:
      return load<uint32_t>(bytes.data(), order);
    default:
      return load<uint64_t>(bytes.data(), order);
  }
}

machine::Translation Kernel::translate(VirtAddr address) const {
  const machine::Walk walk = session_->space().walk(address);
  return static_cast<const machine::Translation&>(walk);
}

pages::Census Kernel::census(const pages::CensusOptions& options) const {
  return session_->with_machine(
      [&options](machine::Machine& machine) { return pages::take_census(machine, options); });
}

machine::KernelLog Kernel::log() const {
  return session_->with_machine([](machine::Machine& machine) { return machine::read_kernel_log(machine); });
}

}  // namespace kvista
