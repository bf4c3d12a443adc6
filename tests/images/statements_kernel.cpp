// Statements on the kernel: its note, its symbols and types, its objects.
#include "images/statement.h"

namespace kvista::test {
namespace {

void parse_note(Words& words, Description& out) {
  constexpr std::array<std::pair<std::string_view, NotePlace>, 4> kPlaces = {{{"elf", NotePlace::elf},
                                                                              {"memory", NotePlace::memory},
                                                                              {"both", NotePlace::both},
                                                                              {"none", NotePlace::none}}};
  const std::string verb = words.next();
  if (verb == "place") {
    out.note.place = choose(kPlaces, words.next());
  } else if (verb == "truncate") {
    out.note.truncate = parse_size(words.next());
  } else if (verb == "omit") {
    for (const std::string& key : words.rest()) {
      out.note.omit_all = out.note.omit_all || key == "*";
      out.note.omit.insert(key);
      out.note.set.erase(key);
    }
  } else if (verb == "set") {
    const auto [key, value] = split(words.joined(), '=');
    out.note.set[key] = value;
    out.note.omit.erase(key);
  } else if (verb == "copy") {
    const uint64_t address = parse_size(words.next());
    const auto [key, value] =
        words.empty() ? std::pair<std::string, std::string>() : split(words.joined(), '=');
    out.note.copies.push_back({address, key, value});
  } else {
    throw DescriptionError(fmt::format("note {}: unknown", verb));
  }
}

void parse_symbols(Words& words, Description& out) {
  constexpr std::array<std::pair<std::string_view, SymbolEncoding>, 4> kEncodings = {
      {{"place_relative", SymbolEncoding::place_relative},
       {"base_relative", SymbolEncoding::base_relative},
       {"base_relative_percpu", SymbolEncoding::base_relative_percpu},
       {"absolute", SymbolEncoding::absolute}}};
  const std::string verb = words.next();
  if (verb == "file") {
    out.symbols.file = true;
  } else if (verb == "functions") {
    out.symbols.functions_only = true;
  } else if (verb == "none" || verb == "all") {
    out.symbols.none = verb == "none";
  } else if (verb == "encoding") {
    out.symbols.encoding = choose(kEncodings, words.next());
  } else if (verb == "extra") {
    out.symbols.extra = static_cast<unsigned>(parse_size(words.next()));
  } else if (verb == "damage") {
    out.symbols.damage = parse_size(words.next());
  } else if (verb == "omit") {
    for (const std::string& name : words.rest()) out.symbols.omit.insert(name);
  } else if (verb == "set" || verb == "address") {
    const auto [name, value] = split(words.next(), '=');
    (verb == "set" ? out.symbols.values : out.symbols.addresses)[name] = parse_size(value);
  } else {
    throw DescriptionError(fmt::format("symbols {}: unknown", verb));
  }
}

void parse_btf(Words& words, Description& out) {
  out.btf.emplace();
  while (!words.empty()) {
    const std::string word = words.next();
    if (word == "unnamed")
      out.btf->unnamed = true;
    else if (word == "future")
      out.btf->future_kind = true;
    else if (word == "damaged")
      out.btf->magic_damaged = true;
    else if (word == "cyclic")
      out.btf->cyclic = true;
    else if (word == "wrong_sizes")
      out.btf->wrong_sizes = true;
    else
      throw DescriptionError(fmt::format("btf {}: unknown", word));
  }
}

std::vector<std::string> split_names(std::string names) {
  std::vector<std::string> all;
  for (; !names.empty(); names.erase(0, std::min(names.find(','), names.size() - 1) + 1))
    all.push_back(names.substr(0, names.find(',')));
  return all;
}

void parse_orc(Words& words, Description& out) {
  out.orc_without_hash = words.word("no_hash");
  out.orc = words.next();
}

void parse_task(Words& words, Description& out) {
  TaskLine task;
  words.number("pid", task.pid);
  words.number("of", task.process);
  words.number("ppid", task.parent);
  words.number("cpu", task.cpu);
  words.number("vsz", task.vsz);
  words.number("rss", task.rss);
  words.number("start", task.start);
  words.number("utime", task.utime);
  words.number("stime", task.stime);
  if (const auto comm = words.option("comm")) task.comm = *comm;
  if (const auto state = words.option("state")) task.state = *state;
  task.is_running = words.word("running");
  task.is_kernel_thread = words.word("kernel");
  task.is_user = words.word("user");
  if (const auto functions = words.option("stack")) task.stack = split_names(*functions);
  out.objects.tasks.push_back(std::move(task));
}

void parse_module(Words& words, Description& out) {
  constexpr std::array<std::pair<std::string_view, unsigned>, 4> kStates = {
      {{"live", 0}, {"coming", 1}, {"going", 2}, {"unformed", 3}}};
  ModuleLine module;
  words.number("size", module.size);
  words.number("used", module.used);
  words.number("taints", module.taints);
  if (const auto state = words.option("state")) module.state = choose(kStates, *state);
  if (const auto names = words.option("symbols")) module.symbols = split_names(*names);
  module.has_types = words.word("types");
  module.name = words.next();
  out.objects.modules.push_back(std::move(module));
}

// "task:1.tasks.next", "symbol:modules+8".
ObjectPlace parse_place(std::string text) {
  ObjectPlace place;
  if (const size_t plus = text.find('+'); plus != std::string::npos) {
    place.offset = parse_size(text.substr(plus + 1));
    text.erase(plus);
  }
  const size_t dot = std::min(text.find('.'), text.size());
  place.object = text.substr(0, dot);
  if (dot < text.size()) place.member = text.substr(dot + 1);
  return place;
}

void parse_object(Words& words, Description& out) {
  ObjectDamage damage;
  const std::string verb = words.next();
  if (verb == "make" || verb == "variable") {
    const std::string name = words.next();
    std::string type;
    while (!words.empty()) type += (type.empty() ? "" : " ") + words.next();
    out.objects.made.push_back({name, type, verb == "variable"});
    return;
  }
  if (verb == "list") {
    damage.place = parse_place(words.next());
    do damage.entries.push_back(parse_place(words.next()));
    while (!words.empty());
    out.objects.damage.push_back(std::move(damage));
    return;
  }
  if (verb == "missing") {
    damage.place = parse_place(words.next());
    damage.is_missing = true;
  } else if (verb == "set") {
    const auto [place, value] = split(words.next(), '=');
    damage.place = parse_place(place);
    if (value.find(':') == std::string::npos)
      damage.value = parse_size(value);
    else
      damage.target = parse_place(value);
  } else {
    throw DescriptionError(fmt::format("object {}: unknown", verb));
  }
  out.objects.damage.push_back(std::move(damage));
}

void parse_config(Words& words, Description& out) {
  const std::string verb = words.next();
  if (verb == "set") {
    for (const std::string& word : words.rest()) {
      const auto [name, value] = split(word, '=');
      out.config.set[name] = value;
    }
  } else if (verb == "version") {
    out.config.version = words.next();
  } else if (verb == "in") {
    for (const std::string& place : words.rest()) {
      const std::array<std::pair<std::string_view, bool*>, 4> places = {{{"memory", &out.config.memory},
                                                                         {"proc", &out.config.proc},
                                                                         {"boot", &out.config.boot},
                                                                         {"file", &out.config.file}}};
      *choose(places, place) = true;
    }
  } else {
    throw DescriptionError(fmt::format("config {}: unknown", verb));
  }
}

void parse_log(Words& words, Description& out) {
  constexpr std::array<std::pair<std::string_view, LogForm>, 3> kForms = {
      {{"ring", LogForm::ring}, {"records", LogForm::records}, {"text", LogForm::text}}};
  if (!out.log) out.log.emplace();
  if (words.word("clear")) {
    out.log->messages.push_back({0, "", true});
  } else if (words.word("message")) {
    LogMessage message;
    words.number("level", message.level);
    message.text = words.joined();
    out.log->messages.push_back(message);
  } else {
    words.number("info", out.log->info_size);
    out.log->in_direct_map = words.word("direct");
    out.log->form = choose(kForms, words.next());
  }
}

constexpr std::array kStatements = {
    Statement{"release", [](Words& words, Description& out) { out.release = words.next(); }},
    Statement{"build_id", [](Words& words, Description& out) { out.build_id = words.next(); }},
    Statement{"crashed", [](Words& words, Description& out) { out.crashed = parse_size(words.next()); }},
    Statement{"note", parse_note},
    Statement{"symbols", parse_symbols},
    Statement{"btf", parse_btf},
    Statement{"task", parse_task},
    Statement{"orc", parse_orc},
    Statement{"module", parse_module},
    Statement{"object", parse_object},
    Statement{"config", parse_config},
    Statement{"log", parse_log}};

}  // namespace

std::span<const Statement> kernel_statements() {
  return kStatements;
}

}  // namespace kvista::test
