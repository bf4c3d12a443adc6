// Puts objects into a described kernel's memory, member by member.
#pragma once

#include <string>
#include <string_view>

#include "images/kernel.h"
#include "images/kernel_types.h"

namespace kvista::test {

/// How much of a CPU's area is variables.
inline constexpr uint64_t kPerCpuEnd = 0x3c000;

class ObjectWriter {
 public:
  explicit ObjectWriter(Kernel& kernel) : kernel_(kernel), types_(kernel_types()) {}

  /// An object in the direct map, in pages of its own, known as `name`.
  PlacedObject make(const std::string& name, const std::string& type) {
    return keep(name, type, kernel_.allocate(types_.size(type)));
  }
  PlacedObject make_bytes(const std::string& name, uint64_t size) {
    const uint64_t phys = kernel_.allocate(size);
    return keep_at(name, "", phys, kernel_.direct(phys));
  }
  /// A variable in the kernel image: "symbol:NAME".
  PlacedObject variable(const std::string& name, const std::string& type, uint64_t count = 1) {
    const uint64_t virt = kernel_.place(name, types_.size(type) * count);
    return keep_at("symbol:" + name, type, kernel_.image_phys(virt), virt);
  }
  PlacedObject keep(const std::string& name, const std::string& type, uint64_t phys) {
    return keep_at(name, type, phys, kernel_.direct(phys));
  }

  uint64_t at(const PlacedObject& object, std::string_view member) const {
    return object.virt + types_.offset(object.type, member);
  }
  void set(const PlacedObject& object, std::string_view member, uint64_t value) {
    put(object.phys + types_.offset(object.type, member), value, types_.size(object.type, member));
  }
  void put(uint64_t phys, uint64_t value, uint64_t size) {
    for (uint64_t i = 0; i < size; ++i)
      kernel_.memory().put8(phys + i, static_cast<uint8_t>(i < 8 ? value >> (8 * i) : 0));
  }
  void write(const PlacedObject& object, std::string_view member, std::string_view text) {
    kernel_.memory().write(object.phys + types_.offset(object.type, member), text);
  }
  /// Puts `link` behind the last of the list at `head`; both are places of a struct list_head.
  struct Link {
    uint64_t phys, virt;
  };
  Link link(const PlacedObject& object, std::string_view member) const {
    return {object.phys + types_.offset(object.type, member), at(object, member)};
  }
  void make_list(const Link& head, const std::vector<Link>& entries) {
    Link last = head;
    for (const Link& entry : entries) {
      join(last, entry);
      last = entry;
    }
    join(last, head);
  }

  Kernel& kernel() { return kernel_; }
  const TypeBook& types() const { return types_; }

 private:
  PlacedObject keep_at(const std::string& name, const std::string& type, uint64_t phys, uint64_t virt) {
    PlacedObject object{type, phys, virt};
    kernel_.keep(name, object);
    return object;
  }
  void join(const Link& one, const Link& next) {
    kernel_.memory().put64(one.phys, next.virt);
    kernel_.memory().put64(next.phys + 8, one.virt);
  }

  Kernel& kernel_;
  const TypeBook& types_;
};

void place_tasks(ObjectWriter& writer, const std::vector<TaskLine>& tasks, unsigned cpus);
void place_modules(ObjectWriter& writer, const std::vector<ModuleLine>& modules);
void place_system(ObjectWriter& writer);
void place_stacks(ObjectWriter& writer, const Description& description);

}  // namespace kvista::test
