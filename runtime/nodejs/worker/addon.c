/* What JavaScript cannot do by itself: map the shared memory, pass descriptors
 * over the control socket, ring and hear the eventfds, and end the process with
 * the processor. The loop itself is JavaScript, in channel.js.
 *
 * Node-API and libuv's handles are stable interfaces, so the few functions that
 * are used are declared here: no headers of Node.js are needed, and one build
 * serves every version. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef struct napi_env__ *napi_env;
typedef struct napi_value__ *napi_value;
typedef struct napi_ref__ *napi_ref;
typedef struct napi_info__ *napi_info;
typedef struct napi_scope__ *napi_handle_scope;
typedef struct napi_async__ *napi_async_context;
typedef int napi_status; /* an enum; 0 is success */
typedef napi_value (*napi_callback)(napi_env, napi_info);
typedef void (*napi_finalize)(napi_env, void *, void *);
typedef struct uv_loop_s uv_loop_t;
typedef struct uv_poll_s uv_poll_t;
enum { UV_POLL = 8, UV_READABLE = 1 };

extern napi_status napi_create_function(napi_env, const char *, size_t, napi_callback, void *, napi_value *);
extern napi_status napi_set_named_property(napi_env, napi_value, const char *, napi_value);
extern napi_status napi_set_element(napi_env, napi_value, uint32_t, napi_value);
extern napi_status napi_get_cb_info(napi_env, napi_info, size_t *, napi_value *, napi_value *, void **);
extern napi_status napi_get_value_int64(napi_env, napi_value, int64_t *);
extern napi_status napi_get_buffer_info(napi_env, napi_value, void **, size_t *);
extern napi_status napi_create_buffer(napi_env, size_t, void **, napi_value *);
extern napi_status napi_create_buffer_copy(napi_env, size_t, const void *, void **, napi_value *);
extern napi_status napi_create_external_arraybuffer(napi_env, void *, size_t, napi_finalize, void *, napi_value *);
extern napi_status napi_create_array(napi_env, napi_value *);
extern napi_status napi_create_int32(napi_env, int32_t, napi_value *);
extern napi_status napi_create_string_utf8(napi_env, const char *, size_t, napi_value *);
extern napi_status napi_get_global(napi_env, napi_value *);
extern napi_status napi_create_reference(napi_env, napi_value, uint32_t, napi_ref *);
extern napi_status napi_get_reference_value(napi_env, napi_ref, napi_value *);
extern napi_status napi_open_handle_scope(napi_env, napi_handle_scope *);
extern napi_status napi_close_handle_scope(napi_env, napi_handle_scope);
extern napi_status napi_async_init(napi_env, napi_value, napi_value, napi_async_context *);
extern napi_status napi_make_callback(napi_env, napi_async_context, napi_value, napi_value, size_t, const napi_value *, napi_value *);
extern napi_status napi_get_and_clear_last_exception(napi_env, napi_value *);
extern napi_status napi_fatal_exception(napi_env, napi_value);
extern napi_status napi_throw_error(napi_env, const char *, const char *);
extern napi_status napi_get_uv_event_loop(napi_env, uv_loop_t **);
extern size_t uv_handle_size(int);
extern int uv_poll_init(uv_loop_t *, uv_poll_t *, int);
extern int uv_poll_start(uv_poll_t *, int, void (*)(uv_poll_t *, int, int));

enum { CONTROL = 3, MAX_MESSAGE = 65536, MAX_FILES = 16 };

static int wake_fd = -1, bell_fd = -1, second_fd = -1; /* second: the processor's other bell */
static char *mapped; /* the mapping, once there is one */
static size_t mapped_size;
static napi_env the_env; /* workers have one environment: worker threads of the function do not load this */
static napi_ref on_wake;
static napi_async_context wake_context;

static napi_value fail(napi_env env, const char *what) {
    char text[256];
    snprintf(text, sizeof text, "%s: %s", what, strerror(errno));
    napi_throw_error(env, NULL, text);
    return NULL;
}

/* The numbers and buffers that a call was given. */
static bool arguments(napi_env env, napi_info info, size_t n, napi_value *argv) {
    size_t got = n;
    if (napi_get_cb_info(env, info, &got, argv, NULL, NULL) || got < n) {
        napi_throw_error(env, NULL, "too few arguments");
        return false;
    }
    return true;
}

static int64_t number(napi_env env, napi_value v) {
    int64_t n = -1;
    napi_get_value_int64(env, v, &n);
    return n;
}

/* map(fd, size, wake, bell, second): the mapping as an ArrayBuffer, for good */
static napi_value map(napi_env env, napi_info info) {
    napi_value argv[5], out;
    if (!arguments(env, info, 5, argv)) return NULL;
    int fd = (int)number(env, argv[0]);
    size_t size = (size_t)number(env, argv[1]);
    void *mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mem == MAP_FAILED) return fail(env, "map the channel");
    close(fd);
    wake_fd = (int)number(env, argv[2]);
    bell_fd = (int)number(env, argv[3]);
    second_fd = (int)number(env, argv[4]);
    mapped = mem;
    mapped_size = size;
    if (napi_create_external_arraybuffer(env, mem, size, NULL, NULL, &out)) {
        napi_throw_error(env, NULL, "this Node.js cannot show memory of others to JavaScript");
        return NULL;
    }
    return out;
}

/* view(offset, size): a part of the mapping as an ArrayBuffer of its own, whose end
 * JavaScript can be told of */
static napi_value view(napi_env env, napi_info info) {
    napi_value argv[2], out;
    if (!arguments(env, info, 2, argv)) return NULL;
    int64_t at = number(env, argv[0]), size = number(env, argv[1]);
    if (at < 0 || size < 1 || (size_t)at > mapped_size || (size_t)size > mapped_size - (size_t)at ||
        napi_create_external_arraybuffer(env, mapped + at, (size_t)size, NULL, NULL, &out)) {
        napi_throw_error(env, NULL, "no view of that part of the channel");
        return NULL;
    }
    return out;
}

static void ring_fd(int fd) {
    uint64_t one = 1;
    if (write(fd, &one, 8) < 0) { /* only full: then it has been rung */ }
}

/* ring(), ringSecond(): wake who waits at that bell in the processor */
static napi_value ring(napi_env env, napi_info info) {
    ring_fd(bell_fd);
    return NULL;
}

static napi_value ring_second(napi_env env, napi_info info) {
    ring_fd(second_fd);
    return NULL;
}

static void woken(uv_poll_t *poll, int status, int events) {
    uint64_t v;
    napi_handle_scope scope;
    napi_value callback, global, result, error;
    if (read(wake_fd, &v, 8) < 0) { /* EAGAIN: an earlier read took it */ }
    if (napi_open_handle_scope(the_env, &scope)) return;
    napi_get_reference_value(the_env, on_wake, &callback);
    napi_get_global(the_env, &global);
    if (napi_make_callback(the_env, wake_context, global, callback, 0, NULL, &result) &&
        !napi_get_and_clear_last_exception(the_env, &error))
        napi_fatal_exception(the_env, error);
    napi_close_handle_scope(the_env, scope);
}

/* listen(callback): call back whenever the processor rings */
static napi_value listen_wake(napi_env env, napi_info info) {
    napi_value argv[1], name;
    uv_loop_t *loop;
    uv_poll_t *poll = calloc(1, uv_handle_size(UV_POLL));
    if (!poll || !arguments(env, info, 1, argv)) return NULL;
    the_env = env;
    if (napi_create_reference(env, argv[0], 1, &on_wake) || napi_create_string_utf8(env, "myelin", 6, &name) ||
        napi_async_init(env, NULL, name, &wake_context) || napi_get_uv_event_loop(env, &loop) ||
        uv_poll_init(loop, poll, wake_fd) || uv_poll_start(poll, UV_READABLE, woken))
        napi_throw_error(env, NULL, "cannot watch the channel");
    return NULL;
}

/* receive(): [message, descriptors...] from the control socket; waits for it */
static napi_value receive(napi_env env, napi_info info) {
    static char data[MAX_MESSAGE];
    union { char bytes[CMSG_SPACE(MAX_FILES * sizeof(int))]; struct cmsghdr align; } space;
    struct iovec part = {data, sizeof data};
    struct msghdr msg = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = space.bytes, .msg_controllen = sizeof space.bytes};
    napi_value out, item;
    uint32_t n = 0;
    ssize_t got;
    while ((got = recvmsg(CONTROL, &msg, MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR) {}
    if (got < 0) return fail(env, "read the control socket");
    if (napi_create_array(env, &out) || napi_create_buffer_copy(env, (size_t)got, data, NULL, &item) ||
        napi_set_element(env, out, n++, item))
        return NULL;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
        size_t files = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < files; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            if (napi_create_int32(env, fd, &item) || napi_set_element(env, out, n++, item)) return NULL;
        }
    }
    return out;
}

static bool send_message(const void *data, size_t n, int fd) {
    union { char bytes[CMSG_SPACE(sizeof(int))]; struct cmsghdr align; } space;
    struct iovec part = {(void *)data, n};
    struct msghdr msg = {.msg_iov = &part, .msg_iovlen = 1};
    if (fd >= 0) {
        msg.msg_control = space.bytes;
        msg.msg_controllen = sizeof space.bytes;
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(c), &fd, sizeof fd);
    }
    ssize_t sent;
    while ((sent = sendmsg(CONTROL, &msg, MSG_NOSIGNAL)) < 0 && errno == EINTR) {}
    return sent >= 0;
}

/* send(message) */
static napi_value send_control(napi_env env, napi_info info) {
    napi_value argv[1];
    void *data;
    size_t n;
    if (!arguments(env, info, 1, argv) || napi_get_buffer_info(env, argv[0], &data, &n)) return NULL;
    if (!send_message(data, n, -1)) return fail(env, "write the control socket");
    return NULL;
}

/* readFile(fd): what is in a memory file, which is closed */
static napi_value read_file(napi_env env, napi_info info) {
    napi_value argv[1], out = NULL;
    struct stat st;
    void *data;
    if (!arguments(env, info, 1, argv)) return NULL;
    int fd = (int)number(env, argv[0]);
    if (fstat(fd, &st)) {
        fail(env, "read a large request");
    } else if (napi_create_buffer(env, (size_t)st.st_size, &data, &out) == 0) {
        for (off_t at = 0; at < st.st_size;) {
            ssize_t got = pread(fd, (char *)data + at, (size_t)(st.st_size - at), at);
            if (got == 0) errno = EIO;
            if (got <= 0 && errno != EINTR) {
                out = fail(env, "read a large request");
                break;
            }
            if (got > 0) at += got;
        }
    }
    close(fd);
    return out;
}

static bool write_all(int fd, const char *p, size_t n) {
    while (n > 0) {
        ssize_t put = write(fd, p, n);
        if (put < 0 && errno != EINTR) return false;
        if (put > 0) p += put, n -= (size_t)put;
    }
    return true;
}

/* sendFile(message, meta, body): meta and body in a memory file, with the message */
static napi_value send_file(napi_env env, napi_info info) {
    napi_value argv[3];
    void *data[3];
    size_t n[3];
    if (!arguments(env, info, 3, argv)) return NULL;
    for (int i = 0; i < 3; i++)
        if (napi_get_buffer_info(env, argv[i], &data[i], &n[i])) return NULL;
    int fd = (int)syscall(SYS_memfd_create, "myelin-body", 1u /* MFD_CLOEXEC */);
    if (fd < 0) return fail(env, "create a file for a large response");
    if (!write_all(fd, data[1], n[1]) || !write_all(fd, data[2], n[2]) || !send_message(data[0], n[0], fd))
        fail(env, "pass a large response");
    close(fd);
    return NULL;
}

/* Ends the process when the processor has gone, whatever JavaScript is doing. */
static void *watch_peer(void *arg) {
    struct pollfd p = {.fd = CONTROL, .events = 0};
    for (;;) {
        int n = poll(&p, 1, -1);
        if (n > 0 && (p.revents & (POLLHUP | POLLERR | POLLNVAL))) _exit(0);
        if (n < 0 && errno != EINTR) return NULL;
    }
}

/* close(fd) */
static napi_value close_file(napi_env env, napi_info info) {
    napi_value argv[1];
    if (arguments(env, info, 1, argv)) close((int)number(env, argv[0]));
    return NULL;
}

/* watch() */
static napi_value watch(napi_env env, napi_info info) {
    pthread_t t;
    pthread_attr_t a;
    fcntl(CONTROL, F_SETFD, FD_CLOEXEC);
    pthread_attr_init(&a);
    pthread_attr_setdetachstate(&a, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&a, 65536);
    int err = pthread_create(&t, &a, watch_peer, NULL);
    pthread_attr_destroy(&a);
    errno = err;
    return err ? fail(env, "watch the control socket") : NULL;
}

__attribute__((visibility("default"))) int32_t node_api_module_get_api_version_v1(void) { return 8; }

__attribute__((visibility("default"))) napi_value napi_register_module_v1(napi_env env, napi_value exports) {
    static const struct { const char *name; napi_callback call; } functions[] = {
        {"map", map}, {"view", view}, {"ring", ring}, {"ringSecond", ring_second}, {"listen", listen_wake}, {"receive", receive}, {"send", send_control},
        {"readFile", read_file}, {"sendFile", send_file}, {"close", close_file}, {"watch", watch}};
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        napi_value f;
        if (napi_create_function(env, functions[i].name, strlen(functions[i].name), functions[i].call, NULL, &f) ||
            napi_set_named_property(env, exports, functions[i].name, f))
            return NULL;
    }
    return exports;
}
