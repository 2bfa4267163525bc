#include <myelin.h>

struct function {
    void *handler, *init, *close;
};

struct function honest(void);
