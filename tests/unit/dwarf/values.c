// Prints what the compiler itself says of types.c: "TYPE MEMBER FIRST_BIT BITS", a member without a name is "-" and stands
// for the type's size.
#include "types.c"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define SIZE(type) printf("%s - 0 %zu\n", #type, sizeof(type) * 8)
#define MEMBER(type, member) \
  printf("%s %s %zu %zu\n", #type, #member, offsetof(type, member) * 8, sizeof(((type *)0)->member) * 8)

static void print_bits(const char *name, const unsigned char *bytes, size_t size) {
  size_t first = 0, count = 0;
  for (size_t bit = 0; bit < size * 8; ++bit)
    if (bytes[bit / 8] >> bit % 8 & 1)
      if (count++ == 0) first = bit;
  printf("struct bits %s %zu %zu\n", name, first, count);
}
#define BITS(member)                                               \
  do {                                                             \
    struct bits all;                                               \
    memset(&all, 0, sizeof all);                                   \
    all.member = -1;                                               \
    print_bits(#member, (const unsigned char *)&all, sizeof(all)); \
  } while (0)

int main(void) {
  SIZE(struct bits);
  BITS(a);
  BITS(b);
  BITS(c);
  BITS(d);
  BITS(e);
  BITS(f);
  BITS(g);
  SIZE(union both);
  MEMBER(union both, number);
  MEMBER(union both, text);
  SIZE(enum colour);
  SIZE(enum negative);
  SIZE(enum large);
  SIZE(size_word);
  SIZE(pair_of_ints);
  SIZE(struct everything);
  MEMBER(struct everything, letter);
  MEMBER(struct everything, pointer);
  MEMBER(struct everything, table);
  MEMBER(struct everything, left);
  MEMBER(struct everything, inner);
  MEMBER(struct everything, right);
  MEMBER(struct everything, named);
  MEMBER(struct everything, colour);
  MEMBER(struct everything, operation);
  MEMBER(struct everything, other);
  MEMBER(struct everything, counter);
  MEMBER(struct everything, only);
  MEMBER(struct everything, size);
  MEMBER(struct everything, pair);
  MEMBER(struct everything, flag);
  MEMBER(struct everything, ratio);
  MEMBER(struct everything, both);
  MEMBER(struct everything, next);
  return 0;
}
