// The build-id among the ELF notes of a kernel image.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>

#include "base/endian.h"

namespace kvista::decode {

/// The GNU build-id among ELF notes, in hexadecimal, as the kernel keeps them from __start_notes to
/// __stop_notes, in /sys/kernel/notes and in vmlinux's section .notes. Nothing where there is none.
std::optional<std::string> build_id_among(std::span<const std::byte> notes, ByteOrder order);

}  // namespace kvista::decode
