#include "debuginfo/debuginfod.h"

#include <fmt/format.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string_view>

#include "base/error.h"

namespace kvista::debuginfo {
namespace {

constexpr int kNoSuchProgram = 127;  // as shells say it

bool is_hexadecimal(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](unsigned char digit) { return std::isxdigit(digit) != 0; });
}

// What the program prints; its last line is the path, or why there is none.
struct Answer {
  int status = 0;
  std::string last_line;
};
Answer run(const std::string& command) {
  std::FILE* pipe = ::popen(command.c_str(), "re");  // NOLINT(cert-env33-c): hexadecimal digits only
  if (pipe == nullptr) throw NotFound("debuginfod-find cannot be started");
  std::string text;
  std::array<char, 4096> piece{};
  while (std::fgets(piece.data(), piece.size(), pipe) != nullptr) text += piece.data();
  const int status = ::pclose(pipe);
  while (text.ends_with('\n')) text.pop_back();
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, text.substr(text.rfind('\n') + 1)};
}

}  // namespace

std::string ask_debuginfod(const std::string& build_id) {
  const char* servers = std::getenv("DEBUGINFOD_URLS");
  if (servers == nullptr || *servers == 0)
    throw NotFound("no server of debuginfod can be asked: DEBUGINFOD_URLS in the environment names none");
  if (!is_hexadecimal(build_id))
    throw NotFound("no server of debuginfod can be asked: the kernel's note has no BUILD-ID");
  const Answer answer = run(fmt::format("debuginfod-find debuginfo {} 2>&1", build_id));
  if (answer.status == kNoSuchProgram)
    throw NotFound(
        "no server of debuginfod can be asked: debuginfod-find is not installed (Debian: debuginfod)");
  if (answer.status != 0 || !answer.last_line.starts_with('/'))
    throw NotFound(fmt::format("debuginfod-find has nothing for build-id {} from {}: {}", build_id, servers,
                               answer.last_line.empty() ? "it does not say why" : answer.last_line));
  return answer.last_line;
}

}  // namespace kvista::debuginfo
