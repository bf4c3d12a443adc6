// What a machine's firmware told the kernel: of itself (DMI), and of memory (e820).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kvista/address.h"

namespace kvista::kernel {

class Session;

struct DmiField {
  std::string name;  ///< "DMI_SYS_VENDOR", as the kernel's enumerator
  std::string text;
};
/// What the firmware says of the machine. Throws NotFound where the kernel has none of it (no DMI),
/// FaultError.
std::vector<DmiField> dmi_fields(const Session& session);

struct FirmwareRange {
  PhysAddr first;
  uint64_t bytes = 0;
  std::string type;  ///< "E820_TYPE_RAM", or the number where no enumerator has it
};
/// x86's map of memory, as the kernel corrected it. Throws NotFound or FaultError.
std::vector<FirmwareRange> firmware_map(const Session& session);

}  // namespace kvista::kernel
