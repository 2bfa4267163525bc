// The seam between the processor and functions in C.
#ifndef MYELIN_CALL_H
#define MYELIN_CALL_H

#include <myelin.h>

// worker is one instance, in C's memory.
typedef struct {
    myelin_context ctx;
    myelin_response out;
    void *handler, *batch, *init, *close; // one of the first two may be NULL

    // Of the lists: room for cap events. What lies in evs is valid while one runs.
    myelin_event *evs;
    myelin_response *outs;
    size_t cap;
} worker;

worker *myelin_worker_new(uintptr_t handle, void *handler, void *batch, void *init, void *close);
int myelin_worker_init(worker *w);
void myelin_worker_close(worker *w);
void myelin_worker_free(worker *w);

// myelin_worker_run empties the answer and calls the handler, or else that of
// lists, with a list of one. What it is given aliases the caller's
// memory, which it keeps nowhere: the event lies on this call's stack.
int myelin_worker_run(worker *w, int log_level, int64_t deadline,
                      const char *kind, const char *name,
                      const char *id, size_t id_len, const char *method, size_t method_len,
                      const char *path, size_t path_len, const char *url, size_t url_len,
                      const char *type, size_t type_len, const char *body, size_t body_len,
                      const char *key, size_t key_len, const char *topic, size_t topic_len,
                      int64_t time, int64_t offset, int32_t shard, int32_t shards);

// myelin_worker_room makes room for a list of n events. 0, or -1 if there is no
// memory.
int myelin_worker_room(worker *w, size_t n);

// myelin_worker_run_batch empties the answers and calls the handler with the n
// events that lie in evs.
int myelin_worker_run_batch(worker *w, size_t n, int log_level, int64_t deadline);

// myelin_result is the outcome of an event in a list whose handler returned 0.
int myelin_result(const myelin_response *out);

// myelin_response_trim frees what is kept for the next answer.
void myelin_response_trim(myelin_response *out);

// myelin_response_size is how many bytes that is.
size_t myelin_response_size(const myelin_response *out);

int myelin_call_each(void *f, void *arg, const char *key, size_t key_len, const char *value, size_t value_len);
void myelin_call_release(void *release, void *arg);
void *myelin_free_function(void);
char *myelin_empty(void); // no bytes, somewhere

#endif
