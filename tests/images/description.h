// The language in which memory images are described: one statement a line. See README.md.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "base/endian.h"
#include "codec/codec.h"
#include "images/architecture.h"
#include "images/kallsyms_builder.h"
#include "images/layouts.h"
#include "images/memory.h"

namespace kvista::test {

/// A description that makes no sense; the message has the line.
class DescriptionError : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct MachineLine {
  const Architecture* architecture = &kX86;
  unsigned levels = 5;                  ///< of x86_64's and s390x's page tables
  unsigned page_shift = 12;             ///< log2 of the page size
  unsigned va_bits = 48;                ///< of an address, as others than x86_64 were built ...
  std::optional<unsigned> actual_bits;  ///< ... and what the CPU has of them, where that is less
  bool is_unflipped = false;            ///< arm64 before 5.4: the direct map is the upper half
  uint64_t kaslr = 0x7a00000;
  std::optional<uint64_t> phys_base;  ///< nothing: the kernel is loaded at 32 MiB
  std::optional<uint64_t> page_offset, vmalloc, vmemmap;
  uint64_t sme_mask = 0;
  std::optional<uint16_t> elf_machine;
  uint64_t image_size = uint64_t{1} << 30;  ///< KERNEL_IMAGE_SIZE
  unsigned direct_map_leaf = 2;             ///< largest leaf of the direct map, as a level
};

/// Frames [first, last] of one class.
struct PageRun {
  uint64_t first = 0, last = 0;
  std::string kind = "kernel";
  unsigned order = 0;
  std::set<std::string> flags;  ///< "private", "swapbacked", ...
  std::optional<uint64_t> raw_flags, raw_mapping, raw_private;
  std::optional<uint32_t> raw_mapcount;
};

/// How the memory is stored.
enum class FileFormat {
  elf,
  lime,
  avml,
  raw,  ///< from address 0 on; what is no RAM is zeros
  kdump,
};

struct KdumpLine {
  unsigned version = 6;
  unsigned level = 0;  ///< the dump level that it says it was made with
  unsigned word_size = 8;
  std::optional<ByteOrder> byte_order;  ///< nothing: the kernel's
  std::optional<std::string> machine;   ///< nothing: the kernel's
  std::optional<uint32_t> block_size;   ///< nothing: the kernel's page size
  std::vector<codec::Codec> codecs = {codec::Codec::zlib};
  unsigned parts = 1;                   ///< files that the dump is split into
  std::vector<Range> excluded;          ///< memory whose pages are left out
  std::optional<size_t> pages_written;  ///< of an incomplete dump
};

enum class SegmentStyle { qemu, vmcore, kcore };

struct SegmentsLine {
  SegmentStyle style = SegmentStyle::qemu;
  bool vaddr_is_paddr = false;  ///< qemu: p_vaddr = p_paddr instead of 0
  bool text = true, ram = true, vmalloc = true, modules = true, vmemmap = true, vsyscall = true;
  bool ram_vaddr = true;  ///< RAM segments have virtual addresses
  unsigned remap = 0;     ///< KCORE_REMAP segments, as 4.19 has one per CPU
  /// Lies: virtual addresses that the headers give instead.
  std::optional<uint64_t> text_vaddr, page_offset, vmalloc_start, modules_start, vmemmap_start;
  bool headers_last = false, extended_count = false;
};

enum class NotePlace { elf, memory, both, none };
enum class SectionRoots {
  value,    ///< SYMBOL(mem_section) is the pointer's value, since 4.16
  pointer,  ///< ... the address of the pointer, 4.15
  array,    ///< ... the address of a static array of roots, before
};

/// What a QEMU note says of one CPU's registers, or of all.
struct CpuRegisters {
  std::optional<unsigned> cpu;  ///< nothing: all
  std::optional<uint64_t> cr0, cr3, cr4;
};

/// A copy of the note elsewhere in memory, with one line changed.
struct NoteCopy {
  uint64_t address = 0;
  std::string key, value;
};

struct NoteLines {
  std::vector<NoteCopy> copies;
  NotePlace place = NotePlace::elf;
  std::map<std::string, std::string> set;
  std::set<std::string> omit;
  bool omit_all = false;
  std::optional<uint64_t> truncate;
};

struct SymbolLines {
  bool none = false;
  std::optional<SymbolEncoding> encoding;
  std::set<std::string> omit;
  std::map<std::string, uint64_t> values;     ///< what the variable holds instead
  std::map<std::string, uint64_t> addresses;  ///< what the table says instead
  unsigned extra = 300;
  bool file = false;               ///< also a System.map beside the image, as OUT.map
  bool functions_only = false;     ///< no variables: CONFIG_KALLSYMS_ALL is off
  std::optional<uint64_t> damage;  ///< where in the names 32 bytes are overwritten
};

/// The kernel's types: a few of them, and what is wrong with them.
struct BtfLine {
  bool unnamed = false;        ///< no symbols lead there
  bool future_kind = false;    ///< a type of a kind that is not known yet stands at the end
  bool magic_damaged = false;  ///< its header is overwritten
  bool cyclic = false;         ///< some types lead to themselves
  bool wrong_sizes = false;    ///< some types have sizes that cannot be
};

struct TaskLine {
  uint64_t pid = 1;
  std::optional<uint64_t> process;  ///< whose thread it is; nothing: a process
  uint64_t parent = 0;
  std::string comm = "task";
  unsigned cpu = 0;
  std::string state = "S";                   ///< as in /proc/PID/stat
  bool is_running = false;                   ///< it is its CPU's current task
  bool is_kernel_thread = false;             ///< it has no memory of its own
  bool is_user = false;                      ///< as it ran, it was in user mode
  std::vector<std::string> stack;            ///< the functions on its stack, the innermost first
  uint64_t vsz = 0, rss = 0;                 ///< bytes
  uint64_t start = 0, utime = 0, stime = 0;  ///< nanoseconds
};

struct ModuleLine {
  std::string name;
  uint64_t size = 0x4000;
  unsigned state = 0;
  uint64_t used = 0, taints = 0;
  std::vector<std::string> symbols;
  bool has_types = false;
};

/// A place in an object, "task:1.tasks.next" or "symbol:modules+8".
struct ObjectPlace {
  std::string object;  ///< "task:1"
  std::string member;  ///< "tasks.next"; empty: the object
  uint64_t offset = 0;
};

/// An object that no other line brings along.
struct ObjectLine {
  std::string name, type;
  bool is_variable = false;  ///< in the kernel image, with a symbol
};

/// What a place in an object holds, or what is wrong with it.
struct ObjectDamage {
  ObjectPlace place;
  std::vector<ObjectPlace> entries = {};  ///< of the list whose head the place is
  uint64_t value = 0;                     ///< that it holds ...
  std::optional<ObjectPlace> target;      ///< ... or leads to
  bool is_missing = false;                ///< its page is not in the image
};

/// What a kernel has beside its memory map: tasks, modules, a clock.
struct ObjectLines {
  std::vector<TaskLine> tasks;
  std::vector<ModuleLine> modules;
  std::vector<ObjectLine> made;
  std::vector<ObjectDamage> damage;
  bool empty() const { return tasks.empty() && modules.empty(); }
};

/// The kernel's configuration: what it says, and where it is.
struct ConfigLines {
  bool memory = false;                     ///< in the kernel image: CONFIG_IKCONFIG
  bool proc = false;                       ///< /proc/config.gz
  bool boot = false;                       ///< /boot/config-RELEASE
  bool file = false;                       ///< beside the image, as OUT.config
  std::string version;                     ///< instead of the release's
  std::map<std::string, std::string> set;  ///< options without CONFIG_; "n": not set
};

/// The forms that the kernel's log has had.
enum class LogForm { ring, records, text };

struct LogMessage {
  unsigned level = 6;
  std::string text;
  bool clear = false;  ///< no message: the log is cleared here, as dmesg -c does
};

struct LogLine {
  LogForm form = LogForm::ring;
  uint64_t info_size = 88;
  bool in_direct_map = false;  ///< the buffer was enlarged at boot, and is not in the kernel image
  std::vector<LogMessage> messages;
};

struct NodeLine {
  unsigned id = 0;
  std::vector<Range> ranges;
};

struct ZoneLie {
  unsigned node = 0;
  std::string zone;
  unsigned order = 0;
  int64_t add = 0;
};

/// A page mapped, or an entry written, beside what a kernel maps.
struct ExtraEntry {
  enum class Kind { map, prot_none, swap, raw, missing, loop };
  Kind kind = Kind::map;
  uint64_t virt = 0;
  uint64_t value = 0;  ///< physical address, swap offset or raw entry
  unsigned level = 1;
  uint64_t swap_type = 0;
};

struct ContentsLine {
  Contents contents = Contents::zero;
  std::optional<Range> range;  ///< nothing: all RAM
};

struct Description {
  MachineLine machine;
  const KernelLayout* layout = find_layout("6.12");
  uint64_t page_struct_size = 64;
  std::optional<std::string> release;
  std::string build_id = "0123456789abcdef0123456789abcdef01234567";
  unsigned cpus = 4;
  std::optional<unsigned> cpu_notes;
  std::vector<CpuRegisters> qemu_cpus;  ///< none: the file has no QEMU notes
  std::vector<Range> ram;
  std::vector<Range> crashkernel;
  std::optional<uint64_t> crashed;  ///< when
  FileFormat format = FileFormat::elf;
  bool orc_without_hash = false;  ///< the section .orc_header is missing
  bool flattened = false;         ///< the file is a stream, out of order and with its head written twice
  KdumpLine kdump;
  SegmentsLine segments;
  NoteLines note;
  SymbolLines symbols;
  ConfigLines config;
  std::optional<BtfLine> btf;
  ObjectLines objects;
  std::string orc;  ///< the form of the ORC tables: "6.4"; empty: there are none
  SectionRoots section_roots = SectionRoots::value;
  std::optional<unsigned> section_bits;  ///< of the kernel itself, not of the note
  unsigned memory_map_leaf = 2;
  uint64_t memory_map_repeat =
      0;                       ///< struct pages of so many pages of 2 MiB serve all frames; 0: no repetition
  std::optional<LogLine> log;  ///< nothing: the note names a log that is not there
  std::vector<PageRun> pages;
  std::vector<NodeLine> nodes;
  std::vector<ZoneLie> zone_lies;
  std::vector<ContentsLine> contents;
  std::vector<ExtraEntry> entries;
  std::map<std::string, std::string> uts;  ///< what init_uts_ns says instead: "release", "machine", "sysname"
  bool second_uts = false;                 ///< a copy of init_uts_ns in other memory
  std::string build_id_in_memory;          ///< what the kernel's notes say instead
  bool vmalloc_mapped = true;
  std::optional<uint64_t> section_map;        ///< what the sections say instead of vmemmap
  std::map<std::string, std::string> system;  ///< files of the running system instead of the right ones
  std::set<std::string> system_omit;
  bool system_none = false;
  std::optional<uint64_t> truncate;  ///< the file is cut to so many bytes
};

/// Parses a description. Later lines override earlier ones. Throws DescriptionError.
Description parse_description(std::string_view text);

/// 0x and decimal numbers, negative ones too, with K, M, G or T behind. Throws DescriptionError.
uint64_t parse_size(std::string_view text);

}  // namespace kvista::test
