#include "kvista/page_class.h"

namespace kvista::pages {

const std::array<ClassInfo, kClassCount - 1>& class_infos() {
  static constexpr std::array<ClassInfo, kClassCount - 1> kInfos = {{
      {PageClass::zero, "ZERO", kLevelZero, kLevelZero, false, "Pages filled with zero"},
      {PageClass::non_pri_cache, "NON_PRI_CACHE", kLevelCache | kLevelCachePrivate, kLevelCache, false,
       "Cache pages without private flag"},
      {PageClass::pri_cache, "PRI_CACHE", kLevelCachePrivate, kLevelCachePrivate, false,
       "Cache pages with private flag"},
      {PageClass::user, "USER", kLevelUser, kLevelUser, false, "User process pages"},
      {PageClass::free, "FREE", kLevelFree, kLevelFree, false, "Free pages"},
      {PageClass::kern_data, "KERN_DATA", 0, 0, false, "Dumpable kernel data"},
      {PageClass::offline, "OFFLINE", 0, 0, true, "Pages offline (balloon): never dumped"},
      {PageClass::hwpoison, "HWPOISON", 0, 0, true, "Defective pages: never dumped"},
      {PageClass::no_struct_page, "NO_STRUCT_PAGE", 0, 0, false, "Frames that the kernel does not manage"},
  }};
  return kInfos;
}

}  // namespace kvista::pages
