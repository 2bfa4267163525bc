/* myelin.h: what the author of a function in C includes. The whole of it: there
 * is no library to link. A function is
 *
 *     #include <myelin.h>
 *
 *     int handler(myelin_context *ctx, const myelin_event *ev, myelin_response *out)
 *     {
 *         myelin_write(out, "Hello, ", 7);
 *         myelin_write(out, ev->body.data, ev->body.len);
 *         return 0;
 *     }
 *
 * and may have beside it, for each worker, before the first event and after the
 * last:
 *
 *     int init_context(myelin_context *ctx);     non-zero: the worker cannot begin
 *     void close_context(myelin_context *ctx);
 *
 * A function that takes lists of events, for triggers with batches, has, beside
 * its handler or in its place, one whose name ends in _batch:
 *
 *     int handler_batch(myelin_context *ctx, const myelin_event *evs, myelin_response *outs, size_t n)
 *     {
 *         for (size_t i = 0; i < n; i++)
 *             myelin_write(&outs[i], evs[i].body.data, evs[i].body.len);
 *         return 0;
 *     }
 *
 * Workers are threads of one process: each has a myelin_context of its own and
 * runs one event at a time, and everything that is global is shared by them.
 */
#ifndef MYELIN_H
#define MYELIN_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes that lie somewhere else. They do not end in a zero. data may be NULL if
 * len is 0. */
typedef struct {
    const char *data;
    size_t len;
} myelin_bytes;

/* Levels of a log record. */
enum { MYELIN_DEBUG = -4, MYELIN_INFO = 0, MYELIN_WARN = 4, MYELIN_ERROR = 8 };

/* What a handler returns: 0 if it answered; the others if it failed, see
 * myelin_fail. Any other value is a failure too. */
enum { MYELIN_OK = 0, MYELIN_FAILED = -1, MYELIN_PERMANENT = -2 };

struct myelin_calls; /* the processor's part, below */

/* One worker's. */
typedef struct {
    void *user_data; /* the function's own: set it in init_context */
    int worker_id;   /* 0 to the number of workers less one */
    const char *function_name;
    const char *trigger_kind; /* of the first trigger that the worker serves */
    const char *trigger_name;
    int64_t deadline_ns; /* of the event that runs, Unix time; 0: none */

    const struct myelin_calls *calls_;
    uintptr_t worker_;
    int log_level_;
    char error_[512];
} myelin_context;

/* One event. It is lent: everything in it lies where the trigger read it, is
 * never to be written to, and is gone when the handler returns. */
typedef struct {
    myelin_bytes id;
    myelin_bytes method; /* empty unless the source is a request, as is path */
    myelin_bytes path;
    myelin_bytes url; /* path and query */
    myelin_bytes content_type;
    myelin_bytes body;
    myelin_bytes key; /* of the record, if its source has keys */
    myelin_bytes topic;
    int64_t time_ns; /* Unix time */
    int64_t offset;
    int32_t shard;
    int32_t shards; /* 0: the source has none */
    const char *trigger_kind;
    const char *trigger_name;

    const struct myelin_calls *calls_;
    uintptr_t worker_;
    size_t index_; /* in its list */
} myelin_event;

/* Gives memory back. free is one. It may be called from any thread. */
typedef void myelin_release(void *arg);

/* What the function answers. */
typedef struct {
    int status;               /* 0 means 200 */
    const char *content_type; /* NULL means text/plain; valid until the handler returned */
    int result;               /* in a list: what a handler of this event alone would return */

    const char *body_;
    size_t len_;
    myelin_release *release_;
    void *release_arg_;
    int lent_; /* body_ is the function's, not own_ */
    char *own_;
    size_t own_len_, own_cap_;
    char *headers_; /* key 0 value 0 key 0 ... */
    size_t headers_len_, headers_cap_;
    int failed_status_;
} myelin_response;

typedef int myelin_handler(myelin_context *ctx, const myelin_event *ev, myelin_response *out);

/* Takes a list of n events, at least one: outs[i] is the answer to evs[i]. One of
 * them fails by myelin_fail(&outs[i], ...), with outs[i].result = MYELIN_PERMANENT
 * for good. If the handler does not return 0 all fail, with what
 * myelin_fail(outs, ...) said. */
typedef int myelin_batch_handler(myelin_context *ctx, const myelin_event *evs, myelin_response *outs, size_t n);
typedef int myelin_init(myelin_context *ctx);
typedef void myelin_close(myelin_context *ctx);

/* The names that the build looks for, declared so that the compiler checks
 * their types. The build sets MYELIN_HANDLER to spec.handler. */
#ifndef MYELIN_HANDLER
#define MYELIN_HANDLER handler
#endif
#define MYELIN_JOIN_(a, b) a##b
#define MYELIN_JOIN(a, b) MYELIN_JOIN_(a, b)
myelin_handler MYELIN_HANDLER;
myelin_batch_handler MYELIN_JOIN(MYELIN_HANDLER, _batch);
myelin_init init_context;
myelin_close close_context;

/* Sees one header or field; to stop, return non-zero. */
typedef int myelin_each(void *arg, myelin_bytes key, myelin_bytes value);

/* What another function is to get. What is left out, being 0 or NULL, has the
 * meaning that is given. */
typedef struct {
    const char *method;       /* GET without and POST with a body */
    const char *path;         /* with its query; / */
    const char *content_type; /* text/plain, if there is a body */
    const void *body;
    size_t len;
    const char *const *headers; /* names and values in turn, and NULL after the last; none */
    int64_t timeout_ms;         /* that of the event, or else a minute */
    const myelin_event *ev;     /* on whose behalf: the call belongs to its trace; in a list no event's, else that at hand */
} myelin_request;

/* What it answered. It is valid until the handler returns or myelin_answer_free. */
typedef struct {
    int status;
    myelin_bytes content_type;
    myelin_bytes body;
    char error[512]; /* why there is no answer */

    const struct myelin_calls *calls_;
    uintptr_t worker_;
    size_t index_;
} myelin_answer;

struct myelin_calls {
    void (*log)(uintptr_t worker, int level, const char *text, size_t len, size_t message_len);
    myelin_bytes (*get)(uintptr_t worker, size_t index, int fields, const char *key, size_t len);
    void (*each)(uintptr_t worker, size_t index, int fields, myelin_each *f, void *arg);
    int (*call)(uintptr_t worker, const char *function, const myelin_request *what, myelin_answer *answer);
    myelin_bytes (*answered)(uintptr_t worker, size_t index, const char *key, size_t len);
    void (*forget)(uintptr_t worker, size_t index);
};

/* ---- reading an event ---- */

/* The first header of that name, in any case of letters. data is NULL if there
 * is none. */
static inline myelin_bytes myelin_header(const myelin_event *ev, const char *name)
{
    return ev->calls_->get(ev->worker_, ev->index_, 0, name, strlen(name));
}

/* The first query argument or record field of that name. */
static inline myelin_bytes myelin_field(const myelin_event *ev, const char *name)
{
    return ev->calls_->get(ev->worker_, ev->index_, 1, name, strlen(name));
}

/* Calls f with every header, in the source's order. */
static inline void myelin_each_header(const myelin_event *ev, myelin_each *f, void *arg)
{
    ev->calls_->each(ev->worker_, ev->index_, 0, f, arg);
}

/* Calls f with every query argument or record field. */
static inline void myelin_each_field(const myelin_event *ev, myelin_each *f, void *arg)
{
    ev->calls_->each(ev->worker_, ev->index_, 1, f, arg);
}

/* Whether b is the text s. */
static inline int myelin_is(myelin_bytes b, const char *s)
{
    return b.len == strlen(s) && memcmp(b.data ? b.data : "", s, b.len) == 0;
}

/* ---- answering ---- */

static inline void myelin_release_body_(myelin_response *out)
{
    if (out->release_)
        out->release_(out->release_arg_);
    out->release_ = NULL;
    out->lent_ = 0;
    out->own_len_ = 0;
}

/* Adds n bytes to the answer and returns where they are to be written, before
 * the next call on out; NULL if there is no memory, and nothing is added. */
static inline char *myelin_reserve(myelin_response *out, size_t n)
{
    if (out->lent_)
        myelin_release_body_(out);
    if (!out->own_ || n > out->own_cap_ - out->own_len_) {
        size_t cap = out->own_cap_ ? out->own_cap_ : 512;
        if (n > SIZE_MAX / 4 || out->own_len_ > SIZE_MAX / 4)
            return NULL;
        while (cap - out->own_len_ < n)
            cap *= 2;
        char *grown = (char *)realloc(out->own_, cap);
        if (!grown)
            return NULL;
        out->own_ = grown;
        out->own_cap_ = cap;
    }
    out->own_len_ += n;
    return out->own_ + (out->own_len_ - n);
}

/* Adds a copy of bytes to the answer; anything may be written, also parts of the
 * event. 0, or -1 if there is no memory. */
static inline int myelin_write(myelin_response *out, const void *data, size_t len)
{
    char *at = myelin_reserve(out, len);
    if (!at)
        return -1;
    if (len)
        memcpy(at, data, len);
    return 0;
}

/* Adds text as printf makes it. 0, or -1. */
#ifdef __GNUC__
__attribute__((format(printf, 2, 3)))
#endif
static inline int myelin_printf(myelin_response *out, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *at = n < 0 ? NULL : myelin_reserve(out, (size_t)n + 1);
    if (!at)
        return -1;
    va_start(args, format);
    vsnprintf(at, (size_t)n + 1, format, args);
    va_end(args);
    out->own_len_--; /* the zero */
    return 0;
}

/* Answers with memory that is never freed nor changed. Nothing is copied. Parts
 * of the event are no such memory: use myelin_write. */
static inline void myelin_respond_static(myelin_response *out, const void *data, size_t len)
{
    myelin_release_body_(out);
    out->body_ = (const char *)data;
    out->len_ = len;
    out->lent_ = 1;
}

/* Answers with memory of the function's own, such as from malloc, and has
 * release(arg) called once when it was sent, whatever becomes of the event.
 * Nothing is copied. It may be sent while the worker runs its next event. */
static inline void myelin_respond_owned(myelin_response *out, const void *data, size_t len,
                                        myelin_release *release, void *arg)
{
    myelin_respond_static(out, data, len);
    out->release_ = release;
    out->release_arg_ = arg;
}

/* Adds a header to the answer, copying both. 0, or -1 if there is no memory. */
static inline int myelin_add_header(myelin_response *out, const char *key, const char *value)
{
    size_t k = strlen(key) + 1, v = strlen(value) + 1;
    if (out->headers_len_ + k + v > out->headers_cap_) {
        size_t cap = 2 * (out->headers_len_ + k + v);
        char *grown = (char *)realloc(out->headers_, cap);
        if (!grown)
            return -1;
        out->headers_ = grown;
        out->headers_cap_ = cap;
    }
    memcpy(out->headers_ + out->headers_len_, key, k);
    memcpy(out->headers_ + out->headers_len_ + k, value, v);
    out->headers_len_ += k + v;
    return 0;
}

/* Says how the event failed, in place of an answer: status as in HTTP, and text.
 * It returns MYELIN_FAILED, for the handler to return; to keep a queue or stream
 * from running the event again, return MYELIN_PERMANENT. */
#ifdef __GNUC__
__attribute__((format(printf, 3, 4)))
#endif
static inline int myelin_fail(myelin_response *out, int status, const char *format, ...)
{
    va_list args;
    myelin_release_body_(out);
    out->failed_status_ = status;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *at = n < 0 ? NULL : myelin_reserve(out, (size_t)n + 1);
    if (at) {
        va_start(args, format);
        vsnprintf(at, (size_t)n + 1, format, args);
        va_end(args);
        out->own_len_--;
    }
    return MYELIN_FAILED;
}

/* Says why init_context failed. It returns MYELIN_FAILED, for it to return. */
#ifdef __GNUC__
__attribute__((format(printf, 2, 3)))
#endif
static inline int myelin_fail_init(myelin_context *ctx, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(ctx->error_, sizeof ctx->error_, format, args);
    va_end(args);
    return MYELIN_FAILED;
}

/* ---- calling other functions ---- */

/* Calls a function by its name and waits for its answer, whose body is where it was
 * received: nothing is copied. 0: there is an answer, whatever its status. Else
 * it is a status that says why there is none, and answer->error a text: 404, there
 * is no such function; 504, it did not answer in time; 502 or 503, it is down; 400,
 * the call cannot be sent like this. what may be NULL. It may be called from
 * several threads at once, until the handler or init_context returns. */
static inline int myelin_call_function(myelin_context *ctx, const char *function, const myelin_request *what, myelin_answer *answer)
{
    static const myelin_request nothing;
    memset(answer, 0, sizeof *answer);
    answer->calls_ = ctx->calls_;
    answer->worker_ = ctx->worker_;
    return ctx->calls_->call(ctx->worker_, function, what ? what : &nothing, answer);
}

/* The first header of that name of an answer, in any case of letters. data is NULL
 * if there is none. It is valid as long as the answer is. */
static inline myelin_bytes myelin_answer_header(const myelin_answer *answer, const char *name)
{
    return answer->calls_->answered(answer->worker_, answer->index_, name, strlen(name));
}

/* Gives the memory of an answer back before the handler returns, as one that makes
 * many calls should. */
static inline void myelin_answer_free(myelin_answer *answer)
{
    if (answer->index_)
        answer->calls_->forget(answer->worker_, answer->index_);
    answer->index_ = 0;
    answer->body.data = answer->content_type.data = NULL;
    answer->body.len = answer->content_type.len = 0;
}

/* ---- logging ---- */

/* Whether anybody reads records of that level. */
static inline int myelin_logs(const myelin_context *ctx, int level) { return level >= ctx->log_level_; }

/* Logs text as printf makes it, at most 2047 bytes. */
#ifdef __GNUC__
__attribute__((format(printf, 3, 4)))
#endif
static inline void myelin_log(myelin_context *ctx, int level, const char *format, ...)
{
    if (!myelin_logs(ctx, level))
        return;
    char text[2048];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (n < 0)
        return;
    size_t len = (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
    ctx->calls_->log(ctx->worker_, level, text, len, len);
}

/* Logs a message with attributes: names and values in turn, all strings, with a
 * NULL after the last. What is above 2047 bytes in all is left out. */
#ifdef __GNUC__
__attribute__((sentinel))
#endif
static inline void myelin_log_with(myelin_context *ctx, int level, const char *message, ...)
{
    if (!myelin_logs(ctx, level))
        return;
    char text[2048];
    size_t len = strlen(message);
    if (len > sizeof text - 1)
        len = sizeof text - 1;
    size_t first = len;
    memcpy(text, message, len);
    va_list args;
    va_start(args, message);
    for (const char *s; (s = va_arg(args, const char *));) {
        size_t n = strlen(s);
        if (len + 1 + n > sizeof text - 1)
            break;
        text[len++] = 0;
        memcpy(text + len, s, n);
        len += n;
    }
    va_end(args);
    ctx->calls_->log(ctx->worker_, level, text, len, first);
}

#ifdef __cplusplus
}
#endif
#endif
