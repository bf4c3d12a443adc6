#include "cli/shell_editor.h"

#include <fmt/format.h>
#include <histedit.h>

#include <algorithm>
#include <cstdio>
#include <utility>

namespace kvista::cli {

class Editor::Impl {
 public:
  Impl(std::string prompt, std::string history_file, Complete complete)
      : prompt_(std::move(prompt)), history_file_(std::move(history_file)), complete_(std::move(complete)) {
    editor_ = el_init("kvista", stdin, stdout, stderr);
    history_ = history_init();
    if (editor_ == nullptr || history_ == nullptr) throw std::bad_alloc();
    prepare_history();
    prepare_keys();
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() {
    HistEvent event;
    if (!history_file_.empty()) history(history_, &event, H_SAVE, history_file_.c_str());
    history_end(history_);
    el_end(editor_);
  }

  std::optional<std::string> read_line() {
    is_cancelled_ = false;
    el_resize(editor_);
    el_set(editor_, EL_PREP_TERM, 1);  // before the prompt: a key that follows it is one already
    int count = 0;
    const char* text = el_gets(editor_, &count);
    if (text == nullptr || count <= 0) {
      std::fputs("\n", stdout);
      return std::nullopt;
    }
    if (is_cancelled_) return "";
    std::string line(text, static_cast<size_t>(count));
    while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.pop_back();
    HistEvent event;
    if (line.find_first_not_of(" \t") != std::string::npos) history(history_, &event, H_ENTER, line.c_str());
    return line;
  }

 private:
  static Impl& of(EditLine* editor) {
    void* impl = nullptr;
    el_get(editor, EL_CLIENTDATA, &impl);
    return *static_cast<Impl*>(impl);
  }
  static const char* prompt_of(EditLine* editor) { return of(editor).prompt_.c_str(); }
  static unsigned char on_tab(EditLine* editor, int /*key*/) {
    try {
      return of(editor).complete_word();
    } catch (...) {
      return CC_ERROR;
    }
  }
  static unsigned char on_interrupt(EditLine* editor, int /*key*/) {
    of(editor).is_cancelled_ = true;
    std::fputs("^C\n", stdout);
    return CC_NEWLINE;
  }

  void prepare_history() {
    constexpr int kMostLines = 1000;
    HistEvent event;
    history(history_, &event, H_SETSIZE, kMostLines);
    history(history_, &event, H_SETUNIQUE, 1);
    if (!history_file_.empty()) history(history_, &event, H_LOAD, history_file_.c_str());
  }

  void prepare_keys() {
    el_set(editor_, EL_CLIENTDATA, this);
    el_set(editor_, EL_PROMPT, &Impl::prompt_of);
    el_set(editor_, EL_EDITOR, "emacs");
    el_set(editor_, EL_HIST, history, history_);
    el_set(editor_, EL_ADDFN, "kvista-complete", "complete the word", &Impl::on_tab);
    el_set(editor_, EL_ADDFN, "kvista-interrupt", "leave the line", &Impl::on_interrupt);
    el_set(editor_, EL_BIND, "^I", "kvista-complete", nullptr);
    el_set(editor_, EL_BIND, "^R", "em-inc-search-prev", nullptr);
    // While a line is edited Ctrl-C is a key and no signal: nothing can be interrupted halfway.
    el_set(editor_, EL_SETTY, "-d", "-isig", nullptr);
    el_set(editor_, EL_BIND, "^C", "kvista-interrupt", nullptr);
    el_source(editor_, nullptr);  // ~/.editrc
  }

  unsigned char complete_word() {
    const LineInfo* info = el_line(editor_);
    const std::string_view line(info->buffer, static_cast<size_t>(info->lastchar - info->buffer));
    const auto cursor = static_cast<size_t>(info->cursor - info->buffer);
    const Completion found = complete_(line, cursor);
    if (found.candidates.empty()) return CC_REFRESH_BEEP;
    const size_t typed = cursor - found.start;
    const std::string start = common_start(found.candidates);
    std::string added = start.size() > typed ? start.substr(typed) : "";
    const bool is_only = found.candidates.size() == 1;
    if (is_only && found.is_whole && !start.empty() &&
        std::string_view("/=.").find(start.back()) == std::string_view::npos)
      added += ' ';
    if (!added.empty() && el_insertstr(editor_, added.c_str()) != 0) return CC_ERROR;
    if (is_only || !added.empty()) return CC_REFRESH;
    list(found.candidates);
    return CC_REDISPLAY;
  }

  static void list(const std::vector<std::string>& candidates) {
    constexpr size_t kMost = 120;
    constexpr size_t kLineWidth = 80;
    size_t width = 0;
    const size_t count = std::min(candidates.size(), kMost);
    for (size_t at = 0; at < count; ++at) width = std::max(width, candidates[at].size() + 2);
    const size_t columns = std::max<size_t>(1, kLineWidth / width);
    std::string text = "\n";
    for (size_t at = 0; at < count; ++at)
      text += at % columns == columns - 1 || at + 1 == count ? candidates[at] + "\n"
                                                             : fmt::format("{:<{}}", candidates[at], width);
    if (count < candidates.size()) text += fmt::format("... and {} more\n", candidates.size() - count);
    std::fputs(text.c_str(), stdout);
    std::fflush(stdout);
  }

  EditLine* editor_ = nullptr;
  History* history_ = nullptr;
  std::string prompt_;
  std::string history_file_;
  Complete complete_;
  bool is_cancelled_ = false;
};

Editor::Editor(const std::string& prompt, const std::string& history_file, const Complete& complete)
    : impl_(std::make_unique<Impl>(prompt, history_file, complete)) {}
Editor::~Editor() = default;

std::optional<std::string> Editor::read_line() {
  return impl_->read_line();
}

const char* why_no_editing() {
  return "";
}

}  // namespace kvista::cli
