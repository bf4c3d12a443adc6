// What is known of each architecture: one row of data and functions for each, in architecture.cpp.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "arch/paging.h"
#include "image/memory_image.h"
#include "kvista/fact.h"
#include "kvista/vmcoreinfo.h"

namespace kvista::machine {

class Machine;
struct ArchProbes;

struct Architecture {
  const char* name;         ///< the fact `arch`
  const char* uts_machine;  ///< what the kernel itself calls it: struct new_utsname
  uint16_t elf_machine;
  ByteOrder byte_order;
  unsigned physical_bits;  ///< of a physical address, at most
  /// What only notes of this architecture have: any of them tells it.
  std::span<const std::string_view> note_keys;

  uint64_t kaslr_align;  ///< KASLR moves the kernel's addresses by a multiple of it

  /// The fact by which the kernel image is found in memory before there are page tables, what aligns the
  /// places where the image can be, and how far virtual addresses are from physical ones with the fact's
  /// value.
  FactId image_fact;
  uint64_t image_align;
  uint64_t (*image_offset)(uint64_t value);
  /// The fact's value by the note alone.
  std::optional<uint64_t> (*noted_image_fact)(const vmcoreinfo::VmcoreInfo& note);
  /// Whether an address is one of the kernel image, as far as the note tells.
  bool (*is_of_image)(const vmcoreinfo::VmcoreInfo& note, VirtAddr address);

  /// The symbols that a top page table can have, and the shapes that page tables can have, as far as the note
  /// tells; the likeliest first.
  std::span<const std::string_view> root_symbols;
  std::vector<arch::Paging> (*possible_pagings)(const vmcoreinfo::VmcoreInfo& note);
  /// The shape by facts. Throws NotFound where they cannot be established, Unsupported where they make no
  /// sense.
  arch::Paging (*paging)(Machine& machine);

  /// Each adds some of the sources of facts; what all have, and the mapping, comes before.
  std::span<void (*const)(ArchProbes& all)> own_probes;

  // What most architectures have alike.

  /// The first address that can be the kernel's: none lower where it has an address space to itself (s390x).
  VirtAddr first_address{uint64_t{1} << 63};
  /// How the note writes image_fact, where that is not NUMBER(its name).
  const char* image_fact_keys = nullptr;
  /// Where the memory itself says that the note is; nothing where it does not. Null: no such place.
  std::optional<PhysAddr> (*note_pointer)(const image::MemoryImage& image) = nullptr;
};

/// All that kvista knows.
std::span<const Architecture> architectures();
/// Nothing where there is none.
const Architecture* architecture_of_elf(uint16_t elf_machine);
/// Where its facts come from: all sources, those of a fact in rank order.
const ArchProbes& probes_of(const Architecture& architecture);
/// How the note writes the fact by which the image is found: "NUMBER(phys_base)".
std::string describe_image_fact(const Architecture& architecture);
/// Whether the note has a line "NUMBER(name)" or "SYMBOL(name)".
bool has_key(const vmcoreinfo::VmcoreInfo& note, std::string_view key);
/// By what only its notes have. Nothing where that tells none.
const Architecture* architecture_of_note(const vmcoreinfo::VmcoreInfo& note);

}  // namespace kvista::machine
