#include "cli/makedumpfile.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <charconv>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <exception>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/parallel.h"
#include "cli/command.h"
#include "cli/dump.h"
#include "cli/makedumpfile_options.h"
#include "dump/output.h"
#include "dump/rearrange.h"
#include "kvista/version.h"

namespace kvista::cli::makedumpfile {
namespace {

using dump::DumpRequest;

constexpr int kCompleted = 0;
constexpr int kFailed = 1;

// The bits of --message-level.
enum Level : unsigned { kProgress = 1, kCommon = 2, kError = 4, kDebug = 8, kReport = 16 };
constexpr unsigned kUsualLevels = kProgress | kCommon | kError;
constexpr unsigned kAllLevels = 31;

// What is printed, and where: what a stream on standard output must not be mixed with goes to standard error.
class Talk {
 public:
  void set_levels(unsigned levels) { levels_ = levels; }
  void keep_stdout_free() { common_ = stderr; }
  bool speaks(Level level) const { return (levels_ & level) != 0; }

  void common(std::string_view text) const { print(kCommon, common_, text); }
  void report(std::string_view text) const { print(kReport, common_, text); }
  void debug(std::string_view text) const { print(kDebug, stderr, fmt::format("makedumpfile: {}\n", text)); }
  void note(std::string_view text) const { print(kCommon, stderr, fmt::format("makedumpfile: {}\n", text)); }
  void error(std::string_view text) const { print(kError, stderr, fmt::format("makedumpfile: {}\n", text)); }
  // An answer, which no level leaves out.
  void answer(std::string_view text) const { fmt::print(common_, "{}", text); }

 private:
  void print(Level level, std::FILE* stream, std::string_view text) const {
    if (speaks(level)) fmt::print(stream, "{}", text);
  }

  unsigned levels_ = kUsualLevels;
  std::FILE* common_ = stdout;
};

// "Copying data     : [ 42.0 %]": on a terminal one line, elsewhere a line now and then.
class ProgressLine {
 public:
  explicit ProgressLine(bool speaks) : speaks_(speaks) {}

  void show(uint64_t done, uint64_t planned) {
    const auto now = Clock::now();
    if (!speaks_ || finished_ || (now < next_ && done != planned)) return;
    next_ = now + interval_;
    finished_ = done == planned;
    const double share = planned == 0 ? 1 : static_cast<double>(done) / static_cast<double>(planned);
    constexpr int kWidth = 50;  // makedumpfile's own
    fmt::print(stderr, "{}{:<{}}: [{:5.1f} %]{}", terminal_ ? "\r" : "", "Copying data", kWidth, 100 * share,
               terminal_ && !finished_ ? "" : "\n");
    std::fflush(stderr);
  }

 private:
  using Clock = std::chrono::steady_clock;
  bool speaks_;
  bool terminal_ = isatty(STDERR_FILENO) != 0;
  bool finished_ = false;
  std::chrono::milliseconds interval_{terminal_ ? 200 : 10000};
  Clock::time_point next_ = Clock::now() + interval_;
};

unsigned number_of(const Arguments& arguments, std::string_view option, unsigned most, unsigned otherwise) {
  const auto text = arguments.value(option);
  if (!text) return otherwise;
  unsigned number = 0;
  const char* last = text->data() + text->size();
  const auto [end, error] = std::from_chars(text->data(), last, number);
  if (error != std::errc{} || end != last || number > most)
    throw UsageError(fmt::format("{} {}: expected a number from 0 to {}", option, *text, most));
  return number;
}

unsigned levels_of(const Arguments& arguments) {
  unsigned levels = number_of(arguments, "--message-level", kAllLevels, kUsualLevels);
  if (arguments.has("-D")) levels |= kDebug;
  if (arguments.has("--show-stats")) levels |= kReport;
  return levels;
}

void check_effects(const Arguments& arguments, const Talk& talk) {
  for (const Given& given : arguments.given())
    if (given.option->effect == Effect::refused)
      throw Unsupported(fmt::format("{} is refused: {}", name_of(*given.option), given.option->text));
  for (const OptionInfo& option : options())
    if (option.effect == Effect::none && arguments.has(name_of(option)))
      talk.note(fmt::format("{} has no effect: {}", name_of(option), option.text));
}

// What is done; all but the dump by an option of its own.
struct Mode {
  const char* option;  // empty: none
  size_t least;        // operands
  size_t most;
  const char* operands;
  int (*run)(const Arguments& arguments, const Talk& talk);
};

int save(const Arguments& arguments, const Talk& talk);
int reassemble(const Arguments& arguments, const Talk& talk);
int rearrange(const Arguments& arguments, const Talk& talk);
int save_log(const Arguments& arguments, const Talk& talk);
int count_pages(const Arguments& arguments, const Talk& talk);

constexpr size_t kMostFiles = 1000;
// The first that is asked for counts.
constexpr std::array kModes = {Mode{"-R", 1, 1, "OUT", rearrange},
                               Mode{"--dump-dmesg", 2, 2, "IN OUT", save_log},
                               Mode{"--mem-usage", 1, 1, "IN", count_pages},
                               Mode{"-F", 1, 1, "IN", save},
                               Mode{"--reassemble", 3, kMostFiles, "PART PART ... OUT", reassemble},
                               Mode{"--split", 3, kMostFiles, "IN OUT OUT ...", save},
                               Mode{"--dry-run", 1, 2, "IN [OUT]", save},
                               Mode{"", 2, 2, "IN OUT", save}};

const Mode& mode_of(const Arguments& arguments) {
  return *std::find_if(kModes.begin(), kModes.end(),
                       [&](const Mode& mode) { return *mode.option == 0 || arguments.has(mode.option); });
}

void check_operands(const Arguments& arguments, const Mode& mode) {
  const size_t count = arguments.operands().size();
  if (count < mode.least || count > mode.most)
    throw UsageError(
        fmt::format("expected {}: {} {} given", mode.operands, count, count == 1 ? "file is" : "files are"));
}

// What kvista says of it is said here, too.
int finish(const Report& report, const Talk& talk) {
  for (const std::string& warning : report.warnings) talk.error(fmt::format("warning: {}", warning));
  return report.status == ExitStatus::complete ? kCompleted : kFailed;
}

Invocation source_of(const Arguments& arguments) {
  Invocation invocation;
  invocation.images = {arguments.operands().front()};
  return invocation;
}

struct CodecLetter {
  const char* option;
  codec::Codec codec;
};
constexpr std::array kCodecs = {CodecLetter{"-c", codec::Codec::zlib}, CodecLetter{"-l", codec::Codec::lzo},
                                CodecLetter{"-p", codec::Codec::snappy},
                                CodecLetter{"-z", codec::Codec::zstd}};

DumpRequest request_of(const Arguments& arguments) {
  constexpr unsigned kMostThreads = 256;
  DumpRequest request;
  for (const CodecLetter& it : kCodecs) {
    if (!arguments.has(it.option)) continue;
    if (request.codec) throw UsageError("more than one compression is asked for (-c, -l, -p, -z)");
    request.codec = it.codec;
  }
  if (request.codec && !codec::is_available(*request.codec))
    throw Unsupported(fmt::format("{} is left out of this build", codec::describe(*request.codec)));
  request.format = arguments.has("-E") ? dump::Format::elf : dump::Format::kdump;
  request.flattened = arguments.has("-F");
  if (arguments.has("-E") && request.codec)
    throw UsageError("-E writes pages as they are: -c, -l, -p and -z are not for it");
  if (arguments.has("--split") && (arguments.has("-E") || arguments.has("-F")))
    throw UsageError("--split is neither for -E nor for -F");
  request.overwrite = arguments.has("-f");
  request.leave_out_map = arguments.has("-e");
  request.dry_run = arguments.has("--dry-run");
  request.erase_rules = arguments.value("--config");
  set_levels(arguments.value("-d").value_or("0"), "-d", request);
  if (const auto limit = arguments.value("-L")) request.limit = size_of(*limit, "-L");
  const unsigned threads = number_of(arguments, "--num-threads", kMostThreads, 0);
  request.threads = threads == 0 ? default_threads() : threads;
  request.timestamp = static_cast<uint64_t>(std::time(nullptr));
  return request;
}

void print_translation(const Arguments& arguments, const Talk& talk) {
  const auto address = arguments.value("--vtop");
  if (!address) return;
  Invocation invocation = source_of(arguments);
  invocation.operands = {*address};
  talk.answer(render_text(make_vtop().run(invocation), false) + "\n");
}

// Writes a dump of the image that `parts` are.
int write(const Arguments& arguments, std::vector<std::string> parts, DumpRequest request, const Talk& talk) {
  const std::string outputs = request.outputs.front() == "-"
                                  ? "standard output"
                                  : fmt::format("{}", fmt::join(request.outputs, ", "));
  talk.debug(fmt::format("{} to {}, level {}, {}, {} threads", fmt::join(parts, ", "), outputs, request.level,
                         request.codec ? codec::describe(*request.codec) : "not compressed",
                         request.threads));
  print_translation(arguments, talk);
  ProgressLine progress(talk.speaks(kProgress));
  request.progress = [&](uint64_t done, uint64_t planned) { progress.show(done, planned); };
  Invocation source;
  source.images = std::move(parts);
  const Report report = save_dump("dump", source, request);
  talk.report(render_text(report, false));
  const int status = finish(report, talk);
  if (status == kCompleted && !request.dry_run)
    talk.common(fmt::format("\nThe dumpfile is saved to {}.\n", outputs));
  return status;
}

int save(const Arguments& arguments, const Talk& talk) {
  DumpRequest request = request_of(arguments);
  const auto& operands = arguments.operands();
  request.outputs.assign(operands.begin() + 1, operands.end());
  if (request.outputs.empty()) request.outputs.emplace_back("-");
  return write(arguments, {operands.front()}, std::move(request), talk);
}

// The files of a split dump become one again, compressed as is asked for.
int reassemble(const Arguments& arguments, const Talk& talk) {
  DumpRequest request = request_of(arguments);
  request.every_page = true;
  request.outputs = {arguments.operands().back()};
  std::vector<std::string> parts = arguments.operands();
  parts.pop_back();
  return write(arguments, std::move(parts), std::move(request), talk);
}

int rearrange(const Arguments& arguments, const Talk& talk) {
  const std::string& output = arguments.operands().front();
  const dump::Rearranged result = dump::rearrange(STDIN_FILENO, output, arguments.has("-f"));
  talk.report(fmt::format("{} records, {} bytes\n", result.records, result.size));
  if (!result.failure.empty()) {
    talk.error(
        fmt::format("{}; what came before it is in {}: {} records", result.failure, output, result.records));
    return kFailed;
  }
  talk.common(fmt::format("\nThe dumpfile is saved to {}.\n", output));
  return kCompleted;
}

int save_log(const Arguments& arguments, const Talk& talk) {
  Invocation invocation = source_of(arguments);
  if (arguments.has("--partial-dmesg")) invocation.options["--since-clear"] = {""};
  const Report report = make_dmesg().run(invocation);
  const std::string text = render_text(report, false);
  const std::string& path = arguments.operands().back();
  const auto output = dump::create_output(path, false, arguments.has("-f"));
  output->write(0, std::as_bytes(std::span(text)));
  output->sync();
  const int status = finish(report, talk);
  if (status == kCompleted) talk.common(fmt::format("\nThe dmesg log is saved to {}.\n", path));
  return status;
}

int count_pages(const Arguments& arguments, const Talk& talk) {
  const Report report = make_mem_usage().run(source_of(arguments));
  talk.answer(render_text(report, false));
  return finish(report, talk);
}

std::string version() {
  std::string text = fmt::format("makedumpfile: version {} (kvista)\n", kVersion);
  for (const codec::Codec codec : {codec::Codec::lzo, codec::Codec::snappy, codec::Codec::zstd})
    text +=
        fmt::format("{}\t{}\n", codec::describe(codec), codec::is_available(codec) ? "enabled" : "disabled");
  return text;
}

// The command line, as far as it can be judged without looking at the files.
const Mode& check_command_line(const Arguments& arguments, const Talk& talk) {
  check_effects(arguments, talk);
  request_of(arguments);
  if (arguments.has("--partial-dmesg") && !arguments.has("--dump-dmesg"))
    throw UsageError("--partial-dmesg is for --dump-dmesg");
  const Mode& mode = mode_of(arguments);
  if (arguments.has("--dry-run") && mode.run != save)
    throw UsageError(fmt::format("--dry-run is for dumps, not for {}", mode.option));
  if (arguments.has("--config") && mode.run != save && mode.run != reassemble)
    throw UsageError(fmt::format("--config is for dumps: with {} nothing is erased", mode.option));
  return mode;
}

int run_arguments(const Arguments& arguments, Talk& talk) {
  if (arguments.has("--help")) {
    talk.answer(help());
    return kCompleted;
  }
  if (arguments.has("-v")) {
    talk.answer(version());
    return kCompleted;
  }
  talk.set_levels(levels_of(arguments));
  if (arguments.has("-F")) talk.keep_stdout_free();
  const Mode& mode = check_command_line(arguments, talk);
  if (arguments.has("--check-params")) return kCompleted;
  check_operands(arguments, mode);
  const int status = mode.run(arguments, talk);
  if (mode.run != count_pages)
    talk.common(status == kCompleted ? "\nmakedumpfile Completed.\n" : "\nmakedumpfile Failed.\n");
  return status;
}

// What was printed can be lost yet: a full disk shows only now.
int flush(int status) {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return status;
  std::fputs("makedumpfile: cannot write to standard output\n", stderr);
  return kFailed;
}

}  // namespace

bool is_meant_by(const char* program) {
  const std::string_view path = program == nullptr ? "" : program;
  return path.substr(path.rfind('/') + 1) == "makedumpfile";
}

int run(int argc, char** argv) {
  Talk talk;
  guard_mappings(kFailed);
  try {
    return flush(run_arguments(Arguments(argc, argv), talk));
  } catch (const UsageError& error) {
    talk.error(error.what());
    talk.error("the command line is wrong: makedumpfile --help");
  } catch (const ExplainedError& error) {
    for (const std::string& warning : error.warnings()) talk.error(fmt::format("warning: {}", warning));
    talk.error(error.what());
  } catch (const std::exception& error) {
    talk.error(error.what());
  }
  talk.common("\nmakedumpfile Failed.\n");
  return flush(kFailed);
}

}  // namespace kvista::cli::makedumpfile
