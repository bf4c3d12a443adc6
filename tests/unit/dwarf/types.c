// What dwarf_test.cpp reads back: each kind of type that C has. values.c prints where its members are.
struct elsewhere;  // completed in other.c

enum colour { red, green = 5, blue };
enum negative { minus = -3, plus = 3 };
enum large { small_one = 1, large_one = 0x100000000 };
enum { nameless_one = 77 };

struct bits {
  unsigned a : 3;
  unsigned b : 7;
  int c : 22;
  unsigned long long d : 40;
  unsigned char e : 5;
  _Bool f : 1;
  unsigned g : 9;
};

union both {
  int number;
  char text[6];
};

typedef unsigned long size_word;
typedef int pair_of_ints[2];

struct everything {
  char letter;
  const volatile int *pointer;
  int table[3][5];
  union {
    int left;
    struct {
      short inner;
      float right;
    };
  };
  struct {
    short value;
  } named;
  enum colour colour;
  int (*operation)(struct everything *self, const char *text, ...);
  struct elsewhere *other;
  _Atomic int counter;
  int *restrict only;
  size_word size;
  pair_of_ints pair;
  _Bool flag;
  double ratio;
  union both both;
  struct everything *next;
  char flexible[];
};

int global_number = 7;
struct everything *global_table[4];
struct bits global_bits;
enum negative global_negative = minus;
enum large global_large = large_one;
int nameless_number = nameless_one;
static volatile int hidden_number = 3;

int add(int first, struct everything *second) {
  return first + global_number + hidden_number + (second ? second->letter : 0);
}
