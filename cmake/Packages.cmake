# Debian packages, by cpack in the build directory: one for each component of Install.cmake. Their libraries are those of
# the Debian release that they are built on.
set(packages kvista libkvista libkvista-dev)
if(TARGET kvista-static)
  list(APPEND packages kvista-static)
endif()

# Who answers for packages that are handed on: whoever builds them.
set(KVISTA_PACKAGER "kvista developers <maintainers@kvista.invalid>" CACHE STRING "Maintainer of the packages")

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "")  # each package has its own
set(CPACK_PACKAGE_CONTACT "${KVISTA_PACKAGER}")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ
                                                WORLD_EXECUTE)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_GROUPING IGNORE)
set(CPACK_COMPONENTS_ALL ${packages})
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)

# kvista_package(COMPONENT NAME SECTION SUMMARY TEXT [DEPENDS])
macro(kvista_package COMPONENT NAME SECTION SUMMARY TEXT)
  string(TOUPPER ${COMPONENT} upper)
  set(CPACK_DEBIAN_${upper}_PACKAGE_NAME ${NAME})
  set(CPACK_DEBIAN_${upper}_PACKAGE_SECTION ${SECTION})
  set(CPACK_DEBIAN_${upper}_DESCRIPTION "${SUMMARY}\n${TEXT}")
  if(${ARGC} GREATER 5)
    set(CPACK_DEBIAN_${upper}_PACKAGE_DEPENDS "${ARGV5}")
  endif()
  install(FILES ${generated}/copyright ${generated}/changelog.gz
          DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/${NAME} COMPONENT ${COMPONENT} EXCLUDE_FROM_ALL)
endmacro()

set(about "kvista reads a Linux kernel's memory - running, crashed, or saved in
a dump - and understands it from what that memory itself carries.
It needs no debuginfo.")
set(soname_package libkvista${PROJECT_VERSION_MAJOR})
# What is loaded when it is needed, which the linker does not know (src/disasm/capstone.h).
file(STRINGS ${where_capstone/capstone.h}/capstone/capstone.h capstone_major REGEX "define CS_API_MAJOR [0-9]+")
string(REGEX REPLACE ".*CS_API_MAJOR ([0-9]+).*" "\\1" capstone_major "${capstone_major}")
kvista_package(kvista kvista utils "look into a Linux kernel's memory without debuginfo"
  "${about} It counts memory by its use and tells how large a
dump would be, prints the log of a kernel that crashed, and shows where
each detail of the machine comes from."
  "libcapstone${capstone_major}")
kvista_package(libkvista ${soname_package} libs "library that reads a Linux kernel's memory"
  "${about} This is its library.")
kvista_package(libkvista-dev libkvista-dev libdevel "library that reads a Linux kernel's memory - development"
  "${about} These are the headers of its C++
library, with files for CMake and pkg-config."
  "${soname_package} (= ${PROJECT_VERSION})")
if(TARGET kvista-static)
  kvista_package(kvista-static kvista-static utils "look into a Linux kernel's memory - for an initramfs"
    "${about} This is the same command in one file without
shared libraries, for the initramfs of a crash kernel.")
endif()

# What packages that link the library depend on, and the trigger by which the loader learns of it.
file(WRITE ${generated}/shlibs "libkvista ${PROJECT_VERSION_MAJOR} ${soname_package} (>= ${PROJECT_VERSION})\n")
file(WRITE ${generated}/triggers "activate-noawait ldconfig\n")
set(CPACK_DEBIAN_LIBKVISTA_PACKAGE_CONTROL_EXTRA ${generated}/shlibs ${generated}/triggers)

configure_file(${PROJECT_SOURCE_DIR}/packaging/copyright.in ${generated}/copyright @ONLY)
configure_file(${PROJECT_SOURCE_DIR}/packaging/changelog.in ${generated}/changelog @ONLY)
execute_process(COMMAND ${GZIP} -9nkf ${generated}/changelog COMMAND_ERROR_IS_FATAL ANY)
include(CPack)
