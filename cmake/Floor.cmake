# kvista_floor(NAME SOURCES a.cpp ... [USES floor ...] [LINKS library ...] [PUBLIC_HEADERS a.h ...])
#
# A floor is a folder of src/ and a static library kvista_NAME. Its include path holds its own folder
# and those of the floors that it names in USES (and, through them, theirs), each through a link of its
# own, so that an include of any other floor does not compile. PUBLIC_HEADERS, of include/kvista/, belong to the
# floor in the same way; they are what is installed.
function(kvista_floor NAME)
  cmake_parse_arguments(FLOOR "" "" "SOURCES;USES;LINKS;PUBLIC_HEADERS" ${ARGN})
  set(root ${PROJECT_BINARY_DIR}/floors/${NAME})
  file(MAKE_DIRECTORY ${root})
  file(CREATE_LINK ${PROJECT_SOURCE_DIR}/src/${NAME} ${root}/${NAME} SYMBOLIC)
  if(FLOOR_PUBLIC_HEADERS)
    file(MAKE_DIRECTORY ${root}/kvista)
  endif()
  foreach(header ${FLOOR_PUBLIC_HEADERS})
    set(path ${PROJECT_SOURCE_DIR}/include/kvista/${header})
    if(EXISTS ${path}.in)
      set(path ${PROJECT_BINARY_DIR}/generated/kvista/${header})
      configure_file(${PROJECT_SOURCE_DIR}/include/kvista/${header}.in ${path} @ONLY)
    endif()
    file(CREATE_LINK ${path} ${root}/kvista/${header} SYMBOLIC)
    set_property(GLOBAL APPEND PROPERTY KVISTA_PUBLIC_HEADERS ${path})
  endforeach()
  list(TRANSFORM FLOOR_SOURCES PREPEND ${PROJECT_SOURCE_DIR}/src/${NAME}/)
  add_library(kvista_${NAME} STATIC ${FLOOR_SOURCES})
  set_property(GLOBAL APPEND PROPERTY KVISTA_FLOOR_OBJECTS $<TARGET_OBJECTS:kvista_${NAME}>)
  # The shared library is made of the same objects, and shows only what include/kvista/ declares.
  set_target_properties(kvista_${NAME} PROPERTIES POSITION_INDEPENDENT_CODE ON CXX_VISIBILITY_PRESET hidden
                                                  VISIBILITY_INLINES_HIDDEN ON)
  target_include_directories(kvista_${NAME} PUBLIC ${root})
  list(TRANSFORM FLOOR_USES PREPEND kvista_)
  target_link_libraries(kvista_${NAME} PUBLIC ${FLOOR_USES} ${FLOOR_LINKS} PRIVATE kvista_flags)
endfunction()
