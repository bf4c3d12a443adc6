// What a loop of erase rules goes through.
#pragma once

#include <functional>

#include "dump/erase_rules.h"
#include "kvista/value.h"

namespace kvista::dump {

/// Calls `visit` with each element of what the loop `rule` goes through, which is at `from`: an array's
/// elements, the structs that a member leads to one after another, those in a list_head, hlist_head,
/// red-black tree, or the pointers in an xarray, IDR, radix tree or maple tree. Throws an Error where not all
/// of them can be found.
void for_each_element(const EraseRule& rule, const Value& from,
                      const std::function<void(const Value& element)>& visit);

}  // namespace kvista::dump
