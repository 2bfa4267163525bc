/* What Java cannot do by itself: map the shared memory, pass descriptors over
 * the control socket, ring and hear the eventfds, and end the process with the
 * processor. The loop itself is Java, in Channel.java. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <jni.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { CONTROL = 3, MAX_MESSAGE = 65536, MAX_FILES = 16, CHUNK = 65536 };

#define NATIVE(type, name) JNIEXPORT type JNICALL Java_run_myelin_worker_Native_##name

static char *base;
static size_t base_size;
static int wake_fd = -1, bell_fd = -1, second_fd = -1; /* second: the processor's other bell */

static void fail(JNIEnv *env, const char *what) {
    char text[256];
    snprintf(text, sizeof text, "%s: %s", what, strerror(errno));
    jclass c = (*env)->FindClass(env, "java/io/IOException");
    if (c) (*env)->ThrowNew(env, c, text);
}

/* map(fd, size, wake, bell, second): the mapping, for good */
NATIVE(jobject, map)(JNIEnv *env, jclass c, jint fd, jlong size, jint wake, jint bell, jint second) {
    void *mem = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mem == MAP_FAILED) {
        fail(env, "map the channel");
        return NULL;
    }
    close(fd);
    base = mem;
    base_size = (size_t)size;
    wake_fd = wake;
    bell_fd = bell;
    second_fd = second;
    return (*env)->NewDirectByteBuffer(env, mem, size);
}

/* view(offset, length): a buffer of its own over part of the mapping, whose end the collector can see */
NATIVE(jobject, view)(JNIEnv *env, jclass c, jlong offset, jint length) {
    return (*env)->NewDirectByteBuffer(env, base + offset, length);
}

/* offset(buffer): where a direct buffer begins in the mapping, -1 if it is elsewhere */
NATIVE(jlong, offset)(JNIEnv *env, jclass c, jobject buffer) {
    char *at = (*env)->GetDirectBufferAddress(env, buffer);
    return base && at >= base && at < base + base_size ? (jlong)(at - base) : -1;
}

/* await(): sleep until the processor rings */
NATIVE(void, await)(JNIEnv *env, jclass c) {
    uint64_t v;
    if (read(wake_fd, &v, 8) < 0) { /* interrupted: whoever waits looks again */ }
}

static void ring_fd(int fd) {
    uint64_t one = 1;
    if (write(fd, &one, 8) < 0) { /* only full: then it has been rung */ }
}

/* ring(second): wake who waits at that bell in the processor; wake(): wake the thread that is in await */
NATIVE(void, ring)(JNIEnv *env, jclass c, jboolean second) { ring_fd(second ? second_fd : bell_fd); }
NATIVE(void, wake)(JNIEnv *env, jclass c) { ring_fd(wake_fd); }

/* receive(data, files): one message of the control socket and its descriptors; returns the message's length,
 * and puts the number of descriptors first in files */
NATIVE(jint, receive)(JNIEnv *env, jclass c, jbyteArray data, jintArray files) {
    char space[MAX_MESSAGE];
    union { char bytes[CMSG_SPACE(MAX_FILES * sizeof(int))]; struct cmsghdr align; } control;
    struct iovec part = {space, sizeof space};
    struct msghdr msg = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    ssize_t got;
    while ((got = recvmsg(CONTROL, &msg, MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR) {}
    if (got < 0) {
        fail(env, "read the control socket");
        return -1;
    }
    jint found[MAX_FILES + 1] = {0};
    for (struct cmsghdr *m = CMSG_FIRSTHDR(&msg); m; m = CMSG_NXTHDR(&msg, m)) {
        if (m->cmsg_level != SOL_SOCKET || m->cmsg_type != SCM_RIGHTS) continue;
        size_t n = (m->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n && found[0] < MAX_FILES; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(m) + i * sizeof fd, sizeof fd);
            found[++found[0]] = fd;
        }
    }
    (*env)->SetByteArrayRegion(env, data, 0, (jsize)got, (jbyte *)space);
    (*env)->SetIntArrayRegion(env, files, 0, MAX_FILES + 1, found);
    return (jint)got;
}

static bool send_message(const void *data, size_t n, int fd) {
    union { char bytes[CMSG_SPACE(sizeof(int))]; struct cmsghdr align; } space;
    struct iovec part = {(void *)data, n};
    struct msghdr msg = {.msg_iov = &part, .msg_iovlen = 1};
    if (fd >= 0) {
        msg.msg_control = space.bytes;
        msg.msg_controllen = sizeof space.bytes;
        struct cmsghdr *m = CMSG_FIRSTHDR(&msg);
        m->cmsg_level = SOL_SOCKET;
        m->cmsg_type = SCM_RIGHTS;
        m->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(m), &fd, sizeof fd);
    }
    ssize_t sent;
    while ((sent = sendmsg(CONTROL, &msg, MSG_NOSIGNAL)) < 0 && errno == EINTR) {}
    return sent >= 0;
}

/* send(message) */
NATIVE(void, send)(JNIEnv *env, jclass c, jbyteArray message) {
    char space[MAX_MESSAGE];
    jsize n = (*env)->GetArrayLength(env, message);
    if (n > MAX_MESSAGE) n = MAX_MESSAGE;
    (*env)->GetByteArrayRegion(env, message, 0, n, (jbyte *)space);
    if (!send_message(space, (size_t)n, -1)) fail(env, "write the control socket");
}

/* read(fd, at, into): fill an array from a memory file */
NATIVE(void, read)(JNIEnv *env, jclass c, jint fd, jlong at, jbyteArray into) {
    char space[CHUNK];
    jsize n = (*env)->GetArrayLength(env, into);
    for (jsize done = 0; done < n;) {
        size_t want = (size_t)(n - done) < sizeof space ? (size_t)(n - done) : sizeof space;
        ssize_t got = pread(fd, space, want, at + done);
        if (got < 0 && errno == EINTR) continue;
        if (got == 0) errno = EIO;
        if (got <= 0) {
            fail(env, "read a large request");
            return;
        }
        (*env)->SetByteArrayRegion(env, into, done, (jsize)got, (jbyte *)space);
        done += (jsize)got;
    }
}

static bool write_array(JNIEnv *env, int fd, jbyteArray from, jint at, jint n) {
    char space[CHUNK];
    for (jint done = 0; done < n;) {
        jint want = n - done < CHUNK ? n - done : CHUNK;
        (*env)->GetByteArrayRegion(env, from, at + done, want, (jbyte *)space);
        for (jint put = 0; put < want;) {
            ssize_t m = write(fd, space + put, (size_t)(want - put));
            if (m < 0 && errno != EINTR) return false;
            if (m > 0) put += (jint)m;
        }
        done += want;
    }
    return true;
}

/* sendFile(message, meta, body, at, length): meta and part of body in a memory file, with the message */
NATIVE(void, sendFile)(JNIEnv *env, jclass c, jbyteArray message, jbyteArray meta, jbyteArray body, jint at, jint length) {
    char head[64];
    jsize n = (*env)->GetArrayLength(env, message);
    int fd = (int)syscall(SYS_memfd_create, "myelin-body", 1u /* MFD_CLOEXEC */);
    if (fd < 0) {
        fail(env, "create a file for a large response");
        return;
    }
    if (n > (jsize)sizeof head) n = sizeof head;
    (*env)->GetByteArrayRegion(env, message, 0, n, (jbyte *)head);
    if (!write_array(env, fd, meta, 0, (*env)->GetArrayLength(env, meta)) || !write_array(env, fd, body, at, length) ||
        !send_message(head, (size_t)n, fd))
        fail(env, "pass a large response");
    close(fd);
}

/* close(fd) */
NATIVE(void, close)(JNIEnv *env, jclass c, jint fd) { close(fd); }

/* Ends the process when the processor has gone, whatever Java is doing. */
static void *watch_peer(void *arg) {
    struct pollfd p = {.fd = CONTROL, .events = 0};
    for (;;) {
        int n = poll(&p, 1, -1);
        if (n > 0 && (p.revents & (POLLHUP | POLLERR | POLLNVAL))) _exit(0);
        if (n < 0 && errno != EINTR) return NULL;
    }
}

/* watch(): do so from now on */
NATIVE(void, watch)(JNIEnv *env, jclass c) {
    pthread_t t;
    pthread_attr_t a;
    fcntl(CONTROL, F_SETFD, FD_CLOEXEC);
    pthread_attr_init(&a);
    pthread_attr_setdetachstate(&a, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&a, 65536);
    errno = pthread_create(&t, &a, watch_peer, NULL);
    pthread_attr_destroy(&a);
    if (errno) fail(env, "watch the control socket");
}
