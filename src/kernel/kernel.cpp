#include "kvista/kernel.h"

#include <utility>

#include "image/open.h"
#include "kernel/session.h"
#include "kernel/tasks.h"
#include "kernel/walk.h"
#include "machine/kernel_log.h"
#include "pages/census.h"

namespace kvista {
namespace {

machine::Options machine_options(const KernelOptions& options) {
  machine::Options wanted;
  wanted.explain = options.ask_all_sources;
  wanted.overrides = options.facts;
  wanted.vmcoreinfo_file = options.vmcoreinfo_file;
  wanted.symbols_file = options.symbols_file;
  wanted.config_file = options.config_file;
  return wanted;
}

debuginfo::Options debuginfo_options(const KernelOptions& options) {
  return {options.debuginfo_files, options.find_debuginfo, options.ask_debuginfod};
}

std::unique_ptr<image::MemoryImage> open(const std::vector<std::string>& paths) {
  return paths.empty() ? image::open_image(image::default_image_path()) : image::open_image_set(paths);
}

}  // namespace

Kernel::Kernel(const std::vector<std::string>& paths, const KernelOptions& options)
    : session_(std::make_unique<kernel::Session>(open(paths), machine_options(options),
                                                 debuginfo_options(options))) {}
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
  return session_->warnings();
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
  return session_->read_number(address, size, nullptr);
}

machine::Translation Kernel::translate(VirtAddr address) const {
  const machine::Walk walk = session_->space().walk(address);
  return static_cast<const machine::Translation&>(walk);
}

std::vector<symbol::Symbol> Kernel::symbols(std::string_view name) const {
  return session_->find_symbols(name);
}

std::optional<symbol::NearSymbol> Kernel::symbol_at(VirtAddr address) const {
  return session_->nearest_symbol(address);
}

std::optional<debuginfo::SourceLine> Kernel::source_line(VirtAddr address) const {
  return session_->line_of(address);
}

type::Type Kernel::type(std::string_view text) const {
  return session_->types().resolve(text);
}

Value Kernel::operator[](std::string_view name) const {
  return session_->global(name);
}

Value Kernel::object(std::string_view type, VirtAddr address) const {
  return session_->object(kernel::type_by_word(*session_, type), address);
}

Value Kernel::evaluate(std::string_view expression) const {
  return session_->evaluate(expression);
}

Walked Kernel::tasks() const {
  kernel::TaskList list = kernel::all_tasks(*session_);
  return {std::move(list.tasks), list.faults.empty() ? "" : list.faults.front()};
}

pages::Census Kernel::census(const pages::CensusOptions& options) const {
  return session_->with_machine(
      [&options](machine::Machine& machine) { return pages::take_census(machine, options); });
}

machine::KernelLog Kernel::log() const {
  return session_->with_machine([](machine::Machine& machine) { return machine::read_kernel_log(machine); });
}

}  // namespace kvista
