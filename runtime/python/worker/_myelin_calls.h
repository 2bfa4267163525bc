/* Part of _myelin.c: who sleeps on the eventfd, and calls to the processor.
 *
 * There is one eventfd and there may be several threads that wait for it: the
 * one that serves the ring, and those that wait for the answer of a call. One
 * of them reads it, the reader; it tells the others what has come. With an
 * asynchronous handler the event loop is the reader as long as it lives, but
 * while it waits for a call itself. */

enum { W_RING, W_STREAM, W_CALL };

struct Waiter {
    int kind, told;      /* told: it knows, or is about to, that what it waits for is there */
    Event *e;
    uint32_t cell;
    Waiter *next;
};

static char *cell_line(Channel *c, uint32_t cell) { return c->cells + (uint64_t)cell * c->cell_size; }
static int call_answered(Channel *c, uint32_t cell) { return load(cell_line(c, cell)) == c->asked[cell].gen; }
static uint32_t parts_taken(Channel *c, Event *e) { return load(slot_line(c, e->slot) + 4); }
static int unwanted(Channel *c, Event *e) { return load(slot_line(c, e->slot) + 8) == e->gen; }

static int ready(Channel *c, Waiter *w) {
    switch (w->kind) {
    case W_RING:
        return load(c->requests + (uint64_t)(c->req_pos & (c->nslots - 1)) * 64) == c->req_pos + 1 || load(c->mem + 0x280);
    case W_STREAM:
        return parts_taken(c, w->e) != w->e->seen || unwanted(c, w->e);
    default:
        return call_answered(c, w->cell);
    }
}

/* Tells those whose wait is over. Returns whether there were any. */
static int tell(Channel *c) {
    int any = 0;
    for (Waiter *w = c->waiters; w; w = w->next)
        if (!w->told && ready(c, w)) any = w->told = 1;
    return any;
}

/* Says that the worker sleeps; 1 if it must not, because somebody's wait is over. */
static int doze(Channel *c) {
    store(c->mem + 0x100, 1);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (!tell(c)) return 0;
    store(c->mem + 0x100, 0);
    return 1;
}

/* Waits until w is ready, without the interpreter lock. Returns -1 with errno,
 * EINTR too, after which the caller looks for signals and may wait again: also when
 * it was rung for nothing that it waits for, since that is how the processor makes
 * sure of a signal that came after the last look for one and before the sleep. */
static int wait_ready(Channel *c, Waiter *w) {
    uint64_t v = 1;
    int bad = 0, read_it = 0;
    pthread_mutex_lock(&c->mu);
    int loop = c->looped && pthread_equal(c->loop_thread, pthread_self());
    w->told = 0;
    w->next = c->waiters;
    c->waiters = w;
    while (!ready(c, w) && !bad) {
        if (c->reader && !loop) {
            pthread_cond_wait(&c->moved, &c->mu);
            if (syscall(SYS_gettid) == getpid()) bad = EINTR; /* signals are the first thread's */
            continue;
        }
        c->reader = 1;
        int skip = doze(c), err = 0;
        pthread_mutex_unlock(&c->mu);
        if (!skip) {
            read_it = 1;
            if (read(c->wake, &v, 8) < 0) err = errno;
            store(c->mem + 0x100, 0);
        }
        pthread_mutex_lock(&c->mu);
        if (!skip && c->looped && !loop) { /* a loop began meanwhile, and this was rung for it */
            v = 1;
            if (write(c->wake, &v, 8) < 0) { /* only full: then it hears */ }
        }
        c->reader = c->looped;
        tell(c);
        pthread_cond_broadcast(&c->moved);
        bad = err || skip ? err : EINTR;
    }
    for (Waiter **p = &c->waiters; *p; p = &(*p)->next)
        if (*p == w) { *p = w->next; break; }
    pthread_cond_broadcast(&c->moved); /* another may have to read */
    pthread_mutex_unlock(&c->mu);
    if (loop && read_it) { /* what was rung for the loop, it shall still hear */
        v = 1;
        if (write(c->wake, &v, 8) < 0) { /* only full: then it hears */ }
    }
    errno = bad;
    return bad ? -1 : 0;
}

/* The same with the interpreter lock; returns -1 with an exception. */
static int wait_checked(Channel *c, Waiter *w) {
    for (;;) {
        int bad;
        if (ready(c, w)) return 0;
        Py_BEGIN_ALLOW_THREADS
        bad = wait_ready(c, w);
        Py_END_ALLOW_THREADS
        if (bad && errno != EINTR) { PyErr_SetFromErrno(PyExc_OSError); return -1; }
        if (PyErr_CheckSignals()) return -1;
    }
}

static int calls_init(Channel *c) {
    c->ncells = r32(c->mem + 12) & 1 ? r32(c->mem + 96) : 0;
    c->cell_size = r32(c->mem + 100);
    c->cells = c->mem + r32(c->mem + 104);
    c->asked = PyMem_Calloc(c->ncells ? c->ncells : 1, sizeof(Asked));
    if (!c->asked) return -1;
    pthread_mutex_init(&c->mu, NULL);
    pthread_cond_init(&c->moved, NULL);
    return 0;
}

/* ask(cell, kind, nanos, meta, body, watched, event): a watched call is told of by answered(); event is None or what it is for */
static PyObject *channel_ask(PyObject *self, PyObject *args) {
    Channel *c = (Channel *)self;
    unsigned cell, kind;
    int watched, flags = F_CALL;
    unsigned long long nanos;
    Py_buffer meta, body;
    PyObject *event;
    if (!PyArg_ParseTuple(args, "IIKy*y*pO", &cell, &kind, &nanos, &meta, &body, &watched, &event)) return NULL;
    uint64_t mlen = (uint64_t)meta.len, blen = (uint64_t)body.len, total = mlen + blen, off = 0;
    PyObject *result = NULL;
    if (cell >= c->ncells) {
        PyErr_SetString(PyExc_RuntimeError, "this processor takes no calls");
    } else if (total > c->max_body) {
        PyErr_Format(PyExc_ValueError, "call of %llu bytes is above the limit of %llu", (unsigned long long)total, (unsigned long long)c->max_body);
    } else {
        Asked *a = &c->asked[cell];
        if (++a->gen == 0) a->gen = 1;
        if (total <= c->cell_size - 64) {
            off = (uint64_t)(cell_line(c, cell) - c->mem) + 64;
        } else {
            uint32_t order = order_of(total);
            int64_t b = total > c->arena_len / 4 ? -1 : arena_alloc(c, order);
            if (b < 0 && total <= c->arena_len / 4) {
                block_sweep(c);
                b = arena_alloc(c, order);
            }
            if (b >= 0) {
                a->block = (Block){(uint64_t)b, order, a->gen, 1};
                off = c->arena_off + (uint64_t)b;
            } else {
                flags |= F_FD;
            }
        }
        if (flags & F_FD) {
            result = PyObject_CallMethod(c->helper, "send_call", "IIOO", cell, a->gen, meta.obj, body.obj);
        } else {
            if (mlen) memcpy(c->mem + off, meta.buf, mlen);
            if (blen) memcpy(c->mem + off + mlen, body.buf, blen);
            Py_INCREF(Py_None);
            result = Py_None;
        }
        if (result) {
            a->watched = watched;
            c->nwatched += watched;
            char *p = c->responses + (uint64_t)(c->resp_pos & (c->resp_entries - 1)) * 64;
            Event *e = PyObject_TypeCheck(event, &EventType) ? (Event *)event : NULL;
            w32(p + 52, e ? e->slot + 1 : 0);
            w32(p + 56, e ? e->gen : 0);
            put_entry(c, cell, a->gen, (uint16_t)kind, (uint16_t)flags, off, (uint32_t)mlen, off + mlen, (uint32_t)blen, nanos);
        }
    }
    PyBuffer_Release(&meta);
    PyBuffer_Release(&body);
    return result;
}

/* The body of an answer as seen through a memoryview. While it lives, its cell is not free. */
typedef struct {
    PyObject_HEAD
    Channel *ch;
    char *p;
    Py_ssize_t n;
    uint32_t cell, gen;
} Held;

static PyTypeObject HeldType;

static int held_buffer(PyObject *self, Py_buffer *b, int flags) {
    return PyBuffer_FillInfo(b, self, ((Held *)self)->p, ((Held *)self)->n, 1, flags);
}

static void held_dealloc(PyObject *self) {
    Held *h = (Held *)self;
    Channel *c = h->ch;
    store(cell_line(c, h->cell) + 4, h->gen);
    c->asked[h->cell].returned = 1;
    c->nreturned++;
    c->nheld--;
    Py_TYPE(self)->tp_free(self);
    Py_DECREF(c);
}

static PyBufferProcs held_procs = {.bf_getbuffer = held_buffer};
static PyTypeObject HeldType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "_myelin.Held",
    .tp_basicsize = sizeof(Held),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_dealloc = held_dealloc,
    .tp_as_buffer = &held_procs,
};

/* A view of an answer's body; NULL without an exception if a copy is better: of what is small, or if many are held. */
static PyObject *held_new(Channel *c, uint32_t cell, char *p, uint32_t n) {
    if (n < c->cell_size || c->nheld >= c->ncells / 2) return NULL;
    Held *h = PyObject_New(Held, &HeldType);
    if (!h) { PyErr_Clear(); return NULL; }
    *h = (Held){.ob_base = h->ob_base, .ch = c, .p = p, .n = n, .cell = cell, .gen = c->asked[cell].gen};
    Py_INCREF(c);
    c->nheld++;
    PyObject *view = PyMemoryView_FromObject((PyObject *)h);
    Py_DECREF(h);
    return view;
}

/* regain(): the cells whose views have gone */
static PyObject *channel_regain(PyObject *self, PyObject *none) {
    Channel *c = (Channel *)self;
    PyObject *list = PyList_New(0);
    for (uint32_t i = 0; list && c->nreturned > 0 && i < c->ncells; i++) {
        if (!c->asked[i].returned) continue;
        PyObject *n = PyLong_FromUnsignedLong(i);
        if (!n || PyList_Append(list, n)) Py_CLEAR(list);
        Py_XDECREF(n);
        c->asked[i].returned = 0;
        c->nreturned--;
    }
    return list;
}

/* fetch(cell, view): (status, flags, meta, body) of an answered call. The cell is free after it, but with F_HELD in
 * flags, which may be if view is true: body then is a view, and regain() tells when it is. */
static PyObject *channel_fetch(PyObject *self, PyObject *args) {
    Channel *c = (Channel *)self;
    unsigned cell;
    int view;
    if (!PyArg_ParseTuple(args, "Ip", &cell, &view)) return NULL;
    if (cell >= c->ncells || !call_answered(c, (uint32_t)cell)) {
        PyErr_SetString(PyExc_RuntimeError, "call is not answered");
        return NULL;
    }
    char *p = cell_line(c, (uint32_t)cell);
    Asked *a = &c->asked[cell];
    unsigned status = r16(p + 8), flags = r16(p + 10), mlen = r32(p + 32), blen = r32(p + 36);
    PyObject *r, *held = NULL;
    if (flags & F_FD) {
        r = PyObject_CallMethod(c->helper, "read_call", "IIIIIIO", (unsigned)cell, a->gen, mlen, blen, status, flags, view ? Py_True : Py_False);
    } else if (view && (held = held_new(c, cell, c->mem + r64(p + 24), blen))) {
        r = Py_BuildValue("IIy#N", status, flags | F_HELD, c->mem + r64(p + 16), (Py_ssize_t)mlen, held);
    } else {
        PyErr_Clear();
        r = Py_BuildValue("IIy#y#", status, flags, c->mem + r64(p + 16), (Py_ssize_t)mlen, c->mem + r64(p + 24), (Py_ssize_t)blen);
    }
    block_free(c, &a->block);
    if (!held) store(p + 4, a->gen);
    return r;
}

/* Waits awake for the answer of a call, as long as it may and less often if that is in vain. Not if other
 * threads wait for anything: then one of them sleeps, and is rung for all. */
static void hope(Channel *c, uint32_t cell) {
    if (!c->call_spin || c->hopes || c->looped || __atomic_load_n(&c->waiters, __ATOMIC_RELAXED)) return;
    if (c->call_skip) { c->call_skip--; return; }
    int found = 0;
    c->hopes = 1;
    Py_BEGIN_ALLOW_THREADS
    uint64_t end = now_ns() + c->call_spin;
    do {
        for (int i = 0; i < 32 && !(found = call_answered(c, cell)); i++) pause_cpu();
        if (!found) sched_yield(); /* who is to answer may wait for this very processor */
    } while (!found && now_ns() < end);
    Py_END_ALLOW_THREADS
    c->hopes = 0;
    if (found) { c->call_penalty = 0; return; }
    c->call_penalty = c->call_penalty < 127 ? 2 * c->call_penalty + 1 : 255;
    c->call_skip = c->call_penalty;
}

/* wait_call(cell): returns when it is answered */
static PyObject *channel_wait_call(PyObject *self, PyObject *arg) {
    Waiter w = {.kind = W_CALL, .cell = (uint32_t)PyLong_AsUnsignedLong(arg)};
    if (PyErr_Occurred()) return NULL;
    if (w.cell >= ((Channel *)self)->ncells) return NULL;
    if (!call_answered((Channel *)self, w.cell)) hope((Channel *)self, w.cell);
    if (wait_checked((Channel *)self, &w)) return NULL;
    Py_RETURN_NONE;
}

/* answered(): the watched cells whose calls were answered since the last time; those that wait are told of theirs too */
static PyObject *channel_answered(PyObject *self, PyObject *none) {
    Channel *c = (Channel *)self;
    PyObject *list = PyList_New(0);
    if (!list) return NULL;
    for (uint32_t i = 0; c->nwatched > 0 && i < c->ncells; i++) {
        if (!c->asked[i].watched || !call_answered(c, i)) continue;
        PyObject *n = PyLong_FromUnsignedLong(i);
        if (!n || PyList_Append(list, n)) { Py_XDECREF(n); Py_DECREF(list); return NULL; }
        Py_DECREF(n);
        c->asked[i].watched = 0;
        c->nwatched--;
    }
    pthread_mutex_lock(&c->mu);
    if (tell(c)) pthread_cond_broadcast(&c->moved);
    pthread_mutex_unlock(&c->mu);
    return list;
}

/* arm(ending): says that the event loop sleeps, which this thread runs; True if it must not. At the end, the ring is no reason. */
static PyObject *channel_arm(PyObject *self, PyObject *ending) {
    Channel *c = (Channel *)self;
    Waiter ring = {.kind = W_RING};
    pthread_mutex_lock(&c->mu);
    c->looped = c->reader = 1;
    c->loop_thread = pthread_self();
    store(c->mem + 0x100, 1);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    int awake = ending != Py_True && ready(c, &ring);
    if (tell(c)) pthread_cond_broadcast(&c->moved);
    for (uint32_t i = 0; !awake && c->nwatched > 0 && i < c->ncells; i++) awake = c->asked[i].watched && call_answered(c, i);
    if (awake) store(c->mem + 0x100, 0);
    pthread_mutex_unlock(&c->mu);
    return PyBool_FromLong(awake);
}

/* kept(i): how often what the worker may keep under that counter has changed */
static PyObject *channel_kept(PyObject *self, PyObject *arg) {
    unsigned long i = PyLong_AsUnsignedLong(arg);
    if (PyErr_Occurred()) return NULL;
    if (i >= 256) {
        PyErr_SetString(PyExc_ValueError, "there are 256 counters");
        return NULL;
    }
    return PyLong_FromUnsignedLong(load(((Channel *)self)->mem + 0x400 + 4 * i));
}

static PyObject *channel_ncells(PyObject *self, void *closure) { return PyLong_FromUnsignedLong(((Channel *)self)->ncells); }
