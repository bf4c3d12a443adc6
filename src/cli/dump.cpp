// kvista dump: saves a kernel's memory without the pages that are not wanted.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <csignal>
#include <ctime>
#include <filesystem>

#include "base/error.h"
#include "cli/command.h"
#include "cli/dump.h"
#include "cli/progress.h"
#include "codec/compress.h"
#include "dump/level_list.h"

namespace kvista::cli {
namespace {

using dump::DumpRequest;
using dump::DumpResult;
using dump::Format;

constexpr unsigned kMostSegments = 65533;
constexpr unsigned kUsualSegments = 60000;

struct CodecChoice {
  const char* name;  // in --compress
  const char* short_option;
  std::optional<codec::Codec> codec;
};
constexpr std::array kCodecs = {
    CodecChoice{"zlib", "-c", codec::Codec::zlib}, CodecChoice{"lzo", "-l", codec::Codec::lzo},
    CodecChoice{"snappy", "-p", codec::Codec::snappy}, CodecChoice{"zstd", "-z", codec::Codec::zstd},
    CodecChoice{"none", "", std::nullopt}};

TableSpec summary_spec() {
  return {
      "dump",
      "what was written",
      Layout::pairs,
      {{"output", "output", Type::text, "", "the file; - is standard output"},
       {"format", "format", Type::text, "", "its format"},
       {"level", "dump level", Type::integer, "",
        "which pages are left out, with those that the source lacked"},
       {"compression", "compression", Type::text, "", "what pages are compressed with"},
       {"frames", "memory", Type::integer, "pages", "page frames of memory"},
       {"planned", "pages to save", Type::integer, "pages", "pages that the dump should hold"},
       {"saved", "pages saved", Type::integer, "pages", "pages that it holds"},
       {"zeros", "pages of zeros", Type::integer, "pages", "of them, those that share one page of zeros"},
       {"lost", "pages lost", Type::integer, "pages", "pages that it should hold, and does not"},
       {"protected", "kept against their struct page", Type::integer, "pages",
        "pages of the kernel image and the memory map whose struct pages say that they can go"},
       {"map", "memory map left out", Type::integer, "pages",
        "with -e: pages of the memory map that tell of no page of the dump; they count as to save by their "
        "class"},
       {"own", "pages of kvista", Type::integer, "pages",
        "of the running kernel: pages of this process, which are left out"},
       {"changed", "changed meanwhile", Type::integer, "pages",
        "of the running kernel: pages that were to be saved, and by then were used for something else"},
       {"joined", "room for what is left out", Type::integer, "pages",
        "of an ELF core file: pages that are left out, and have room in it all the same, because "
        "segments are "
        "scarce"},
       {"erased_places", "erased", Type::integer, "places",
        "with --erase: how many places in memory the rules name"},
       {"erased_bytes", "bytes erased", Type::integer, "bytes",
        "with --erase: of memory, each counted once, whether its page is in the dump or not"},
       {"bytes", "size", Type::integer, "bytes", "where the dump ends in the file"},
       {"bytes_most", "size at most", Type::integer, "bytes",
        "with --dry-run: how large it can be, if no page compresses and none is zero"},
       {"complete", "complete", Type::boolean, "", "whether nothing is lost"}}};
}

TableSpec classes_spec() {
  return {"classes",
          "one row a class; each frame is in exactly one",
          Layout::grid,
          {{"type", "TYPE", Type::text, "", "the class"},
           {"pages", "PAGES", Type::integer, "pages", "frames of the class"},
           {"kept", "TO SAVE", Type::integer, "pages", "how many of them the dump should hold"},
           {"description", "DESCRIPTION", Type::text, "", "what the class is"}}};
}

TableSpec missing_spec() {
  return {"missing",
          "pages that should have been saved and could not be read from the source, by why",
          Layout::grid,
          {{"pages", "MISSING PAGES", Type::integer, "pages", "how many"},
           {"why", "WHY", Type::text, "", "what became of them"}}};
}

// "zstd:3".
void parse_compression(const std::string& text, DumpRequest& request) {
  const size_t colon = text.find(':');
  const std::string name = text.substr(0, colon);
  std::string names;
  for (const CodecChoice& choice : kCodecs) {
    names += fmt::format("{}{}", names.empty() ? "" : ", ", choice.name);
    if (name != choice.name) continue;
    request.codec = choice.codec;
    if (colon == std::string::npos) return;
    const codec::LevelRange range = choice.codec ? codec::levels_of(*choice.codec) : codec::LevelRange{};
    int level = 0;
    const char* last = text.data() + text.size();
    const auto [end, error] = std::from_chars(text.data() + colon + 1, last, level);
    if (range.most == 0) throw UsageError(fmt::format("--compress {}: {} has no levels", text, name));
    if (error != std::errc{} || end != last || level < range.least || level > range.most)
      throw UsageError(
          fmt::format("--compress {}: {} has the levels {} to {}", text, name, range.least, range.most));
    request.compression = level;
    return;
  }
  throw UsageError(fmt::format("--compress {}: there are {}", text, names));
}

// The source, where it is an operand, and the outputs.
struct Operands {
  std::optional<std::string> source;
  std::vector<std::string> outputs;
};

Operands operands_of(const Invocation& invocation, const DumpRequest& request) {
  const bool flattened = request.flattened;
  const bool split = invocation.flag("--split");
  Operands found;
  found.outputs = invocation.operands;
  // A stream may go to standard output, and a dry run goes nowhere, so that one operand is the image.
  const bool may_lack_output = flattened || request.dry_run;
  if (invocation.images.empty() &&
      (found.outputs.size() > 1 || (may_lack_output && !found.outputs.empty()))) {
    found.source = found.outputs.front();
    found.outputs.erase(found.outputs.begin());
  }
  if (found.outputs.empty() && may_lack_output) found.outputs.emplace_back("-");
  if (found.outputs.empty() || (invocation.images.empty() && !found.source))
    throw UsageError("expected IN and OUT: the image, and the file to write (-F writes to standard output)");
  if (!split && found.outputs.size() > 1)
    throw UsageError(
        fmt::format("{}: expected IN OUT, or with -c IMAGE only OUT; --split writes several files",
                    found.outputs.back()));
  if (split && found.outputs.size() < 2) throw UsageError("--split: expected two files to write, or more");
  const auto is_stdout = std::find(found.outputs.begin(), found.outputs.end(), "-") != found.outputs.end();
  if (is_stdout && !may_lack_output)
    throw UsageError("standard output cannot be gone back in: -F writes a stream to it");
  return found;
}

// -f would empty the image before it is read.
void refuse_source(const std::vector<std::string>& images, const std::string& output) {
  for (const std::string& image : images) {
    std::error_code ignored;
    // Raw memory is named with its address: FILE@BASE.
    for (const std::string& path : {image, image.substr(0, image.rfind('@'))})
      if (std::filesystem::equivalent(path, output, ignored))
        throw UsageError(fmt::format("{}: it is the image itself: the dump needs another file", output));
  }
}

void add_classes(const DumpResult& result, Table& table) {
  for (const pages::ClassInfo& info : pages::class_infos()) {
    const dump::ClassCount& count = result.classes.at(static_cast<size_t>(info.page_class));
    if (count.frames != 0) table.rows.push_back({info.name, count.frames, count.kept, info.description});
  }
}

void add_missing_pages(const image::MemoryImage& image, const DumpResult& result, Report& report) {
  for (size_t i = 0; i < result.missing.size(); ++i)
    if (result.missing.at(i) != 0)
      report.tables[2].rows.push_back(
          {result.missing.at(i), image.describe_state(static_cast<image::PageState>(i))});
  if (result.lost() == 0 && result.failure.empty()) return;
  report.status = ExitStatus::partial;
  report.warnings.push_back(
      result.failure.empty()
          ? fmt::format("{} of {} pages could not be read and are lost", result.lost(), result.planned)
          : fmt::format("the dump is incomplete, {} of {} pages are saved: {}", result.written,
                        result.planned, result.failure));
}

Row summary_of(const DumpRequest& request, const DumpResult& result, bool live) {
  const bool dry = request.dry_run;
  const bool erases = request.erase_rules.has_value();
  const auto unless_dry = [&](Cell cell) { return dry ? Cell{} : std::move(cell); };
  return {fmt::format("{}", fmt::join(request.outputs, " ")),
          dump::describe_format(request),
          uint64_t{result.level},
          describe_compression(request),
          result.frames,
          result.planned,
          unless_dry(result.written),
          unless_dry(result.zeros),
          unless_dry(result.lost()),
          result.protected_frames,
          request.leave_out_map ? Cell(result.map_pages) : Cell{},
          live ? Cell(result.own) : Cell{},
          live ? unless_dry(result.changed) : Cell{},
          request.format == Format::elf ? Cell(result.joined) : Cell{},
          erases ? Cell(result.erased_places) : Cell{},
          erases ? Cell(result.erased_bytes) : Cell{},
          unless_dry(result.bytes),
          dry ? Cell(result.most_bytes) : Cell{},
          unless_dry(result.lost() == 0 && result.failure.empty())};
}

Report report_of(const char* command, const kernel::Session& session, const DumpRequest& request,
                 const DumpResult& result) {
  Report report{command, {{summary_spec(), {}}, {classes_spec(), {}}, {missing_spec(), {}}}, {}, {}};
  report.tables[0].rows.push_back(summary_of(request, result, session.image().traits().live));
  add_classes(result, report.tables[1]);
  report.warnings = result.warnings;
  if (!request.dry_run) add_missing_pages(session.image(), result, report);
  report.to_stderr = request.outputs.front() == "-" && !request.dry_run;
  return report;
}

DumpRequest request_of(const Invocation& invocation) {
  DumpRequest request;
  request.format = invocation.flag("--elf") ? Format::elf : Format::kdump;
  request.flattened = invocation.flag("--flattened");
  request.overwrite = invocation.flag("-f");
  set_levels(invocation.value("--level").value_or("0"), "--level", request);
  if (const auto limit = invocation.value("--limit")) request.limit = size_of(*limit, "--limit");
  request.dry_run = invocation.flag("--dry-run");
  request.erase_rules = invocation.value("--erase");
  request.max_segments = number_option(invocation, "--max-segments", 1, kMostSegments, kUsualSegments);
  request.threads = threads_option(invocation);
  request.leave_out_map = invocation.flag("-e");
  if (const auto limit = invocation.value("--memory-limit"))
    request.memory_limit = size_of(*limit, "--memory-limit");
  request.timestamp = static_cast<uint64_t>(std::time(nullptr));
  choose_compression(invocation, request);
  if (request.format == Format::kdump) {
    if (invocation.value("--max-segments")) throw UsageError("--max-segments is about ELF core files (-E)");
    if (invocation.flag("--split") && request.flattened)
      throw UsageError("--split and -F: a stream is one file");
    return request;
  }
  if (invocation.flag("--split")) throw UsageError("--split and -E: an ELF core file cannot be split");
  for (const char* option : {"--compress", "-c", "-l", "-p", "-z"})
    if (request.codec && invocation.options.contains(option))
      throw UsageError(fmt::format("{} and -E: an ELF core file holds its pages as they are", option));
  return request;
}

Report run(const char* command, const Invocation& invocation, DumpRequest request) {
  const Operands operands = operands_of(invocation, request);
  request.outputs = operands.outputs;
  Invocation of_source = invocation;
  if (operands.source) of_source.images = {*operands.source};
  Progress progress("copying", invocation.flag("--quiet"));
  request.progress = [&](uint64_t done, uint64_t planned) { progress.show(done, planned); };
  return save_dump(command, of_source, request);
}

}  // namespace

void set_levels(const std::string& text, std::string_view option, DumpRequest& request) {
  std::vector<unsigned> levels;
  for (const std::string& part : split_at_commas(text)) {
    unsigned level = 0;
    const char* last = part.data() + part.size();
    const auto [end, error] = std::from_chars(part.data(), last, level);
    if (error != std::errc{} || end != last || level >= pages::kLevels)
      throw UsageError(fmt::format("{} {}: expected a number from 0 to {}, or several with commas between",
                                   option, text, pages::kLevels - 1));
    levels.push_back(level);
  }
  request.level = levels.front();
  request.next_levels.assign(levels.begin() + 1, levels.end());
}

uint64_t size_of(const std::string& text, std::string_view option) {
  constexpr std::string_view kUnits = "KMGT";
  constexpr unsigned kShift = 10;
  uint64_t number = 0;
  const char* last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, number);
  const std::string_view unit(end, static_cast<size_t>(last - end));
  const size_t which = unit.empty() ? 0 : kUnits.find(unit.front()) + 1;
  const unsigned shift = kShift * static_cast<unsigned>(which);
  if (error != std::errc{} || unit.size() > 1 || (!unit.empty() && which == 0) || number == 0 ||
      number > (UINT64_MAX >> 1) >> shift)
    throw UsageError(
        fmt::format("{} {}: expected bytes, or a number with K, M, G or T behind", option, text));
  return number << shift;
}

std::vector<OptionSpec> compression_options() {
  return {
      {"--compress",
       "CODEC[:LEVEL]",
       "zlib, lzo, snappy, zstd or none; default: zstd",
       false,
       0,
       {"zlib", "lzo", "snappy", "zstd", "none"}},
      {"-c", "", "short for --compress zlib"},
      {"-l", "", "short for --compress lzo"},
      {"-p", "", "short for --compress snappy"},
      {"-z", "", "short for --compress zstd"},
  };
}

void choose_compression(const Invocation& invocation, DumpRequest& request) {
  request.codec = codec::Codec::zstd;
  unsigned given = 0;
  if (const auto text = invocation.value("--compress")) {
    parse_compression(*text, request);
    ++given;
  }
  for (const CodecChoice& choice : kCodecs) {
    if (*choice.short_option == 0 || !invocation.flag(choice.short_option)) continue;
    request.codec = choice.codec;
    ++given;
  }
  if (given > 1) throw UsageError("more than one compression is asked for (--compress, -c, -l, -p, -z)");
}

std::string describe_compression(const DumpRequest& request) {
  if (!request.codec || request.format == Format::elf) return "none";
  const int level = request.compression.value_or(codec::levels_of(*request.codec).usual);
  return level == 0 ? codec::describe(*request.codec)
                    : fmt::format("{}:{}", codec::describe(*request.codec), level);
}

Report save_dump(const char* command, const Invocation& of_source, const DumpRequest& request) {
  // A reader that went away, and a limit on the size of files, are errors like a full disk.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  if (!request.dry_run)
    for (const std::string& output : request.outputs) refuse_source(of_source.images, output);
  return with_session(of_source, [&](const kernel::Session& session) {
    return report_of(command, session, request, dump::write_to_fit(session, request));
  });
}

namespace {

std::vector<OptionSpec> dump_options() {
  std::vector<OptionSpec> options = {
      {"--level", "LEVEL[,LEVEL...]",
       "leave out: 1 zero pages, 2 cache, 4 all cache, 8 user data, 16 free pages; their sum, 0 (the "
       "default) to 31. Of several levels the next one is taken where there is no room for the dump",
       false, 'd'},
      {"--limit", "SIZE",
       "the dump may have so many bytes (K, M, G, T): the next level is taken, or it is left incomplete",
       false, 'L'},
      {"-e", "",
       "leave out the memory map of pages that are left out, too: 16 GiB of a TiB, but what was left out is "
       "not known any more"},
      {"--dry-run", "", "only count the pages that the dump would hold; nothing is written"},
      {"--erase", "FILE",
       "overwrite what the rules in this file name (docs/erase.md; makedumpfile.conf is taken too). A rule "
       "that cannot be followed refuses the whole dump"},
      {"--elf", "", "an ELF core file, not compressed, and not kdump-compressed", false, 'E'},
      {"--max-segments", "N", "of an ELF core file; 1 to 65533, default: 60000"},
      {"--flattened", "", "as a stream that becomes a dump (makedumpfile -R); to standard output without OUT",
       false, 'F'},
      {"--split", "", "write several files OUT at the same time, each with a part of the pages"},
      {"-f", "", "overwrite OUT"},
      {"--threads", "N", "work with N threads; default: as many as there are CPUs"},
      {"--memory-limit", "SIZE",
       "take so much memory at most (K, M, G), with fewer threads if need be; default: 32M for two threads, "
       "8M "
       "more for each more"},
  };
  for (OptionSpec& option : compression_options()) options.push_back(std::move(option));
  for (OptionSpec& option : machine_options()) options.push_back(std::move(option));
  return options;
}

}  // namespace

Command make_dump() {
  return {
      "dump",
      "save a kernel's memory, without the pages that are not wanted",
      "kvista dump -d 31 /proc/vmcore /var/crash/dump\n  save what the kernel itself had in memory when it "
      "crashed; with --erase FILE, and in FILE the line `erase init_uts_ns.name.nodename`, but for its "
      "host's "
      "name",
      {{"IN", "the image: /proc/vmcore, or a dump in any format that is read; with -c it is left out"},
       {"OUT", "the file to write; it must not exist", false, {}, true}},
      dump_options(),
      {summary_spec(), classes_spec(), missing_spec()},
      [](const Invocation& invocation) { return run("dump", invocation, request_of(invocation)); }};
}

Command make_convert() {
  return {"convert",
          "write a dump in another format: compressed, ELF, as one file or several",
          "kvista convert vmcore.flat vmcore\n  the dump that a stream becomes; kvista -c PART1 -c PART2 "
          "convert OUT "
          "puts the parts of a split dump together, and -E makes it an ELF core file",
          {{"IN", "the image, in any format that is read; with -c it is left out"},
           {"OUT", "the file to write; it must not exist", false, {}, true}},
          dump_options(),
          {summary_spec(), classes_spec(), missing_spec()},
          [](const Invocation& invocation) {
            DumpRequest request = request_of(invocation);
            // All that is there needs no word of the kernel; which memory map is unused does.
            request.every_page = request.level == 0 && !request.leave_out_map;
            return run("convert", invocation, request);
          }};
}

}  // namespace kvista::cli
