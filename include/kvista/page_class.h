// What a page frame is used for. Each frame has one class.
#pragma once

#include <array>
#include <cstdint>

#include "kvista/export.h"

namespace kvista::pages {

enum class PageClass : uint8_t {
  not_in_image,    ///< no memory of the image, or left out on purpose (the crash kernel's)
  zero,            ///< would be kern_data, and holds only zeros
  non_pri_cache,   ///< page cache without PG_private
  pri_cache,       ///< page cache with PG_private
  user,            ///< anonymous memory and huge pages of processes
  free,            ///< in the buddy allocator, or not accepted yet
  kern_data,       ///< all else
  offline,         ///< given back to a hypervisor (balloon), or logically offline
  hwpoison,        ///< defective: must not be read
  no_struct_page,  ///< memory that the kernel has no struct page for
};
inline constexpr unsigned kClassCount = 10;

/// What is known beyond the class; each belongs to one class and adds nothing to its count.
enum ClassFlag : uint8_t {
  kFlagHugetlb = 0x10,   ///< of user
  kFlagSlab = 0x20,      ///< of kern_data and zero
  kFlagReserved = 0x40,  ///< of kern_data and zero
  kFlagSpecial = 0x80,   ///< page table, of kern_data and zero; unaccepted, of free
};

/// A class and its flags in one byte: class | flags.
using ClassByte = uint8_t;
constexpr PageClass class_of(ClassByte byte) {
  return static_cast<PageClass>(byte & 0x0f);
}
constexpr ClassByte to_byte(PageClass page_class, unsigned flags = 0) {
  return static_cast<ClassByte>(static_cast<unsigned>(page_class) | flags);
}

/// The dump level's bits, as makedumpfile's -d takes them.
inline constexpr unsigned kLevelZero = 1;
inline constexpr unsigned kLevelCache = 2;         ///< non-private cache
inline constexpr unsigned kLevelCachePrivate = 4;  ///< all cache
inline constexpr unsigned kLevelUser = 8;
inline constexpr unsigned kLevelFree = 16;
inline constexpr unsigned kLevels = 32;

/// Fixed knowledge about a class.
struct ClassInfo {
  PageClass page_class;
  const char* name;     ///< as makedumpfile --mem-usage has it
  unsigned level_bits;  ///< any of these bits excludes the class; 0: none does
  unsigned level_bit;   ///< the bit that is named after it; 0: none
  bool never_dumped;    ///< excluded at every level: must not be touched
  const char* description;
};

/// All classes that frames of the image can have, in the order in which they are shown.
KVISTA_API const std::array<ClassInfo, kClassCount - 1>& class_infos();

}  // namespace kvista::pages
