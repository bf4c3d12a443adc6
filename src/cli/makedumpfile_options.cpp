#include "cli/makedumpfile_options.h"

#include <fmt/format.h>
#include <getopt.h>

#include <algorithm>
#include <array>

#include "base/error.h"

namespace kvista::cli::makedumpfile {
namespace {

using enum Effect;

constexpr const char* kOwnDump = "all that is needed is read from the dump itself";
constexpr const char* kOnePass = "the page choice is kept in the output, in bounded memory";
constexpr const char* kXen = "Xen dumps are not read";

constexpr std::array kOptions = {
    OptionInfo{"", 'c', "", used, "compress pages with zlib"},
    OptionInfo{"", 'l', "", used, "compress pages with LZO"},
    OptionInfo{"", 'p', "", used, "compress pages with snappy"},
    OptionInfo{"", 'z', "", used, "compress pages with zstd"},
    OptionInfo{
        "", 'd', "LEVEL[,LEVEL...]", used,
        "leave out 1 zero pages, 2 cache, 4 all cache, 8 user data, 16 free pages; of several levels the "
        "next one where there is no room"},
    OptionInfo{"", 'E', "", used, "write an ELF file"},
    OptionInfo{"", 'F', "", used, "write a flattened stream to standard output"},
    OptionInfo{"", 'R', "", used,
               "read a flattened stream from standard input, and write the dump that it holds"},
    OptionInfo{"", 'L', "SIZE", used, "the dump may have so many bytes"},
    OptionInfo{"", 'e', "", used, "leave out the memory map of pages that are left out, too"},
    OptionInfo{"", 'f', "", used, "overwrite what is there"},
    OptionInfo{"--split", 0, "", used, "write several files: IN OUT1 OUT2 ..."},
    OptionInfo{"--reassemble", 0, "", used, "make one dump of the files of a split one: IN1 IN2 ... OUT"},
    OptionInfo{"--num-threads", 0, "N", used, "work with N threads; default: as many as there are CPUs"},
    OptionInfo{"--dump-dmesg", 0, "", used, "write the kernel's log to OUT, and no dump"},
    OptionInfo{"--partial-dmesg", 0, "", used, "with --dump-dmesg: only what came after the log was cleared"},
    OptionInfo{"--mem-usage", 0, "", used, "count the pages of IN by their use"},
    OptionInfo{"--vtop", 0, "ADDRESS", used, "also print how this virtual address is translated"},
    OptionInfo{"--config", 0, "FILE", used,
               "overwrite what the rules in FILE name; one that cannot be followed refuses the dump"},
    OptionInfo{"--dry-run", 0, "", used, "only count the pages; nothing is written"},
    OptionInfo{"--show-stats", 0, "", used, "print a report (message level 16)"},
    OptionInfo{"--check-params", 0, "", used, "only say whether the command line is right"},
    OptionInfo{
        "--message-level", 0, "BITS", used,
        "what is printed: 1 progress, 2 common messages, 4 errors, 8 debug messages, 16 a report; their "
        "sum, default 7"},
    OptionInfo{"", 'D', "", used, "print debug messages (message level 8)"},
    OptionInfo{"--help", 'h', "", used, "print this"},
    OptionInfo{"", 'v', "", used, "print the version, and the codecs that there are"},
    OptionInfo{"", 'x', "VMLINUX", none, kOwnDump},
    OptionInfo{"", 'i', "FILE", none, kOwnDump},
    OptionInfo{"", 'b', "ORDER", none, "pages are always written many at once"},
    OptionInfo{"--splitblock-size", 0, "KILOBYTES", none, "split files share the pages evenly"},
    OptionInfo{"--cyclic-buffer", 0, "KILOBYTES", none, kOnePass},
    OptionInfo{"--non-cyclic", 0, "", none, kOnePass},
    OptionInfo{"--work-dir", 0, "DIRECTORY", none, kOnePass},
    OptionInfo{"--non-mmap", 0, "", none, "where mapping fails, reading takes its place by itself"},
    OptionInfo{"--eppic", 0, "FILE", refused, "eppic scripts are not run"},
    OptionInfo{"--extension", 0, "FILE", refused, "makedumpfile's extensions are not loaded"},
    OptionInfo{"--extensions", 0, "FILE", refused, "makedumpfile's extensions are not loaded"},
    OptionInfo{"--diskset", 0, "FILE", refused, "sadump files are not read"},
    OptionInfo{"", 'g', "FILE", refused,
               "VMCOREINFO is not generated: kvista vmcoreinfo prints that of a dump"},
    OptionInfo{"", 'X', "", refused, kXen},
    OptionInfo{"--xen-syms", 0, "FILE", refused, kXen},
    OptionInfo{"--xen-vmcoreinfo", 0, "FILE", refused, kXen},
    OptionInfo{"--xen_phys_start", 0, "ADDRESS", refused, kXen},
};

bool takes_value(const OptionInfo& option) {
  return *option.value != 0;
}

// getopt's own descriptions. A long option's value is its place in the table, above all letters.
constexpr int kLong = 256;

std::string letters() {
  std::string text = ":";  // a missing value is told from an unknown option
  for (const OptionInfo& option : kOptions)
    if (option.letter != 0) text += fmt::format("{}{}", option.letter, takes_value(option) ? ":" : "");
  return text;
}

std::vector<::option> long_options() {
  std::vector<::option> all;
  for (size_t i = 0; i < kOptions.size(); ++i) {
    const OptionInfo& known = kOptions.at(i);
    if (*known.name == 0) continue;
    all.push_back({known.name + 2, takes_value(known) ? required_argument : no_argument, nullptr,
                   kLong + static_cast<int>(i)});
  }
  all.push_back({});
  return all;
}

const OptionInfo* find(int value) {
  if (value >= kLong) return &kOptions.at(static_cast<size_t>(value - kLong));
  const auto* at = std::find_if(kOptions.begin(), kOptions.end(),
                                [&](const OptionInfo& option) { return option.letter == value; });
  return at == kOptions.end() ? nullptr : at;
}

const char* describe(Effect effect) {
  switch (effect) {
    case used:
      return "Options:";
    case none:
      return "Accepted without effect:";
    case refused:
      return "Refused:";
  }
  return "";
}

}  // namespace

std::span<const OptionInfo> options() {
  return kOptions;
}

std::string name_of(const OptionInfo& option) {
  return *option.name != 0 ? option.name : fmt::format("-{}", option.letter);
}

Arguments::Arguments(int argc, char** argv) {
  const std::string short_options = letters();
  const std::vector<::option> with_names = long_options();
  opterr = 0;
  optind = 0;  // from the start, whatever was parsed before
  while (true) {
    // Only one thread is there yet.
    const int value = getopt_long(argc, argv, short_options.c_str(), with_names.data(), nullptr);  // NOLINT
    if (value == -1) break;
    const std::string word = optind > 0 && optind <= argc ? argv[optind - 1] : "";
    if (value == ':') throw UsageError(fmt::format("{}: its value is missing", word));
    const OptionInfo* option = value == '?' ? nullptr : find(value);
    if (option == nullptr)
      throw UsageError(optopt > 0 && optopt < kLong
                           ? fmt::format("-{}: there is no such option", static_cast<char>(optopt))
                           : fmt::format("{}: there is no such option", word));
    given_.push_back({option, takes_value(*option) ? optarg : ""});
  }
  operands_.assign(argv + optind, argv + argc);
}

bool Arguments::has(std::string_view name) const {
  return std::any_of(given_.begin(), given_.end(),
                     [&](const Given& given) { return name_of(*given.option) == name; });
}

std::optional<std::string> Arguments::value(std::string_view name) const {
  const auto at = std::find_if(given_.rbegin(), given_.rend(),
                               [&](const Given& given) { return name_of(*given.option) == name; });
  return at == given_.rend() ? std::nullopt : std::optional(at->value);
}

std::string help() {
  std::string text =
      "Usage: makedumpfile [OPTION]... IN OUT\n"
      "       makedumpfile -F [OPTION]... IN            (a stream on standard output)\n"
      "       makedumpfile -R OUT                       (from a stream on standard input)\n"
      "       makedumpfile --split [OPTION]... IN OUT1 OUT2 ...\n"
      "       makedumpfile --reassemble IN1 IN2 ... OUT\n"
      "       makedumpfile --dump-dmesg [--partial-dmesg] IN OUT\n"
      "       makedumpfile --mem-usage /proc/kcore\n"
      "This is kvista, which takes makedumpfile's command line.\n";
  for (const Effect effect : {used, none, refused}) {
    text += fmt::format("\n{}\n", describe(effect));
    for (const OptionInfo& option : kOptions) {
      if (option.effect != effect) continue;
      std::string name = name_of(option);
      if (*option.name != 0 && option.letter != 0) name = fmt::format("-{}, {}", option.letter, name);
      text +=
          fmt::format("  {:<30} {}\n", takes_value(option) ? name + " " + option.value : name, option.text);
    }
  }
  return text + "\nExit status: 0 completed, 1 failed, or not everything was saved.\n";
}

}  // namespace kvista::cli::makedumpfile
