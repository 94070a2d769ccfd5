/*
 * A guest that does what guests have done to such systems. One scenario a run, named after the entry of the catalogue it plays:
 *
 *   hostile --socket PATH --vdev N SCENARIO [MILLISECONDS]
 *
 * Prints "outcome ..." and ends with 0 when the driver domain answered as documented; anything else is a failure of the driver
 * domain, said on standard error. That other guests do not notice is for the caller to check.
 */
#include "attach.h"

#include <pthread.h>
#include <stdatomic.h>

#define DATA_PAGES 64

struct rig {
    struct guest guest;
    struct vbd vbd;
    uint32_t data_gfn, grefs[DATA_PAGES];
    uint64_t next_id;
    RING_IDX published;
};

static const char *socket_path;
static unsigned vdev = 51712;
static uint64_t duration_ms = 200;
static atomic_bool stop;
static bool always_kick; /* once we have spoilt our own req_event */
static uint64_t seed;

static uint64_t next_random(void) {
    return seed = mix(seed);
}

/* ---- a connected device ---- */

static void rig_attach(struct rig *r) {
    memset(r, 0, sizeof *r);
    guest_attach(&r->guest, socket_path, DATA_PAGES + 64, 1);
    vbd_find(&r->vbd, &r->guest, vdev);
}

static void rig_data(struct rig *r) {
    r->data_gfn = take_pages(&r->guest, DATA_PAGES);
    for (unsigned i = 0; i < DATA_PAGES; i++)
        r->grefs[i] = grant_page(&r->guest, r->data_gfn + i, false);
    r->published = r->vbd.ring.req_prod_pvt;
}

static void rig_open(struct rig *r, unsigned order) {
    rig_attach(r);
    vbd_connect(&r->vbd, order);
    rig_data(r);
}

/* Vanishes: what a killed process does, without being one. */
static void rig_drop(struct rig *r) {
    if (r->vbd.port.kick > 0) {
        close(r->vbd.port.kick);
        close(r->vbd.port.wake);
    }
    close(r->guest.store_fd);
    close(r->guest.attach_fd);
    munmap(r->guest.memory, (size_t)r->guest.pages * PAGE);
    close(r->guest.memory_fd);
}

static blkif_request_t *rig_slot(struct rig *r, uint8_t op, uint8_t segments) {
    blkif_request_t *req = RING_GET_REQUEST(&r->vbd.ring, r->vbd.ring.req_prod_pvt++);
    memset(req, 0, sizeof *req);
    req->operation = op;
    req->nr_segments = segments;
    req->handle = (blkif_vdev_t)vdev;
    req->id = r->next_id++;
    for (unsigned i = 0; i < BLKIF_MAX_SEGMENTS_PER_REQUEST; i++)
        req->seg[i] = (struct blkif_request_segment){r->grefs[i], 0, 7};
    return req;
}

/* Waits for the next response; its id must be the next in any order the backend likes, so only the range is checked. */
static blkif_response_t rig_response(struct rig *r) {
    blkif_front_ring_t *ring = &r->vbd.ring;
    uint64_t deadline = now_ms() + 5000;
    for (;;) {
        int work;
        RING_FINAL_CHECK_FOR_RESPONSES(ring, work);
        if (work)
            break;
        struct pollfd waiting = {.fd = r->vbd.port.wake, .events = POLLIN};
        if (now_ms() > deadline)
            die(EXIT_HUNG, "no response for 5 s: req_prod %u rsp_prod %u", ring->sring->req_prod, ring->sring->rsp_prod);
        poll(&waiting, 1, 20);
        port_clear(&r->vbd.port);
    }
    RING_IDX prod = __atomic_load_n(&ring->sring->rsp_prod, __ATOMIC_ACQUIRE);
    if (prod - ring->rsp_cons > ring->req_prod_pvt - ring->rsp_cons)
        die(EXIT_MISMATCH, "more responses (%u) than requests (%u)", prod, ring->req_prod_pvt);
    blkif_response_t rsp;
    RING_COPY_RESPONSE(ring, ring->rsp_cons++, &rsp);
    return rsp;
}

static int16_t rig_call(struct rig *r) {
    uint64_t id = r->next_id - 1;
    vbd_push(&r->vbd);
    if (always_kick)
        port_kick(&r->vbd.port);
    blkif_response_t rsp = rig_response(r);
    if (rsp.id != id)
        die(EXIT_MISMATCH, "response has id %" PRIu64 ", not %" PRIu64, rsp.id, id);
    return rsp.status;
}

/* A correct write and read: the device still serves. */
static void rig_expect_served(struct rig *r, const char *after) {
    uint64_t *page = page_at(&r->guest, r->data_gfn), value = next_random();
    *page = value;
    rig_slot(r, BLKIF_OP_WRITE, 1);
    if (rig_call(r) != BLKIF_RSP_OKAY)
        die(EXIT_MISMATCH, "correct write refused after %s", after);
    *page = 0;
    rig_slot(r, BLKIF_OP_READ, 1);
    if (rig_call(r) != BLKIF_RSP_OKAY || *page != value)
        die(EXIT_MISMATCH, "correct read failed after %s", after);
}

static void expect_status(struct rig *r, int16_t wanted, const char *what) {
    int16_t status = rig_call(r);
    if (status != wanted)
        die(EXIT_MISMATCH, "%s was answered %d, not %d", what, status, wanted);
}

/* The device must be taken out of service: backend Closing or Closed, in the store. */
static void rig_expect_broken(struct rig *r, const char *why) {
    uint64_t deadline = now_ms() + 5000;
    for (;;) {
        uint64_t state = xs_get_number(&r->guest, r->vbd.back, "state", XenbusStateUnknown);
        if (state == XenbusStateClosing || state == XenbusStateClosed)
            return;
        if (now_ms() > deadline)
            die(EXIT_MISMATCH, "backend state is %" PRIu64 " 5 s after %s", state, why);
        xs_wait(&r->guest, deadline, why);
    }
}

static void for_a_while(void (*step)(struct rig *), struct rig *r) {
    uint64_t end = now_ms() + duration_ms;
    while (now_ms() < end)
        step(r);
}

/* ---- section 1: rings ---- */

static void h001(void) {
    static const char *const names[] = {"N+1", "2N", "2^31", "2^32-1", "backwards by 1", "backwards by N"};
    for (unsigned i = 0; i < 6; i++) {
        struct rig r;
        rig_open(&r, i & 1);
        rig_expect_served(&r, "nothing");
        uint32_t n = RING_SIZE(&r.vbd.ring);
        const uint32_t ahead[] = {n + 1, 2 * n, 0x80000000u, 0xFFFFFFFFu, (uint32_t)-1, -n};
        RING_IDX before = r.vbd.ring.sring->rsp_prod;
        __atomic_store_n(&r.vbd.ring.sring->req_prod, before + ahead[i], __ATOMIC_RELEASE);
        port_kick(&r.vbd.port);
        rig_expect_broken(&r, names[i]);
        if (r.vbd.ring.sring->rsp_prod != before)
            die(EXIT_MISMATCH, "a response was sent on a broken ring");
        rig_drop(&r);
    }
    printf("outcome closed 6\n");
}

struct flip {
    volatile unsigned char *at;
    unsigned size;
    uint64_t one, other;
};

static void *flipper(void *arg) {
    struct flip *f = arg;
    while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
        memcpy((void *)(uintptr_t)f->at, &f->one, f->size);
        atomic_signal_fence(memory_order_seq_cst);
        memcpy((void *)(uintptr_t)f->at, &f->other, f->size);
        atomic_signal_fence(memory_order_seq_cst);
    }
    return NULL;
}

static void h004_field(struct rig *r, const char *name, size_t offset, unsigned size, uint64_t one, uint64_t other) {
    pthread_t thread;
    blkif_request_t *slot = RING_GET_REQUEST(&r->vbd.ring, r->vbd.ring.req_prod_pvt);
    struct flip f = {(volatile unsigned char *)slot + offset, size, one, other};
    uint64_t okay = 0, refused = 0;
    uint64_t end = now_ms() + duration_ms / 6 + 20;
    while (now_ms() < end) {
        /* The same slot each time round: a ring's length of requests, the first of them flipped while it is served. */
        atomic_store(&stop, false);
        rig_slot(r, BLKIF_OP_READ, 1);
        pthread_create(&thread, NULL, flipper, &f);
        for (unsigned i = 1; i < RING_SIZE(&r->vbd.ring); i++)
            rig_slot(r, BLKIF_OP_READ, 1);
        vbd_push(&r->vbd);
        RING_IDX prod;
        uint64_t deadline = now_ms() + 5000;
        do {
            prod = __atomic_load_n(&r->vbd.ring.sring->rsp_prod, __ATOMIC_ACQUIRE);
            if (now_ms() > deadline)
                die(EXIT_HUNG, "flipping %s: hung", name);
            r->vbd.ring.sring->rsp_event = prod + 1;
        } while (prod != r->vbd.ring.req_prod_pvt);
        atomic_store(&stop, true);
        pthread_join(thread, NULL);
        r->vbd.ring.rsp_cons++; /* the flipped slot itself holds what the flipper left there */
        for (unsigned i = 1; i < RING_SIZE(&r->vbd.ring); i++) {
            blkif_response_t rsp;
            RING_COPY_RESPONSE(&r->vbd.ring, r->vbd.ring.rsp_cons++, &rsp);
            if (rsp.id >= r->next_id || rsp.id < r->next_id - RING_SIZE(&r->vbd.ring))
                die(EXIT_MISMATCH, "flipping %s: response with id %" PRIu64, name, rsp.id);
            if (rsp.status == BLKIF_RSP_OKAY)
                okay++;
            else if (rsp.status == BLKIF_RSP_ERROR || rsp.status == BLKIF_RSP_EOPNOTSUPP)
                refused++;
            else
                die(EXIT_MISMATCH, "flipping %s: status %d", name, rsp.status);
        }
    }
    /* Neighbours of the flipped slot are correct; only the one flipped request may be refused (in whichever slot its answer is). */
    if (okay == 0)
        die(EXIT_MISMATCH, "flipping %s: nothing served", name);
    rig_expect_served(r, name);
}

static void h004(void) {
    struct rig r;
    rig_open(&r, 0);
    h004_field(&r, "operation", offsetof(blkif_request_t, operation), 1, BLKIF_OP_READ, 255);
    h004_field(&r, "nr_segments", offsetof(blkif_request_t, nr_segments), 1, 1, 255);
    h004_field(&r, "sector_number", offsetof(blkif_request_t, sector_number), 8, 0, UINT64_MAX);
    h004_field(&r, "first_sect", offsetof(blkif_request_t, seg[0].first_sect), 1, 0, 255);
    h004_field(&r, "last_sect", offsetof(blkif_request_t, seg[0].last_sect), 1, 7, 255);
    h004_field(&r, "gref", offsetof(blkif_request_t, seg[0].gref), 4, r.grefs[0], 0xFFFFFFF0u);
    rig_drop(&r);
    printf("outcome served 6 fields\n");
}

static void h006(void) {
    struct rig r;
    rig_open(&r, 0);
    uint32_t n = RING_SIZE(&r.vbd.ring);
    uint64_t end = now_ms() + duration_ms, rounds = 0;
    while (now_ms() < end) {
        RING_IDX first = r.vbd.ring.req_prod_pvt;
        for (unsigned i = 0; i < n; i++)
            rig_slot(&r, BLKIF_OP_READ, 11);
        vbd_push(&r.vbd);
        /* No response is ever looked at; the slots are used again as soon as the backend lets go of them. */
        uint64_t deadline = now_ms() + 5000;
        while (__atomic_load_n(&r.vbd.ring.sring->rsp_prod, __ATOMIC_ACQUIRE) - first != n) {
            if (now_ms() > deadline)
                die(EXIT_HUNG, "backend stopped after %" PRIu64 " rounds", rounds);
            usleep(50);
        }
        rounds++;
    }
    /* One more round on top of requests that are still being served: more than the ring holds is broken, and cut off. */
    for (unsigned i = 0; i < n; i++)
        rig_slot(&r, BLKIF_OP_READ, 11);
    __atomic_store_n(&r.vbd.ring.sring->req_prod, r.vbd.ring.req_prod_pvt + n, __ATOMIC_RELEASE);
    port_kick(&r.vbd.port);
    rig_expect_broken(&r, "in flight beyond the ring");
    rig_drop(&r);
    printf("outcome closed after %" PRIu64 " rounds\n", rounds);
}

static void h008(void) {
    struct rig r;
    rig_open(&r, 0);
    for (unsigned round = 0; round < 2 * RING_SIZE(&r.vbd.ring); round++) {
        unsigned char *slot = (unsigned char *)RING_GET_REQUEST(&r.vbd.ring, r.vbd.ring.req_prod_pvt);
        rig_slot(&r, BLKIF_OP_READ, 1);
        unsigned char before[sizeof(blkif_request_t)];
        memset(slot + offsetof(blkif_request_t, seg[1]), 0xC3, sizeof before - offsetof(blkif_request_t, seg[1]));
        memcpy(before, slot, sizeof before);
        uint64_t id = r.next_id - 1;
        if (rig_call(&r) != BLKIF_RSP_OKAY)
            die(EXIT_MISMATCH, "read refused");
        blkif_response_t rsp;
        memset(&rsp, 0, sizeof rsp);
        rsp.id = id;
        for (unsigned i = 0; i < sizeof before; i++) {
            bool field = i < 9 || (i >= 10 && i < 12); /* id, operation, status */
            unsigned char want = i < 8 ? ((unsigned char *)&rsp.id)[i] : 0;
            if (field ? slot[i] != want : slot[i] != before[i] && slot[i] != 0)
                die(EXIT_MISMATCH, "byte %u of the slot is %02x after the response", i, slot[i]);
        }
    }
    rig_drop(&r);
    printf("outcome nothing leaked\n");
}

/* Ids mean nothing to a backend: the same one many times in flight, and the largest there are, are echoed. */
static void h007(void) {
    static const uint64_t ids[] = {0xFFFF, 0x10000, 0xFFFFFFFFu, 1ull << 63, UINT64_MAX, UINT64_MAX, 0, 0};
    struct rig r;
    rig_open(&r, 0);
    for (unsigned round = 0; round < 50; round++) {
        unsigned seen[8] = {0};
        for (unsigned i = 0; i < 8; i++)
            rig_slot(&r, BLKIF_OP_READ, 1)->id = ids[i];
        vbd_push(&r.vbd);
        for (unsigned n = 0; n < 8; n++) {
            blkif_response_t rsp = rig_response(&r);
            unsigned i = 0;
            while (i < 8 && (seen[i] || ids[i] != rsp.id))
                i++;
            if (i == 8 || rsp.status != BLKIF_RSP_OKAY || rsp.operation != BLKIF_OP_READ)
                die(EXIT_MISMATCH, "answer to id %" PRIx64 " of status %d that was not asked", rsp.id, rsp.status);
            seen[i] = 1;
        }
    }
    rig_drop(&r);
    printf("outcome echoed\n");
}

/* Publishes the keys of a ring as told and reports whether the backend connected. */
static bool geometry(struct rig *r, const char *order, unsigned refs, bool same, const char *protocol, bool plain_ref) {
    char name[32], path[512];
    rig_attach(r);
    vbd_await(&r->vbd, XenbusStateInitWait);
    r->vbd.ring_pages = 16;
    r->vbd.ring_gfn = take_pages(&r->guest, 16);
    for (unsigned i = 0; i < 16; i++)
        r->vbd.ring_grefs[i] = grant_page(&r->guest, r->vbd.ring_gfn + i, false);
    SHARED_RING_INIT((blkif_sring_t *)page_at(&r->guest, r->vbd.ring_gfn));
    if (port_alloc(&r->guest, &r->vbd.port) != 0)
        die(EXIT_UNEXPECTED, "no port");
    if (order) {
        snprintf(path, sizeof path, "%s/ring-page-order", r->vbd.front);
        xs_put(&r->guest, path, order);
    }
    if (plain_ref)
        xs_put_number(&r->guest, r->vbd.front, "ring-ref", r->vbd.ring_grefs[0]);
    for (unsigned i = 0; i < refs; i++) {
        snprintf(name, sizeof name, "ring-ref%u", i);
        xs_put_number(&r->guest, r->vbd.front, name, r->vbd.ring_grefs[same ? 0 : i]);
    }
    xs_put_number(&r->guest, r->vbd.front, "event-channel", r->vbd.port.number);
    if (protocol) {
        snprintf(path, sizeof path, "%s/protocol", r->vbd.front);
        if (!xs_put(&r->guest, path, protocol))
            return false; /* too long for the store already */
    }
    xs_put_number(&r->guest, r->vbd.front, "state", XenbusStateInitialised);
    uint64_t deadline = now_ms() + 5000;
    for (;;) {
        uint64_t state = xs_get_number(&r->guest, r->vbd.back, "state", XenbusStateUnknown);
        if (state == XenbusStateConnected)
            return true;
        if (state == XenbusStateClosing || state == XenbusStateClosed)
            return false;
        xs_wait(&r->guest, deadline, "an answer to a strange ring");
    }
}

static void h009(void) {
    static char longest[3500];
    memset(longest, 'x', sizeof longest - 1);
    const char *const refused[] = {"unknown-abi", "", longest, "x86_64-abi\n", "X86_64-ABI"};
    struct rig r;
    for (unsigned i = 0; i < 5; i++) {
        if (geometry(&r, NULL, 0, false, refused[i], true))
            die(EXIT_MISMATCH, "protocol number %u of the list was accepted", i);
        rig_drop(&r);
    }
    /* Changed after connect: nothing happens. */
    rig_open(&r, 0);
    char path[256];
    snprintf(path, sizeof path, "%s/protocol", r.vbd.front);
    xs_put(&r.guest, path, "x86_32-abi");
    rig_expect_served(&r, "the protocol node changed");
    rig_drop(&r);
    printf("outcome refused 5\n");
}

static void h010(void) {
    static const char *const orders[] = {"31", "-1", "4294967296", "1junk", "5", "", "99999999999999999999"};
    struct rig r;
    for (unsigned i = 0; i < 7; i++) {
        if (geometry(&r, orders[i], 16, false, XEN_IO_PROTO_ABI_X86_64, false))
            die(EXIT_MISMATCH, "ring-page-order %s was accepted", orders[i]);
        rig_drop(&r);
    }
    if (geometry(&r, "2", 3, false, XEN_IO_PROTO_ABI_X86_64, false))
        die(EXIT_MISMATCH, "a ring with one reference missing was accepted");
    rig_drop(&r);
    /* The same page four times: allowed or refused, and only this guest's affair. */
    bool same = geometry(&r, "2", 4, true, XEN_IO_PROTO_ABI_X86_64, false);
    rig_drop(&r);
    /* A ring page as data page: the guest hurts itself at most. */
    rig_open(&r, 0);
    blkif_request_t *req = rig_slot(&r, BLKIF_OP_WRITE, 1);
    req->seg[0].gref = r.vbd.ring_grefs[0];
    rig_call(&r);
    rig_expect_served(&r, "writing from the ring page");
    rig_drop(&r);
    printf("outcome refused 8 same=%d\n", same);
}

static void h011_step(struct rig *r) {
    uint32_t *events[] = {&r->vbd.ring.sring->req_event, &r->vbd.ring.sring->rsp_event};
    for (unsigned i = 0; i < 8; i++)
        rig_slot(r, BLKIF_OP_READ, 1);
    *events[0] = (uint32_t)next_random();
    *events[1] = (uint32_t)next_random();
    int notify;
    RING_PUSH_REQUESTS_AND_CHECK_NOTIFY(&r->vbd.ring, notify);
    (void)notify;
    port_kick(&r->vbd.port); /* we have spoilt req_event, so always */
    uint64_t deadline = now_ms() + 5000;
    while (r->vbd.ring.rsp_cons != r->vbd.ring.req_prod_pvt) {
        *events[0] = (uint32_t)next_random();
        *events[1] = (uint32_t)next_random();
        RING_IDX prod = __atomic_load_n(&r->vbd.ring.sring->rsp_prod, __ATOMIC_ACQUIRE);
        r->vbd.ring.rsp_cons = prod;
        if (now_ms() > deadline)
            die(EXIT_HUNG, "not served although kicked");
    }
    port_clear(&r->vbd.port);
}

static void h011(void) {
    struct rig r;
    rig_open(&r, 0);
    for_a_while(h011_step, &r);
    always_kick = true;
    rig_expect_served(&r, "random event words");
    rig_drop(&r);
    printf("outcome served\n");
}

static void h012(void) {
    struct rig r;
    rig_open(&r, 0);
    /* Kick and publish nothing. */
    uint64_t end = now_ms() + duration_ms, storm = 0;
    while (now_ms() < end) {
        port_kick(&r.vbd.port);
        storm++;
    }
    rig_expect_served(&r, "events without requests");
    /* Publish and never kick: whether it is served is the backend's choice; it must not look for ever. */
    for (unsigned i = 0; i < 8; i++)
        rig_slot(&r, BLKIF_OP_READ, 1);
    RING_PUSH_REQUESTS(&r.vbd.ring);
    usleep(50000);
    port_kick(&r.vbd.port);
    for (unsigned i = 0; i < 8; i++)
        rig_response(&r);
    rig_expect_served(&r, "requests without an event");
    rig_drop(&r);
    printf("outcome served after %" PRIu64 " events\n", storm);
}

static void h013(void) {
    struct rig r;
    rig_open(&r, 0);
    for (unsigned op = 4; op < 256; op++) {
        if (op == BLKIF_OP_DISCARD)
            continue; /* what stands in its place may be a range that is there */
        rig_slot(&r, (uint8_t)op, (uint8_t)(op & 1));
        int16_t status = rig_call(&r);
        if (status != BLKIF_RSP_EOPNOTSUPP && status != BLKIF_RSP_ERROR)
            die(EXIT_MISMATCH, "operation %u was answered %d", op, status);
    }
    rig_expect_served(&r, "unknown operations");
    /* After Closing the ring is dead. */
    xs_put_number(&r.guest, r.vbd.front, "state", XenbusStateClosing);
    rig_expect_broken(&r, "state 5");
    RING_IDX before = r.vbd.ring.sring->rsp_prod;
    rig_slot(&r, BLKIF_OP_READ, 1);
    RING_PUSH_REQUESTS(&r.vbd.ring);
    port_kick(&r.vbd.port);
    usleep(20000);
    if (r.vbd.ring.sring->rsp_prod != before)
        die(EXIT_MISMATCH, "a closing device served a request");
    rig_drop(&r);
    printf("outcome refused 251\n");
}

/* ---- section 2: the disk ---- */

static void h020(void) {
    struct rig r;
    rig_open(&r, 0);
    char path[256];
    snprintf(path, sizeof path, "%s/mode", r.vbd.front);
    xs_put(&r.guest, path, "w"); /* no effect wherever it goes */
    for (unsigned segments = 0; segments < 3; segments++) {
        rig_slot(&r, BLKIF_OP_WRITE, (uint8_t)segments);
        expect_status(&r, BLKIF_RSP_ERROR, "a write on a read-only disk");
    }
    rig_slot(&r, BLKIF_OP_READ, 1);
    expect_status(&r, BLKIF_RSP_OKAY, "a read on a read-only disk");
    rig_drop(&r);
    printf("outcome refused\n");
}

static void h021(void) {
    struct rig r;
    rig_open(&r, 0);
    blkif_request_t *req;
    for (unsigned op = BLKIF_OP_READ; op <= BLKIF_OP_WRITE; op++) {
        static const uint8_t sects[][2] = {{1, 0}, {7, 6}, {0, 8}, {0, 255}, {255, 255}, {8, 8}};
        for (unsigned i = 0; i < 6; i++) {
            req = rig_slot(&r, (uint8_t)op, 1);
            req->seg[0].first_sect = sects[i][0];
            req->seg[0].last_sect = sects[i][1];
            expect_status(&r, BLKIF_RSP_ERROR, "a segment that leaves its page");
        }
        static const uint8_t counts[] = {12, 255};
        for (unsigned i = 0; i < 2; i++) {
            rig_slot(&r, (uint8_t)op, counts[i]);
            expect_status(&r, BLKIF_RSP_ERROR, "too many segments");
        }
        const uint64_t sectors[] = {UINT64_MAX, UINT64_MAX - 7, UINT64_MAX / 512, r.vbd.sectors, r.vbd.sectors - 7,
                                    1ull << 63, (1ull << 55) - 8};
        for (unsigned i = 0; i < 7; i++) {
            req = rig_slot(&r, (uint8_t)op, 1);
            req->sector_number = sectors[i];
            expect_status(&r, BLKIF_RSP_ERROR, "a request past the end");
        }
        req = rig_slot(&r, (uint8_t)op, 1);
        req->sector_number = r.vbd.sectors - 8;
        expect_status(&r, BLKIF_RSP_OKAY, "the last sectors");
    }
    rig_expect_served(&r, "wrong ranges");
    rig_drop(&r);
    printf("outcome refused\n");
}

static void h023(void) {
    struct rig r;
    rig_open(&r, 0);
    for (unsigned pattern = 0; pattern < 64; pattern++) {
        blkif_request_t *req = rig_slot(&r, pattern & 1 ? BLKIF_OP_READ : BLKIF_OP_WRITE, 6);
        for (unsigned i = 0; i < 6; i++)
            if (pattern >> i & 1)
                req->seg[i].gref = i & 1 ? 0x7FFFFFFFu : 500; /* beyond the table; in it and never granted */
        expect_status(&r, pattern ? BLKIF_RSP_ERROR : BLKIF_RSP_OKAY, "a request with bad references");
        for (unsigned i = 0; i < 6; i++) {
            if (r.guest.grants[r.grefs[i]].flags & (GTF_reading | GTF_writing))
                die(EXIT_MISMATCH, "pattern %u: page %u is still held", pattern, i);
        }
    }
    rig_expect_served(&r, "bad references");
    rig_drop(&r);
    printf("outcome refused 63\n");
}

static void h027(void) {
    struct rig r;
    uint64_t end = now_ms() + duration_ms, connected = 0, toggles = 0;
    rig_attach(&r);
    bool first = true;
    while (now_ms() < end) {
        uint64_t state = xs_get_number(&r.guest, r.vbd.back, "state", XenbusStateUnknown);
        if (state == XenbusStateInitWait) {
            usleep(5000); /* the backend may still have closings of ours to go through, and end up at Closed */
            if (xs_get_number(&r.guest, r.vbd.back, "state", XenbusStateUnknown) != XenbusStateInitWait)
                continue;
            vbd_connect(&r.vbd, 0);
            if (first)
                rig_data(&r);
            first = false;
            for (unsigned i = 0; i < 16; i++)
                rig_slot(&r, BLKIF_OP_READ, 11);
            vbd_push(&r.vbd);
            connected++;
            if (next_random() % 2)
                usleep((useconds_t)(next_random() % 500));
            /* With requests in flight: straight to Closed, back, and away again. */
            static const XenbusState moves[] = {XenbusStateClosed, XenbusStateConnected, XenbusStateClosing, XenbusStateClosed};
            for (unsigned i = (unsigned)(next_random() % 3); i < 4; i++) {
                xs_put_number(&r.guest, r.vbd.front, "state", moves[i]);
                toggles++;
            }
            port_close(&r.guest, &r.vbd.port); /* under the backend, or after it */
        } else {
            /* Ask for a new round, as a frontend that wants to reconnect does. */
            xs_put_number(&r.guest, r.vbd.front, "state", state == XenbusStateClosed ? XenbusStateInitialising : XenbusStateClosed);
            toggles++;
            usleep(200);
        }
    }
    if (toggles < 4 || connected == 0)
        die(EXIT_MISMATCH, "only %" PRIu64 " toggles, %" PRIu64 " connections", toggles, connected);
    rig_drop(&r);
    printf("outcome toggled %" PRIu64 " connected %" PRIu64 "\n", toggles, connected);
}

/* Pages in every order: what is adjacent for us is not for the backend, nor the other way round. */
static void h028(void) {
    struct rig r;
    rig_open(&r, 0);
    uint64_t end = now_ms() + duration_ms, rounds = 0;
    while (now_ms() < end || rounds == 0) {
        unsigned to[DATA_PAGES];
        uint64_t stamp = next_random();
        for (unsigned i = 0; i < DATA_PAGES; i++) {
            unsigned j = (unsigned)(next_random() % (i + 1));
            to[i] = to[j];
            to[j] = i;
        }
        for (unsigned op = 0; op < 2; op++) {
            /* Written from the pages in one order, read into them in another. */
            blkif_request_t *req = rig_slot(&r, op ? BLKIF_OP_READ : BLKIF_OP_WRITE, 11);
            req->sector_number = rounds % 100 * 88;
            for (unsigned s = 0; s < 11; s++) {
                unsigned page = op ? to[s + 11] : to[s];
                uint64_t *words = page_at(&r.guest, r.data_gfn + page);
                for (unsigned w = 0; w < PAGE / 8; w++)
                    words[w] = op ? 0 : mix(stamp + s) + w;
                req->seg[s].gref = r.grefs[page];
            }
            if (rig_call(&r) != BLKIF_RSP_OKAY)
                die(EXIT_MISMATCH, "pages out of order were refused");
        }
        for (unsigned s = 0; s < 11; s++) {
            const uint64_t *words = page_at(&r.guest, r.data_gfn + to[s + 11]);
            for (unsigned w = 0; w < PAGE / 8; w++)
                if (words[w] != mix(stamp + s) + w)
                    die(EXIT_MISMATCH, "round %" PRIu64 " segment %u word %u is %" PRIx64, rounds, s, w, words[w]);
        }
        rounds++;
    }
    rig_drop(&r);
    printf("outcome served %" PRIu64 "\n", rounds);
}

static void h029(void) {
    struct rig r;
    rig_open(&r, 0);
    uint64_t end = now_ms() + duration_ms, flushes = 0;
    while (now_ms() < end) {
        unsigned n = RING_SIZE(&r.vbd.ring);
        for (unsigned i = 0; i < n; i++)
            rig_slot(&r, BLKIF_OP_FLUSH_DISKCACHE, (uint8_t)(i % 3 ? 0 : i % 12));
        vbd_push(&r.vbd);
        for (unsigned i = 0; i < n; i++) {
            rig_response(&r);
            flushes++;
        }
    }
    rig_expect_served(&r, "a flood of flushes");
    rig_drop(&r);
    printf("outcome served %" PRIu64 "\n", flushes);
}

static void h030(void) {
    struct rig r;
    rig_open(&r, 0);
    uint64_t end = now_ms() + duration_ms;
    while (now_ms() < end) {
        for (unsigned i = 0; i < 16; i++) {
            blkif_request_t *req = rig_slot(&r, i & 1 ? BLKIF_OP_READ : BLKIF_OP_WRITE, 11);
            for (unsigned s = 0; s < 11; s++)
                req->seg[s].gref = s == 5 ? r.vbd.ring_grefs[0] + 0 * s : r.grefs[0];
            if (i & 1)
                req->seg[5].gref = r.grefs[0]; /* reading into the ring would only spoil our own requests */
        }
        vbd_push(&r.vbd);
        for (unsigned i = 0; i < 16; i++)
            if (rig_response(&r).status != BLKIF_RSP_OKAY)
                die(EXIT_MISMATCH, "one page in many segments was refused");
    }
    rig_expect_served(&r, "one page as source and target");
    rig_drop(&r);
    printf("outcome served\n");
}

/* The image was cut to one page before we came: what is gone is an error, what is there is served. */
static void h031(void) {
    struct rig r;
    rig_open(&r, 0);
    blkif_request_t *req = rig_slot(&r, BLKIF_OP_READ, 1);
    req->sector_number = r.vbd.sectors - 8;
    expect_status(&r, BLKIF_RSP_ERROR, "a read of what is gone");
    rig_expect_served(&r, "the image was cut short");
    rig_drop(&r);
    printf("outcome refused\n");
}

/* ---- section 4: event channels ---- */

static void *storm_thread(void *arg) {
    struct rig *r = arg;
    while (!atomic_load(&stop))
        port_kick(&r->vbd.port);
    return NULL;
}

static void h060(void) {
    struct rig r;
    rig_open(&r, 0);
    pthread_t thread;
    pthread_create(&thread, NULL, storm_thread, &r);
    uint64_t end = now_ms() + duration_ms, served = 0;
    while (now_ms() < end) {
        rig_expect_served(&r, "a storm of events");
        served++;
    }
    /* Break the ring in the middle of the storm: no more of it may be heard. */
    __atomic_store_n(&r.vbd.ring.sring->req_prod, r.vbd.ring.req_prod_pvt + 1000, __ATOMIC_RELEASE);
    rig_expect_broken(&r, "a broken ring in a storm");
    atomic_store(&stop, true);
    pthread_join(thread, NULL);
    rig_drop(&r);
    printf("outcome served %" PRIu64 " then closed\n", served);
}

static int port_operation(struct guest *g, uint32_t type, uint32_t first, uint32_t second, uint32_t length) {
    unsigned char body[240];
    int fds[4], nr_fds;
    memcpy(body, &first, 4);
    memcpy(body + 4, &second, 4);
    int status = attach_call(g, type, body, &length, NULL, 0, fds, 4, &nr_fds);
    for (int i = 0; i < nr_fds; i++)
        close(fds[i]);
    return status;
}

static void h066(void) {
    struct rig r;
    rig_open(&r, 0);
    static const uint32_t ports[] = {0, 255, 256, 0x7FFFFFFFu, 0x80000000u, 0xFFFFFFFFu};
    for (unsigned i = 0; i < 6; i++) {
        if (port_operation(&r.guest, MSG_CLOSE_PORT, ports[i], 0, 4) >= 0)
            die(EXIT_MISMATCH, "port %u was closed", ports[i]);
        if (port_operation(&r.guest, MSG_BIND_INTERDOMAIN, r.guest.backend_domid, ports[i], 8) >= 0)
            die(EXIT_MISMATCH, "port %u was bound", ports[i]);
        if (port_operation(&r.guest, MSG_BIND_INTERDOMAIN, 0x7FF0 + i, 1, 8) >= 0)
            die(EXIT_MISMATCH, "domain %x was bound to", 0x7FF0 + i);
        port_operation(&r.guest, MSG_STATUS, ports[i], 0, 4);
    }
    rig_expect_served(&r, "operations on wrong ports");
    rig_drop(&r);
    printf("outcome refused\n");
}

static void h068(void) {
    struct rig r;
    struct port p;
    rig_open(&r, 0);
    unsigned allocated = 0;
    int status;
    while ((status = port_alloc(&r.guest, &p)) == 0) {
        close(p.kick);
        close(p.wake);
        if (++allocated > 100000)
            die(EXIT_MISMATCH, "no limit of ports");
    }
    if (status != -ENOSPC && status != -EMFILE)
        die(EXIT_MISMATCH, "at the limit of ports: status %d", status);
    /* Every other operation at the limit, then our device and our ports as before. */
    port_operation(&r.guest, MSG_BIND_INTERDOMAIN, r.guest.backend_domid, 1, 8);
    port_operation(&r.guest, MSG_CLOSE_PORT, 0xFFFFFFFFu, 0, 4);
    rig_expect_served(&r, "all ports taken");
    rig_drop(&r);
    printf("outcome limit %u\n", allocated);
}

/* ---- section 5: grants ---- */

static void h075(void) {
    struct rig r;
    rig_open(&r, 0);
    pthread_t thread;
    uint32_t *word = (uint32_t *)(void *)&r.guest.grants[r.grefs[0]];
    uint32_t granted = GTF_permit_access | r.guest.backend_domid << 16;
    struct flip f = {(volatile unsigned char *)word, 4, granted, granted | GTF_PWT};
    atomic_store(&stop, false);
    pthread_create(&thread, NULL, flipper, &f);
    uint64_t end = now_ms() + duration_ms, okay = 0, refused = 0;
    while (now_ms() < end) {
        rig_slot(&r, BLKIF_OP_READ, 1);
        *(rig_call(&r) == BLKIF_RSP_OKAY ? &okay : &refused) += 1;
    }
    atomic_store(&stop, true);
    pthread_join(thread, NULL);
    for (unsigned i = 0; i < 11; i++)
        r.grefs[i] = r.grefs[i + 20];
    r.data_gfn += 20;
    rig_expect_served(&r, "a grant word that never holds still");
    rig_drop(&r);
    printf("outcome okay %" PRIu64 " refused %" PRIu64 "\n", okay, refused);
}

static void h079(void) {
    struct rig r;
    rig_open(&r, 0);
    pthread_t thread;
    grant_entry_v1_t *e = &r.guest.grants[r.grefs[0]];
    uint64_t end = now_ms() + duration_ms;
    struct flip frames = {(volatile unsigned char *)&e->frame, 4, r.data_gfn, 0xFFFFFFFFu};
    atomic_store(&stop, false);
    pthread_create(&thread, NULL, flipper, &frames);
    while (now_ms() < end) {
        for (unsigned i = 0; i < 8; i++) {
            blkif_request_t *req = rig_slot(&r, i & 1 ? BLKIF_OP_READ : BLKIF_OP_WRITE, 11);
            for (unsigned s = 0; s < 11; s++)
                req->seg[s].gref = r.grefs[0];
        }
        vbd_push(&r.vbd);
        for (unsigned i = 0; i < 8; i++)
            rig_response(&r);
    }
    atomic_store(&stop, true);
    pthread_join(thread, NULL);
    e->frame = r.data_gfn;
    rig_expect_served(&r, "a grant whose frame changes");
    rig_drop(&r);
    printf("outcome served\n");
}

static void h082(void) {
    struct rig r;
    rig_open(&r, 0);
    const uint32_t refs[] = {0, 7, r.guest.nr_grants - 1, r.guest.nr_grants, r.guest.nr_grants + 1, 0x80000000u, 0xFFFFFFFFu};
    r.guest.grants[0] = r.guest.grants[7] = r.guest.grants[r.grefs[0]]; /* granted, yet reserved */
    for (unsigned i = 0; i < 7; i++) {
        blkif_request_t *req = rig_slot(&r, BLKIF_OP_READ, 1);
        req->seg[0].gref = refs[i];
        int16_t status = rig_call(&r);
        if (i >= 2 && status != BLKIF_RSP_ERROR)
            die(EXIT_MISMATCH, "reference %u was answered %d", refs[i], status);
    }
    /* Granted to somebody else, to nobody, read-only, transitive, for transfer, a frame that is not there, the table itself. */
    const struct { uint16_t flags; domid_t domid; uint32_t frame; } entries[] = {
        {GTF_permit_access, (domid_t)(r.guest.backend_domid + 5), r.data_gfn},
        {GTF_invalid, (domid_t)r.guest.backend_domid, r.data_gfn},
        {GTF_permit_access | GTF_readonly, (domid_t)r.guest.backend_domid, r.data_gfn},
        {GTF_transitive, (domid_t)r.guest.backend_domid, r.data_gfn},
        {GTF_accept_transfer, (domid_t)r.guest.backend_domid, r.data_gfn},
        {GTF_permit_access, (domid_t)r.guest.backend_domid, r.guest.pages},
        {GTF_permit_access, (domid_t)r.guest.backend_domid, 0xFFFFFFFFu},
        {GTF_permit_access, (domid_t)r.guest.backend_domid, 0},
    };
    for (unsigned i = 0; i < 8; i++) {
        grant_entry_v1_t *e = &r.guest.grants[r.grefs[40]];
        e->domid = entries[i].domid;
        e->frame = entries[i].frame;
        __atomic_store_n(&e->flags, entries[i].flags, __ATOMIC_RELEASE);
        blkif_request_t *req = rig_slot(&r, BLKIF_OP_READ, 1);
        req->seg[0].gref = r.grefs[40];
        int16_t status = rig_call(&r);
        if (status != BLKIF_RSP_ERROR)
            die(EXIT_MISMATCH, "grant entry %u of the list was answered %d", i, status);
    }
    rig_expect_served(&r, "wrong references");
    rig_drop(&r);
    printf("outcome refused\n");
}

static void h089(void) {
    struct rig r;
    rig_open(&r, 0);
    uint64_t end = now_ms() + duration_ms;
    while (now_ms() < end) {
        for (unsigned i = 0; i < 16; i++)
            rig_slot(&r, i & 1 ? BLKIF_OP_READ : BLKIF_OP_WRITE, 11);
        vbd_push(&r.vbd);
        if (fallocate(r.guest.memory_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)r.data_gfn * PAGE, 11 * PAGE) < 0)
            die(EXIT_UNEXPECTED, "punch hole: %s", strerror(errno));
        for (unsigned i = 0; i < 16; i++)
            if (rig_response(&r).status != BLKIF_RSP_OKAY)
                die(EXIT_MISMATCH, "request on a punched page was refused");
    }
    /* Shrinking is what the seals forbid. */
    if (ftruncate(r.guest.memory_fd, PAGE) == 0)
        die(EXIT_UNEXPECTED, "sealed memory was shrunk");
    rig_expect_served(&r, "holes in memory");
    rig_drop(&r);
    printf("outcome served\n");
}

/* ---- the attach socket ---- */

struct bad_hello {
    const char *name;
    int status; /* 0: the connection must end without being attached */
};

static int make_memory(size_t size, unsigned flags, unsigned seals) {
    int fd = memfd_create("bad", MFD_CLOEXEC | flags);
    if (fd < 0 || ftruncate(fd, (off_t)size) < 0)
        return -1;
    if (seals && fcntl(fd, F_ADD_SEALS, seals) < 0)
        die(EXIT_UNEXPECTED, "seals %x: %s", seals, strerror(errno));
    return fd;
}

/* Sends one HELLO as told; returns its status, or 1 when the connection was ended. Attached means failure. */
static int try_hello(struct hello_body body, const int *fds, int nr_fds) {
    unsigned char packet[256];
    struct attach_header h = {MSG_HELLO, 1, 0, sizeof body};
    int fd = attach_connect(socket_path), got_fds[4], nr_got;
    memcpy(packet, &h, sizeof h);
    memcpy(packet + sizeof h, &body, sizeof body);
    int result = 1;
    if (attach_send(fd, packet, sizeof h + sizeof body, fds, nr_fds) > 0) {
        ssize_t got = attach_receive(fd, packet, sizeof packet, got_fds, 4, &nr_got);
        if (got >= (ssize_t)sizeof h) {
            memcpy(&h, packet, sizeof h);
            result = h.status;
        }
    }
    close(fd);
    for (int i = 0; i < nr_fds; i++)
        close(fds[i]);
    return result;
}

static void expect_hello(const char *name, struct hello_body body, const int *fds, int nr_fds, int wanted) {
    int status = try_hello(body, fds, nr_fds);
    uint64_t deadline = now_ms() + 2000;
    while (status == -EBUSY && now_ms() < deadline) /* the one before is being cleared away */
        die(EXIT_MISMATCH, "%s: busy", name);
    if (status != wanted)
        die(EXIT_MISMATCH, "HELLO with %s was answered %d, not %d", name, status, wanted);
}

static const unsigned SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

static void attach_hello(void) {
    const struct hello_body good = {HELLO_MAGIC, 1, 64 * PAGE, 0, 1, 0xFFFFFFFFu, 0};
    struct hello_body b;
    int fds[16];
#define MEMORY (fds[0] = make_memory(64 * PAGE, MFD_ALLOW_SEALING, SEALS), fds)
#define BAD(name, field, value, status) (b = good, b.field = (value), expect_hello(name, b, MEMORY, 1, status))
    BAD("wrong magic", magic, 0x12345678, -EINVAL);
    BAD("version 0", version, 0, -EPROTONOSUPPORT);
    BAD("version 2", version, 2, -EPROTONOSUPPORT);
    BAD("half a page", memory_bytes, 64 * PAGE - 2048, -EINVAL);
    BAD("more than promised", memory_bytes, 63 * PAGE, -EINVAL);
    BAD("less than promised", memory_bytes, 65 * PAGE, -EINVAL);
    BAD("no memory", memory_bytes, 0, -EINVAL);
    BAD("negative memory", memory_bytes, 1ull << 63, -EFBIG);
    BAD("grant table beyond memory", grant_table_gfn, 64, -EINVAL);
    BAD("grant table wraps", grant_table_gfn, 0xFFFFFFFFu, -EINVAL);
    BAD("no grant frames", grant_table_frames, 0, -EINVAL);
    BAD("33 grant frames", grant_table_frames, 33, -EINVAL);
    BAD("2^32-1 grant frames", grant_table_frames, 0xFFFFFFFFu, -EINVAL);
    BAD("xenstore page beyond memory", xenstore_gfn, 64, -EINVAL);
    BAD("unknown flags", flags, 1, -EINVAL);
    static const unsigned seals[] = {0, F_SEAL_SEAL, F_SEAL_SHRINK | F_SEAL_SEAL, F_SEAL_GROW | F_SEAL_SEAL, F_SEAL_SHRINK | F_SEAL_GROW,
                                     F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL | F_SEAL_WRITE,
                                     F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL | F_SEAL_FUTURE_WRITE};
    for (unsigned i = 0; i < sizeof seals / sizeof *seals; i++) {
        fds[0] = make_memory(64 * PAGE, MFD_ALLOW_SEALING, seals[i]);
        char name[32];
        snprintf(name, sizeof name, "seals %x", seals[i]);
        expect_hello(name, good, fds, 1, -EPERM);
    }
    fds[0] = make_memory(64 * PAGE, 0, 0);
    expect_hello("memory that cannot be sealed", good, fds, 1, -EPERM);
    int whole = make_memory(64 * PAGE, MFD_ALLOW_SEALING, SEALS);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", whole);
    fds[0] = open(path, O_RDONLY | O_CLOEXEC);
    close(whole);
    expect_hello("read-only memory", good, fds, 1, -EPERM);
    fds[0] = open("/dev/zero", O_RDWR | O_CLOEXEC);
    expect_hello("/dev/zero", good, fds, 1, -EPERM);
    int ends[2];
    if (pipe(ends) == 0) {
        fds[0] = ends[0];
        expect_hello("a pipe", good, fds, 1, -EPERM);
        close(ends[1]);
    }
    fds[0] = memfd_create("huge", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB);
    if (fds[0] >= 0 && ftruncate(fds[0], 2 << 20) == 0 && fcntl(fds[0], F_ADD_SEALS, SEALS) == 0) {
        b = good;
        b.memory_bytes = 2 << 20;
        expect_hello("huge pages", b, fds, 1, -EPERM);
    }
    printf("outcome refused\n");
}

/* Everything that ends the connection: after each of them nothing but the end may come. */
static void attach_garbage(void) {
    struct { const char *name; uint32_t type, length; size_t size; int fds; bool hello_first; } cases[] = {
        {"an empty body where HELLO has one", MSG_HELLO, 0, 16, 1, false},
        {"a short packet", MSG_HELLO, 0, 15, 0, false},
        {"one byte", MSG_HELLO, 0, 1, 0, false},
        {"257 bytes", MSG_HELLO, 241, 257, 0, false},
        {"a length that lies", MSG_HELLO, 31, 48, 1, false},
        {"a length of 2^32-1", MSG_HELLO, 0xFFFFFFFFu, 48, 1, false},
        {"HELLO without memory", MSG_HELLO, 32, 48, 0, false},
        {"HELLO with two descriptors", MSG_HELLO, 32, 48, 2, false},
        {"HELLO with 16 descriptors", MSG_HELLO, 32, 48, 16, false},
        {"type 0", 0, 4, 20, 0, false},
        {"type 2^32-1", 0xFFFFFFFFu, 4, 20, 0, false},
        {"type 6 after HELLO", 6, 4, 20, 0, true},
        {"descriptors with ALLOC_UNBOUND", MSG_ALLOC_UNBOUND, 4, 20, 3, true},
        {"a short ALLOC_UNBOUND", MSG_ALLOC_UNBOUND, 2, 18, 0, true},
        {"a second HELLO", MSG_HELLO, 32, 48, 1, true},
        {"ALLOC_UNBOUND before HELLO", MSG_ALLOC_UNBOUND, 4, 20, 0, false},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct guest g;
        unsigned char packet[512];
        int fds[16], got_fds[4], nr_got;
        if (cases[i].hello_first) {
            guest_attach(&g, socket_path, 64, 1);
        } else {
            g.attach_fd = attach_connect(socket_path);
        }
        for (int f = 0; f < cases[i].fds; f++)
            fds[f] = make_memory(64 * PAGE, MFD_ALLOW_SEALING, SEALS);
        memset(packet, 0, sizeof packet);
        struct attach_header h = {cases[i].type, 7, 0, cases[i].length};
        struct hello_body body = {HELLO_MAGIC, 1, 64 * PAGE, 0, 1, 0xFFFFFFFFu, 0};
        memcpy(packet, &h, sizeof h);
        memcpy(packet + sizeof h, &body, sizeof body);
        if (attach_send(g.attach_fd, packet, cases[i].size, fds, cases[i].fds) > 0) {
            ssize_t got = attach_receive(g.attach_fd, packet, sizeof packet, got_fds, 4, &nr_got);
            if (got > 0) {
                memcpy(&h, packet, sizeof h);
                if (h.status >= 0)
                    die(EXIT_MISMATCH, "%s was accepted", cases[i].name);
            }
        }
        for (int f = 0; f < cases[i].fds; f++)
            close(fds[f]);
        close(g.attach_fd);
        if (cases[i].hello_first) {
            close(g.store_fd);
            close(g.memory_fd);
            munmap(g.memory, (size_t)g.pages * PAGE);
        }
    }
    printf("outcome refused\n");
}

static void attach_second(void) {
    struct guest one, two;
    guest_attach(&one, socket_path, 64, 1);
    guest_memory(&two, 64, 1);
    two.attach_fd = attach_connect(socket_path);
    int status = guest_hello(&two);
    if (status != -EBUSY)
        die(EXIT_MISMATCH, "a second guest was answered %d", status);
    printf("outcome busy\n");
}

/* Connects and says nothing, as often as the process may. */
static void silence(void) {
    int fds[64];
    unsigned n = 0;
    for (unsigned i = 0; i < 64; i++) {
        struct sockaddr_un to = {.sun_family = AF_UNIX};
        strcpy(to.sun_path, socket_path);
        fds[n] = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (connect(fds[n], (struct sockaddr *)&to, sizeof to) < 0) {
            close(fds[n]);
            break;
        }
        n++;
    }
    usleep((useconds_t)duration_ms * 1000);
    for (unsigned i = 0; i < n; i++)
        close(fds[i]);
    /* A real guest still gets in. */
    struct rig r;
    rig_open(&r, 0);
    rig_expect_served(&r, "silent connections");
    rig_drop(&r);
    printf("outcome served after %u silent connections\n", n);
}

/* xenstore messages that no client may send; each ends in an error or the end of that connection, never in anything else. */
static void h118(void) {
    static const uint32_t lengths[] = {4097, 1u << 30, 0x7FFFFFFFu, 1u << 31, 0xFFFFFFFFu};
    for (unsigned i = 0; i < 5; i++) {
        struct guest g;
        guest_attach(&g, socket_path, 64, 1);
        struct xsd_sockmsg m = {XS_READ, 1, 0, lengths[i]};
        char junk[8192];
        memset(junk, 'x', sizeof junk);
        send(g.store_fd, &m, sizeof m, MSG_NOSIGNAL);
        send(g.store_fd, junk, sizeof junk, MSG_NOSIGNAL);
        /* Whatever is said, the connection must be of no more use, and must not spin. */
        struct pollfd waiting = {.fd = g.store_fd, .events = POLLIN};
        uint64_t deadline = now_ms() + 2000, bytes = 0;
        bool ended = false;
        while (!ended && now_ms() < deadline && poll(&waiting, 1, 500) > 0) {
            ssize_t got = read(g.store_fd, junk, sizeof junk);
            ended = got <= 0;
            bytes += got > 0 ? (uint64_t)got : 0;
        }
        if (bytes > 8192)
            die(EXIT_MISMATCH, "%" PRIu64 " bytes of answers to one bad message", bytes);
        if (!ended)
            die(EXIT_MISMATCH, "the connection goes on after a message of length %u", lengths[i]);
        close(g.store_fd);
        close(g.attach_fd);
        close(g.memory_fd);
        munmap(g.memory, (size_t)g.pages * PAGE);
    }
    printf("outcome ended 5\n");
}

/* Bad requests as fast as they are answered: each is answered, and none is worth a line in a log. */
static void j09(void) {
    struct rig r;
    rig_open(&r, 0);
    uint64_t end = now_ms() + duration_ms, refused = 0;
    while (now_ms() < end) {
        unsigned n = RING_SIZE(&r.vbd.ring);
        for (unsigned i = 0; i < n; i++) {
            blkif_request_t *req = rig_slot(&r, i % 3 == 0 ? 255 : BLKIF_OP_WRITE, i % 3 == 1 ? 200 : 1);
            if (i % 3 == 2)
                req->seg[0].gref = 0xFFFFFFF0u;
        }
        vbd_push(&r.vbd);
        for (unsigned i = 0; i < n; i++)
            refused += rig_response(&r).status != BLKIF_RSP_OKAY;
    }
    rig_expect_served(&r, "nothing but bad requests");
    rig_drop(&r);
    if (refused < 1000)
        die(EXIT_UNEXPECTED, "only %" PRIu64 " bad requests", refused);
    printf("outcome refused %" PRIu64 "\n", refused);
}

/* Full load until killed. */
static void prey(void) {
    struct rig r;
    rig_open(&r, 2);
    printf("ready\n");
    fflush(stdout);
    for (;;) {
        while (r.vbd.ring.req_prod_pvt - r.vbd.ring.rsp_cons < RING_SIZE(&r.vbd.ring)) {
            blkif_request_t *req = rig_slot(&r, (uint8_t)(next_random() % 10 == 0 ? BLKIF_OP_FLUSH_DISKCACHE : next_random() & 1), 11);
            if (req->operation == BLKIF_OP_FLUSH_DISKCACHE)
                req->nr_segments = 0;
            req->sector_number = next_random() % (r.vbd.sectors - 88) & ~7ull;
        }
        vbd_push(&r.vbd);
        rig_response(&r);
    }
}

static const struct { const char *name; void (*run)(void); } scenarios[] = {
    {"h001", h001}, {"h004", h004}, {"h006", h006}, {"h007", h007}, {"h008", h008}, {"h009", h009}, {"h010", h010}, {"h011", h011}, {"h012", h012},
    {"h013", h013}, {"h020", h020}, {"h021", h021}, {"h023", h023}, {"h027", h027}, {"h028", h028}, {"h029", h029}, {"h030", h030}, {"h031", h031}, {"h060", h060},
    {"h066", h066}, {"h068", h068}, {"h075", h075}, {"h079", h079}, {"h082", h082}, {"h089", h089}, {"h118", h118}, {"j09", j09},
    {"hello", attach_hello}, {"garbage", attach_garbage}, {"second", attach_second}, {"silence", silence}, {"prey", prey},
};

int main(int argc, char **argv) {
    if (argc < 6 || strcmp(argv[1], "--socket") != 0 || strcmp(argv[3], "--vdev") != 0)
        die(EXIT_UNEXPECTED, "usage: hostile --socket PATH --vdev N SCENARIO [MILLISECONDS [SEED]]");
    socket_path = argv[2];
    vdev = (unsigned)atoi(argv[4]);
    if (argc > 6)
        duration_ms = strtoull(argv[6], NULL, 10);
    seed = argc > 7 ? strtoull(argv[7], NULL, 0) : now_ms();
    signal(SIGPIPE, SIG_IGN);
    for (unsigned i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
        if (strcmp(argv[5], scenarios[i].name) == 0) {
            scenarios[i].run();
            return 0;
        }
    }
    die(EXIT_UNEXPECTED, "no scenario %s", argv[5]);
}
