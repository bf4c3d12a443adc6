#include <fmt/format.h>

#include <utility>

#include "base/error.h"
#include "cli/command.h"
#include "image/open.h"

namespace kvista::cli {
namespace {

const char* describe(machine::Form form) {
  switch (form) {
    case machine::Form::text:
      return "a text";
    case machine::Form::decimal:
      return "a number";
    case machine::Form::hex:
      return "a number in hexadecimal";
    case machine::Form::time:
      return "a time as 2026-11-23T18:19:17Z, or none";
    case machine::Form::virt_range:
      return "FIRST-LAST in hexadecimal";
    case machine::Form::phys_ranges:
      return "FIRST-LAST,... in hexadecimal, or none";
  }
  return "";
}

std::pair<machine::FactId, machine::FactValue> parse_override(const std::string& text) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos) throw UsageError(fmt::format("--set {}: expected FACT=VALUE", text));
  const std::string name = text.substr(0, equals);
  const auto id = machine::fact_by_name(name);
  if (!id) {
    std::string names;
    for (const auto& info : machine::all_facts())
      names += fmt::format("{}{}", names.empty() ? "" : ", ", info.name);
    throw UsageError(fmt::format("--set {}: no fact has this name (there are {})", name, names));
  }
  const machine::Form form = machine::info_of(*id).form;
  auto value = machine::parse(text.substr(equals + 1), form);
  if (!value) throw UsageError(fmt::format("--set {}: expected {}", text, describe(form)));
  return {*id, std::move(*value)};
}

std::string with_path(const std::string& text, const std::string& path) {
  return text.starts_with(path + ":") ? text : fmt::format("{}: {}", path, text);
}

}  // namespace

std::optional<std::string> Invocation::value(std::string_view name) const {
  const auto at = options.find(name);
  if (at == options.end() || at->second.empty()) return std::nullopt;
  return at->second.back();
}

std::vector<std::string> Invocation::values(std::string_view name) const {
  const auto at = options.find(name);
  return at == options.end() ? std::vector<std::string>{} : at->second;
}

std::vector<OptionSpec> machine_options() {
  std::vector<std::string> facts;
  for (const auto& info : machine::all_facts()) facts.push_back(fmt::format("{}=", info.name));
  return {
      {"--set", "FACT=VALUE", "use this value of a machine fact, whatever the image says", true, 0, facts},
      {"--vmcoreinfo", "FILE", "take VMCOREINFO from this text file and not from the image"},
      {"--symbols", "FILE",
       "find the kernel's variables by this vmlinux, System.map or copy of /proc/kallsyms, too"},
      {"--config", "FILE", "take the kernel's configuration from this file, plain or compressed with gzip"}};
}

std::vector<std::string> image_paths(const Invocation& invocation, std::optional<std::string> operand) {
  if (operand && !invocation.images.empty())
    throw UsageError(fmt::format("two images are given: -c {} and {}", invocation.images.front(), *operand));
  if (operand) return {*operand};
  return invocation.images.empty() ? std::vector{image::default_image_path()} : invocation.images;
}

std::unique_ptr<machine::Machine> open_machine(const Invocation& invocation,
                                               const std::vector<std::string>& paths, bool explain) {
  machine::Options options;
  options.explain = explain;
  for (const std::string& text : invocation.values("--set")) options.overrides.insert(parse_override(text));
  options.vmcoreinfo_file = invocation.value("--vmcoreinfo").value_or("");
  options.symbols_file = invocation.value("--symbols").value_or("");
  options.config_file = invocation.value("--config").value_or("");
  return std::make_unique<machine::Machine>(image::open_image_set(paths), std::move(options));
}

ExplainedError::ExplainedError(const Error& error, const machine::Machine& machine)
    : Error(with_path(error.what(), machine.image().traits().path)),
      warnings_(machine.warnings()),
      status_(error.exit_status()) {}

}  // namespace kvista::cli
