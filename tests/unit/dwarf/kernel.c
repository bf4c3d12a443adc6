// A kernel of one variable and three functions, where images of tests have them.
struct new_utsname {
  char sysname[65];
  char nodename[65];
  char release[65];
};

struct uts_namespace {
  struct new_utsname name;
  unsigned only_in_debuginfo : 3;
};

__attribute__((section(".uts"))) struct uts_namespace init_uts_ns = {{"x"}};

__attribute__((aligned(64))) void _stext(void) {}

__attribute__((aligned(64))) void between(void) {}

__attribute__((aligned(64))) int symbol_1(int number, struct new_utsname *name) {
  return number + name->sysname[0];
}
