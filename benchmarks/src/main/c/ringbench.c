/*
 * The yardstick of `bench ring`: a request/response pair over one shared ring, with Xen's own macros.
 *
 * The same work per request as the Java contenders: the frontend writes each field of a request, the backend
 * copies the slot once, checks the copy and writes a response, the frontend copies the response and checks its id.
 *
 *     gcc -O2 -pthread -o ringbench ringbench.c
 *     ./ringbench threads|processes 112|12 SECONDS TEST...      TEST: batch-1 batch-8 batch-32 spinning blocking
 *
 * Prints one line per figure: TEST METRIC VALUE. A throughput is the median over slices of 5 ms; a latency is over
 * every round trip of the run and includes two readings of the clock.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#define __XEN_INTERFACE_VERSION__ 0x00040e00
#if defined(__x86_64__)
#define xen_mb() __asm__ __volatile__("lock addl $0, -132(%%rsp)" ::: "memory", "cc")
#define xen_rmb() __asm__ __volatile__("" ::: "memory")
#define xen_wmb() __asm__ __volatile__("" ::: "memory")
#define cpu_relax() __asm__ __volatile__("pause" ::: "memory")
#elif defined(__aarch64__)
#define xen_mb() __asm__ __volatile__("dmb ish" ::: "memory")
#define xen_rmb() __asm__ __volatile__("dmb ishld" ::: "memory")
#define xen_wmb() __asm__ __volatile__("dmb ishst" ::: "memory")
#define cpu_relax() __asm__ __volatile__("isb" ::: "memory")
#else
#error "barriers of this machine are not known here"
#endif
#include <xen/xen.h>
#include <xen/io/blkif.h>
#include <xen/io/netif.h>
#include <xen/io/ring.h>

enum { PAGE = 4096, SLICE_NANOS = 5000000, MAX_SLICES = 100000, MAX_SAMPLES = 4000000 };
/* What the backend is told: low bits the batch, or one of these. */
enum { IDLE = 0, BLOCKING = 1 << 16, QUIT = 1 << 17 };

struct control {
    uint32_t command;
    uint8_t pad[60];
    uint32_t acknowledged;
};

static struct control *control;
static void *ring_page;
static int kick_back_fd, kick_front_fd;

static void die(const char *what)
{
    fprintf(stderr, "ringbench: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void broken(const char *what)
{
    fprintf(stderr, "ringbench: %s\n", what);
    exit(1);
}

static uint64_t now_nanos(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* RINGBENCH_CPUS="0 1": the frontend stays on the first of them, the backend on the second. */
static void pin(int end)
{
    const char *cpus = getenv("RINGBENCH_CPUS");
    int cpu[2];
    cpu_set_t set;
    if (cpus == NULL)
        return;
    if (sscanf(cpus, "%d %d", &cpu[0], &cpu[1]) != 2)
        broken("RINGBENCH_CPUS must be two numbers");
    CPU_ZERO(&set);
    CPU_SET(cpu[end], &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0)
        die("sched_setaffinity");
}

static void kick(int fd)
{
    uint64_t one = 1;
    if (write(fd, &one, sizeof one) != sizeof one)
        die("write to eventfd");
}

static void await_kick(int fd)
{
    uint64_t count;
    if (read(fd, &count, sizeof count) != sizeof count)
        die("read of eventfd");
}

/* ---- the work per request, one set per wire structure ---- */

static inline void blkif_fill(struct blkif_request *req, uint32_t id)
{
    req->operation = BLKIF_OP_READ;
    req->nr_segments = 1;
    req->handle = 51712;
    req->id = id;
    req->sector_number = (uint64_t)id << 3;
    req->seg[0].gref = 8 + (id & 31);
    req->seg[0].first_sect = 0;
    req->seg[0].last_sect = 7;
}

static inline void blkif_answer(const struct blkif_request *req, struct blkif_response *rsp)
{
    int16_t status = BLKIF_RSP_OKAY;
    if (req->operation > BLKIF_OP_WRITE || req->nr_segments == 0 ||
        req->nr_segments > BLKIF_MAX_SEGMENTS_PER_REQUEST || req->handle != 51712 || req->sector_number >> 40) {
        status = BLKIF_RSP_ERROR;
    } else {
        for (unsigned i = 0; i < req->nr_segments; i++)
            if (req->seg[i].gref < 8 || req->seg[i].first_sect > req->seg[i].last_sect || req->seg[i].last_sect > 7)
                status = BLKIF_RSP_ERROR;
    }
    rsp->id = req->id;
    rsp->operation = req->operation;
    rsp->status = status;
}

static inline int blkif_good(const struct blkif_response *rsp, uint32_t id)
{
    return rsp->id == id && rsp->operation == BLKIF_OP_READ && rsp->status == BLKIF_RSP_OKAY;
}

static inline void netif_tx_fill(struct netif_tx_request *req, uint32_t id)
{
    req->gref = 8 + (id & 255);
    req->offset = 64;
    req->flags = 0;
    req->id = (uint16_t)id;
    req->size = 1514;
}

static inline void netif_tx_answer(const struct netif_tx_request *req, struct netif_tx_response *rsp)
{
    int16_t status = NETIF_RSP_OKAY;
    if (req->gref < 8 || req->flags != 0 || req->size < 14 || req->offset + req->size > PAGE)
        status = NETIF_RSP_ERROR;
    rsp->id = req->id;
    rsp->status = status;
}

static inline int netif_tx_good(const struct netif_tx_response *rsp, uint32_t id)
{
    return rsp->id == (uint16_t)id && rsp->status == NETIF_RSP_OKAY;
}

/* ---- the two ends, one set per wire structure ---- */

#define DEFINE_ENDS(P, SRING_TYPE, REQ, RSP)                                                                           \
    struct P##_front {                                                                                                 \
        P##_front_ring_t ring;                                                                                         \
        uint32_t next_id, expected_id;                                                                                 \
    };                                                                                                                 \
                                                                                                                       \
    /* Writes `count` requests and pushes them once; true when the backend wants waking. */                            \
    static inline int P##_send(struct P##_front *f, unsigned count)                                                    \
    {                                                                                                                  \
        int notify;                                                                                                    \
        for (unsigned i = 0; i < count; i++)                                                                           \
            P##_fill(RING_GET_REQUEST(&f->ring, f->ring.req_prod_pvt++), f->next_id++);                                \
        RING_PUSH_REQUESTS_AND_CHECK_NOTIFY(&f->ring, notify);                                                         \
        return notify;                                                                                                 \
    }                                                                                                                  \
                                                                                                                       \
    static inline unsigned P##_receive(struct P##_front *f)                                                            \
    {                                                                                                                  \
        RING_IDX prod = *(volatile RING_IDX *)&f->ring.sring->rsp_prod;                                                \
        RING_IDX cons = f->ring.rsp_cons;                                                                              \
        if (RING_RESPONSE_PROD_OVERFLOW(&f->ring, prod))                                                               \
            broken("rsp_prod is impossible");                                                                          \
        xen_rmb();                                                                                                     \
        for (; cons != prod; cons++) {                                                                                 \
            RSP rsp;                                                                                                   \
            RING_COPY_RESPONSE(&f->ring, cons, &rsp);                                                                  \
            if (!P##_good(&rsp, f->expected_id++))                                                                     \
                broken("wrong response");                                                                              \
        }                                                                                                              \
        unsigned n = prod - f->ring.rsp_cons;                                                                          \
        f->ring.rsp_cons = cons;                                                                                       \
        return n;                                                                                                      \
    }                                                                                                                  \
                                                                                                                       \
    /* Answers at most `limit` requests and pushes once; how many. Looks only when fewer are known from the last look. */ \
    static inline unsigned P##_serve(P##_back_ring_t *b, RING_IDX *seen, unsigned limit, int *notify)                  \
    {                                                                                                                  \
        RING_IDX prod = *seen;                                                                                         \
        if (prod - b->req_cons < limit) {                                                                              \
            prod = *(volatile RING_IDX *)&b->sring->req_prod;                                                          \
            if (RING_REQUEST_PROD_OVERFLOW(b, prod))                                                                   \
                broken("req_prod is impossible");                                                                      \
            *seen = prod;                                                                                              \
        }                                                                                                              \
        unsigned n = prod - b->req_cons;                                                                               \
        if (n == 0)                                                                                                    \
            return 0;                                                                                                  \
        if (n > limit)                                                                                                 \
            n = limit;                                                                                                 \
        xen_rmb();                                                                                                     \
        for (unsigned i = 0; i < n; i++) {                                                                             \
            REQ req;                                                                                                   \
            RING_COPY_REQUEST(b, b->req_cons++, &req);                                                                 \
            P##_answer(&req, RING_GET_RESPONSE(b, b->rsp_prod_pvt++));                                                 \
        }                                                                                                              \
        RING_PUSH_RESPONSES_AND_CHECK_NOTIFY(b, *notify);                                                              \
        return n;                                                                                                      \
    }                                                                                                                  \
                                                                                                                       \
    static void P##_backend(void)                                                                                      \
    {                                                                                                                  \
        P##_back_ring_t b;                                                                                             \
        RING_IDX seen = 0;                                                                                             \
        BACK_RING_INIT(&b, (SRING_TYPE *)ring_page, PAGE);                                                             \
        for (;;) {                                                                                                     \
            uint32_t command = __atomic_load_n(&control->command, __ATOMIC_ACQUIRE);                                   \
            int notify = 0;                                                                                            \
            if (control->acknowledged != command)                                                                      \
                __atomic_store_n(&control->acknowledged, command, __ATOMIC_RELEASE);                                   \
            if (command == QUIT)                                                                                       \
                return;                                                                                                \
            if (command == IDLE) {                                                                                     \
                usleep(200);                                                                                           \
            } else if (command == BLOCKING) {                                                                          \
                int work;                                                                                              \
                if (P##_serve(&b, &seen, 1, &notify)) {                                                                       \
                    if (notify)                                                                                        \
                        kick(kick_front_fd);                                                                           \
                } else {                                                                                               \
                    RING_FINAL_CHECK_FOR_REQUESTS(&b, work);                                                           \
                    if (!work)                                                                                         \
                        await_kick(kick_back_fd);                                                                      \
                }                                                                                                      \
            } else if (P##_serve(&b, &seen, command, &notify) == 0) {                                                         \
                cpu_relax();                                                                                           \
            } else if (notify) {                                                                                       \
                kick(kick_front_fd);                                                                                   \
            }                                                                                                          \
        }                                                                                                              \
    }                                                                                                                  \
                                                                                                                       \
    static void P##_drain(struct P##_front *f)                                                                         \
    {                                                                                                                  \
        while (RING_FREE_REQUESTS(&f->ring) != RING_SIZE(&f->ring))                                                    \
            if (P##_receive(f) == 0)                                                                                   \
                cpu_relax();                                                                                           \
    }                                                                                                                  \
                                                                                                                       \
    /* Keeps as many whole batches on the ring as fit; rates of slices go to `rates`. */                               \
    static unsigned P##_throughput(struct P##_front *f, unsigned batch, uint64_t nanos, double *rates)                 \
    {                                                                                                                  \
        uint64_t start = now_nanos(), slice_start = start;                                                             \
        unsigned slices = 0, until_clock = 4096;                                                                       \
        uint64_t done = 0;                                                                                             \
        for (;;) {                                                                                                     \
            while (RING_FREE_REQUESTS(&f->ring) >= batch)                                                              \
                if (P##_send(f, batch))                                                                                \
                    kick(kick_back_fd);                                                                                \
            unsigned n = P##_receive(f);                                                                               \
            if (n == 0)                                                                                                \
                cpu_relax();                                                                                           \
            done += n;                                                                                                 \
            if (--until_clock == 0) {                                                                                  \
                uint64_t now = now_nanos();                                                                            \
                until_clock = 256;                                                                                     \
                if (now - slice_start >= SLICE_NANOS) {                                                                \
                    if (slices < MAX_SLICES)                                                                           \
                        rates[slices++] = (double)done * 1e9 / (double)(now - slice_start);                            \
                    done = 0;                                                                                          \
                    slice_start = now;                                                                                 \
                }                                                                                                      \
                if (now - start >= nanos)                                                                              \
                    break;                                                                                             \
            }                                                                                                          \
        }                                                                                                              \
        P##_drain(f);                                                                                                  \
        return slices;                                                                                                 \
    }                                                                                                                  \
                                                                                                                       \
    static unsigned P##_spinning(struct P##_front *f, uint64_t nanos, uint32_t *samples)                               \
    {                                                                                                                  \
        uint64_t start = now_nanos(), end = start;                                                                     \
        unsigned n = 0;                                                                                                \
        while (end - start < nanos) {                                                                                  \
            uint64_t begin = now_nanos();                                                                              \
            if (P##_send(f, 1))                                                                                        \
                kick(kick_back_fd);                                                                                    \
            while (P##_receive(f) == 0)                                                                                \
                cpu_relax();                                                                                           \
            end = now_nanos();                                                                                         \
            if (n < MAX_SAMPLES)                                                                                       \
                samples[n++] = (uint32_t)(end - begin);                                                                \
        }                                                                                                              \
        return n;                                                                                                      \
    }                                                                                                                  \
                                                                                                                       \
    static unsigned P##_blocking(struct P##_front *f, uint64_t nanos, uint32_t *samples)                               \
    {                                                                                                                  \
        uint64_t start = now_nanos(), end = start;                                                                     \
        unsigned n = 0;                                                                                                \
        while (end - start < nanos) {                                                                                  \
            uint64_t begin = now_nanos();                                                                              \
            if (P##_send(f, 1))                                                                                        \
                kick(kick_back_fd);                                                                                    \
            while (P##_receive(f) == 0) {                                                                              \
                int work;                                                                                              \
                RING_FINAL_CHECK_FOR_RESPONSES(&f->ring, work);                                                        \
                if (!work)                                                                                             \
                    await_kick(kick_front_fd);                                                                         \
            }                                                                                                          \
            end = now_nanos();                                                                                         \
            if (n < MAX_SAMPLES)                                                                                       \
                samples[n++] = (uint32_t)(end - begin);                                                                \
        }                                                                                                              \
        return n;                                                                                                      \
    }

DEFINE_ENDS(blkif, blkif_sring_t, struct blkif_request, struct blkif_response)
DEFINE_ENDS(netif_tx, netif_tx_sring_t, struct netif_tx_request, struct netif_tx_response)

/* ---- the program ---- */

static int by_double(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int by_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void tell_backend(uint32_t command)
{
    __atomic_store_n(&control->command, command, __ATOMIC_RELEASE);
    kick(kick_back_fd); /* it may sleep in the blocking test */
    while (__atomic_load_n(&control->acknowledged, __ATOMIC_ACQUIRE) != command)
        cpu_relax();
}

static void print_latency(const char *test, uint32_t *samples, unsigned n)
{
    qsort(samples, n, sizeof *samples, by_u32);
    printf("%s p50_ns %u\n", test, samples[(uint64_t)n * 500 / 1000]);
    printf("%s p99_ns %u\n", test, samples[(uint64_t)n * 990 / 1000]);
    printf("%s p99_9_ns %u\n", test, samples[(uint64_t)n * 999 / 1000]);
    fflush(stdout);
}

#define DEFINE_FRONTEND(P, SRING_TYPE)                                                                                 \
    static void P##_frontend(uint64_t nanos, int tests, char **test)                                                   \
    {                                                                                                                  \
        static double rates[MAX_SLICES];                                                                               \
        uint32_t *samples = malloc(MAX_SAMPLES * sizeof *samples);                                                     \
        struct P##_front f = {.next_id = 1, .expected_id = 1};                                                         \
        FRONT_RING_INIT(&f.ring, (SRING_TYPE *)ring_page, PAGE);                                                       \
        memset(samples, 0, MAX_SAMPLES * sizeof *samples);                                                             \
        for (int t = 0; t < tests; t++) {                                                                              \
            if (strncmp(test[t], "batch-", 6) == 0) {                                                                  \
                unsigned batch = (unsigned)atoi(test[t] + 6);                                                          \
                if (batch < 1 || batch > RING_SIZE(&f.ring))                                                           \
                    broken("a batch must fit the ring");                                                               \
                tell_backend(batch);                                                                                   \
                P##_throughput(&f, batch, nanos / 4, rates);                                                           \
                unsigned slices = P##_throughput(&f, batch, nanos, rates);                                             \
                if (slices == 0)                                                                                       \
                    broken("the run is too short");                                                                    \
                qsort(rates, slices, sizeof *rates, by_double);                                                        \
                printf("%s pairs_per_second %.0f\n", test[t], rates[slices / 2]);                                      \
                fflush(stdout);                                                                                        \
            } else if (strcmp(test[t], "spinning") == 0) {                                                             \
                tell_backend(1);                                                                                       \
                P##_spinning(&f, nanos / 4, samples);                                                                  \
                print_latency(test[t], samples, P##_spinning(&f, nanos, samples));                                     \
            } else if (strcmp(test[t], "blocking") == 0) {                                                             \
                tell_backend(BLOCKING);                                                                                \
                P##_blocking(&f, nanos / 4, samples);                                                                  \
                print_latency(test[t], samples, P##_blocking(&f, nanos, samples));                                     \
            } else {                                                                                                   \
                broken("unknown test");                                                                                \
            }                                                                                                          \
            tell_backend(IDLE);                                                                                        \
        }                                                                                                              \
        tell_backend(QUIT);                                                                                            \
    }

DEFINE_FRONTEND(blkif, blkif_sring_t)
DEFINE_FRONTEND(netif_tx, netif_tx_sring_t)

static void *backend_thread(void *backend)
{
    pin(1);
    ((void (*)(void))backend)();
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc < 5)
        broken("usage: ringbench threads|processes 112|12 SECONDS TEST...");
    int processes = strcmp(argv[1], "processes") == 0;
    int blkif = strcmp(argv[2], "112") == 0;
    uint64_t nanos = (uint64_t)(atof(argv[3]) * 1e9);
    _Static_assert(sizeof(union blkif_sring_entry) == 112, "blkif entry");
    _Static_assert(sizeof(union netif_tx_sring_entry) == 12, "netif tx entry");

    ring_page = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (ring_page == MAP_FAILED)
        die("mmap");
    control = (struct control *)((char *)ring_page + PAGE);
    kick_back_fd = eventfd(0, 0);
    kick_front_fd = eventfd(0, 0);
    if (kick_back_fd < 0 || kick_front_fd < 0)
        die("eventfd");
    if (blkif)
        SHARED_RING_INIT((blkif_sring_t *)ring_page);
    else
        SHARED_RING_INIT((netif_tx_sring_t *)ring_page);

    void (*backend)(void) = blkif ? blkif_backend : netif_tx_backend;
    pid_t child = 0;
    pthread_t thread;
    if (processes) {
        child = fork();
        if (child < 0)
            die("fork");
        if (child == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            pin(1);
            backend();
            _exit(0);
        }
    } else if (pthread_create(&thread, NULL, backend_thread, (void *)backend) != 0) {
        die("pthread_create");
    }
    pin(0);
    (blkif ? blkif_frontend : netif_tx_frontend)(nanos, argc - 4, argv + 4);
    if (processes)
        waitpid(child, NULL, 0);
    else
        pthread_join(thread, NULL);
    return 0;
}
