// Errors with a meaning. A message says what was tried, what was found and what to do about it.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

#include "kvista/export.h"

namespace kvista {

/// What the command's exit status tells; documented in the manual page.
enum class ExitStatus : int {
  complete = 0,  ///< all that was asked for
  partial = 1,   ///< some of it; what is missing is on standard error
  nothing = 2,   ///< nothing could be answered
  usage = 3,     ///< the command line was wrong
};

/// The root of all errors that kvista reports by itself.
class KVISTA_API Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
  virtual ExitStatus exit_status() const { return ExitStatus::nothing; }
};

/// A file that is not what it says it is, or is damaged at `offset`.
class KVISTA_API FormatError : public Error {
 public:
  FormatError(const std::string& what, uint64_t offset) : Error(what), offset_(offset) {}
  uint64_t offset() const { return offset_; }

 private:
  uint64_t offset_;
};

/// A file that cannot be opened or read: permission, lockdown, input/output error.
class KVISTA_API AccessError : public Error {
  using Error::Error;
};

/// Something that was asked for by name and is not there.
class KVISTA_API NotFound : public Error {
  using Error::Error;
};

/// A thing that is understood well enough to know that kvista cannot do it.
class KVISTA_API Unsupported : public Error {
  using Error::Error;
};

/// A command line that makes no sense.
class KVISTA_API UsageError : public Error {
 public:
  using Error::Error;
  ExitStatus exit_status() const override { return ExitStatus::usage; }
};

}  // namespace kvista
