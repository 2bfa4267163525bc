#include <myelin.h>

/* Greets everybody of a list with commas: hello-shell does it, one call for each. */
int handler(myelin_context *ctx, const myelin_event *ev, myelin_response *out)
{
    const char *at = ev->body.data, *end = at + ev->body.len;
    for (int greeted = 0; at < end; at++) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        myelin_request what = {.body = at, .len = (size_t)((comma ? comma : end) - at), .timeout_ms = 10000};
        at = comma ? comma : end;
        for (; what.len && *(const char *)what.body == ' '; what.len--)
            what.body = (const char *)what.body + 1;
        if (what.len == 0)
            continue;
        myelin_answer answer;
        int rc = myelin_call_function(ctx, "hello-shell", &what, &answer);
        if (rc)
            return myelin_fail(out, rc, "%s", answer.error);
        if (answer.status != 200)
            return myelin_fail(out, 502, "hello-shell answered %d", answer.status);
        if (greeted++)
            myelin_write(out, "\n", 1);
        myelin_write(out, answer.body.data, answer.body.len);
        myelin_answer_free(&answer);
    }
    return 0;
}
