/* myelin_test.h: calls a handler without a processor, for tests of functions.
 *
 *     myelin_test_result r = myelin_test(handler, "Ada", 3);
 *     assert(r.result == 0 && strcmp(r.body, "Hello, Ada") == 0);
 *     free(r.body);
 *
 * Include it in one file with a main of its own, named test_*.c or *_test.c: the
 * build leaves such files out.
 */
#ifndef MYELIN_TEST_H
#define MYELIN_TEST_H

#include "myelin.h"

typedef struct {
    int result; /* what the handler returned */
    int status; /* of the answer or the failure */
    char *body; /* a copy that ends in a zero, or what myelin_fail said; free it */
    size_t len;
} myelin_test_result;

static void myelin_test_log_(uintptr_t worker, int level, const char *text, size_t len, size_t message_len)
{
    (void)worker, (void)level, (void)len;
    fprintf(stderr, "log: %.*s\n", (int)message_len, text);
}

static myelin_bytes myelin_test_get_(uintptr_t worker, size_t index, int fields, const char *key, size_t len)
{
    myelin_bytes none = {NULL, 0};
    (void)worker, (void)index, (void)fields, (void)key, (void)len;
    return none;
}

static void myelin_test_each_(uintptr_t worker, size_t index, int fields, myelin_each *f, void *arg)
{
    (void)worker, (void)index, (void)fields, (void)f, (void)arg;
}

/* What stands for the functions that are called: it fills answer and returns 0,
 * or returns a status and says in answer->error why. What it points to must stay. */
static int (*myelin_test_callee)(const char *function, const myelin_request *what, myelin_answer *answer);

static int myelin_test_call_(uintptr_t worker, const char *function, const myelin_request *what, myelin_answer *answer)
{
    (void)worker;
    if (myelin_test_callee)
        return myelin_test_callee(function, what, answer);
    snprintf(answer->error, sizeof answer->error, "the test has no function %s: see myelin_test_callee", function);
    return 404;
}

static myelin_bytes myelin_test_answered_(uintptr_t worker, size_t index, const char *key, size_t len)
{
    return myelin_test_get_(worker, index, 0, key, len);
}

static void myelin_test_forget_(uintptr_t worker, size_t index) { (void)worker, (void)index; }

static const struct myelin_calls myelin_test_calls_ = {myelin_test_log_, myelin_test_get_, myelin_test_each_,
                                                       myelin_test_call_, myelin_test_answered_, myelin_test_forget_};

/* A context as a worker has it, for init_context and for myelin_test_with. */
static inline myelin_context myelin_test_context(void)
{
    myelin_context ctx;
    memset(&ctx, 0, sizeof ctx);
    ctx.function_name = "test", ctx.trigger_kind = "http", ctx.trigger_name = "test";
    ctx.calls_ = &myelin_test_calls_, ctx.log_level_ = MYELIN_DEBUG;
    return ctx;
}

static inline myelin_event myelin_test_event_(myelin_context *ctx, const void *body, size_t len)
{
    myelin_event ev;
    memset(&ev, 0, sizeof ev);
    ev.id.data = "1", ev.id.len = 1, ev.method.data = "POST", ev.method.len = 4, ev.path.data = ev.url.data = "/", ev.path.len = ev.url.len = 1;
    ev.body.data = (const char *)body, ev.body.len = len;
    ev.trigger_kind = ctx->trigger_kind, ev.trigger_name = ctx->trigger_name, ev.calls_ = ctx->calls_;
    return ev;
}

static inline myelin_test_result myelin_test_result_(int result, myelin_response *out)
{
    myelin_test_result r;
    memset(&r, 0, sizeof r);
    r.result = result;
    r.status = result ? (out->failed_status_ ? out->failed_status_ : 500) : (out->status ? out->status : 200);
    r.len = out->lent_ ? out->len_ : out->own_len_;
    r.body = (char *)malloc(r.len + 1);
    if (!r.body)
        abort();
    if (r.len)
        memcpy(r.body, out->lent_ ? out->body_ : out->own_, r.len);
    r.body[r.len] = 0;
    myelin_release_body_(out);
    free(out->own_), free(out->headers_);
    return r;
}

/* Calls a handler with an event that has that body and no header. */
static inline myelin_test_result myelin_test_with(myelin_context *ctx, myelin_handler *h, const void *body, size_t len)
{
    myelin_event ev = myelin_test_event_(ctx, body, len);
    myelin_response out;
    memset(&out, 0, sizeof out);
    int result = h(ctx, &ev, &out);
    return myelin_test_result_(result, &out);
}

/* Calls a handler of lists with n events, whose bodies are texts, and fills n
 * results: free the body of each. It returns what the handler did. */
static inline int myelin_test_batch(myelin_context *ctx, myelin_batch_handler *h, const char *const *bodies, size_t n, myelin_test_result *results)
{
    myelin_event *evs = (myelin_event *)calloc(n, sizeof *evs);
    myelin_response *outs = (myelin_response *)calloc(n, sizeof *outs);
    if (!evs || !outs)
        abort();
    for (size_t i = 0; i < n; i++) {
        evs[i] = myelin_test_event_(ctx, bodies[i], strlen(bodies[i]));
        evs[i].index_ = i;
    }
    int result = h(ctx, evs, outs, n);
    for (size_t i = 0; i < n; i++) {
        int own = outs[i].result ? outs[i].result : outs[i].failed_status_ ? MYELIN_FAILED : MYELIN_OK;
        results[i] = myelin_test_result_(result ? result : own, &outs[i]);
    }
    free(evs), free(outs);
    return result;
}

/* The same with a context of its own. */
static inline myelin_test_result myelin_test(myelin_handler *h, const void *body, size_t len)
{
    myelin_context ctx = myelin_test_context();
    return myelin_test_with(&ctx, h, body, len);
}

#endif
