#include "type/type_table.h"

#include <algorithm>

namespace kvista::type {

void TypeTable::put_complete_first(std::vector<Type>& types) {
  std::stable_sort(types.begin(), types.end(),
                   [](Type a, Type b) { return a.members().size() > b.members().size(); });
}

}  // namespace kvista::type
