// A kernel's memory and code, for unwinding.
#pragma once

#include <optional>
#include <vector>

#include "unwind/target.h"

namespace kvista::kernel {
class Session;
}

namespace kvista::unwind {

struct StackRules;

/// What every architecture's target asks of a session.
class KernelCode {
 public:
  KernelCode(const kernel::Session& session, const StackRules& rules);

  std::string read(VirtAddr address, std::span<std::byte> out) const;
  bool is_code(VirtAddr address) const;
  std::optional<VirtAddr> function_of(VirtAddr address) const;

 private:
  const kernel::Session& session_;
  const StackRules& rules_;
  std::vector<VirtRange> code_;
};

class KernelTarget final : public Target {
 public:
  KernelTarget(const kernel::Session& session, const StackRules& rules) : code_(session, rules) {}

  std::string read(VirtAddr address, std::span<std::byte> out) const override {
    return code_.read(address, out);
  }
  bool is_code(VirtAddr address) const override { return code_.is_code(address); }
  std::optional<VirtAddr> function_of(VirtAddr address) const override { return code_.function_of(address); }

 private:
  KernelCode code_;
};

}  // namespace kvista::unwind
