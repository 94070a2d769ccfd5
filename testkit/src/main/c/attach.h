/*
 * What a guest written in C needs: attaching as docs/abi.md says, its own pages and grants, event channels, and xenstore
 * over the connection that HELLO returns or over the guest's xenstore page. Only Xen's unmodified public headers, no library. Include it once in a program.
 *
 * Every failure that a polite guest does not expect ends the program through die() with one line on stderr.
 */
#ifndef SPLITRING_ATTACH_H
#define SPLITRING_ATTACH_H

#define _GNU_SOURCE 1
#define __XEN_INTERFACE_VERSION__ 0x00040d00

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* The public headers leave the barriers to their user. */
#define xen_mb() __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define xen_rmb() __atomic_thread_fence(__ATOMIC_ACQUIRE)
#define xen_wmb() __atomic_thread_fence(__ATOMIC_RELEASE)

#include <xen/xen.h>
#include <xen/grant_table.h>
#include <xen/io/ring.h>
#include <xen/io/blkif.h>
#include <xen/io/protocols.h>
#include <xen/io/xenbus.h>
#include <xen/io/xs_wire.h>

#define PAGE 4096u
#define GRANTS_PER_FRAME (PAGE / sizeof(grant_entry_v1_t))

/* Exit codes: what a test looks at. */
enum { EXIT_MISMATCH = 2, EXIT_BACKEND_GONE = 3, EXIT_HUNG = 4, EXIT_UNEXPECTED = 5 };

static void die(int code, const char *format, ...) __attribute__((noreturn, format(printf, 2, 3)));

static void die(int code, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(code);
}

static uint64_t now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* splitmix64: seeds and patterns. */
static uint64_t mix(uint64_t x) {
    x += 0x9E3779B97F4A7C15ull;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
    return x ^ (x >> 31);
}

/* ---- messages of the attach socket: docs/abi.md section 1 ---- */

enum { MSG_HELLO = 1, MSG_ALLOC_UNBOUND = 2, MSG_BIND_INTERDOMAIN = 3, MSG_CLOSE_PORT = 4, MSG_STATUS = 5, MSG_BIND_STATIC = 6 };

#define HELLO_MAGIC 0x524C5053u

struct attach_header {
    uint32_t type, seq;
    int32_t status;
    uint32_t length;
};

struct hello_body {
    uint32_t magic, version;
    uint64_t memory_bytes;
    uint32_t grant_table_gfn, grant_table_frames, xenstore_gfn, flags;
};

struct port {
    uint32_t number;
    int kick, wake;
};

struct guest {
    int attach_fd, store_fd, memory_fd;
    unsigned char *memory;
    uint32_t pages, next_page;
    grant_entry_v1_t *grants;
    uint32_t nr_grants, next_gref;
    uint32_t domid, backend_domid, seq, xs_req;
    unsigned watch_events; /* arrived and not yet looked at */
    uint32_t store_gfn;    /* of the xenstore page; 0: there is none, page 0 being the grant table */
    bool over_page;        /* xenstore goes over the page, and the connection is closed */
    struct port store_port;
    XENSTORE_RING_IDX req_prod, rsp_cons; /* ours: never read back from the page */
};

static int attach_connect(const char *path) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof to.sun_path)
        die(EXIT_UNEXPECTED, "socket path too long: %s", path);
    strcpy(to.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0)
        die(EXIT_UNEXPECTED, "socket: %s", strerror(errno));
    uint64_t deadline = now_ms() + 5000;
    while (connect(fd, (struct sockaddr *)&to, sizeof to) < 0) {
        if (now_ms() > deadline)
            die(EXIT_UNEXPECTED, "connect %s: %s", path, strerror(errno));
        usleep(5000);
    }
    return fd;
}

/* Sends any bytes with any descriptors as one packet. */
static ssize_t attach_send(int fd, const void *packet, size_t size, const int *fds, int nr_fds) {
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int) * 16)];
    } control;
    struct iovec iov = {(void *)(uintptr_t)packet, size};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    memset(&control, 0, sizeof control);
    if (nr_fds > 0) {
        msg.msg_control = control.bytes;
        msg.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)nr_fds);
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)nr_fds);
        memcpy(CMSG_DATA(c), fds, sizeof(int) * (size_t)nr_fds);
    }
    return sendmsg(fd, &msg, MSG_NOSIGNAL);
}

/* Receives one packet; returns its size, 0 at the end of the connection, or -1. */
static ssize_t attach_receive(int fd, void *packet, size_t size, int *fds, int max_fds, int *nr_fds) {
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int) * 16)];
    } control;
    struct iovec iov = {packet, size};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes,
                         .msg_controllen = sizeof control.bytes};
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    if (poll(&waiting, 1, 5000) <= 0)
        die(EXIT_HUNG, "no answer on the attach socket within 5 s");
    ssize_t got = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
    *nr_fds = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); got > 0 && c; c = CMSG_NXTHDR(&msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        int count = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        for (int i = 0; i < count; i++) {
            int received;
            memcpy(&received, CMSG_DATA(c) + sizeof(int) * (size_t)i, sizeof received);
            if (*nr_fds < max_fds)
                fds[(*nr_fds)++] = received;
            else
                close(received);
        }
    }
    return got;
}

/* One request and its reply. Returns the status; `body` is replaced by the reply's body. */
static int attach_call(struct guest *g, uint32_t type, void *body, uint32_t *length, const int *fds, int nr_fds, int *reply_fds,
                       int max_fds, int *nr_reply_fds) {
    unsigned char packet[256];
    struct attach_header h = {type, ++g->seq, 0, *length};
    memcpy(packet, &h, sizeof h);
    memcpy(packet + sizeof h, body, *length);
    if (attach_send(g->attach_fd, packet, sizeof h + *length, fds, nr_fds) < 0)
        die(EXIT_BACKEND_GONE, "attach socket: %s", strerror(errno));
    ssize_t got = attach_receive(g->attach_fd, packet, sizeof packet, reply_fds, max_fds, nr_reply_fds);
    if (got <= 0)
        die(EXIT_BACKEND_GONE, "attach socket closed by the server after message type %u", type);
    memcpy(&h, packet, sizeof h);
    if (got < (ssize_t)sizeof h || h.type != type || h.seq != g->seq || h.length != (uint32_t)got - sizeof h)
        die(EXIT_UNEXPECTED, "wrong reply: %zd bytes, type %u, seq %u", got, h.type, h.seq);
    *length = h.length;
    memcpy(body, packet + sizeof h, h.length);
    return h.status;
}

/* Makes the sealed memory: grant table first, then pages for everything. */
static void guest_memory(struct guest *g, uint32_t pages, uint32_t grant_frames) {
    memset(g, 0, sizeof *g);
    g->memory_fd = memfd_create("guest", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (g->memory_fd < 0 || ftruncate(g->memory_fd, (off_t)pages * PAGE) < 0)
        die(EXIT_UNEXPECTED, "memfd: %s", strerror(errno));
    g->memory = mmap(NULL, (size_t)pages * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, g->memory_fd, 0);
    if (g->memory == MAP_FAILED)
        die(EXIT_UNEXPECTED, "mmap: %s", strerror(errno));
    memset(g->memory, 0, (size_t)pages * PAGE);
    if (fcntl(g->memory_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
        die(EXIT_UNEXPECTED, "seals: %s", strerror(errno));
    g->pages = pages;
    g->grants = (grant_entry_v1_t *)g->memory;
    g->nr_grants = grant_frames * GRANTS_PER_FRAME;
    g->next_page = grant_frames;
    g->next_gref = GNTTAB_NR_RESERVED_ENTRIES;
}

/* HELLO with our memory. Returns the status. */
static int guest_hello(struct guest *g) {
    unsigned char body[240];
    struct hello_body hello = {HELLO_MAGIC, 1, (uint64_t)g->pages * PAGE, 0, g->nr_grants / GRANTS_PER_FRAME,
                               g->store_gfn ? g->store_gfn : 0xFFFFFFFFu, 0};
    uint32_t length = sizeof hello;
    int fds[4], nr_fds;
    memcpy(body, &hello, sizeof hello);
    int status = attach_call(g, MSG_HELLO, body, &length, &g->memory_fd, 1, fds, 4, &nr_fds);
    if (status != 0)
        return status;
    if (length != 16 || nr_fds != 1)
        die(EXIT_UNEXPECTED, "HELLO answered with %u bytes and %d descriptors", length, nr_fds);
    memcpy(&g->domid, body + 4, 4);
    memcpy(&g->backend_domid, body + 8, 4);
    g->store_fd = fds[0];
    return 0;
}

static void guest_attach_with(struct guest *g, const char *path, uint32_t pages, uint32_t grant_frames, bool store_page) {
    guest_memory(g, pages, grant_frames);
    if (store_page)
        g->store_gfn = g->next_page++;
    uint64_t deadline = now_ms() + 5000;
    for (;;) {
        g->attach_fd = attach_connect(path);
        int status = guest_hello(g);
        if (status == 0)
            return;
        /* The guest before us may not be cleared away yet. */
        if (status != -EBUSY || now_ms() > deadline)
            die(EXIT_UNEXPECTED, "attach refused: %s", strerror(-status));
        close(g->attach_fd);
        usleep(5000);
    }
}

static void guest_attach(struct guest *g, const char *path, uint32_t pages, uint32_t grant_frames) {
    guest_attach_with(g, path, pages, grant_frames, false);
}

/* A request of one word whose answer is a port and its descriptors. */
static int port_open(struct guest *g, struct port *p, uint32_t type, uint32_t word) {
    unsigned char body[240];
    uint32_t length = 4;
    int fds[4], nr_fds;
    memcpy(body, &word, 4);
    int status = attach_call(g, type, body, &length, NULL, 0, fds, 4, &nr_fds);
    if (status != 0)
        return status;
    if (length != 4 || nr_fds != 2)
        die(EXIT_UNEXPECTED, "message %u answered with %u bytes and %d descriptors", type, length, nr_fds);
    memcpy(&p->number, body, 4);
    p->kick = fds[0];
    p->wake = fds[1];
    fcntl(p->wake, F_SETFL, fcntl(p->wake, F_GETFL) | O_NONBLOCK);
    return 0;
}

static int port_alloc(struct guest *g, struct port *p) {
    return port_open(g, p, MSG_ALLOC_UNBOUND, g->backend_domid);
}

static int port_close(struct guest *g, struct port *p) {
    unsigned char body[240];
    uint32_t length = 4;
    int nr_fds;
    memcpy(body, &p->number, 4);
    int status = attach_call(g, MSG_CLOSE_PORT, body, &length, NULL, 0, NULL, 0, &nr_fds);
    close(p->kick);
    close(p->wake);
    return status;
}

static void port_kick(const struct port *p) {
    uint64_t one = 1;
    if (write(p->kick, &one, sizeof one) < 0 && errno != EAGAIN)
        die(EXIT_UNEXPECTED, "kick: %s", strerror(errno));
}

static void port_clear(const struct port *p) {
    char bytes[64];
    while (read(p->wake, bytes, sizeof bytes) > 0)
        ;
}

/* ---- pages and grants: docs/abi.md section 2 ---- */

static uint32_t take_pages(struct guest *g, uint32_t count) {
    uint32_t first = g->next_page;
    if (first + count > g->pages)
        die(EXIT_UNEXPECTED, "guest memory is too small");
    g->next_page += count;
    return first;
}

static void *page_at(const struct guest *g, uint32_t gfn) {
    return g->memory + (size_t)gfn * PAGE;
}

static void grant_set(struct guest *g, uint32_t gref, uint32_t gfn, bool readonly) {
    grant_entry_v1_t *e = &g->grants[gref];
    e->domid = (domid_t)g->backend_domid;
    e->frame = gfn;
    __atomic_store_n(&e->flags, (uint16_t)(GTF_permit_access | (readonly ? GTF_readonly : 0)), __ATOMIC_RELEASE);
}

static uint32_t grant_page(struct guest *g, uint32_t gfn, bool readonly) {
    if (g->next_gref >= g->nr_grants)
        die(EXIT_UNEXPECTED, "grant table is too small");
    uint32_t gref = g->next_gref++;
    grant_set(g, gref, gfn, readonly);
    return gref;
}

/* Ends a grant; false while the backend still holds the page. */
static bool grant_end(struct guest *g, uint32_t gref) {
    uint32_t *word = (uint32_t *)(void *)&g->grants[gref]; /* flags and domid */
    uint32_t seen = __atomic_load_n(word, __ATOMIC_ACQUIRE);
    if (seen & (GTF_reading | GTF_writing))
        return false;
    return __atomic_compare_exchange_n(word, &seen, 0, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

/* ---- xenstore ---- */

static bool read_fully(int fd, void *to, size_t size, int timeout_ms) {
    unsigned char *at = to;
    while (size > 0) {
        struct pollfd waiting = {.fd = fd, .events = POLLIN};
        int ready = poll(&waiting, 1, timeout_ms);
        if (ready == 0)
            die(EXIT_HUNG, "xenstore does not answer");
        ssize_t got = read(fd, at, size);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (got <= 0)
            return false;
        at += got;
        size -= (size_t)got;
    }
    return true;
}

/* ---- the xenstore page: docs/abi.md section 4 ---- */

/* A field of headers later than Xen 4.17. */
#define XENSTORE_EVTCHN_PORT_AT sizeof(struct xenstore_domain_interface)

static struct xenstore_domain_interface *store_page(const struct guest *g) {
    return page_at(g, g->store_gfn);
}

/* Leaves the connection of HELLO for the page. */
static void xs_use_page(struct guest *g) {
    uint32_t number;
    memcpy(&number, (char *)page_at(g, g->store_gfn) + XENSTORE_EVTCHN_PORT_AT, sizeof number);
    if (number == 0)
        die(EXIT_UNEXPECTED, "the driver domain serves no xenstore page");
    int status = port_open(g, &g->store_port, MSG_BIND_STATIC, number);
    if (status != 0)
        die(EXIT_UNEXPECTED, "EVTCHN_BIND_STATIC of port %u: %s", number, strerror(-status));
    g->req_prod = store_page(g)->req_prod;
    g->rsp_cons = store_page(g)->rsp_cons;
    g->over_page = true;
    close(g->store_fd);
    g->store_fd = -1;
}

static void store_page_sleep(struct guest *g, int timeout_ms, const char *what) {
    struct pollfd waiting[2] = {{.fd = g->store_port.wake, .events = POLLIN}, {.fd = g->attach_fd, .events = POLLIN}};
    if (store_page(g)->error != XENSTORE_ERROR_NONE)
        die(EXIT_UNEXPECTED, "the store has stopped serving the page: error %u", store_page(g)->error);
    if (poll(waiting, 2, timeout_ms) == 0)
        die(EXIT_HUNG, "waited too long for %s", what);
    if (waiting[1].revents != 0)
        die(EXIT_BACKEND_GONE, "the driver domain is gone");
    port_clear(&g->store_port);
}

/* How many bytes of the rsp ring are there to be read. */
static uint32_t store_page_readable(struct guest *g) {
    uint32_t queued = __atomic_load_n(&store_page(g)->rsp_prod, __ATOMIC_ACQUIRE) - g->rsp_cons;
    if (queued > XENSTORE_RING_SIZE)
        die(EXIT_MISMATCH, "rsp_prod is %u bytes ahead", queued);
    return queued;
}

static void store_page_write(struct guest *g, const void *from, size_t size) {
    struct xenstore_domain_interface *page = store_page(g);
    const char *at = from;
    while (size > 0) {
        uint32_t queued = g->req_prod - __atomic_load_n(&page->req_cons, __ATOMIC_ACQUIRE);
        if (queued > XENSTORE_RING_SIZE)
            die(EXIT_MISMATCH, "req_cons is %u bytes behind", queued);
        if (queued == XENSTORE_RING_SIZE) {
            store_page_sleep(g, 5000, "room in the req ring");
            continue;
        }
        for (; queued < XENSTORE_RING_SIZE && size > 0; queued++, size--)
            page->req[MASK_XENSTORE_IDX(g->req_prod++)] = *at++;
        __atomic_store_n(&page->req_prod, g->req_prod, __ATOMIC_RELEASE);
        port_kick(&g->store_port);
    }
}

static void store_page_read(struct guest *g, void *to, size_t size, int timeout_ms) {
    struct xenstore_domain_interface *page = store_page(g);
    char *at = to;
    while (size > 0) {
        uint32_t queued = store_page_readable(g);
        if (queued == 0) {
            store_page_sleep(g, timeout_ms, "an answer of xenstore");
            continue;
        }
        for (; queued > 0 && size > 0; queued--, size--)
            *at++ = page->rsp[MASK_XENSTORE_IDX(g->rsp_cons++)];
        __atomic_store_n(&page->rsp_cons, g->rsp_cons, __ATOMIC_RELEASE);
        port_kick(&g->store_port);
    }
}

static void xs_receive(struct guest *g, struct xsd_sockmsg *m, char *payload) {
    if (g->over_page) {
        store_page_read(g, m, sizeof *m, 5000);
        if (m->len > XENSTORE_PAYLOAD_MAX)
            die(EXIT_UNEXPECTED, "xenstore message of %u bytes", m->len);
        store_page_read(g, payload, m->len, 5000);
        payload[m->len] = 0;
        return;
    }
    if (!read_fully(g->store_fd, m, sizeof *m, 5000))
        die(EXIT_BACKEND_GONE, "xenstore connection closed");
    if (m->len > XENSTORE_PAYLOAD_MAX)
        die(EXIT_UNEXPECTED, "xenstore message of %u bytes", m->len);
    if (!read_fully(g->store_fd, payload, m->len, 5000))
        die(EXIT_BACKEND_GONE, "xenstore connection closed");
    payload[m->len] = 0;
}

/* One request. Returns true when it was done; `reply` (XENSTORE_PAYLOAD_MAX + 1 bytes) has the answer or the error's name. */
static bool xs_call(struct guest *g, uint32_t type, const char *payload, size_t length, char *reply) {
    struct xsd_sockmsg m = {type, ++g->xs_req, 0, (uint32_t)length};
    char packet[sizeof m + XENSTORE_PAYLOAD_MAX];
    memcpy(packet, &m, sizeof m);
    memcpy(packet + sizeof m, payload, length);
    if (g->over_page)
        store_page_write(g, packet, sizeof m + length);
    else if (send(g->store_fd, packet, sizeof m + length, MSG_NOSIGNAL) < 0)
        die(EXIT_BACKEND_GONE, "xenstore connection: %s", strerror(errno));
    for (;;) {
        xs_receive(g, &m, reply);
        if (m.type == XS_WATCH_EVENT) {
            g->watch_events++;
            continue;
        }
        if (m.req_id != g->xs_req)
            die(EXIT_UNEXPECTED, "xenstore answered request %u, not %u", m.req_id, g->xs_req);
        return m.type != XS_ERROR;
    }
}

static bool xs_get(struct guest *g, const char *path, char *reply) {
    return xs_call(g, XS_READ, path, strlen(path) + 1, reply);
}

static bool xs_put(struct guest *g, const char *path, const char *value) {
    char payload[XENSTORE_PAYLOAD_MAX], reply[XENSTORE_PAYLOAD_MAX + 1];
    size_t p = strlen(path) + 1, v = strlen(value);
    memcpy(payload, path, p);
    memcpy(payload + p, value, v);
    return xs_call(g, XS_WRITE, payload, p + v, reply);
}

static void xs_put_number(struct guest *g, const char *folder, const char *name, uint64_t value) {
    char path[512], text[32];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    snprintf(text, sizeof text, "%" PRIu64, value);
    if (!xs_put(g, path, text))
        die(EXIT_UNEXPECTED, "cannot write %s", path);
}

static uint64_t xs_get_number(struct guest *g, const char *folder, const char *name, uint64_t otherwise) {
    char path[512], reply[XENSTORE_PAYLOAD_MAX + 1];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return xs_get(g, path, reply) ? strtoull(reply, NULL, 10) : otherwise;
}

static void xs_watch(struct guest *g, const char *path) {
    char payload[600], reply[XENSTORE_PAYLOAD_MAX + 1];
    int n = snprintf(payload, sizeof payload, "%s%ctoken", path, 0) + 1;
    if (!xs_call(g, XS_WATCH, payload, (size_t)n, reply))
        die(EXIT_UNEXPECTED, "cannot watch %s: %s", path, reply);
}

/* Waits for a watch event, at most until `deadline`. */
static void xs_wait(struct guest *g, uint64_t deadline, const char *what) {
    struct xsd_sockmsg m;
    char payload[XENSTORE_PAYLOAD_MAX + 1];
    if (g->watch_events > 0) {
        g->watch_events = 0;
        return;
    }
    uint64_t now = now_ms();
    if (g->over_page) {
        while (store_page_readable(g) == 0) {
            now = now_ms();
            store_page_sleep(g, now >= deadline ? 0 : (int)(deadline - now), what);
        }
        xs_receive(g, &m, payload);
        return;
    }
    struct pollfd waiting = {.fd = g->store_fd, .events = POLLIN};
    if (now >= deadline || poll(&waiting, 1, (int)(deadline - now)) <= 0)
        die(EXIT_HUNG, "waited too long for %s", what);
    xs_receive(g, &m, payload);
}

/* ---- one vbd: docs/abi.md section 3 ---- */

struct vbd {
    struct guest *g;
    char front[128], back[256];
    blkif_front_ring_t ring;
    uint32_t ring_gfn, ring_grefs[16];
    unsigned ring_pages;
    struct port port;
    uint64_t sectors, sector_size, info;
    bool flush;
};

/* Waits until the backend's state is `wanted`. */
static void vbd_await(struct vbd *v, XenbusState wanted) {
    uint64_t deadline = now_ms() + 5000;
    char what[64];
    snprintf(what, sizeof what, "backend state %d", wanted);
    for (;;) {
        uint64_t state = xs_get_number(v->g, v->back, "state", XenbusStateUnknown);
        if (state == (uint64_t)wanted)
            return;
        if (wanted < XenbusStateClosing && (state == XenbusStateClosing))
            die(EXIT_UNEXPECTED, "backend is closing while we wait for %s", what);
        xs_wait(v->g, deadline, what);
    }
}

/* Finds the device that the toolstack made, and waits until its backend listens. */
static void vbd_find(struct vbd *v, struct guest *g, unsigned vdev) {
    char path[512], reply[XENSTORE_PAYLOAD_MAX + 1];
    uint64_t deadline = now_ms() + 5000;
    memset(v, 0, sizeof *v);
    v->g = g;
    snprintf(v->front, sizeof v->front, "/local/domain/%u/device/vbd/%u", g->domid, vdev);
    snprintf(path, sizeof path, "%s/backend", v->front);
    xs_watch(g, path);
    while (!xs_get(g, path, reply))
        xs_wait(g, deadline, "the device");
    if (strlen(reply) > sizeof v->back - 1)
        die(EXIT_UNEXPECTED, "backend path of %zu bytes", strlen(reply));
    memcpy(v->back, reply, strlen(reply) + 1);
    snprintf(path, sizeof path, "%s/state", v->back);
    xs_watch(g, path);
}

/* Grants the ring, publishes it and gets connected. */
static void vbd_connect(struct vbd *v, unsigned order) {
    struct guest *g = v->g;
    char name[32];
    vbd_await(v, XenbusStateInitWait);
    if (order > xs_get_number(g, v->back, "max-ring-page-order", 0))
        die(EXIT_UNEXPECTED, "backend offers no ring of order %u", order);
    if (v->ring_pages == 0) {
        v->ring_pages = 1u << order;
        v->ring_gfn = take_pages(g, v->ring_pages);
        for (unsigned i = 0; i < v->ring_pages; i++)
            v->ring_grefs[i] = grant_page(g, v->ring_gfn + i, false);
    }
    XEN_FRONT_RING_INIT(&v->ring, (blkif_sring_t *)page_at(g, v->ring_gfn), (size_t)v->ring_pages * PAGE);
    int status = port_alloc(g, &v->port);
    if (status != 0)
        die(EXIT_UNEXPECTED, "ALLOC_UNBOUND: %s", strerror(-status));
    if (order == 0) {
        xs_put_number(g, v->front, "ring-ref", v->ring_grefs[0]);
    } else {
        xs_put_number(g, v->front, "ring-page-order", order);
        for (unsigned i = 0; i < v->ring_pages; i++) {
            snprintf(name, sizeof name, "ring-ref%u", i);
            xs_put_number(g, v->front, name, v->ring_grefs[i]);
        }
    }
    xs_put_number(g, v->front, "event-channel", v->port.number);
    snprintf(name, sizeof name, "%s", XEN_IO_PROTO_ABI_X86_64);
    char path[256];
    snprintf(path, sizeof path, "%s/protocol", v->front);
    if (!xs_put(g, path, name))
        die(EXIT_UNEXPECTED, "cannot write %s", path);
    xs_put_number(g, v->front, "state", XenbusStateInitialised);
    vbd_await(v, XenbusStateConnected);
    v->sectors = xs_get_number(g, v->back, "sectors", 0);
    v->sector_size = xs_get_number(g, v->back, "sector-size", 0);
    v->info = xs_get_number(g, v->back, "info", 0);
    v->flush = xs_get_number(g, v->back, "feature-flush-cache", 0) == 1;
    xs_put_number(g, v->front, "state", XenbusStateConnected);
}

/* Publishes requests; kicks when the backend asked for it. Returns whether it kicked. */
static bool vbd_push(struct vbd *v) {
    int notify;
    RING_PUSH_REQUESTS_AND_CHECK_NOTIFY(&v->ring, notify);
    if (notify)
        port_kick(&v->port);
    return notify;
}

/* Polite close: Closing, backend answers, Closed; then nothing of ours may be held any more. */
static void vbd_close(struct vbd *v) {
    xs_put_number(v->g, v->front, "state", XenbusStateClosing);
    uint64_t deadline = now_ms() + 5000;
    uint64_t state;
    while ((state = xs_get_number(v->g, v->back, "state", XenbusStateClosed)) != XenbusStateClosed
           && state != XenbusStateClosing && state != XenbusStateInitWait)
        xs_wait(v->g, deadline, "the backend to close");
    xs_put_number(v->g, v->front, "state", XenbusStateClosed);
    while ((state = xs_get_number(v->g, v->back, "state", XenbusStateClosed)) != XenbusStateClosed
           && state != XenbusStateInitWait)
        xs_wait(v->g, deadline, "the backend to be closed");
    for (unsigned i = 0; i < v->ring_pages; i++) {
        if (!grant_end(v->g, v->ring_grefs[i]))
            die(EXIT_MISMATCH, "backend is closed and still holds ring page %u", i);
    }
    int status = port_close(v->g, &v->port);
    if (status != 0)
        die(EXIT_UNEXPECTED, "EVTCHN_CLOSE: %s", strerror(-status));
}

#endif
