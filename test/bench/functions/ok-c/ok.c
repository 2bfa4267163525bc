#include <myelin.h>

/* Answers two bytes. */
int handler(myelin_context *ctx, const myelin_event *ev, myelin_response *out)
{
    (void)ctx, (void)ev;
    myelin_respond_static(out, "ok", 2);
    return 0;
}
