/*
 * One half of a ring in C with Xen's macros, for tests of the other half in Java. The two share a file that both map: the ring
 * from byte 0, and behind it data pages. Doorbells are the standard streams: a byte on standard input is an event for us, a byte
 * on standard output one for the peer; a line on standard error reports at the end.
 *
 *   cring front|back FILE ENTRY-SIZE RING-PAGES FIRST-INDEX COUNT SEED
 *   cring blkback    FILE 112        RING-PAGES FIRST-INDEX COUNT SEED
 *
 * front and back fill whole entries of 112, 108, 12 or 8 bytes: request word i of request number n is mix(seed + n) plus i, its
 * word 0 the number itself; a response has every word of its request inverted. blkback serves struct blkif_request from a disk
 * of its own memory; a gref is the number of a data page behind the ring.
 */
#include "attach.h"

#include <sys/stat.h>

#define DISK_SECTORS 8192u

struct entry112 { uint32_t words[28]; };
struct entry108 { uint32_t words[27]; };
struct entry12 { uint32_t words[3]; };
struct entry8 { uint32_t words[2]; };

DEFINE_RING_TYPES(r112, struct entry112, struct entry112);
DEFINE_RING_TYPES(r108, struct entry108, struct entry108);
DEFINE_RING_TYPES(r12, struct entry12, struct entry12);
DEFINE_RING_TYPES(r8, struct entry8, struct entry8);

static unsigned char *shared;
static size_t ring_bytes;
static uint32_t first_index, count;
static uint64_t seed, sleeps, kicks;

static void kick(void) {
    kicks++;
    if (write(STDOUT_FILENO, "!", 1) != 1)
        die(EXIT_BACKEND_GONE, "peer is gone");
}

static void await_event(uint32_t done) {
    char bytes[64];
    struct pollfd waiting = {.fd = STDIN_FILENO, .events = POLLIN};
    sleeps++;
    if (poll(&waiting, 1, 5000) <= 0)
        die(EXIT_HUNG, "no event for 5 s after %u of %u", done, count);
    if (read(STDIN_FILENO, bytes, sizeof bytes) <= 0)
        die(EXIT_BACKEND_GONE, "peer ended after %u of %u", done, count);
}

/* A little variation in timing, so that both sides come to sleep and wake in every order. */
static void dawdle(uint64_t *x) {
    *x = mix(*x);
    for (volatile unsigned i = 0; i < (*x % 64 == 0 ? 3000u : (unsigned)(*x % 50)); i++)
        ;
}

/* Now and then so long that a peer which only ever finds work runs out of it, and sleeps. */
static void let_it_sleep(uint32_t done, uint32_t *next) {
    if (done < *next)
        return;
    *next += count / 20;
    nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
}

#define DEFINE_HALVES(T, ENTRY)                                                                                              \
    static void front_##T(void) {                                                                                            \
        T##_front_ring_t ring;                                                                                               \
        uint64_t x = seed;                                                                                                   \
        uint32_t sent = 0, done = 0;                                                                                         \
        int notify, work;                                                                                                    \
        FRONT_RING_ATTACH(&ring, (T##_sring_t *)shared, first_index, ring_bytes);                                            \
        while (done < count) {                                                                                               \
            unsigned batch = 1 + (unsigned)(mix(x) % RING_SIZE(&ring));                                                      \
            while (batch-- > 0 && sent < count && !RING_FULL(&ring)) {                                                       \
                struct ENTRY *e = RING_GET_REQUEST(&ring, ring.req_prod_pvt++);                                              \
                uint32_t pattern = (uint32_t)mix(seed + sent);                                                               \
                e->words[0] = sent++;                                                                                        \
                for (uint32_t i = 1; i < sizeof *e / 4; i++)                                                                 \
                    e->words[i] = pattern + i;                                                                               \
            }                                                                                                                \
            RING_PUSH_REQUESTS_AND_CHECK_NOTIFY(&ring, notify);                                                              \
            if (notify)                                                                                                      \
                kick();                                                                                                      \
            dawdle(&x);                                                                                                      \
            RING_FINAL_CHECK_FOR_RESPONSES(&ring, work);                                                                     \
            if (!work)                                                                                                       \
                await_event(done);                                                                                           \
            RING_IDX prod = __atomic_load_n(&ring.sring->rsp_prod, __ATOMIC_ACQUIRE);                                        \
            if (RING_RESPONSE_PROD_OVERFLOW(&ring, prod))                                                                    \
                die(EXIT_MISMATCH, "rsp_prod %u past %u", prod, ring.rsp_cons);                                              \
            while (ring.rsp_cons != prod) {                                                                                  \
                struct ENTRY e;                                                                                              \
                RING_COPY_RESPONSE(&ring, ring.rsp_cons++, &e);                                                              \
                uint32_t pattern = (uint32_t)mix(seed + done);                                                               \
                if (e.words[0] != ~done)                                                                                     \
                    die(EXIT_MISMATCH, "response %u has number %u", done, ~e.words[0]);                                      \
                for (uint32_t i = 1; i < sizeof e / 4; i++)                                                                  \
                    if (e.words[i] != ~(pattern + i))                                                                        \
                        die(EXIT_MISMATCH, "response %u word %u is %x", done, i, e.words[i]);                                \
                done++;                                                                                                      \
            }                                                                                                                \
        }                                                                                                                    \
    }                                                                                                                        \
    static void back_##T(void) {                                                                                             \
        T##_back_ring_t ring;                                                                                                \
        uint64_t x = seed;                                                                                                   \
        uint32_t done = 0, pause = count / 20;                                                                               \
        int notify, work;                                                                                                    \
        BACK_RING_ATTACH(&ring, (T##_sring_t *)shared, first_index, ring_bytes);                                             \
        while (done < count) {                                                                                               \
            let_it_sleep(done, &pause);                                                                                      \
            RING_IDX prod = __atomic_load_n(&ring.sring->req_prod, __ATOMIC_ACQUIRE);                                        \
            if (RING_REQUEST_PROD_OVERFLOW(&ring, prod))                                                                     \
                die(EXIT_MISMATCH, "req_prod %u past %u", prod, ring.rsp_prod_pvt);                                          \
            while (ring.req_cons != prod) {                                                                                  \
                struct ENTRY e;                                                                                              \
                RING_COPY_REQUEST(&ring, ring.req_cons++, &e);                                                               \
                uint32_t pattern = (uint32_t)mix(seed + done);                                                               \
                if (e.words[0] != done)                                                                                      \
                    die(EXIT_MISMATCH, "request %u has number %u", done, e.words[0]);                                        \
                for (uint32_t i = 1; i < sizeof e / 4; i++)                                                                  \
                    if (e.words[i] != pattern + i)                                                                           \
                        die(EXIT_MISMATCH, "request %u word %u is %x", done, i, e.words[i]);                                 \
                struct ENTRY *rsp = RING_GET_RESPONSE(&ring, ring.rsp_prod_pvt++);                                           \
                for (uint32_t i = 0; i < sizeof e / 4; i++)                                                                  \
                    rsp->words[i] = ~e.words[i];                                                                             \
                done++;                                                                                                      \
            }                                                                                                                \
            RING_PUSH_RESPONSES_AND_CHECK_NOTIFY(&ring, notify);                                                             \
            if (notify)                                                                                                      \
                kick();                                                                                                      \
            dawdle(&x);                                                                                                      \
            if (done == count)                                                                                               \
                break;                                                                                                       \
            RING_FINAL_CHECK_FOR_REQUESTS(&ring, work);                                                                      \
            if (!work)                                                                                                       \
                await_event(done);                                                                                           \
        }                                                                                                                    \
    }

DEFINE_HALVES(r112, entry112)
DEFINE_HALVES(r108, entry108)
DEFINE_HALVES(r12, entry12)
DEFINE_HALVES(r8, entry8)

/* Serves READ and WRITE of one request; anything out of range is an error. */
static int16_t serve(const blkif_request_t *req, unsigned char *disk, uint32_t data_pages) {
    uint64_t sector = req->sector_number;
    if ((req->operation != BLKIF_OP_READ && req->operation != BLKIF_OP_WRITE) || req->nr_segments > BLKIF_MAX_SEGMENTS_PER_REQUEST)
        return req->operation == BLKIF_OP_FLUSH_DISKCACHE ? BLKIF_RSP_OKAY : BLKIF_RSP_ERROR;
    for (unsigned i = 0; i < req->nr_segments; i++) {
        struct blkif_request_segment seg = req->seg[i];
        if (seg.first_sect > seg.last_sect || seg.last_sect >= PAGE / 512 || seg.gref >= data_pages)
            return BLKIF_RSP_ERROR;
        uint64_t sectors = seg.last_sect - seg.first_sect + 1u;
        if (sector > DISK_SECTORS || sectors > DISK_SECTORS - sector)
            return BLKIF_RSP_ERROR;
        unsigned char *page = shared + ring_bytes + (size_t)seg.gref * PAGE + seg.first_sect * 512u;
        if (req->operation == BLKIF_OP_READ)
            memcpy(page, disk + sector * 512, sectors * 512);
        else
            memcpy(disk + sector * 512, page, sectors * 512);
        sector += sectors;
    }
    return BLKIF_RSP_OKAY;
}

static void blkback(uint32_t data_pages) {
    blkif_back_ring_t ring;
    unsigned char *disk = calloc(DISK_SECTORS, 512);
    uint32_t done = 0;
    int notify, work;
    BACK_RING_ATTACH(&ring, (blkif_sring_t *)shared, first_index, ring_bytes);
    while (done < count) {
        RING_IDX prod = __atomic_load_n(&ring.sring->req_prod, __ATOMIC_ACQUIRE);
        if (RING_REQUEST_PROD_OVERFLOW(&ring, prod))
            die(EXIT_MISMATCH, "req_prod %u past %u", prod, ring.rsp_prod_pvt);
        while (ring.req_cons != prod) {
            blkif_request_t req;
            RING_COPY_REQUEST(&ring, ring.req_cons++, &req);
            int16_t status = serve(&req, disk, data_pages);
            blkif_response_t *rsp = RING_GET_RESPONSE(&ring, ring.rsp_prod_pvt++);
            rsp->id = req.id;
            rsp->operation = req.operation;
            rsp->status = status;
            done++;
        }
        RING_PUSH_RESPONSES_AND_CHECK_NOTIFY(&ring, notify);
        if (notify)
            kick();
        if (done == count)
            break;
        RING_FINAL_CHECK_FOR_REQUESTS(&ring, work);
        if (!work)
            await_event(done);
    }
    free(disk);
}

int main(int argc, char **argv) {
    if (argc != 8)
        die(EXIT_UNEXPECTED, "usage: cring front|back|blkback FILE ENTRY-SIZE RING-PAGES FIRST-INDEX COUNT SEED");
    unsigned entry = (unsigned)atoi(argv[3]);
    bool front = strcmp(argv[1], "front") == 0;
    ring_bytes = (size_t)atoi(argv[4]) * PAGE;
    first_index = (uint32_t)strtoul(argv[5], NULL, 0);
    count = (uint32_t)strtoul(argv[6], NULL, 0);
    seed = strtoull(argv[7], NULL, 0);
    int fd = open(argv[2], O_RDWR | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        die(EXIT_UNEXPECTED, "%s: %s", argv[2], strerror(errno));
    shared = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (shared == MAP_FAILED || (size_t)st.st_size < ring_bytes)
        die(EXIT_UNEXPECTED, "cannot map %s", argv[2]);
    signal(SIGPIPE, SIG_IGN);
    if (strcmp(argv[1], "blkback") == 0)
        blkback((uint32_t)(((size_t)st.st_size - ring_bytes) / PAGE));
    else if (entry == 112)
        front ? front_r112() : back_r112();
    else if (entry == 108)
        front ? front_r108() : back_r108();
    else if (entry == 12)
        front ? front_r12() : back_r12();
    else if (entry == 8)
        front ? front_r8() : back_r8();
    else
        die(EXIT_UNEXPECTED, "no entries of %u bytes here", entry);
    fprintf(stderr, "ok done=%u sleeps=%" PRIu64 " kicks=%" PRIu64 "\n", count, sleeps, kicks);
    return 0;
}
