#include "honest.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* The checksum takes eight bytes at a time: table[k] is for a byte with k more behind it. */
static uint32_t table[8][256];

__attribute__((constructor)) static void fill(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int k = 0; k < 8; k++)
            c = c & 1 ? 0xedb88320u ^ (c >> 1) : c >> 1;
        table[0][i] = c;
    }
    for (int k = 1; k < 8; k++)
        for (int i = 0; i < 256; i++)
            table[k][i] = table[0][table[k - 1][i] & 0xff] ^ (table[k - 1][i] >> 8);
}

static uint32_t crc32_of(const unsigned char *p, size_t n)
{
    uint32_t c = ~0u;
    for (; n >= 8; p += 8, n -= 8) {
        uint32_t w = c ^ (p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24);
        c = table[7][w & 0xff] ^ table[6][w >> 8 & 0xff] ^ table[5][w >> 16 & 0xff] ^ table[4][w >> 24] ^
            table[3][p[4]] ^ table[2][p[5]] ^ table[1][p[6]] ^ table[0][p[7]];
    }
    while (n--)
        c = table[0][(c ^ *p++) & 0xff] ^ (c >> 8);
    return ~c;
}

struct ledger {
    unsigned char *runs; /* a byte per event, in a file */
    size_t size;
};

static int honest_init(myelin_context *ctx)
{
    struct ledger *l = malloc(sizeof *l);
    int fd = open(getenv("LEDGER"), O_RDWR);
    struct stat st;
    if (!l || fd < 0 || fstat(fd, &st))
        return myelin_fail_init(ctx, "cannot open the ledger");
    l->size = (size_t)st.st_size;
    l->runs = mmap(NULL, l->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    ctx->user_data = l;
    return (void *)l->runs == MAP_FAILED ? myelin_fail_init(ctx, "cannot map the ledger") : 0;
}

static void honest_close(myelin_context *ctx)
{
    struct ledger *l = ctx->user_data;
    munmap(l->runs, l->size);
    free(l);
}

/* Notes that the event runs, then answers as its path says. */
static int honest_handler(myelin_context *ctx, const myelin_event *ev, myelin_response *out)
{
    size_t n = 0;
    for (size_t i = 0; i < ev->id.len; i++)
        n = 10 * n + (size_t)(ev->id.data[i] - '0');
    ((struct ledger *)ctx->user_data)->runs[n]++;
    if (myelin_is(ev->path, "/echo"))
        return myelin_write(out, ev->body.data, ev->body.len);
    if (myelin_is(ev->path, "/view")) {
        char *own = (char *)malloc(ev->body.len + 1);
        if (!own)
            return MYELIN_FAILED;
        if (ev->body.len)
            memcpy(own, ev->body.data, ev->body.len);
        myelin_respond_owned(out, own, ev->body.len, free, own);
        return 0;
    }
    if (myelin_is(ev->path, "/raise"))
        return myelin_fail(out, 500, "%.*s", (int)ev->id.len, ev->id.data);
    if (myelin_is(ev->path, "/permanent")) {
        myelin_fail(out, 400, "%.*s", (int)ev->id.len, ev->id.data);
        return MYELIN_PERMANENT;
    }
    if (myelin_is(ev->path, "/stall"))
        usleep(800000);
    return myelin_printf(out, "%zu %u", n, crc32_of((const unsigned char *)ev->body.data, ev->body.len));
}

struct function honest(void)
{
    return (struct function){(void *)honest_handler, (void *)honest_init, (void *)honest_close};
}
