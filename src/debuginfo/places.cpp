#include "debuginfo/places.h"

#include <fmt/format.h>

#include <array>
#include <string_view>

namespace kvista::debuginfo {
namespace {

// {0} and {1} are the build-id's first byte and the others, {2} is the release.
struct Place {
  std::string_view path;
  bool by_build_id;
};
constexpr std::array kPlaces = {
    Place{"/usr/lib/debug/.build-id/{0}/{1}.debug", true},         // all
    Place{"/usr/lib/debug/boot/vmlinux-{2}", false},               // Debian, Ubuntu
    Place{"/usr/lib/debug/lib/modules/{2}/vmlinux", false},        // Fedora, Debian
    Place{"/usr/lib/debug/usr/lib/modules/{2}/vmlinux", false},    // Debian since 13
    Place{"/usr/lib/debug/boot/vmlinux-{2}.debug", false},         // SUSE
    Place{"/usr/lib/debug/lib/modules/{2}/vmlinux.debug", false},  // SUSE, merged /usr
    Place{"/usr/lib/debug/usr/lib/modules/{2}/vmlinux.debug", false},
    Place{"/usr/lib/debug/vmlinux-{2}", false},
    Place{"/boot/vmlinux-{2}", false},
    Place{"/lib/modules/{2}/vmlinux", false},
    Place{"/lib/modules/{2}/build/vmlinux", false},  // one's own
};

// A note may say anything: what is no name of a file leads nowhere.
bool is_name(std::string_view text) {
  return !text.empty() && text != "." && text != ".." && text.find('/') == std::string_view::npos;
}

}  // namespace

std::vector<std::string> usual_places(const Identity& identity, const std::string& root) {
  constexpr size_t kFirst = 2;  // hexadecimal digits
  const bool has_build_id = identity.build_id.size() > kFirst && is_name(identity.build_id);
  const std::string first = has_build_id ? identity.build_id.substr(0, kFirst) : "";
  const std::string rest = has_build_id ? identity.build_id.substr(kFirst) : "";
  std::vector<std::string> all;
  for (const Place& place : kPlaces)
    if (place.by_build_id ? has_build_id : is_name(identity.release))
      all.push_back(root + fmt::format(fmt::runtime(place.path), first, rest, identity.release));
  return all;
}

}  // namespace kvista::debuginfo
