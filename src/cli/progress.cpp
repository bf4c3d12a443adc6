#include "cli/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <utility>

namespace kvista::cli {
namespace {

constexpr std::chrono::milliseconds kOnTerminal{200};
constexpr std::chrono::seconds kElsewhere{10};
constexpr std::chrono::seconds kFirst{1};

// "1:02:03", "2:03".
std::string clock(double seconds) {
  const auto all = static_cast<uint64_t>(std::llround(seconds));
  const uint64_t hours = all / 3600;
  return hours == 0 ? fmt::format("{}:{:02}", all / 60, all % 60)
                    : fmt::format("{}:{:02}:{:02}", hours, all / 60 % 60, all % 60);
}

}  // namespace

Progress::Progress(std::string what, bool quiet)
    : what_(std::move(what)),
      quiet_(quiet),
      terminal_(isatty(STDERR_FILENO) != 0),
      started_(Clock::now()),
      next_(started_ + (terminal_ ? kFirst : kElsewhere)) {}

Progress::~Progress() {
  if (shown_ && terminal_) std::fputs("\n", stderr);
}

void Progress::show(uint64_t done, uint64_t planned) {
  if (quiet_ || finished_) return;
  const Clock::time_point now = Clock::now();
  const bool last = done == planned && shown_;
  if (now < next_ && !last) return;
  finished_ = last;
  next_ = terminal_ ? now + kOnTerminal : now + kElsewhere;
  const double seconds = std::chrono::duration<double>(now - started_).count();
  const std::string text = line(done, planned, seconds);
  // Writes over the line before, and over what was longer in it.
  if (terminal_)
    fmt::print(stderr, "\r{:<70}", text);
  else
    fmt::print(stderr, "kvista: {}\n", text);
  shown_ = true;
}

// The time to go is that of what is left at the rate so far.
std::string Progress::line(uint64_t done, uint64_t planned, double seconds) const {
  const double share = planned == 0 ? 1 : static_cast<double>(done) / static_cast<double>(planned);
  const double rate = static_cast<double>(done) / seconds / (1 << 20);
  std::string text = fmt::format("{}: {:5.1f}%, {:.0f} MiB/s", what_, 100 * share, rate);
  if (done != 0 && done < planned) text += fmt::format(", {} to go", clock(seconds / share - seconds));
  if (done == planned) text += fmt::format(", in {}", clock(seconds));
  return text;
}

}  // namespace kvista::cli
