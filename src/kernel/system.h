// What a kernel says of the system as a whole.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kernel/taints.h"
#include "kvista/value.h"

namespace kvista::kernel {

class Session;

/// What cannot be read is left out, and `missing` says why.
struct System {
  std::optional<uint64_t> cpus;
  std::optional<int64_t> date;    ///< seconds since 1970
  std::optional<int64_t> uptime;  ///< seconds
  std::string load_average;
  std::optional<uint64_t> tasks;
  std::string nodename;
  std::string release;
  std::string version;
  std::string machine;
  std::optional<uint64_t> memory;  ///< bytes
  std::optional<Taints> taints;
  std::string panic;  ///< the log's line that says why it died; empty where there is none
  std::vector<std::string> missing;
};
/// The kernel's clock (struct timekeeper). Throws NotFound or FaultError.
Value timekeeper(const Session& session);
System read_system(const Session& session);

}  // namespace kvista::kernel
