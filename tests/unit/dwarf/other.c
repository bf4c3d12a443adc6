// The unit that completes what types.c only declares.
typedef unsigned int word;
typedef unsigned long long double_word;

struct elsewhere {
  word here;
  double_word there;
};

struct elsewhere global_elsewhere;

void use_elsewhere(struct elsewhere *one, ...) { one->here = 1; }
