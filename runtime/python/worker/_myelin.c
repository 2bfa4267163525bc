/* The worker's loop: takes requests from the shared mapping, calls the handler
 * and answers. The format is in docs/reference/shared-memory.md. Event
 * attributes are made when they are asked for. The interpreter lock is held
 * except while the worker sleeps. */
#define PY_SSIZE_T_CLEAN
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <Python.h>
#include <structmember.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#if PY_VERSION_HEX < 0x03090000
#define PyObject_Vectorcall _PyObject_Vectorcall
#endif

enum { F_FD = 1, F_ERROR = 2, F_LOGASKED = 4, F_SHARDS = 8, F_GOES_ON = 16, F_RETAIN = 4, F_MORE = 8, F_RELEASE = 16, F_RECALLED = 32, F_CALL = 64, F_HELD = 1 << 15 };
enum { QUEUED = 1, BEGUN = 2 };
enum { K_BATCHED = 2 };
enum { META_FIXED = 88, MIN_BLOCK = 16384, NSTRINGS = 10 };
enum { PARTS = 4, PART_MAX = 65536, END_ROOM = 1024 }; /* of a stream */

typedef struct {
    uint16_t kind, flags;
    uint32_t slot, gen;
    uint64_t meta_off, body_off;
    uint32_t meta_len, body_len, pos;
} Entry;

typedef struct { uint64_t off; uint32_t order, gen; int used; } Block;

typedef struct Waiter Waiter;
typedef struct { uint32_t gen; int watched, returned; Block block; } Asked; /* the last call of a cell */

typedef struct {
    PyObject_HEAD
    char *mem;
    uint64_t size;
    int wake, bell, second; /* the processor's second bell; -1: it has none */
    uint32_t nslots, slot_size, resp_entries, resp_off;
    char *requests, *responses, *slots;
    uint64_t arena_off, arena_len, max_body;
    uint32_t req_pos, resp_pos;
    uint32_t leaves;
    uint8_t *tree;       /* as the buddy of the processor: 1 + order of the largest free block */
    Block *blocks;       /* the response block that each slot may still hold */
    Block *parts;        /* the blocks of each slot's stream, PARTS each */
    uint32_t pinned;     /* slots of which there are views */
    uint64_t pinned_bytes;
    PyObject *helper;    /* read_file, send_file, timestamp, body, trigger */
    PyObject *event_type;
    PyObject *current;   /* the event whose handler runs, borrowed */
    int quiet;           /* responses do not ring: whoever set this will */
    int plain;           /* bodies that are no JSON stay bytes */
    uint64_t spin;       /* nanoseconds to wait awake, 0: not at all */
    uint32_t skip, penalty; /* waits to be slept, now and after the next one in vain */
    uint64_t call_spin;  /* the same for the answers of calls; these are guarded by the interpreter lock */
    uint32_t call_skip, call_penalty;
    int hopes;           /* a thread waits awake for an answer */
    char *cells;         /* see _myelin_calls.h */
    uint32_t ncells, cell_size, nwatched, nheld, nreturned;
    Asked *asked;
    pthread_mutex_t mu;  /* of what follows; whoever holds it does not wait for the interpreter lock */
    pthread_cond_t moved;
    Waiter *waiters;
    int reader, looped;  /* somebody reads the eventfd; an event loop does, for good */
    pthread_t loop_thread;
} Channel;

enum { A_METHOD, A_PATH, A_URL, A_CTYPE, A_ID, A_KEY, A_TOPIC, A_TRIGGER, A_BODY, A_HEADERS, A_FIELDS, A_SIZE,
       A_TIMESTAMP, A_SHARD, A_SHARDS, A_OFFSET, A_TYPE, A_TYPEV, A_VERSION, A_LAST, A_BROUGHT, A_N };

typedef struct {
    PyObject_HEAD
    Channel *ch;
    const char *meta, *body;
    uint32_t meta_len, body_len, slot, gen, pos;
    uint16_t flags;
    uint8_t answered, batched;
    uint32_t sent, freed, seen; /* parts of a stream: published, whose blocks were freed, taken when last looked */
    PyObject *view;      /* the View of the body, or bytes that body_view is made of; NULL if none was asked for */
    PyObject *own;       /* the bytes that meta and body lie in, if not in the mapping */
    uint64_t start;
    PyObject *cache[A_N];
} Event;

static uint16_t r16(const char *p) { uint16_t v; memcpy(&v, p, 2); return v; }
static uint32_t r32(const char *p) { uint32_t v; memcpy(&v, p, 4); return v; }
static uint64_t r64(const char *p) { uint64_t v; memcpy(&v, p, 8); return v; }
static void w16(char *p, uint16_t v) { memcpy(p, &v, 2); }
static void w32(char *p, uint32_t v) { memcpy(p, &v, 4); }
static void w64(char *p, uint64_t v) { memcpy(p, &v, 8); }
static uint32_t load(char *p) { return __atomic_load_n((uint32_t *)p, __ATOMIC_ACQUIRE); }
static void store(char *p, uint32_t v) { __atomic_store_n((uint32_t *)p, v, __ATOMIC_RELEASE); }

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- the arena ---- */

static uint32_t order_of(uint64_t n) {
    uint32_t o = 0;
    while (((uint64_t)MIN_BLOCK << o) < n) o++;
    return o;
}

static int arena_init(Channel *c) {
    c->leaves = (uint32_t)(c->arena_len / MIN_BLOCK);
    c->tree = PyMem_Calloc(2 * c->leaves, 1);
    if (!c->tree) return -1;
    for (uint32_t i = c->leaves; i < 2 * c->leaves; i++) c->tree[i] = 1;
    for (uint32_t i = c->leaves - 1; i > 0; i--) c->tree[i] = c->tree[2 * i] + 1;
    return 0;
}

static int64_t arena_alloc(Channel *c, uint32_t order) {
    uint32_t want = order + 1, node = 1, at = c->tree[1];
    uint32_t top = 1;
    if (at < want) return -1;
    while ((c->leaves >> (top - 1)) > 1) top++;
    for (; top > want; top--) {
        node *= 2;
        if (c->tree[node] < want) node++;
    }
    c->tree[node] = 0;
    int64_t off = (int64_t)(((uint64_t)node << order) - c->leaves) * MIN_BLOCK;
    while (node > 1) {
        node /= 2;
        uint8_t l = c->tree[2 * node], r = c->tree[2 * node + 1];
        c->tree[node] = l > r ? l : r;
    }
    return off;
}

static void arena_free(Channel *c, uint64_t off, uint32_t order) {
    uint32_t node = ((uint32_t)(off / MIN_BLOCK) + c->leaves) >> order;
    uint8_t full = (uint8_t)(order + 1);
    c->tree[node] = full;
    while (node > 1) {
        node /= 2;
        uint8_t l = c->tree[2 * node], r = c->tree[2 * node + 1];
        c->tree[node] = (l == full && r == full) ? full + 1 : (l > r ? l : r);
        full++;
    }
}

static void block_free(Channel *c, Block *b) {
    if (b->used) {
        arena_free(c, b->off, b->order);
        b->used = 0;
    }
}

static void block_drop(Channel *c, uint32_t slot) {
    block_free(c, &c->blocks[slot]);
    for (int i = 0; i < PARTS; i++) block_free(c, &c->parts[slot * PARTS + i]);
}

static char *slot_line(Channel *c, uint32_t slot) { return c->slots + (uint64_t)slot * c->slot_size; }

/* Frees what the processor says it has consumed, by the generation of the last
 * response that it has. Later responses of a slot may have needed no block. */
static void block_sweep(Channel *c) {
    for (uint32_t i = 0; i < c->nslots; i++) {
        uint32_t gen = load(slot_line(c, i));
        if ((int32_t)(gen - c->blocks[i].gen) >= 0) block_free(c, &c->blocks[i]);
        for (int k = 0; k < PARTS; k++)
            if ((int32_t)(gen - c->parts[i * PARTS + k].gen) >= 0) block_free(c, &c->parts[i * PARTS + k]);
    }
}

/* A block for slot's response: an older response of the same slot was consumed
 * before the slot was used again. Under pressure, what the processor says it
 * has consumed in other slots is freed too. */
static int64_t block_take(Channel *c, uint32_t slot, uint32_t gen, uint64_t n) {
    uint32_t order = order_of(n);
    block_drop(c, slot);
    int64_t off = arena_alloc(c, order);
    if (off < 0) {
        block_sweep(c);
        off = arena_alloc(c, order);
    }
    if (off >= 0) c->blocks[slot] = (Block){(uint64_t)off, order, gen, 1};
    return off;
}

/* ---- the rings ---- */

static int take_entry(Channel *c, Entry *e) {
    char *p = c->requests + (uint64_t)(c->req_pos & (c->nslots - 1)) * 64;
    if (load(p) != c->req_pos + 1) return 0;
    e->kind = r16(p + 4); e->flags = r16(p + 6);
    e->slot = r32(p + 8); e->gen = r32(p + 12);
    e->meta_off = r64(p + 16); e->body_off = r64(p + 24);
    e->meta_len = r32(p + 32); e->body_len = r32(p + 36);
    e->pos = c->req_pos++;
    return 1;
}

/* Whether the event may be begun; if not, the processor has called it back. */
static int claim(Channel *c, uint32_t pos) {
    uint32_t *word = (uint32_t *)(c->requests + (uint64_t)(pos & (c->nslots - 1)) * 64 + 48), queued = pos << 2 | QUEUED;
    return __atomic_compare_exchange_n(word, &queued, pos << 2 | BEGUN, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

static void ring_bell(Channel *c) {
    uint64_t v = 1;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (!load(c->mem + 0x180)) return;
    uint32_t which = __atomic_exchange_n((uint32_t *)(c->mem + 0x180), 0, __ATOMIC_SEQ_CST);
    if (which && write(which == 2 ? c->second : c->bell, &v, 8) < 0) { /* only full: then it has been rung */ }
}

static void put_entry(Channel *c, uint32_t slot, uint32_t gen, uint16_t status, uint16_t flags, uint64_t meta_off,
                      uint32_t meta_len, uint64_t body_off, uint32_t body_len, uint64_t nanos) {
    char *p = c->responses + (uint64_t)(c->resp_pos & (c->resp_entries - 1)) * 64;
    w16(p + 4, status); w16(p + 6, flags);
    w32(p + 8, slot); w32(p + 12, gen);
    w64(p + 16, meta_off); w64(p + 24, body_off);
    w32(p + 32, meta_len); w32(p + 36, body_len);
    w64(p + 40, nanos);
    store(p, ++c->resp_pos);
    if (!c->quiet) ring_bell(c);
}

/* Says that an event was called back and is passed over; its file, if it has
 * one, is read from the control socket and closed. */
static int pass_over(Channel *c, uint32_t slot, uint32_t gen, uint16_t flags) {
    if (flags & F_FD) {
        PyObject *r = PyObject_CallMethod(c->helper, "drop_file", "II", (unsigned)slot, (unsigned)gen);
        if (!r) return -1;
        Py_DECREF(r);
    }
    put_entry(c, slot, gen, 204, F_RECALLED, 0, 0, 0, 0, 0);
    return 0;
}

static void pause_cpu(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

/* Looks for the next request some times; whether it is there, or the end. */
static int look(Channel *c) {
    char *p = c->requests + (uint64_t)(c->req_pos & (c->nslots - 1)) * 64;
    for (int i = 0; i < 64; i++) {
        if (load(p) == c->req_pos + 1 || load(c->mem + 0x280)) { c->penalty = 0; return 1; }
        pause_cpu();
    }
    return 0;
}

/* Waits awake for a while, less often if that is in vain; whether it was not. */
static int spin(Channel *c) {
    uint64_t end = now_ns() + c->spin;
    do {
        if (look(c)) return 1;
    } while (now_ns() < end);
    c->penalty = c->penalty < 127 ? 2 * c->penalty + 1 : 255;
    c->skip = c->penalty;
    return 0;
}

/* A body as seen through memoryviews. While one of them lives, the memory of
 * the request is not used again. */
typedef struct {
    PyObject_HEAD
    Channel *ch;
    char *p;
    Py_ssize_t n;
    uint64_t bytes;      /* of the arena */
    uint32_t slot, gen;
    int retained;        /* the request was answered, and this was told to outlive it */
} View;

static PyTypeObject ViewType;

static int view_buffer(PyObject *self, Py_buffer *b, int flags) {
    View *v = (View *)self;
    return PyBuffer_FillInfo(b, self, v->p, v->n, 1, flags);
}

static void view_dealloc(PyObject *self) {
    View *v = (View *)self;
    Channel *c = v->ch;
    c->pinned--;
    c->pinned_bytes -= v->bytes;
    if (v->retained) put_entry(c, v->slot, v->gen, 204, F_RELEASE, 0, 0, 0, 0, 0);
    Py_TYPE(self)->tp_free(self);
    Py_DECREF(c);
}

static PyBufferProcs view_procs = {.bf_getbuffer = view_buffer};
static PyTypeObject ViewType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "_myelin.View",
    .tp_basicsize = sizeof(View),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_dealloc = view_dealloc,
    .tp_as_buffer = &view_procs,
};

/* If views of the request live on, the response says so. */
static uint16_t retain(PyObject *view) {
    if (!view || Py_TYPE(view) != &ViewType || Py_REFCNT(view) < 2) return 0;
    ((View *)view)->retained = 1;
    return F_RETAIN;
}

/* What is answered, and to which request. */
typedef struct {
    uint32_t slot, gen;
    const char *request;  /* its body, where a response may point; NULL if it may not */
    uint32_t request_len;
    PyObject *view;
    int streamed;         /* parts were sent before */
} To;

static int respond(Channel *c, To *to, uint16_t status, uint16_t flags, const char *meta, uint64_t mlen, const char *body,
                   uint64_t blen, uint64_t nanos) {
    char note[96];
    uint64_t off, reply = (uint64_t)(slot_line(c, to->slot) - c->mem) + c->resp_off, room = c->slot_size - c->resp_off;
    if (to->streamed) { /* parts may still be unread: their memory is left alone */
        if (blen > END_ROOM) blen = END_ROOM;
        off = reply + room - END_ROOM;
        if (blen) memcpy(c->mem + off, body, blen);
        put_entry(c, to->slot, to->gen, status, flags | retain(to->view), off, 0, off, (uint32_t)blen, nanos);
        return 0;
    }
    if (mlen + blen > c->max_body) {
        blen = (uint64_t)snprintf(note, sizeof note, "response of %llu bytes is above the limit of %llu",
                                  (unsigned long long)(mlen + blen), (unsigned long long)c->max_body);
        body = note; mlen = 0; status = 500; flags = F_ERROR;
    }
    if (blen && mlen <= room && to->request && body >= to->request && body + blen <= to->request + to->request_len) {
        if (mlen) memcpy(c->mem + reply, meta, mlen);
        put_entry(c, to->slot, to->gen, status, flags | retain(to->view), reply, (uint32_t)mlen, (uint64_t)(body - c->mem),
                  (uint32_t)blen, nanos);
        return 0;
    }
    if (mlen + blen <= room) {
        off = reply;
    } else {
        int64_t b = mlen + blen > c->arena_len / 4 ? -1 : block_take(c, to->slot, to->gen, mlen + blen);
        if (b < 0) {
            PyObject *r = PyObject_CallMethod(c->helper, "send_file", "IIy#y#", (unsigned)to->slot, (unsigned)to->gen,
                                              meta ? meta : "", (Py_ssize_t)mlen, body, (Py_ssize_t)blen);
            if (!r) return -1;
            Py_DECREF(r);
            put_entry(c, to->slot, to->gen, status, flags | F_FD | retain(to->view), 0, (uint32_t)mlen, mlen, (uint32_t)blen, nanos);
            return 0;
        }
        off = c->arena_off + (uint64_t)b;
    }
    if (mlen) memcpy(c->mem + off, meta, mlen);
    if (blen) memcpy(c->mem + off + mlen, body, blen);
    put_entry(c, to->slot, to->gen, status, flags | retain(to->view), off, (uint32_t)mlen, off + mlen, (uint32_t)blen, nanos);
    return 0;
}

/* ---- the event ---- */

static const char *meta_string(Event *e, int i, uint32_t *len) {
    uint64_t at = META_FIXED;
    for (int k = 0; k < i; k++) at += r32(e->meta + 48 + 4 * k);
    *len = r32(e->meta + 48 + 4 * i);
    if (at + *len > e->meta_len) { *len = 0; return e->meta; }
    return e->meta + at;
}

static PyObject *text(const char *p, Py_ssize_t n) {
    PyObject *s = PyUnicode_DecodeUTF8(p, n, NULL);
    if (!s && PyErr_ExceptionMatches(PyExc_UnicodeDecodeError)) {
        PyErr_Clear();
        s = PyUnicode_DecodeLatin1(p, n, NULL);
    }
    return s;
}

static PyObject *meta_text(Event *e, int i) {
    uint32_t n;
    const char *p = meta_string(e, i, &n);
    return text(p, n);
}

static PyObject *meta_pairs(Event *e, int fields) {
    uint64_t at = META_FIXED, end;
    uint32_t count;
    PyObject *d = PyDict_New();
    if (!d) return NULL;
    for (int k = 0; k < NSTRINGS; k++) at += r32(e->meta + 48 + 4 * k);
    if (fields) at += r32(e->meta + 32);
    count = r32(e->meta + (fields ? 36 : 28));
    end = e->meta_len;
    while (count-- && at + 8 <= end) {
        uint64_t k = r32(e->meta + at), v = r32(e->meta + at + 4);
        if (at + 8 + k + v > end) break;
        PyObject *key = text(e->meta + at + 8, (Py_ssize_t)k);
        PyObject *val = key ? text(e->meta + at + 8 + k, (Py_ssize_t)v) : NULL;
        int bad = !val || !PyDict_SetDefault(d, key, val);
        Py_XDECREF(key);
        Py_XDECREF(val);
        if (bad) { Py_DECREF(d); return NULL; }
        at += 8 + k + v;
    }
    return d;
}

static PyObject *event_trigger(Event *e) {
    PyObject *k = meta_text(e, 7), *n = meta_text(e, 8), *c = meta_text(e, 9), *r = NULL;
    if (k && n && c) r = PyObject_CallMethod(e->ch->helper, "trigger", "OOO", k, n, c);
    Py_XDECREF(k); Py_XDECREF(n); Py_XDECREF(c);
    return r;
}

static PyObject *event_body(Event *e) {
    uint32_t n;
    const char *ct = meta_string(e, A_CTYPE, &n);
    int json = n == 16 && !memcmp(ct, "application/json", 16);
    if (!json && e->ch->plain) return PyBytes_FromStringAndSize(e->body, e->body_len);
    return PyObject_CallMethod(e->ch->helper, "body", "y#i", e->body, (Py_ssize_t)e->body_len, json);
}

/* What was fetched for the event, as bytes; None if nothing was. */
static PyObject *event_brought(Event *e) {
    uint64_t at = META_FIXED;
    uint32_t n = r32(e->meta + 44);
    if (!n) Py_RETURN_NONE;
    for (int k = 0; k < NSTRINGS; k++) at += r32(e->meta + 48 + 4 * k);
    at += (uint64_t)r32(e->meta + 32) + r32(e->meta + 40);
    if (at + n > e->meta_len) Py_RETURN_NONE;
    return PyBytes_FromStringAndSize(e->meta + at, n);
}

/* What an event says of itself as a CloudEvent, in its headers. */
static PyObject *event_cloud(Event *e, const char *what) {
    PyObject *headers = PyObject_GetAttrString((PyObject *)e, "headers"), *r;
    if (!headers) return NULL;
    r = PyObject_CallMethod(e->ch->helper, "cloud", "Os", headers, what);
    Py_DECREF(headers);
    return r;
}

static PyObject *event_make(Event *e, int i) {
    switch (i) {
    case A_TRIGGER: return event_trigger(e);
    case A_BODY: return event_body(e);
    case A_HEADERS: return meta_pairs(e, 0);
    case A_FIELDS: return meta_pairs(e, 1);
    case A_SIZE: return PyLong_FromUnsignedLong(e->body_len);
    case A_TIMESTAMP: return PyObject_CallMethod(e->ch->helper, "timestamp", "L", (long long)r64(e->meta));
    case A_SHARD: return PyLong_FromLong(e->flags & F_SHARDS ? (int32_t)r32(e->meta + 16) : -1);
    case A_SHARDS: return PyLong_FromLong(e->flags & F_SHARDS ? (int32_t)r32(e->meta + 20) : 0);
    case A_OFFSET: return PyLong_FromLongLong((long long)r64(e->meta + 8));
    case A_TYPE: return event_cloud(e, "type");
    case A_TYPEV: return event_cloud(e, "type_version");
    case A_VERSION: return event_cloud(e, "version");
    case A_BROUGHT: return event_brought(e);
    case A_LAST: return PyBool_FromLong(e->batched && !(e->flags & F_GOES_ON));
    case A_KEY: {
        uint32_t n;
        const char *p = meta_string(e, A_KEY, &n);
        return PyBytes_FromStringAndSize(p, n);
    }
    default: return meta_text(e, i);
    }
}

static PyObject *event_get(PyObject *self, void *closure) {
    Event *e = (Event *)self;
    int i = (int)(intptr_t)closure;
    if (!e->cache[i]) {
        if (!e->meta && i == A_BROUGHT) Py_RETURN_NONE;
        if (!e->meta) {
            PyErr_SetString(PyExc_RuntimeError, "event was answered and not kept");
            return NULL;
        }
        if (!(e->cache[i] = event_make(e, i))) return NULL;
    }
    Py_INCREF(e->cache[i]);
    return e->cache[i];
}

static int event_set(PyObject *self, PyObject *value, void *closure) {
    Event *e = (Event *)self;
    PyObject *old = e->cache[(intptr_t)closure];
    if (!value) {
        PyErr_SetString(PyExc_AttributeError, "attributes of an event cannot be deleted");
        return -1;
    }
    Py_INCREF(value);
    e->cache[(intptr_t)closure] = value;
    Py_XDECREF(old);
    return 0;
}

#define ATTR(name, i) {name, event_get, event_set, NULL, (void *)(intptr_t)(i)}
static PyGetSetDef event_attrs[] = {
    ATTR("method", A_METHOD), ATTR("path", A_PATH), ATTR("url", A_URL), ATTR("content_type", A_CTYPE), ATTR("id", A_ID),
    ATTR("key", A_KEY), ATTR("topic", A_TOPIC), ATTR("trigger", A_TRIGGER), ATTR("body", A_BODY),
    ATTR("headers", A_HEADERS), ATTR("fields", A_FIELDS), ATTR("size", A_SIZE), ATTR("timestamp", A_TIMESTAMP),
    ATTR("shard_id", A_SHARD), ATTR("num_shards", A_SHARDS), ATTR("offset", A_OFFSET), ATTR("type", A_TYPE),
    ATTR("type_version", A_TYPEV), ATTR("version", A_VERSION), ATTR("last_in_batch", A_LAST),
    ATTR("_brought", A_BROUGHT), {NULL}};

/* A view may be kept as long as the function likes; beyond half of the slots
 * or of the arena it is one of a copy, so that events still come in. */
static PyObject *event_view(PyObject *self, void *closure) {
    Event *e = (Event *)self;
    if (e->own) {
        PyObject *all = PyMemoryView_FromObject(e->own), *part = NULL;
        if (all) {
            Py_ssize_t at = e->body - PyBytes_AS_STRING(e->own);
            part = PySequence_GetSlice(all, at, at + e->body_len);
            Py_DECREF(all);
        }
        return part;
    }
    if (!e->body) {
        PyErr_SetString(PyExc_RuntimeError, "event was answered and not kept");
        return NULL;
    }
    if (!e->view) {
        Channel *c = e->ch;
        uint64_t need = (uint64_t)e->meta_len + e->body_len, bytes = need <= c->resp_off ? 0 : (uint64_t)MIN_BLOCK << order_of(need);
        if (c->pinned >= c->nslots / 2 - 1 || c->pinned_bytes + bytes > c->arena_len / 2) {
            e->view = PyBytes_FromStringAndSize(e->body, e->body_len);
        } else {
            View *v = PyObject_New(View, &ViewType);
            if (!v) return NULL;
            Py_INCREF(c);
            v->ch = c; v->p = (char *)e->body; v->n = e->body_len; v->bytes = bytes;
            v->slot = e->slot; v->gen = e->gen; v->retained = 0;
            c->pinned++;
            c->pinned_bytes += bytes;
            e->view = (PyObject *)v;
        }
        if (!e->view) return NULL;
    }
    return PyMemoryView_FromObject(e->view);
}

static PyObject *event_log_level(PyObject *self, void *closure) {
    Event *e = (Event *)self;
    if (!(e->flags & F_LOGASKED) || !e->meta) Py_RETURN_NONE;
    return PyLong_FromLong((int32_t)r32(e->meta + 24));
}

static PyObject *event_cancelled(PyObject *self, void *closure) {
    Event *e = (Event *)self;
    return PyBool_FromLong(e->ch && load(slot_line(e->ch, e->slot) + 8) == e->gen);
}

static PyGetSetDef event_getset[A_N + 4];

static int event_traverse(PyObject *self, visitproc visit, void *arg) {
    Event *e = (Event *)self;
    for (int i = 0; i < A_N; i++) Py_VISIT(e->cache[i]);
    Py_VISIT(e->ch);
    Py_VISIT(e->own);
    Py_VISIT(e->view);
    return 0;
}

static int event_clear(PyObject *self) {
    Event *e = (Event *)self;
    e->meta = e->body = NULL;
    for (int i = 0; i < A_N; i++) Py_CLEAR(e->cache[i]);
    Py_CLEAR(e->view);
    Py_CLEAR(e->ch);
    Py_CLEAR(e->own);
    return 0;
}

static void event_dealloc(PyObject *self) {
    PyObject_GC_UnTrack(self);
    event_clear(self);
    Py_TYPE(self)->tp_free(self);
}

static PyTypeObject EventType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "_myelin.Event",
    .tp_basicsize = sizeof(Event),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .tp_traverse = event_traverse,
    .tp_clear = event_clear,
    .tp_dealloc = event_dealloc,
    .tp_getset = event_getset,
};

static Event *event_new(Channel *c, Entry *en) {
    PyTypeObject *t = (PyTypeObject *)c->event_type;
    Event *e;
    if (!(en->flags & F_FD) && (en->meta_len < META_FIXED || en->meta_off > c->size || en->meta_len > c->size - en->meta_off ||
                                en->body_off > c->size || en->body_len > c->size - en->body_off)) {
        PyErr_SetString(PyExc_RuntimeError, "request outside the mapping");
        return NULL;
    }
    if (!(e = (Event *)t->tp_alloc(t, 0))) return NULL;
    Py_INCREF(c);
    e->ch = c;
    e->slot = en->slot; e->gen = en->gen; e->pos = en->pos; e->flags = en->flags;
    e->batched = en->kind == K_BATCHED;
    e->meta_len = en->meta_len; e->body_len = en->body_len;
    const char *base = c->mem;
    if (en->flags & F_FD) {
        e->own = PyObject_CallMethod(c->helper, "read_file", "II", (unsigned)en->slot, (unsigned)en->gen);
        if (!e->own || !PyBytes_Check(e->own) || (uint64_t)PyBytes_GET_SIZE(e->own) < (uint64_t)en->meta_len + en->body_len ||
            en->meta_len < META_FIXED) {
            if (!PyErr_Occurred()) PyErr_SetString(PyExc_RuntimeError, "large request is shorter than it says");
            Py_DECREF(e);
            return NULL;
        }
        base = PyBytes_AS_STRING(e->own);
        e->meta = base;
        e->body = base + en->meta_len;
        return e;
    }
    e->meta = base + en->meta_off;
    e->body = base + en->body_off;
    return e;
}

/* The memory that e lies in goes back with its response: if somebody else
 * holds e, it gets a copy of its own. */
static int event_keep(Event *e, Py_ssize_t ours) {
    if (e->answered) return 0;
    e->answered = 1;
    if (e->own) return 0;
    if (Py_REFCNT(e) > ours) {
        PyObject *own = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)e->meta_len + e->body_len);
        if (!own) return -1;
        char *p = PyBytes_AS_STRING(own);
        memcpy(p, e->meta, e->meta_len);
        memcpy(p + e->meta_len, e->body, e->body_len);
        e->own = own;
        e->meta = p;
        e->body = p + e->meta_len;
    } else {
        e->meta = e->body = NULL;
    }
    return 0;
}

/* Answers e, of which the caller has so many references of its own. */
static int finish(Channel *c, Event *e, Py_ssize_t ours, int status, int flags, const char *meta, Py_ssize_t mlen,
                  const char *body, Py_ssize_t blen, uint64_t took) {
    To to = {e->slot, e->gen, e->own ? NULL : e->body, e->body_len, e->view, e->sent > 0};
    if (e->answered) return 0;
    e->view = NULL;
    int bad = event_keep(e, ours) || respond(c, &to, (uint16_t)status, (uint16_t)flags, meta, (uint64_t)mlen, body, (uint64_t)blen, took);
    Py_XDECREF(to.view);
    return bad ? -1 : 0;
}

static int within_request(Event *e, const char *p, Py_ssize_t n) {
    return !e->own && e->body && p >= e->body && p + n <= e->body + e->body_len;
}

#include "_myelin_calls.h"

/* ---- the channel ---- */

static int channel_init(PyObject *self, PyObject *args, PyObject *kw) {
    Channel *c = (Channel *)self;
    int fd;
    unsigned long long size, spin_ns = 0, call_ns = 0;
    c->second = -1;
    if (!PyArg_ParseTuple(args, "iKiiOOi|KiK", &fd, &size, &c->wake, &c->bell, &c->helper, &c->event_type, &c->plain, &spin_ns, &c->second, &call_ns)) {
        c->helper = c->event_type = NULL;
        return -1;
    }
    Py_INCREF(c->helper);
    Py_INCREF(c->event_type);
    if (!PyType_Check(c->event_type) || !PyType_IsSubtype((PyTypeObject *)c->event_type, &EventType)) {
        PyErr_SetString(PyExc_TypeError, "event type does not extend Event");
        return -1;
    }
    c->spin = spin_ns;
    c->call_spin = call_ns;
    char *m = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (m == MAP_FAILED) { PyErr_SetFromErrno(PyExc_OSError); return -1; }
    c->mem = m;
    c->size = size;
    if (memcmp(m, "MYLSHM1", 8) || r16(m + 8) != 1 || r64(m + 16) != size) {
        PyErr_SetString(PyExc_RuntimeError, "unknown version of the shared-memory channel");
        return -1;
    }
    c->nslots = r32(m + 24); c->slot_size = r32(m + 28);
    c->requests = m + r32(m + 32); c->responses = m + r32(m + 36);
    c->resp_entries = r32(m + 40); c->slots = m + r32(m + 44);
    c->resp_off = r32(m + 52);
    c->arena_off = r64(m + 72); c->arena_len = r64(m + 80); c->max_body = r64(m + 88);
    c->blocks = PyMem_Calloc(c->nslots, sizeof(Block));
    c->parts = PyMem_Calloc(c->nslots * PARTS, sizeof(Block));
    if (!c->blocks || !c->parts || arena_init(c) || calls_init(c)) { PyErr_NoMemory(); return -1; }
    return 0;
}

static int channel_traverse(PyObject *self, visitproc visit, void *arg) {
    Channel *c = (Channel *)self;
    Py_VISIT(c->helper);
    Py_VISIT(c->event_type);
    return 0;
}

static int channel_clear(PyObject *self) {
    Channel *c = (Channel *)self;
    Py_CLEAR(c->helper);
    Py_CLEAR(c->event_type);
    return 0;
}

static void channel_dealloc(PyObject *self) {
    Channel *c = (Channel *)self;
    PyObject_GC_UnTrack(self);
    channel_clear(self);
    if (c->mem) munmap(c->mem, c->size);
    PyMem_Free(c->tree);
    PyMem_Free(c->blocks);
    PyMem_Free(c->parts);
    PyMem_Free(c->asked);
    Py_TYPE(self)->tp_free(self);
}

/* Takes the rest of the batch that begins with first: all of it is there. */
static Entry *take_batch(Channel *c, Entry *first, uint32_t *n) {
    Entry *all = PyMem_Malloc(c->nslots * sizeof(Entry));
    if (!all) { PyErr_NoMemory(); return NULL; }
    all[0] = *first;
    for (*n = 1; all[*n - 1].flags & F_GOES_ON; (*n)++) {
        if (*n == c->nslots || !take_entry(c, &all[*n]) || all[*n].kind != K_BATCHED) {
            PyErr_SetString(PyExc_RuntimeError, "a batch has no end");
            PyMem_Free(all);
            return NULL;
        }
    }
    return all;
}

static PyObject *batch_events(Channel *c, Entry *all, uint32_t n) {
    PyObject *list = PyList_New(n);
    for (uint32_t i = 0; list && i < n; i++) {
        PyObject *e = (PyObject *)event_new(c, &all[i]);
        if (!e) Py_CLEAR(list);
        else PyList_SET_ITEM(list, i, e);
    }
    return list;
}

static PyObject *channel_take(PyObject *self, PyObject *none) {
    Channel *c = (Channel *)self;
    Entry en, *all;
    uint32_t n;
    if (!take_entry(c, &en)) Py_RETURN_NONE;
    if (en.kind != K_BATCHED) return (PyObject *)event_new(c, &en);
    if (!(all = take_batch(c, &en, &n))) return NULL;
    PyObject *list = batch_events(c, all, n);
    PyMem_Free(all);
    return list;
}

static int recalled(Channel *c, Event *e) {
    uint16_t flags = e->own ? e->flags & ~F_FD : e->flags; /* its file has been read already */
    e->answered = 1;
    e->meta = e->body = NULL;
    return pass_over(c, e->slot, e->gen, flags);
}

/* begin(event), or begin(events) of a batch, whose first one claims it */
static PyObject *channel_begin(PyObject *self, PyObject *arg) {
    Channel *c = (Channel *)self;
    PyObject **all = PyList_Check(arg) ? ((PyListObject *)arg)->ob_item : &arg;
    Py_ssize_t n = PyList_Check(arg) ? PyList_GET_SIZE(arg) : 1;
    uint64_t start = now_ns();
    if (!claim(c, ((Event *)all[0])->pos)) {
        for (Py_ssize_t i = 0; i < n; i++)
            if (recalled(c, (Event *)all[i])) return NULL;
        Py_RETURN_FALSE;
    }
    for (Py_ssize_t i = 0; i < n; i++) ((Event *)all[i])->start = start;
    Py_RETURN_TRUE;
}

static PyObject *channel_left(PyObject *self, void *closure) {
    return PyBool_FromLong((load(((Channel *)self)->mem + 0x280) & 1) != 0);
}

static PyObject *channel_stopped(PyObject *self, void *closure) {
    return PyBool_FromLong(load(((Channel *)self)->mem + 0x280) != 0);
}

static PyObject *channel_current(PyObject *self, void *closure) {
    PyObject *e = ((Channel *)self)->current;
    if (!e) Py_RETURN_NONE;
    Py_INCREF(e);
    return e;
}

/* respond(event, status, flags, meta, body) */
static PyObject *channel_respond(PyObject *self, PyObject *args) {
    PyObject *ev;
    int status, flags;
    Py_buffer meta, body;
    if (!PyArg_ParseTuple(args, "O!iiy*y*", &EventType, &ev, &status, &flags, &meta, &body)) return NULL;
    Event *e = (Event *)ev;
    /* the caller still holds the event: it gets a copy of its own */
    int bad = finish((Channel *)self, e, 0, status, flags, meta.buf, meta.len, body.buf, body.len, e->start ? now_ns() - e->start : 0);
    PyBuffer_Release(&meta);
    PyBuffer_Release(&body);
    if (bad) return NULL;
    Py_RETURN_NONE;
}

/* Answers with (status, flags, meta, body), which it takes over. */
static int answer_tuple(Channel *c, Event *e, PyObject *r, uint64_t took) {
    int status, flags, bad;
    Py_buffer meta, body;
    if (!PyArg_ParseTuple(r, "iiy*y*", &status, &flags, &meta, &body)) { Py_DECREF(r); return -1; }
    const char *p = body.buf;
    Py_ssize_t n = body.len;
    if (within_request(e, p, n)) { /* the memory stays, and the views need not be thought kept */
        PyObject *m = PyTuple_GET_ITEM(r, 2);
        Py_INCREF(m);
        PyBuffer_Release(&body);
        Py_CLEAR(r);
        bad = finish(c, e, 1, status, flags, meta.buf, meta.len, p, n, took);
        PyBuffer_Release(&meta);
        Py_DECREF(m);
        return bad;
    }
    bad = finish(c, e, 1, status, flags, meta.buf, meta.len, p, n, took);
    PyBuffer_Release(&meta);
    PyBuffer_Release(&body);
    Py_DECREF(r);
    return bad;
}

/* part(event, status, meta, data): sends a part of a stream, the first with the
 * head of the response. Returns how many bytes of data it took; None if the
 * reader is behind, see wait; False if nobody reads any more. */
static PyObject *channel_part(PyObject *self, PyObject *args) {
    Channel *c = (Channel *)self;
    PyObject *ev, *result = NULL;
    int status;
    Py_buffer meta, data;
    if (!PyArg_ParseTuple(args, "O!iy*y*", &EventType, &ev, &status, &meta, &data)) return NULL;
    Event *e = (Event *)ev;
    uint64_t room = c->slot_size - c->resp_off - END_ROOM, mlen = (uint64_t)meta.len;
    uint64_t n = data.len > PART_MAX ? PART_MAX : (uint64_t)data.len, off = 0;
    uint32_t taken = parts_taken(c, e);
    e->seen = taken;
    if (e->sent == 0) block_drop(c, e->slot);
    for (; e->freed != taken && e->freed != e->sent; e->freed++) block_free(c, &c->parts[e->slot * PARTS + e->freed % PARTS]);
    if (e->answered || unwanted(c, e)) {
        result = Py_False;
    } else if (e->sent - taken >= PARTS) {
        result = Py_None;
    } else {
        int64_t b = arena_alloc(c, order_of(mlen + n));
        if (b < 0) {
            block_sweep(c);
            b = arena_alloc(c, order_of(mlen + n));
        }
        if (b >= 0) {
            c->parts[e->slot * PARTS + e->sent % PARTS] = (Block){(uint64_t)b, order_of(mlen + n), e->gen, 1};
            off = c->arena_off + (uint64_t)b;
        } else if (e->sent != taken) {
            result = Py_None;
        } else if (mlen > room) {
            PyErr_SetString(PyExc_MemoryError, "no room for the headers of a stream");
        } else {
            if (n > room - mlen) n = room - mlen;
            off = (uint64_t)(slot_line(c, e->slot) - c->mem) + c->resp_off;
        }
        if (!result && !PyErr_Occurred()) {
            if (mlen) memcpy(c->mem + off, meta.buf, mlen);
            if (n) memcpy(c->mem + off + mlen, data.buf, n);
            e->sent++;
            put_entry(c, e->slot, e->gen, (uint16_t)status, F_MORE, off, (uint32_t)mlen, off + mlen, (uint32_t)n, 0);
            result = PyLong_FromUnsignedLongLong(n);
        }
    }
    PyBuffer_Release(&meta);
    PyBuffer_Release(&data);
    if (result == Py_None || result == Py_False) Py_INCREF(result);
    return result;
}

/* wait(event): returns when the reader has got on since part returned None. */
static PyObject *channel_wait(PyObject *self, PyObject *ev) {
    Waiter w = {.kind = W_STREAM, .e = (Event *)ev};
    if (wait_checked((Channel *)self, &w)) return NULL;
    Py_RETURN_NONE;
}

/* Runs one event. convert(result), failed() and logged(event) return
 * (status, flags, meta, body); failed finds the exception in sys.exc_info. */
static int run_one(Channel *c, Entry *en, PyObject *handler, PyObject *context, PyObject *convert, PyObject *failed,
                   PyObject *logged) {
    if (!claim(c, en->pos)) return pass_over(c, en->slot, en->gen, en->flags);
    Event *e = event_new(c, en);
    PyObject *result, *tuple = NULL;
    int bad = -1;
    if (!e) return -1;
    c->current = (PyObject *)e;
    uint64_t start = now_ns();
    if (e->flags & F_LOGASKED) {
        tuple = PyObject_CallFunctionObjArgs(logged, (PyObject *)e, NULL);
    } else {
        PyObject *argv[3] = {NULL, context, (PyObject *)e};
        result = PyObject_Vectorcall(handler, argv + 1, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
        const char *body = NULL;
        Py_ssize_t n = 0;
        if (!result) {
            PyObject *t, *v, *tb;
            PyErr_Fetch(&t, &v, &tb);
            PyErr_NormalizeException(&t, &v, &tb);
            tuple = PyObject_CallFunctionObjArgs(failed, t, v ? v : Py_None, tb ? tb : Py_None, NULL);
            Py_XDECREF(t); Py_XDECREF(v); Py_XDECREF(tb);
        } else if (PyUnicode_CheckExact(result) && (body = PyUnicode_AsUTF8AndSize(result, &n))) {
        } else if (PyBytes_CheckExact(result)) {
            body = PyBytes_AS_STRING(result);
            n = PyBytes_GET_SIZE(result);
        } else if (PyMemoryView_Check(result) && PyBuffer_IsContiguous(PyMemoryView_GET_BUFFER(result), 'C') &&
                   PyMemoryView_GET_BUFFER(result)->buf) {
            body = PyMemoryView_GET_BUFFER(result)->buf;
            n = PyMemoryView_GET_BUFFER(result)->len;
            if (within_request(e, body, n)) Py_CLEAR(result); /* the memory stays; see answer_tuple */
        } else {
            PyErr_Clear();
            tuple = PyObject_CallFunctionObjArgs(convert, result, NULL);
            Py_CLEAR(result);
        }
        if (body) bad = finish(c, e, 1, 200, 0, NULL, 0, body, n, now_ns() - start);
        Py_XDECREF(result);
    }
    if (tuple) bad = answer_tuple(c, e, tuple, now_ns() - start);
    c->current = NULL;
    Py_DECREF(e);
    return bad;
}

/* Answers an event of a batch with a tuple, or with text, bytes or nothing. It takes r over. */
static int answer_batched(Channel *c, Event *e, PyObject *r, uint64_t took) {
    const char *body = NULL;
    Py_ssize_t n = 0;
    if (PyTuple_Check(r)) return answer_tuple(c, e, r, took);
    if (r == Py_None) {
        body = "";
    } else if (PyBytes_Check(r)) {
        body = PyBytes_AS_STRING(r);
        n = PyBytes_GET_SIZE(r);
    } else if (PyUnicode_Check(r) && !(body = PyUnicode_AsUTF8AndSize(r, &n))) { /* surrogates */
        PyErr_Clear();
        PyObject *b = PyUnicode_AsEncodedString(r, "utf-8", "backslashreplace");
        Py_DECREF(r);
        return b ? answer_batched(c, e, b, took) : -1;
    }
    if (!body) PyErr_SetString(PyExc_TypeError, "an answer to a batch is neither tuple nor text");
    int bad = !body || finish(c, e, 1, 200, 0, NULL, 0, body, n, took);
    Py_DECREF(r);
    return bad ? -1 : 0;
}

/* Runs a batch. together(events) returns a list of as many answers, see
 * answer_batched. It is given a list of its own, so that what the function keeps
 * is told by the references to the events. */
static int run_batch(Channel *c, Entry *first, PyObject *together) {
    uint32_t n;
    Entry *all = take_batch(c, first, &n);
    if (!all) return -1;
    if (!claim(c, all[0].pos)) {
        int bad = 0;
        for (uint32_t i = 0; i < n && !bad; i++) bad = pass_over(c, all[i].slot, all[i].gen, all[i].flags);
        PyMem_Free(all);
        return bad;
    }
    uint64_t start = now_ns();
    PyObject *list = batch_events(c, all, n);
    PyObject *given = list ? PyList_GetSlice(list, 0, n) : NULL;
    PyObject *tuples = given ? PyObject_CallFunctionObjArgs(together, given, NULL) : NULL;
    uint64_t took = now_ns() - start;
    int bad = !tuples || !PyList_Check(tuples) || PyList_GET_SIZE(tuples) != n;
    PyMem_Free(all);
    Py_XDECREF(given);
    c->quiet = 1;
    for (uint32_t i = 0; i < n && !bad; i++) {
        PyObject *t = PyList_GET_ITEM(tuples, i);
        Py_INCREF(Py_None);
        PyList_SET_ITEM(tuples, i, Py_None);
        bad = answer_batched(c, (Event *)PyList_GET_ITEM(list, i), t, took);
    }
    c->quiet = 0;
    ring_bell(c);
    Py_XDECREF(tuples);
    Py_XDECREF(list);
    if (bad && !PyErr_Occurred()) PyErr_SetString(PyExc_RuntimeError, "wrong number of answers to a batch");
    return bad ? -1 : 0;
}

static PyObject *channel_run(PyObject *self, PyObject *args) {
    Channel *c = (Channel *)self;
    PyObject *handler, *context, *convert, *failed, *logged, *together;
    Entry en;
    if (!PyArg_ParseTuple(args, "OOOOOO", &handler, &context, &convert, &failed, &logged, &together)) return NULL;
    for (;;) {
        while (take_entry(c, &en))
            if (en.kind == K_BATCHED ? run_batch(c, &en, together) : run_one(c, &en, handler, context, convert, failed, logged))
                return NULL;
        if (load(c->mem + 0x280)) Py_RETURN_NONE;
        if (c->skip) {
            c->skip--;
        } else if (c->spin) {
            int found = look(c); /* other threads wait that long for the interpreter anyway */
            if (!found) {
                Py_BEGIN_ALLOW_THREADS
                found = spin(c);
                Py_END_ALLOW_THREADS
            }
            if (PyErr_CheckSignals()) return NULL;
            if (found) continue;
        }
        Waiter w = {.kind = W_RING};
        if (wait_checked(c, &w)) return NULL;
    }
}

static PyMethodDef channel_methods[] = {
    {"run", channel_run, METH_VARARGS, "run(handler, context, convert, failed, logged, together): serve until told to stop"},
    {"take", channel_take, METH_NOARGS, "the next event, the list of events of a batch, or None"},
    {"arm", channel_arm, METH_O, "arm(ending): say that the worker sleeps; True if it must not"},
    {"begin", channel_begin, METH_O, "the handler of this event, or batch, begins; False if it was called back"},
    {"respond", channel_respond, METH_VARARGS, "respond(event, status, flags, meta, body)"},
    {"part", channel_part, METH_VARARGS, "part(event, status, meta, data): send a part of a stream"},
    {"wait", channel_wait, METH_O, "wait(event): until the reader of a stream has got on"},
    {"ask", channel_ask, METH_VARARGS, "ask(cell, kind, nanos, meta, body, watched, event): begin a call"},
    {"answered", channel_answered, METH_NOARGS, "the watched cells that were answered since the last time"},
    {"wait_call", channel_wait_call, METH_O, "wait_call(cell): until it is answered"},
    {"fetch", channel_fetch, METH_VARARGS, "fetch(cell, view): (status, flags, meta, body) of an answered call"},
    {"kept", channel_kept, METH_O, "kept(i): the counter of changes with that number"},
    {"regain", channel_regain, METH_NOARGS, "regain(): cells that are free since their views have gone"},
    {NULL}};

static PyGetSetDef channel_getset[] = {{"stopped", channel_stopped, NULL, NULL, NULL},
                                       {"left", channel_left, NULL, NULL, NULL},
                                       {"current", channel_current, NULL, NULL, NULL},
                                       {"cells", channel_ncells, NULL, NULL, NULL}, {NULL}};

static PyTypeObject ChannelType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "_myelin.Channel",
    .tp_basicsize = sizeof(Channel),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_new = PyType_GenericNew,
    .tp_init = channel_init,
    .tp_traverse = channel_traverse,
    .tp_clear = channel_clear,
    .tp_dealloc = channel_dealloc,
    .tp_methods = channel_methods,
    .tp_getset = channel_getset,
};

/* Ends the process when the processor has gone, whatever Python is doing. */
static void *watch(void *arg) {
    struct pollfd p = {.fd = (int)(intptr_t)arg, .events = 0};
    for (;;) {
        int n = poll(&p, 1, -1);
        if (n > 0 && (p.revents & (POLLHUP | POLLERR | POLLNVAL))) _exit(0);
        if (n < 0 && errno != EINTR) return NULL;
    }
}

static PyObject *module_watch(PyObject *self, PyObject *args) {
    int fd;
    pthread_t t;
    pthread_attr_t a;
    if (!PyArg_ParseTuple(args, "i", &fd)) return NULL;
    pthread_attr_init(&a);
    pthread_attr_setdetachstate(&a, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&a, 65536);
    int err = pthread_create(&t, &a, watch, (void *)(intptr_t)fd);
    pthread_attr_destroy(&a);
    if (err) { errno = err; return PyErr_SetFromErrno(PyExc_OSError); }
    Py_RETURN_NONE;
}

static PyMethodDef module_methods[] = {{"watch", module_watch, METH_VARARGS, "watch(fd): exit when its peer is gone"}, {NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "_myelin", .m_size = -1, .m_methods = module_methods};

PyMODINIT_FUNC PyInit__myelin(void) {
    int n = 0;
    for (; event_attrs[n].name; n++) event_getset[n] = event_attrs[n];
    event_getset[n] = (PyGetSetDef){"_log_level", event_log_level, NULL, NULL, NULL};
    event_getset[n + 1] = (PyGetSetDef){"body_view", event_view, NULL, NULL, NULL};
    event_getset[n + 2] = (PyGetSetDef){"cancelled", event_cancelled, NULL, NULL, NULL};
    if (PyType_Ready(&ViewType) || PyType_Ready(&HeldType) || PyType_Ready(&EventType) || PyType_Ready(&ChannelType)) return NULL;
    PyObject *m = PyModule_Create(&module);
    if (!m) return NULL;
    Py_INCREF(&EventType);
    Py_INCREF(&ChannelType);
    if (PyModule_AddObject(m, "Event", (PyObject *)&EventType) || PyModule_AddObject(m, "Channel", (PyObject *)&ChannelType))
        return NULL;
    return m;
}
