# What `cmake --install` installs: the command, the library with what its users need, the static command. The components
# are the packages of Packages.cmake.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

get_property(public_headers GLOBAL PROPERTY KVISTA_PUBLIC_HEADERS)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/kvista)
set(generated ${PROJECT_BINARY_DIR}/generated)

install(TARGETS kvista RUNTIME COMPONENT kvista)
# Started by that name it takes makedumpfile's command line: docs/makedumpfile.md.
option(KVISTA_MAKEDUMPFILE_LINK "Install a link makedumpfile, which is kvista" OFF)
if(KVISTA_MAKEDUMPFILE_LINK)
  file(MAKE_DIRECTORY ${generated}/link)
  file(CREATE_LINK kvista ${generated}/link/makedumpfile SYMBOLIC)
  install(FILES ${generated}/link/makedumpfile DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT kvista)
endif()
if(TARGET kvista-static)
  install(TARGETS kvista-static RUNTIME COMPONENT kvista-static)
endif()
target_include_directories(libkvista INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_compile_features(libkvista INTERFACE cxx_std_20)
install(TARGETS libkvista EXPORT kvista
        LIBRARY COMPONENT libkvista NAMELINK_COMPONENT libkvista-dev
        ARCHIVE COMPONENT libkvista-dev)
install(FILES ${public_headers} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/kvista COMPONENT libkvista-dev)

# find_package(kvista) gives kvista::kvista.
install(EXPORT kvista NAMESPACE kvista:: FILE kvista-targets.cmake DESTINATION ${package_dir} COMPONENT libkvista-dev)
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/kvista-config.cmake.in ${generated}/kvista-config.cmake
                              INSTALL_DESTINATION ${package_dir})
# Before version 1 a minor version may change what the headers say.
write_basic_package_version_file(${generated}/kvista-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${generated}/kvista-config.cmake ${generated}/kvista-config-version.cmake DESTINATION ${package_dir}
        COMPONENT libkvista-dev)

# pkg-config's file, by paths that move with it. What a static library needs is private to a shared one.
list(TRANSFORM KVISTA_LIBRARY_NEEDS PREPEND -l OUTPUT_VARIABLE needs)
list(JOIN needs " " needs)
set(pc_needs_of_archive)
set(pc_needs_of_shared " ${needs} -pthread")
if(NOT BUILD_SHARED_LIBS)
  set(pc_needs_of_archive " ${needs} -pthread")
  set(pc_needs_of_shared)
endif()
file(RELATIVE_PATH pc_to_prefix ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
configure_file(${PROJECT_SOURCE_DIR}/cmake/kvista.pc.in ${generated}/kvista.pc @ONLY)
install(FILES ${generated}/kvista.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT libkvista-dev)

# The manual page and the completion are printed by the command itself, so that they say what it does.
find_program(GZIP gzip REQUIRED)
set(manual ${generated}/kvista.1.gz)
set(completion ${generated}/completion/kvista)
file(MAKE_DIRECTORY ${generated}/completion)
add_custom_command(OUTPUT ${manual} DEPENDS kvista VERBATIM
                   COMMAND kvista help --man > ${generated}/kvista.1
                   COMMAND ${GZIP} -9nkf ${generated}/kvista.1)
add_custom_command(OUTPUT ${completion} DEPENDS kvista VERBATIM
                   COMMAND kvista help --completion bash > ${completion})
add_custom_target(kvista-documents ALL DEPENDS ${manual} ${completion})
install(FILES ${manual} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT kvista)
install(FILES ${completion} DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions COMPONENT kvista)
if(TARGET kvista-static)
  install(FILES ${manual} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 RENAME kvista-static.1.gz COMPONENT kvista-static)
endif()
