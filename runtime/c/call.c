#include "call.h"
#include "_cgo_export.h"

static void call_log(uintptr_t worker, int level, const char *text, size_t len, size_t message_len)
{
    myelin_go_log(worker, level, (char *)text, len, message_len);
}

static myelin_bytes call_get(uintptr_t worker, size_t index, int fields, const char *key, size_t len)
{
    return myelin_go_get(worker, index, fields, (char *)key, len);
}

static void call_each(uintptr_t worker, size_t index, int fields, myelin_each *f, void *arg)
{
    myelin_go_each(worker, index, fields, (void *)f, arg);
}

static int call_call(uintptr_t worker, const char *function, const myelin_request *what, myelin_answer *answer)
{
    return myelin_go_call(worker, (char *)function, (myelin_request *)what, answer);
}

static myelin_bytes call_answered(uintptr_t worker, size_t index, const char *key, size_t len)
{
    return myelin_go_answered(worker, index, (char *)key, len);
}

static void call_forget(uintptr_t worker, size_t index) { myelin_go_forget(worker, index); }

static const struct myelin_calls calls = {call_log, call_get, call_each, call_call, call_answered, call_forget};

worker *myelin_worker_new(uintptr_t handle, void *handler, void *batch, void *init, void *close)
{
    worker *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    w->ctx.calls_ = &calls;
    w->ctx.worker_ = handle;
    w->handler = handler;
    w->batch = batch;
    w->init = init;
    w->close = close;
    return w;
}

int myelin_worker_init(worker *w)
{
    return w->init ? ((myelin_init *)w->init)(&w->ctx) : 0;
}

void myelin_worker_close(worker *w)
{
    if (w->close)
        ((myelin_close *)w->close)(&w->ctx);
}

void myelin_worker_free(worker *w)
{
    myelin_response_trim(&w->out);
    for (size_t i = 0; i < w->cap; i++)
        myelin_response_trim(&w->outs[i]);
    free(w->evs);
    free(w->outs);
    free(w);
}

static void clear(myelin_response *out)
{
    out->status = out->result = out->lent_ = out->failed_status_ = 0;
    out->content_type = NULL;
    out->release_ = NULL;
    out->own_len_ = out->headers_len_ = 0;
}

int myelin_result(const myelin_response *out)
{
    if (out->result != MYELIN_OK)
        return out->result;
    return out->failed_status_ ? MYELIN_FAILED : MYELIN_OK;
}

int myelin_worker_run(worker *w, int log_level, int64_t deadline,
                      const char *kind, const char *name,
                      const char *id, size_t id_len, const char *method, size_t method_len,
                      const char *path, size_t path_len, const char *url, size_t url_len,
                      const char *type, size_t type_len, const char *body, size_t body_len,
                      const char *key, size_t key_len, const char *topic, size_t topic_len,
                      int64_t time, int64_t offset, int32_t shard, int32_t shards)
{
    myelin_event ev = {
        .id = {id, id_len}, .method = {method, method_len}, .path = {path, path_len}, .url = {url, url_len},
        .content_type = {type, type_len}, .body = {body, body_len}, .key = {key, key_len}, .topic = {topic, topic_len},
        .time_ns = time, .offset = offset, .shard = shard, .shards = shards,
        .trigger_kind = kind, .trigger_name = name, .calls_ = &calls, .worker_ = w->ctx.worker_,
    };
    myelin_response *out = &w->out;
    clear(out);
    w->ctx.log_level_ = log_level;
    w->ctx.deadline_ns = deadline;
    if (w->handler)
        return ((myelin_handler *)w->handler)(&w->ctx, &ev, out);
    int rc = ((myelin_batch_handler *)w->batch)(&w->ctx, &ev, out, 1);
    return rc ? rc : myelin_result(out);
}

int myelin_worker_room(worker *w, size_t n)
{
    if (n <= w->cap)
        return 0;
    myelin_event *evs = realloc(w->evs, n * sizeof *evs);
    if (!evs)
        return -1;
    w->evs = evs;
    myelin_response *outs = realloc(w->outs, n * sizeof *outs);
    if (!outs)
        return -1;
    w->outs = outs;
    memset(outs + w->cap, 0, (n - w->cap) * sizeof *outs);
    w->cap = n;
    return 0;
}

int myelin_worker_run_batch(worker *w, size_t n, int log_level, int64_t deadline)
{
    for (size_t i = 0; i < n; i++) {
        w->evs[i].calls_ = &calls;
        w->evs[i].worker_ = w->ctx.worker_;
        w->evs[i].index_ = i;
        clear(&w->outs[i]);
    }
    w->ctx.log_level_ = log_level;
    w->ctx.deadline_ns = deadline;
    return ((myelin_batch_handler *)w->batch)(&w->ctx, w->evs, w->outs, n);
}

void myelin_response_trim(myelin_response *out)
{
    free(out->own_);
    free(out->headers_);
    memset(out, 0, sizeof *out);
}

size_t myelin_response_size(const myelin_response *out) { return out->own_cap_ + out->headers_cap_; }

int myelin_call_each(void *f, void *arg, const char *key, size_t key_len, const char *value, size_t value_len)
{
    return ((myelin_each *)f)(arg, (myelin_bytes){key, key_len}, (myelin_bytes){value, value_len});
}

void myelin_call_release(void *release, void *arg) { ((myelin_release *)release)(arg); }

void *myelin_free_function(void) { return (void *)free; }

char *myelin_empty(void) { return (char *)""; }
