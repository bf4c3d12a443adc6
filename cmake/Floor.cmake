# kvista_floor(NAME SOURCES a.cpp ... USES floor ... [LINKS library ...])
#
# A floor is a folder of src/ and a static library kvista_NAME. Its include path holds its own folder
# and those of the floors that it names in USES (and, through them, theirs), each through a link of its
# own, so that an include of any other floor does not compile.
function(kvista_floor NAME)
  cmake_parse_arguments(FLOOR "" "" "SOURCES;USES;LINKS" ${ARGN})
  set(root ${PROJECT_BINARY_DIR}/floors/${NAME})
  file(MAKE_DIRECTORY ${root})
  file(CREATE_LINK ${PROJECT_SOURCE_DIR}/src/${NAME} ${root}/${NAME} SYMBOLIC)
  list(TRANSFORM FLOOR_SOURCES PREPEND ${PROJECT_SOURCE_DIR}/src/${NAME}/)
  add_library(kvista_${NAME} STATIC ${FLOOR_SOURCES})
  target_include_directories(kvista_${NAME} PUBLIC ${root})
  list(TRANSFORM FLOOR_USES PREPEND kvista_)
  target_link_libraries(kvista_${NAME} PUBLIC ${FLOOR_USES} ${FLOOR_LINKS} PRIVATE kvista_flags)
endfunction()
