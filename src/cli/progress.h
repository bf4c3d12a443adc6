// How far long work is, on standard error.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace kvista::cli {

/// On a terminal one line that is written over; else a line from time to time. Nothing for work of less than
/// a second, or where lines are not written over, ten. For one thread at a time.
class Progress {
 public:
  /// `what` is what is being done: "copying".
  Progress(std::string what, bool quiet);
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  /// Leaves the line as it is last.
  ~Progress();

  /// How many bytes of how many are done.
  void show(uint64_t done, uint64_t planned);

 private:
  using Clock = std::chrono::steady_clock;
  std::string line(uint64_t done, uint64_t planned, double seconds) const;

  std::string what_;
  bool quiet_;
  bool terminal_;
  bool shown_ = false;
  bool finished_ = false;
  Clock::time_point started_;
  Clock::time_point next_;
};

}  // namespace kvista::cli
