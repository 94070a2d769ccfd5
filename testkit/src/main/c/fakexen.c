/*
 * Lets Debian's xenstored run without Xen: loaded with LD_PRELOAD, it answers for the few functions of
 * libxenctrl, libxenevtchn and libxengnttab that the daemon calls.
 *
 * Everything of a domain is in the folder FAKEXEN_DIR:
 *
 *   ring.N   4096 bytes: the xenstore page of domain N. The domain exists while the file does.
 *   events   a FIFO: four bytes, little-endian, are a port of the daemon that has become pending.
 *            Domain N, introduced with any port, has port 100 + N here; port 1 says that a domain died.
 *
 * Nobody is notified by the daemon: who plays a guest looks at the indices of its page.
 *
 * FAKEXEN_SPEED is by how much the daemon's clock runs faster: its limit on the rate of a guest's writes
 * would otherwise make the comparison wait.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <xenctrl.h>
#include <xenevtchn.h>
#include <xengnttab.h>

#define PAGE 4096
#define DEATH_PORT 1
#define FIRST_PORT 100

static int events = -1;
static char anything; /* what the handles point to */

static const char *in_folder(char *path, const char *name, unsigned int number)
{
    const char *folder = getenv("FAKEXEN_DIR");
    snprintf(path, PATH_MAX, name[0] == 'r' ? "%s/%s.%u" : "%s/%s", folder ? folder : ".", name, number);
    return path;
}

static long speed(void)
{
    static long known;
    if (!known) {
        const char *given = getenv("FAKEXEN_SPEED");
        known = given ? atol(given) : 1;
        if (known < 1)
            known = 1;
    }
    return known;
}

/* Control interface. */

xc_interface *xc_interface_open(xentoollog_logger *logger, xentoollog_logger *domain_logger, unsigned flags)
{
    (void)logger, (void)domain_logger, (void)flags;
    return (xc_interface *)&anything;
}

int xc_interface_close(xc_interface *xch)
{
    (void)xch;
    return 0;
}

int xc_domain_getinfo(xc_interface *xch, uint32_t first, unsigned int max, xc_dominfo_t *info)
{
    char path[PATH_MAX];
    (void)xch;
    if (max < 1 || access(in_folder(path, "ring", first), F_OK) != 0)
        return 0;
    memset(info, 0, sizeof *info);
    info->domid = first;
    info->running = 1;
    return 1;
}

/* Grants: only that of the xenstore page is ever asked for. */

xengnttab_handle *xengnttab_open(xentoollog_logger *logger, unsigned flags)
{
    (void)logger, (void)flags;
    return (xengnttab_handle *)&anything;
}

int xengnttab_close(xengnttab_handle *handle)
{
    (void)handle;
    return 0;
}

int xengnttab_set_max_grants(xengnttab_handle *handle, uint32_t grants)
{
    (void)handle, (void)grants;
    return 0;
}

void *xengnttab_map_grant_ref(xengnttab_handle *handle, uint32_t domid, uint32_t gref, int prot)
{
    char path[PATH_MAX];
    int fd = syscall(SYS_openat, AT_FDCWD, in_folder(path, "ring", domid), O_RDWR | O_CLOEXEC, 0);
    (void)handle, (void)gref;
    if (fd < 0)
        return NULL;
    void *page = mmap(NULL, PAGE, prot, MAP_SHARED, fd, 0);
    close(fd);
    return page == MAP_FAILED ? NULL : page;
}

int xengnttab_unmap(xengnttab_handle *handle, void *start, uint32_t count)
{
    (void)handle;
    return munmap(start, (size_t)count * PAGE);
}

/* Event channels. */

xenevtchn_handle *xenevtchn_open(xentoollog_logger *logger, unsigned int flags)
{
    char path[PATH_MAX];
    (void)logger, (void)flags;
    in_folder(path, "events", 0);
    if (mkfifo(path, 0600) != 0 && errno != EEXIST)
        return NULL;
    events = syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_NONBLOCK | O_CLOEXEC, 0);
    return events < 0 ? NULL : (xenevtchn_handle *)&anything;
}

xenevtchn_handle *xenevtchn_fdopen(xentoollog_logger *logger, int fd, unsigned open_flags)
{
    (void)fd;
    return xenevtchn_open(logger, open_flags);
}

int xenevtchn_close(xenevtchn_handle *handle)
{
    (void)handle;
    return close(events);
}

int xenevtchn_fd(xenevtchn_handle *handle)
{
    (void)handle;
    return events;
}

int xenevtchn_notify(xenevtchn_handle *handle, evtchn_port_t port)
{
    (void)handle, (void)port;
    return 0;
}

xenevtchn_port_or_error_t
xenevtchn_bind_interdomain(xenevtchn_handle *handle, uint32_t domid, evtchn_port_t remote_port)
{
    (void)handle, (void)remote_port;
    return FIRST_PORT + domid;
}

xenevtchn_port_or_error_t xenevtchn_bind_virq(xenevtchn_handle *handle, unsigned int virq)
{
    (void)handle, (void)virq;
    return DEATH_PORT;
}

int xenevtchn_unbind(xenevtchn_handle *handle, evtchn_port_t port)
{
    (void)handle, (void)port;
    return 0;
}

xenevtchn_port_or_error_t xenevtchn_pending(xenevtchn_handle *handle)
{
    evtchn_port_t port;
    (void)handle;
    return read(events, &port, sizeof port) == sizeof port ? (int)port : -1;
}

int xenevtchn_unmask(xenevtchn_handle *handle, evtchn_port_t port)
{
    (void)handle, (void)port;
    return 0;
}

/* Files of a kernel that knows Xen: domain 0's own page and port. */

int open(const char *path, int flags, ...)
{
    char ours[PATH_MAX];
    va_list more;
    va_start(more, flags);
    mode_t mode = (flags & O_CREAT) ? va_arg(more, mode_t) : 0;
    va_end(more);
    if (strcmp(path, "/proc/xen/xsd_kva") == 0)
        path = in_folder(ours, "ring", 0);
    else if (strcmp(path, "/proc/xen/xsd_port") == 0)
        path = in_folder(ours, "port", 0);
    return syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

/* The clock, and waits by it. */

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int result = syscall(SYS_clock_gettime, clock, now);
    if (result == 0 && speed() > 1) {
        __int128 nanos = ((__int128)now->tv_sec * 1000000000 + now->tv_nsec) * speed();
        now->tv_sec = (time_t)(nanos / 1000000000);
        now->tv_nsec = (long)(nanos % 1000000000);
    }
    return result;
}

int poll(struct pollfd *fds, nfds_t count, int timeout_millis)
{
    struct timespec wait;
    long long nanos = (long long)timeout_millis * 1000000 / speed();
    wait.tv_sec = nanos / 1000000000;
    wait.tv_nsec = nanos % 1000000000;
    return syscall(SYS_ppoll, fds, count, timeout_millis < 0 ? NULL : &wait, NULL, 0);
}
