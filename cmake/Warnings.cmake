# Warnings and instrumentation that every target of the project gets.
add_library(kvista_flags INTERFACE)
target_compile_options(kvista_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Wimplicit-fallthrough -Werror
  -fno-omit-frame-pointer)
if(KVISTA_SANITIZE)
  target_compile_options(kvista_flags INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=all)
  target_link_options(kvista_flags INTERFACE -fsanitize=address,undefined)
endif()
if(KVISTA_FUZZ)
  target_compile_options(kvista_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
