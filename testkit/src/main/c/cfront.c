/*
 * A block frontend in C on Xen's own headers and macros: a polite guest. It attaches, connects one vbd, does checked I/O and
 * closes. With --load it goes on until its standard input ends.
 *
 *   cfront --socket PATH [--vdev N] [--order N] [--blocks N] [--segments N] [--depth N] [--seed N]
 *          [--read-only]        expect a read-only disk that an earlier run with the same seed wrote: writes must fail,
                               reads must find what that run wrote
 *          [--load]             random writes, reads and flushes for ever; "progress N" lines
 *          [--store-page]       xenstore over the guest's page alone: the connection that HELLO returns is closed at once
 *          [--history FILE]     with --load: what was sent and answered, for a checker (see below)
 *
 * The disk is cut into blocks of --segments pages. Every sector holds its number and the version of the last write, so that a
 * lost, torn or misplaced write shows. History lines: "W block version" before a write is published, "w block version" after it
 * was answered OKAY, "F n" before a flush is published, "f n" after it was answered OKAY; all in the order of one process.
 */
#include "attach.h"

#include <getopt.h>

#define SECTORS_PER_PAGE (PAGE / 512)

struct options {
    const char *socket, *history;
    unsigned vdev, order, blocks, segments, depth;
    uint64_t seed;
    bool read_only, load, store_page;
};

enum kind { IDLE, WRITE, READ, FLUSH };

struct request {
    enum kind kind;
    uint32_t block, version, gfn, grefs[BLKIF_MAX_SEGMENTS_PER_REQUEST];
};

static struct options opt = {.vdev = 51712, .blocks = 256, .segments = 11, .depth = 1024, .seed = 1};
static struct guest guest;
static struct vbd vbd;
static struct request *requests; /* by id */
static uint32_t *free_ids, nr_free;
static uint32_t *versions; /* of each block; 0 is never written */
static bool *busy;
static FILE *history;
static uint64_t answered, kicks, sleeps, flush_number;

static void fill_sector(uint64_t *words, uint64_t sector, uint32_t version) {
    uint64_t x = mix(opt.seed ^ (sector << 20) ^ version);
    words[0] = 0x5350524E47000000ull | version;
    words[1] = sector;
    for (int i = 2; i < 64; i++)
        words[i] = x + (uint64_t)i * 0x9E3779B97F4A7C15ull;
}

static uint64_t first_sector(uint32_t block) {
    return (uint64_t)block * opt.segments * SECTORS_PER_PAGE;
}

static void fill_block(const struct request *r) {
    uint64_t *words = page_at(&guest, r->gfn);
    for (unsigned s = 0; s < opt.segments * SECTORS_PER_PAGE; s++)
        fill_sector(words + s * 64, first_sector(r->block) + s, r->version);
}

static void check_block(const struct request *r) {
    const uint64_t *words = page_at(&guest, r->gfn);
    uint64_t expected[64];
    if (r->version == 0)
        return;
    for (unsigned s = 0; s < opt.segments * SECTORS_PER_PAGE; s++) {
        fill_sector(expected, first_sector(r->block) + s, r->version);
        if (memcmp(words + s * 64, expected, 512) != 0)
            die(EXIT_MISMATCH, "block %u sector %u: expected version %u, found words %" PRIx64 " %" PRIx64, r->block, s, r->version,
                words[s * 64], words[s * 64 + 1]);
    }
}

/* Puts one request on the ring; the caller pushes. */
static void submit(enum kind kind, uint32_t block) {
    uint32_t id = free_ids[--nr_free];
    struct request *r = &requests[id];
    blkif_request_t *slot = RING_GET_REQUEST(&vbd.ring, vbd.ring.req_prod_pvt);
    r->kind = kind;
    memset(slot, 0, sizeof *slot);
    slot->id = id;
    slot->handle = (blkif_vdev_t)opt.vdev;
    if (kind == FLUSH) {
        slot->operation = BLKIF_OP_FLUSH_DISKCACHE;
        r->version = (uint32_t)++flush_number;
        if (history)
            fprintf(history, "F %u\n", r->version);
    } else {
        r->block = block;
        busy[block] = true;
        if (kind == WRITE) {
            r->version = versions[block] + 1;
            fill_block(r);
            if (history)
                fprintf(history, "W %u %u\n", block, r->version);
        } else {
            r->version = versions[block];
            memset(page_at(&guest, r->gfn), 0xA5, (size_t)opt.segments * PAGE);
        }
        slot->operation = kind == WRITE ? BLKIF_OP_WRITE : BLKIF_OP_READ;
        slot->nr_segments = (uint8_t)opt.segments;
        slot->sector_number = first_sector(block);
        for (unsigned i = 0; i < opt.segments; i++) {
            /* A write lets the backend read only; a read needs both. */
            grant_set(&guest, r->grefs[i], r->gfn + i, kind == WRITE);
            slot->seg[i] = (struct blkif_request_segment){r->grefs[i], 0, SECTORS_PER_PAGE - 1};
        }
    }
    vbd.ring.req_prod_pvt++;
}

static void publish(void) {
    if (history)
        fflush(history); /* told to the kernel before the backend can see it */
    kicks += vbd_push(&vbd);
}

static void complete(const blkif_response_t *rsp) {
    if (rsp->id >= opt.depth || requests[rsp->id].kind == IDLE)
        die(EXIT_MISMATCH, "response with id %" PRIu64 " that is not in flight", rsp->id);
    struct request *r = &requests[rsp->id];
    int expected = opt.read_only && r->kind == WRITE ? BLKIF_RSP_ERROR : BLKIF_RSP_OKAY;
    if (rsp->status != expected)
        die(EXIT_MISMATCH, "operation %d on block %u answered %d", (int)r->kind, r->block, rsp->status);
    if (r->kind == FLUSH) {
        if (history)
            fprintf(history, "f %u\n", r->version);
    } else {
        /* Unmap comes before the response: the pages must be ours again. */
        for (unsigned i = 0; i < opt.segments; i++)
            if (!grant_end(&guest, r->grefs[i]))
                die(EXIT_MISMATCH, "answered, but segment %u of block %u is still held", i, r->block);
        if (r->kind == WRITE && rsp->status == BLKIF_RSP_OKAY) {
            versions[r->block] = r->version;
            if (history)
                fprintf(history, "w %u %u\n", r->block, r->version);
        } else if (r->kind == READ) {
            check_block(r);
        }
        busy[r->block] = false;
    }
    r->kind = IDLE;
    free_ids[nr_free++] = (uint32_t)rsp->id;
    answered++;
}

static void backend_gone(void) {
    if (history)
        fflush(history);
    printf("gone answered=%" PRIu64 "\n", answered);
    fflush(stdout);
    exit(EXIT_BACKEND_GONE);
}

/* Takes every response there is. */
static void take_responses(void) {
    RING_IDX prod = __atomic_load_n(&vbd.ring.sring->rsp_prod, __ATOMIC_ACQUIRE);
    if (RING_RESPONSE_PROD_OVERFLOW(&vbd.ring, prod))
        die(EXIT_MISMATCH, "rsp_prod %u is too far ahead of %u", prod, vbd.ring.rsp_cons);
    while (vbd.ring.rsp_cons != prod) {
        blkif_response_t rsp;
        RING_COPY_RESPONSE(&vbd.ring, vbd.ring.rsp_cons, &rsp);
        vbd.ring.rsp_cons++;
        complete(&rsp);
    }
}

/* Sleeps until there is a response, standard input ends, or the driver domain does. */
static void await_responses(void) {
    int work;
    RING_FINAL_CHECK_FOR_RESPONSES(&vbd.ring, work);
    if (work)
        return;
    sleeps++;
    struct pollfd waiting[2] = {{.fd = vbd.port.wake, .events = POLLIN}, {.fd = guest.attach_fd, .events = POLLIN}};
    int ready = poll(waiting, 2, 5000);
    if (ready < 0 && errno != EINTR)
        die(EXIT_UNEXPECTED, "poll: %s", strerror(errno));
    port_clear(&vbd.port);
    if (waiting[1].revents != 0)
        backend_gone();
    if (ready == 0 && !RING_HAS_UNCONSUMED_RESPONSES(&vbd.ring))
        die(EXIT_HUNG, "no response for 5 s, %u in flight, %" PRIu64 " answered", opt.depth - nr_free, answered);
}

static void drain(void) {
    while (nr_free < opt.depth) {
        take_responses();
        if (nr_free < opt.depth)
            await_responses();
    }
}

/* One operation on each block, as many at a time as there are requests. */
static void pass(enum kind kind) {
    for (uint32_t block = 0; block < opt.blocks;) {
        while (block < opt.blocks && nr_free > 0)
            submit(kind, block++);
        publish();
        await_responses();
        take_responses();
    }
    drain();
}

static void flush_once(void) {
    submit(FLUSH, 0);
    publish();
    drain();
}

static bool input_ended(void) {
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    char c;
    return poll(&input, 1, 0) > 0 && read(STDIN_FILENO, &c, 1) <= 0;
}

static void load(void) {
    uint64_t x = opt.seed, report = now_ms();
    while (!input_ended()) {
        for (unsigned n = 0; n < 64 && nr_free > 0; n++) {
            x = mix(x);
            uint32_t block = (uint32_t)(x >> 32) % opt.blocks;
            if (x % 100 < 3 && vbd.flush)
                submit(FLUSH, 0);
            else if (!busy[block])
                submit(x % 100 < 55 ? WRITE : READ, block);
        }
        publish();
        await_responses();
        take_responses();
        if (now_ms() - report >= 20) {
            report = now_ms();
            printf("progress %" PRIu64 "\n", answered);
            fflush(stdout);
        }
    }
    drain();
}

static void parse(int argc, char **argv) {
    enum { SOCKET = 1, VDEV, ORDER, BLOCKS, SEGMENTS, DEPTH, SEED, READ_ONLY, LOAD, HISTORY, STORE_PAGE };
    static const struct option names[] = {
        {"socket", 1, 0, SOCKET}, {"vdev", 1, 0, VDEV}, {"order", 1, 0, ORDER}, {"blocks", 1, 0, BLOCKS},
        {"segments", 1, 0, SEGMENTS}, {"depth", 1, 0, DEPTH}, {"seed", 1, 0, SEED}, {"read-only", 0, 0, READ_ONLY},
        {"load", 0, 0, LOAD}, {"history", 1, 0, HISTORY},
        {"store-page", 0, 0, STORE_PAGE}, {0, 0, 0, 0}};
    int o;
    while ((o = getopt_long(argc, argv, "", names, NULL)) != -1) {
        switch (o) {
        case SOCKET: opt.socket = optarg; break;
        case VDEV: opt.vdev = (unsigned)atoi(optarg); break;
        case ORDER: opt.order = (unsigned)atoi(optarg); break;
        case BLOCKS: opt.blocks = (unsigned)atoi(optarg); break;
        case SEGMENTS: opt.segments = (unsigned)atoi(optarg); break;
        case DEPTH: opt.depth = (unsigned)atoi(optarg); break;
        case SEED: opt.seed = strtoull(optarg, NULL, 0); break;
        case READ_ONLY: opt.read_only = true; break;
        case LOAD: opt.load = true; break;
        case STORE_PAGE: opt.store_page = true; break;
        case HISTORY: opt.history = optarg; break;
        default: exit(EXIT_UNEXPECTED);
        }
    }
    if (!opt.socket || opt.order > 4 || opt.segments < 1 || opt.segments > BLKIF_MAX_SEGMENTS_PER_REQUEST)
        die(EXIT_UNEXPECTED, "usage: cfront --socket PATH [options]");
}

int main(int argc, char **argv) {
    parse(argc, argv);
    signal(SIGPIPE, SIG_IGN);
    unsigned entries = 32u << opt.order; /* 112 bytes each; compared with the macro's answer below */
    if (opt.depth > entries)
        opt.depth = entries;
    uint32_t data = opt.depth * opt.segments;
    uint32_t frames = (data + 32 + GRANTS_PER_FRAME - 1) / GRANTS_PER_FRAME;
    guest_attach_with(&guest, opt.socket, data + frames + 33, frames, opt.store_page);
    if (opt.store_page)
        xs_use_page(&guest);
    vbd_find(&vbd, &guest, opt.vdev);
    vbd_connect(&vbd, opt.order);
    if (RING_SIZE(&vbd.ring) != entries)
        die(EXIT_UNEXPECTED, "ring of %u entries, expected %u", RING_SIZE(&vbd.ring), entries);
    if (((vbd.info & VDISK_READONLY) != 0) != opt.read_only)
        die(EXIT_MISMATCH, "info is %" PRIu64 ", read-only expected: %d", vbd.info, opt.read_only);
    if (vbd.sector_size != 512 || vbd.sectors < opt.segments * SECTORS_PER_PAGE)
        die(EXIT_MISMATCH, "%" PRIu64 " sectors of %" PRIu64, vbd.sectors, vbd.sector_size);
    if (opt.blocks > vbd.sectors / (opt.segments * SECTORS_PER_PAGE))
        opt.blocks = (unsigned)(vbd.sectors / (opt.segments * SECTORS_PER_PAGE));

    requests = calloc(opt.depth, sizeof *requests);
    free_ids = calloc(opt.depth, sizeof *free_ids);
    versions = calloc(opt.blocks, sizeof *versions);
    busy = calloc(opt.blocks, sizeof *busy);
    if (opt.read_only)
        for (uint32_t block = 0; block < opt.blocks; block++)
            versions[block] = 1;
    for (uint32_t id = 0; id < opt.depth; id++) {
        requests[id].gfn = take_pages(&guest, opt.segments);
        for (unsigned i = 0; i < opt.segments; i++) {
            requests[id].grefs[i] = grant_page(&guest, requests[id].gfn + i, true);
            grant_end(&guest, requests[id].grefs[i]);
        }
        free_ids[nr_free++] = id;
    }
    if (opt.history && !(history = fopen(opt.history, "w")))
        die(EXIT_UNEXPECTED, "%s: %s", opt.history, strerror(errno));
    printf("connected sectors=%" PRIu64 " entries=%u\n", vbd.sectors, entries);
    fflush(stdout);

    if (opt.load) {
        load();
    } else {
        pass(WRITE);
        if (vbd.flush && !opt.read_only)
            flush_once();
        pass(READ);
    }
    vbd_close(&vbd);
    printf("ok requests=%" PRIu64 " kicks=%" PRIu64 " sleeps=%" PRIu64 "\n", answered, kicks, sleeps);
    return 0;
}
