# Makes a source file of the text of globals.decl. Comments stay out.
file(READ ${INPUT} text)
string(REGEX REPLACE "//[^\n]*" "" text "${text}")
string(REGEX REPLACE "\n\n+" "\n" text "${text}")
file(WRITE ${OUTPUT} "#include \"kernel/globals.h\"\n\nnamespace kvista::kernel {\nconst std::string_view kGlobalsText = R\"globals(${text})globals\";\n}\n")
