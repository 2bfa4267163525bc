#include <myelin.h>

typedef struct {
    const char *name;
    void *handler, *init, *close, *batch;
} function;

function find(const char *name);
int released(void);
int closed(void);
