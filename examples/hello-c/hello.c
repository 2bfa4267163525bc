#include <myelin.h>

/* Greets whoever the event's body names. */
int handler(myelin_context *ctx, const myelin_event *ev, myelin_response *out)
{
    (void)ctx;
    myelin_write(out, "Hello, ", 7);
    if (ev->body.len == 0)
        return myelin_write(out, "stranger", 8);
    return myelin_write(out, ev->body.data, ev->body.len);
}
