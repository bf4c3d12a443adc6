// What has made a kernel less trustworthy, in its own opinion.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace kvista::kernel {

class Session;

struct Taint {
  unsigned bit = 0;
  char letter = '?';
  std::string meaning;
  std::vector<std::string> modules;  ///< that brought it along
};
struct Taints {
  uint64_t mask = 0;
  std::vector<Taint> list;  ///< by bit
  std::string fault;        ///< why modules may be missing; empty where none are
};
/// Throws NotFound or FaultError where the kernel's mask cannot be read. What modules say of theirs is left
/// out where that cannot be read.
Taints read_taints(const Session& session);

}  // namespace kvista::kernel
