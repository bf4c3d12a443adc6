// What the decoders of the log's three forms have in common.
#pragma once

#include <string>
#include <utility>

#include "kvista/printk_log.h"

namespace kvista::decode {

/// Counts `count` damaged records of `log`; the first time, `why` is kept.
inline void add_damage(PrintkLog& log, std::string why, uint64_t count = 1) {
  if (log.damaged == 0) log.why_damaged = std::move(why);
  log.damaged += count;
}

}  // namespace kvista::decode
