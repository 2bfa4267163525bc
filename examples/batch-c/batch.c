#include <myelin.h>

/* Gives an answer to each event, at its place. */
int handler_batch(myelin_context *ctx, const myelin_event *evs, myelin_response *outs, size_t n)
{
    (void)ctx;
    for (size_t i = 0; i < n; i++)
        if (myelin_printf(&outs[i], "Hello, %.*s, one of %zu", (int)evs[i].body.len, evs[i].body.data, n))
            return myelin_fail(outs, 500, "no memory");
    return 0;
}
