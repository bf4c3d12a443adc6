// A kernel's configuration as text: .config, /boot/config-*, /proc/config.gz unpacked (scripts/kconfig).
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace kvista::decode {

/// The options of a configuration. Later lines win over earlier ones, as for the kernel's own reader.
class ConfigText {
 public:
  /// Reads `text`; what is no option is passed over.
  explicit ConfigText(std::string_view text);

  size_t size() const { return options_.size(); }
  /// The version in the first lines: "6.12.57" of "Linux/x86 6.12.57 Kernel Configuration". Empty where there
  /// is none.
  const std::string& version() const { return version_; }
  /// What follows "=" in CONFIG_NAME=VALUE, without the quotes of a text. Nothing where no line says it.
  std::optional<std::string_view> value(std::string_view name) const;
  /// Whether a line says CONFIG_NAME=y.
  bool is_on(std::string_view name) const { return value(name) == "y"; }
  /// Whether a line says that it is not set. An option that has no line may not exist in that kernel.
  bool is_off(std::string_view name) const { return value(name) == "n"; }
  /// A value that is a decimal number, or a hexadecimal one after 0x.
  std::optional<uint64_t> number(std::string_view name) const;

 private:
  void add_line(std::string_view line);
  std::string version_;
  std::map<std::string, std::string, std::less<>> options_;
};

}  // namespace kvista::decode
