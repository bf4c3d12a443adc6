#include "matrix/subject.h"

#include <fmt/format.h>

#include <utility>

#include "image/live.h"
#include "image/open.h"

namespace kvista::test {

using machine::Candidate;
using machine::Fact;
using machine::FactId;

Subject::Subject(const std::string& description, machine::Options options, bool explain)
    : image_(description) {
  const std::string path = directory_.file("image");
  image_.write(path);
  options.system_root = directory_.file("root");
  options.explain = explain;
  image_.write_system(options.system_root);
  if (image_.kernel().description().symbols.file) options.symbols_file = path + ".map";
  if (image_.kernel().description().config.file) options.config_file = path + ".config";
  const bool live = image_.kernel().description().segments.style == SegmentStyle::kcore;
  machine_ = std::make_unique<machine::Machine>(live ? image::open_kcore(path) : image::open_image(path),
                                                std::move(options));
}

std::string Subject::value(FactId id) {
  const Fact& found = machine_->fact(id);
  return found.value ? shown(*found.value, id) : "(absent)";
}

std::string Subject::truth(FactId id) const {
  const auto& info = machine::info_of(id);
  // In the form of `info`: a time is a number here.
  return shown(machine::parse(image_.truth().at(info.name), info.form).value(), id);
}

const Candidate* Subject::candidate(FactId id, machine::Source source) {
  for (const Candidate& candidate : machine_->fact(id).candidates)
    if (candidate.source == source) return &candidate;
  return nullptr;
}

std::string Subject::warnings() const {
  std::string all;
  for (const std::string& warning : machine_->warnings()) all += warning + "\n";
  return all;
}

std::string shown(const machine::FactValue& value, FactId id) {
  return machine::format(value, machine::info_of(id).form);
}

std::string explain(const Fact& fact) {
  std::string text =
      fmt::format("{} = {}{}\n", machine::info_of(fact.id).name,
                  fact.value ? shown(*fact.value, fact.id) : "(absent)", fact.verified ? ", verified" : "");
  for (const Candidate& c : fact.candidates)
    text += fmt::format("  {}: {} [{}]{} {}\n", machine::describe(c.source),
                        c.value ? shown(*c.value, fact.id) : "-", machine::describe(c.verdict),
                        c.verified ? (*c.verified ? " holds" : " refuted") : "", c.detail);
  return text;
}

}  // namespace kvista::test
