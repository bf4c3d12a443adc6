// BTF of any bytes: all types are described, sized and declared, and all that is found by name.
#include "base/error.h"
#include "fuzz/targets.h"
#include "type/btf_types.h"
#include "type/layout.h"

namespace kvista::fuzz {
namespace {

constexpr uint32_t kMostTypes = 2000;

void look_at(const type::Type& one) {
  try {
    static_cast<void>(one.size());
    static_cast<void>(one.declaration("x"));
    static_cast<void>(one.find_member("x"));
    if (one.is_compound()) static_cast<void>(type::layout_of(one));
  } catch (const FormatError&) {
    // Damage is said, and the next type may be sound.
  }
}

}  // namespace

bool btf(Input input) {
  try {
    const type::BtfTypes types({input.begin(), input.end()}, ByteOrder::little, 8);
    const decode::Btf& btf = types.btf();
    for (decode::BtfId id = 0; id < btf.end_id() && id < kMostTypes; ++id) {
      look_at({&types, id});
      static_cast<void>(btf.variables(btf.type(id)));
    }
    for (const type::Type& found : types.find("point", type::Kind::structure)) look_at(found);
    static_cast<void>(types.enumerator("RED"));
    static_cast<void>(types.variable("counter"));
    return btf.end_id() > 1;
  } catch (const FormatError&) {
    return false;
  }
}

}  // namespace kvista::fuzz
