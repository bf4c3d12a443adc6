// A kernel's memory, code and tables, for unwinding.
#pragma once

#include <vector>

#include "unwind/orc_tables.h"
#include "unwind/target.h"

namespace kvista::kernel {
class Session;
}

namespace kvista::unwind {

/// For one thread: what was looked up is kept.
class KernelTarget final : public Target {
 public:
  explicit KernelTarget(const kernel::Session& session);

  std::string read(VirtAddr address, std::span<std::byte> out) const override;
  OrcAnswer orc(VirtAddr address) const override { return tables_.find(address); }
  bool is_code(VirtAddr address) const override;
  std::optional<VirtAddr> function_of(VirtAddr address) const override;
  bool is_breakpoint_entry(VirtAddr address) const override;
  const OrcTables& tables() const { return tables_; }

 private:
  const kernel::Session& session_;
  std::vector<VirtRange> code_;
  mutable OrcTables tables_;
  std::optional<VirtAddr> breakpoint_entry_;
};

}  // namespace kvista::unwind
