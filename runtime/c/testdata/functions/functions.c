#include "functions.h"

#include <pthread.h>

static int releases, closes;

int released(void) { return __atomic_load_n(&releases, __ATOMIC_SEQ_CST); }
int closed(void) { return __atomic_load_n(&closes, __ATOMIC_SEQ_CST); }

static int echo(myelin_context *ctx, const myelin_event *ev, myelin_response *out)
{
    (void)ctx;
    return myelin_write(out, ev->body.data, ev->body.len);
}

typedef struct {
    char *data;
    size_t len;
} kept;

static int keep_init(myelin_context *ctx)
{
    ctx->user_data = calloc(1, sizeof(kept));
    return ctx->user_data ? 0 : myelin_fail_init(ctx, "no memory");
}

static int keep(myelin_context *ctx, const myelin_event *ev, myelin_response *out)
{
    kept *k = ctx->user_data;
    if (k->data && myelin_write(out, k->data, k->len))
        return MYELIN_FAILED;
    free(k->data);
    k->len = ev->body.len;
    k->data = malloc(k->len + 1);
    if (!k->data)
        return myelin_fail(out, 500, "no memory");
    memcpy(k->data, ev->body.data, k->len);
    return 0;
}

static void keep_close(myelin_context *ctx)
{
    kept *k = ctx->user_data;
    free(k->data);
    free(k);
    __atomic_add_fetch(&closes, 1, __ATOMIC_SEQ_CST);
}

static int fail(myelin_context *ctx, const myelin_event *ev, myelin_response *out)
{
    (void)ctx;
    myelin_write(out, "half an answer", 14);
    if (myelin_is(ev->body, "missing"))
        return myelin_fail(out, 404, "no %s", "such thing");
    if (myelin_is(ev->body, "permanent")) {
        myelin_fail(out, 400, "never");
        return MYELIN_PERMANENT;
    }
    if (myelin_is(ev->body, "silent"))
        return 7;
    return myelin_fail(out, 500, "a %s", "deliberate failure");
}

static int big(myelin_context *ctx, const myelin_event *ev, myelin_response *out)
{
    (void)ctx;
    size_t n = 0;
    for (size_t i = 0; i < ev->body.len; i++)
        n = 10 * n + (size_t)(ev->body.data[i] - '0');
    char *at = myelin_reserve(out, n);
    if (!at)
        return myelin_fail(out, 500, "no memory");
    memset(at, 'x', n);
    return 0;
}

static int headers(myelin_context *ctx, const myelin_event *ev, myelin_response *out)
{
    (void)ctx;
    myelin_bytes asked = myelin_header(ev, "x-ask");
    char text[64] = "";
    if (asked.data && asked.len < sizeof text)
        memcpy(text, asked.data, asked.len);
    out->content_type = "text/x-c";
    return myelin_add_header(out, "X-Reply", text);
}

static int one(void *arg, myelin_bytes key, myelin_bytes value)
{
    return myelin_printf(arg, "%.*s=%.*s;", (int)key.len, key.data, (int)value.len, value.data);
}

static int attributes(myelin_context *ctx, const myelin_event *ev, myelin_response *out)
{
    myelin_printf(out, "%d %s %s %s|%s %s|", ctx->worker_id, ctx->function_name, ctx->trigger_kind, ctx->trigger_name, ev->trigger_kind, ev->trigger_name);
    one(out, ev->id, ev->method), one(out, ev->path, ev->url), one(out, ev->content_type, ev->key);
    one(out, ev->topic, ev->body);
    myelin_printf(out, "%lld %lld %d %d|", (long long)ev->time_ns, (long long)ev->offset, ev->shard, ev->shards);
    myelin_each_header(ev, one, out);
    myelin_write(out, "|", 1);
    myelin_each_field(ev, one, out);
    myelin_bytes none = myelin_field(ev, "none");
    return myelin_printf(out, "|%d %d", none.data == NULL, ctx->deadline_ns != 0);
}

static int status(myelin_context *ctx, const myelin_event *ev, myelin_response *out)
{
    (void)ctx, (void)ev;
    out->status = 418;
    myelin_respond_static(out, "teapot", 6);
    return 0;
}

static int ready_init(myelin_context *ctx)
{
    ctx->user_data = "ready";
    return 0;
}

static int user_data(myelin_context *ctx, const myelin_event *ev, myelin_response *out)
{
    (void)ev;
    return myelin_printf(out, "%s", (const char *)ctx->user_data);
}

static int bad_init(myelin_context *ctx) { return myelin_fail_init(ctx, "a deliberate init %s", "failure"); }

static int logs(myelin_context *ctx, const myelin_event *ev, myelin_response *out)
{
    (void)ev, (void)out;
    myelin_log(ctx, MYELIN_DEBUG, "a %s line", "debug");
    myelin_log_with(ctx, MYELIN_INFO, "an info line", "answer", "42", NULL);
    return 0;
}

static int empty(myelin_context *ctx, const myelin_event *ev, myelin_response *out)
{
    (void)ctx, (void)ev, (void)out;
    return 0;
}

static void count(void *arg)
{
    free(arg);
    __atomic_add_fetch(&releases, 1, __ATOMIC_SEQ_CST);
}

/* Answers with as much memory of its own as the body is long, and fails after
 * that if the body begins with f. */
static int owned(myelin_context *ctx, const myelin_event *ev, myelin_response *out)
{
    (void)ctx;
    char *p = malloc(ev->body.len + 1);
    if (!p)
        return MYELIN_FAILED;
    memset(p, 'o', ev->body.len);
    myelin_respond_owned(out, p, ev->body.len, count, p);
    if (ev->body.len && ev->body.data[0] == 'f')
        return myelin_fail(out, 500, "after all");
    if (ev->body.len && ev->body.data[0] == 'n')
        return MYELIN_FAILED;
    return 0;
}

static char large[1 << 20];

static int fixed(myelin_context *ctx, const myelin_event *ev, myelin_response *out)
{
    (void)ctx, (void)ev;
    myelin_respond_static(out, large, sizeof large);
    return 0;
}

/* What the suite asks of functions that take lists. */
static int batch(myelin_context *ctx, const myelin_event *evs, myelin_response *outs, size_t n)
{
    myelin_log(ctx, MYELIN_INFO, "a list of %zu", n);
    for (size_t i = 0; i < n; i++) {
        myelin_bytes body = evs[i].body;
        if (myelin_is(body, "raise")) {
            myelin_respond_owned(&outs[n - 1], malloc(1), 1, count, malloc(1));
            return myelin_fail(outs, 500, "a deliberate failure of all");
        }
        if (myelin_is(body, "error"))
            myelin_fail(&outs[i], 500, "a deliberate failure");
        else if (myelin_is(body, "permanent"))
            outs[i].result = (myelin_fail(&outs[i], 400, "never"), MYELIN_PERMANENT);
        else if (myelin_is(body, "asked"))
            one(&outs[i], evs[i].id, myelin_header(&evs[i], "x-ask"));
        else {
            outs[i].status = myelin_is(body, "teapot") ? 418 : 0;
            myelin_printf(&outs[i], "%zu:", n);
            myelin_write(&outs[i], body.data, body.len);
        }
    }
    return 0;
}

/* What the suite asks of functions that call. */
static int call(myelin_context *ctx, const myelin_event *ev, myelin_response *out)
{
    char name[32], asked[64] = "";
    unsigned long n = 0;
    long long timeout = 0;
    const char *headers[] = {"X-Own", "kept", NULL};
    if (ev->body.len < sizeof asked)
        memcpy(asked, ev->body.data, ev->body.len);
    if (sscanf(asked, "%31s %lu %lld", name, &n, &timeout) != 3)
        return myelin_fail(out, 400, "it is not understood");
    char *body = malloc(n + 1);
    if (!body)
        return myelin_fail(out, 500, "no memory");
    memset(body, 'c', n);
    myelin_request what = {.method = "POST", .path = "/called?a=b", .content_type = "text/x-suite", .body = body, .len = n,
                           .headers = headers, .timeout_ms = timeout};
    myelin_answer a;
    int rc = myelin_call_function(ctx, name, &what, &a);
    free(body);
    if (rc)
        return myelin_printf(out, "failed: %d %s", rc, a.error);
    myelin_bytes reply = myelin_answer_header(&a, "x-reply");
    for (size_t i = 0; i < a.body.len; i++)
        if (a.body.data[i] != 'c')
            return myelin_fail(out, 500, "the answer is not what was sent");
    return myelin_printf(out, "%d %zu %.*s %.*s", a.status, a.body.len, (int)a.content_type.len, a.content_type.data, (int)reply.len, reply.data);
}

typedef struct {
    myelin_context *ctx;
    int next, all, good;
} many;

static void *some(void *arg)
{
    many *m = arg;
    for (int i; (i = __atomic_fetch_add(&m->next, 1, __ATOMIC_SEQ_CST)) < m->all;) {
        char text[16];
        myelin_answer a;
        myelin_request what = {.body = text, .len = (size_t)snprintf(text, sizeof text, "%d", i)};
        if (!myelin_call_function(m->ctx, "echo", &what, &a) && myelin_is(a.body, text))
            __atomic_add_fetch(&m->good, 1, __ATOMIC_SEQ_CST);
        myelin_answer_free(&a);
    }
    return NULL;
}

static int call_many(myelin_context *ctx, const myelin_event *ev, myelin_response *out)
{
    many m = {ctx, 0, 0, 0};
    pthread_t threads[16];
    int n = 0;
    for (size_t i = 0; i < ev->body.len; i++)
        m.all = 10 * m.all + (ev->body.data[i] - '0');
    while (n < 16 && !pthread_create(&threads[n], NULL, some, &m))
        n++;
    for (int i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
    return myelin_printf(out, "%d", m.good);
}

static int call_batch(myelin_context *ctx, const myelin_event *evs, myelin_response *outs, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        myelin_answer a;
        if (myelin_call_function(ctx, "echo", &(myelin_request){.body = evs[i].body.data, .len = evs[i].body.len}, &a))
            return myelin_fail(outs, 502, "%s", a.error);
        myelin_write(&outs[i], a.body.data, a.body.len);
    }
    return 0;
}

/* Calls on behalf of the second event of a list. */
static int call_for(myelin_context *ctx, const myelin_event *evs, myelin_response *outs, size_t n)
{
    myelin_answer a;
    return n < 2 || myelin_call_function(ctx, "echo", &(myelin_request){.ev = &evs[1]}, &a) ? myelin_fail(outs, 500, "no answer") : 0;
}

static int call_init(myelin_context *ctx)
{
    myelin_answer a;
    return myelin_call_function(ctx, NULL, NULL, &a) != 400 || myelin_call_function(ctx, "echo", NULL, &a) ? myelin_fail_init(ctx, "%s", a.error) : 0;
}

/* One table of all, found by name. */
static const function functions[] = {
    {.name = "echo", .handler = echo}, {.name = "keep", .handler = keep, .init = keep_init, .close = keep_close}, {.name = "fail", .handler = fail}, {.name = "big", .handler = big},
    {.name = "headers", .handler = headers}, {.name = "status", .handler = status}, {.name = "user_data", .handler = user_data, .init = ready_init},
    {.name = "bad_init", .handler = echo, .init = bad_init}, {.name = "logs", .handler = logs}, {.name = "empty", .handler = empty}, {.name = "owned", .handler = owned},
    {.name = "fixed", .handler = fixed}, {.name = "attributes", .handler = attributes}, {.name = "call", .handler = call}, {.name = "call_many", .handler = call_many},
    {.name = "call_batch", .batch = call_batch}, {.name = "call_for", .batch = call_for}, {.name = "batch", .batch = batch},
    {.name = "call_init", .handler = empty, .init = call_init}, {.name = "both", .handler = echo, .batch = batch},
};

function find(const char *name)
{
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (!strcmp(functions[i].name, name))
            return functions[i];
    return (function){0};
}
