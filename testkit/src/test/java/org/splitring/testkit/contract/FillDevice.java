package org.splitring.testkit.contract;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Consumer;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.EventChannelException;
import org.splitring.hypervisor.EventChannels;
import org.splitring.hypervisor.ForeignPages;
import org.splitring.hypervisor.GrantException;
import org.splitring.hypervisor.GrantStatus;
import org.splitring.hypervisor.GrantTable;
import org.splitring.hypervisor.GuestDomain;
import org.splitring.hypervisor.GuestMemory;
import org.splitring.hypervisor.PageAllocator;
import org.splitring.ring.SringLayout;
import org.splitring.xenbus.BackendHooks;
import org.splitring.xenbus.DevicePaths;
import org.splitring.xenbus.FrontendHooks;
import org.splitring.xenbus.HandshakeException;
import org.splitring.xenbus.Keys;
import org.splitring.xenbus.RingKeys;
import org.splitring.xenbus.device.BackendContext;
import org.splitring.xenbus.device.BackendDriver;
import org.splitring.xenbus.device.FrontendContext;
import org.splitring.xenbus.device.FrontendDriver;
import org.splitring.xenbus.device.RingAnswers;
import org.splitring.xenbus.device.RingBackend;
import org.splitring.xenbus.device.RingFrontend;
import org.splitring.xenbus.device.RingRequest;
import org.splitring.xenbus.device.RingShape;
import org.splitring.xenbus.store.StoreAccess;
import org.splitring.xenbus.store.StoreException;

/// A device that fills a page with a byte, as it should be and with faults that the contract must
/// find.
///
///     byte      0      4      8      12     16
///     request   | id   | gref | size | byte |       response  | id | status |
final class FillDevice {
    static final RingShape SHAPE = RingShape.of(16, 8);
    private static final ValueLayout.OfInt U32 = ValueLayout.JAVA_INT_UNALIGNED;
    private static final int PAGES = 4;
    private static final int MAX_BYTES = 4096;

    /// What is wrong with a backend.
    enum Fault {
        NONE,
        /// Maps the ring once more, and forgets it.
        LEAKS_A_MAPPING,
        LEAKS_A_THREAD,
        /// Never answers its tenth request.
        HANGS_ON_CLOSE,
        /// Checks the size, and reads it again from shared memory to use it.
        READS_THE_RING_TWICE,
        /// Does not say which key it cannot read.
        NAMES_NO_KEY,
        /// Closes when the guest has said so, and not before.
        WAITS_FOR_THE_GUEST,
        /// Refuses what was asked when its backend is lost.
        FORGETS_ITS_REQUESTS,
        /// Says nothing of what there will be no answer to.
        LEAVES_WORK_HANGING,
        /// Stands still, and its loop with it, over an answer that it does not understand.
        STOPS_ITS_LOOP,
        /// Uses pages again that its backend has mapped.
        GIVES_PAGES_BACK_AT_ONCE
    }

    private static final Set<Fault> OF_BACKENDS =
            EnumSet.range(Fault.LEAKS_A_MAPPING, Fault.WAITS_FOR_THE_GUEST);

    /// Longer than a test waits that expects a fault.
    private static final long STANDSTILL_NANOS = 8_000_000_000L;

    private FillDevice() {}

    record Backend(Fault fault) implements BackendDriver {
        @Override
        public String deviceClass() {
            return "fill";
        }

        @Override
        public BackendHooks create(BackendContext context) {
            Filling filling = new Filling(fault);
            RingBackend ring = new RingBackend(context, SHAPE, filling::fill);
            return OF_BACKENDS.contains(fault) ? new Faulty(context, ring, filling) : ring;
        }
    }

    /// What a request means.
    private static final class Filling {
        private final Fault fault;
        private final byte[] bytes = new byte[MAX_BYTES];
        private final AtomicInteger index = new AtomicInteger();
        volatile MemorySegment shared = MemorySegment.NULL;

        Filling(Fault fault) {
            this.fault = fault;
        }

        void fill(RingRequest request) {
            int number = index.getAndIncrement();
            int size = request.bytes().get(U32, 8);
            int status = -1;
            if (size >= 1 && size <= MAX_BYTES) {
                if (fault == Fault.READS_THE_RING_TWICE) {
                    LockSupport.parkNanos(500_000); // time for the guest to change it
                    size = sharedSize(number);
                }
                for (int i = 0; i < size; i++) {
                    bytes[i] = (byte) request.bytes().get(U32, 12);
                }
                MemorySegment from = MemorySegment.ofArray(bytes);
                int gref = request.bytes().get(U32, 4);
                status = request.copyTo(gref, 0, from, 0, size) == GrantStatus.OKAY ? size : -1;
            }
            request.response().set(U32, 0, request.bytes().get(U32, 0));
            request.response().set(U32, 4, status);
            if (fault != Fault.HANGS_ON_CLOSE || number != 9) {
                request.answer();
            }
        }

        private int sharedSize(int number) {
            int slot = number & (SHAPE.entries(1) - 1);
            return shared.get(U32, SringLayout.RING_OFFSET + 16L * slot + 8);
        }
    }

    /// Does what its fault is, around a good ring.
    private record Faulty(BackendContext context, RingBackend ring, Filling filling)
            implements BackendHooks {
        @Override
        public void offer(StoreAccess keys, String folder) throws StoreException {
            ring.offer(keys, folder);
        }

        @Override
        public BackendHooks.Connection connect(Keys frontend, Consumer<String> broken)
                throws StoreException, HandshakeException, GrantException, EventChannelException {
            boolean leaks = filling.fault == Fault.LEAKS_A_MAPPING;
            boolean peeks = filling.fault == Fault.READS_THE_RING_TWICE;
            ForeignPages pages = null;
            if (leaks || peeks) {
                RingKeys keys = RingKeys.read(frontend, 0);
                pages = context.domain().foreignPages(context.paths().frontendDomain(), 1);
                filling.shared = pages.mapContiguous(keys.grefArray());
            }
            if (filling.fault == Fault.LEAKS_A_THREAD) {
                Thread thread = new Thread(new CompletableFuture<Void>()::join, "leaked");
                thread.setDaemon(true);
                thread.start();
            }
            filling.index.set(0);
            BackendHooks.Connection connection;
            try {
                connection = ring.connect(frontend, broken);
            } catch (HandshakeException e) {
                throw filling.fault == Fault.NAMES_NO_KEY ? new HandshakeException("no") : e;
            }
            ForeignPages peeking = peeks ? pages : null;
            return (executor, closed) -> {
                if (filling.fault == Fault.WAITS_FOR_THE_GUEST && !hasLeft(frontend)) {
                    return; // and nobody asks again
                }
                connection.close(
                        executor,
                        () -> {
                            if (peeking != null) {
                                peeking.close();
                            }
                            closed.run();
                        });
            };
        }

        private static boolean hasLeft(Keys frontend) {
            try {
                return List.of("5", "6").contains(frontend.text("state").orElse("6"));
            } catch (StoreException e) {
                return true;
            }
        }

        @Override
        public void publish(StoreAccess keys, String folder) throws StoreException {
            ring.publish(keys, folder);
        }
    }

    record Frontend(Fault fault) implements FrontendDriver {
        @Override
        public String deviceClass() {
            return "fill";
        }

        @Override
        public FrontendHooks create(FrontendContext context) {
            return new Filler(context, fault);
        }
    }

    record Fill(int page, int value, CompletableFuture<Byte> first) {}

    /// The frontend: hooks, and what its users call.
    static final class Filler implements FrontendHooks, RingAnswers<Fill> {
        private final FrontendContext context;
        private final Fault fault;
        private final RingFrontend<Fill> ring;
        private final BlockingQueue<Integer> free = new ArrayBlockingQueue<>(PAGES);
        private final Set<CompletableFuture<Byte>> asked = ConcurrentHashMap.newKeySet();
        private boolean stood; // of the loop

        Filler(FrontendContext context, Fault fault) {
            this.context = context;
            this.fault = fault;
            ring = new RingFrontend<>(context, SHAPE, this, PAGES, PAGES);
            for (int page = 0; page < PAGES; page++) {
                free.add(page);
            }
        }

        /// Has a page filled, and looks at its last byte.
        void fill(int value) throws IOException, InterruptedException {
            Integer page = free.take();
            try {
                CompletableFuture<Byte> last = new CompletableFuture<>();
                asked.add(last);
                context.loop().execute(() -> ring.submit(new Fill(page, value, last)));
                if (last.get() != (byte) value) {
                    throw new AssertionError("filled with " + last.get() + ", not " + value);
                }
            } catch (ExecutionException e) {
                throw new IOException(e.getCause());
            } finally {
                asked.removeIf(CompletableFuture::isDone);
                free.add(page);
            }
        }

        @Override
        public FrontendHooks.Connection prepare(
                GuestDomain guest, DevicePaths paths, Keys backend, Consumer<String> broken)
                throws StoreException, HandshakeException, EventChannelException {
            GuestDomain used =
                    fault == Fault.GIVES_PAGES_BACK_AT_ONCE ? new Careless(guest) : guest;
            return ring.prepare(used, paths, backend, broken);
        }

        @Override
        public void lost(String reason) {
            if (fault == Fault.FORGETS_ITS_REQUESTS) {
                asked.forEach(last -> last.completeExceptionally(new IOException(reason)));
            }
        }

        @Override
        public void ended(String reason) {
            ring.ended(reason);
        }

        @Override
        public void write(Fill request, int id, MemorySegment slot) {
            slot.set(U32, 0, id);
            slot.set(U32, 4, ring.gref(request.page()));
            slot.set(U32, 8, MAX_BYTES);
            slot.set(U32, 12, request.value());
        }

        @Override
        public long id(MemorySegment response) {
            if (fault == Fault.STOPS_ITS_LOOP && !stood && response.get(U32, 4) != MAX_BYTES) {
                stood = true; // once is enough to be found
                LockSupport.parkNanos(STANDSTILL_NANOS);
            }
            return response.get(U32, 0);
        }

        @Override
        public void answered(Fill request, MemorySegment response) {
            if (response.get(U32, 4) != MAX_BYTES) {
                failed(request, "refused");
                return;
            }
            MemorySegment page = ring.page(request.page());
            request.first().complete(page.get(ValueLayout.JAVA_BYTE, MAX_BYTES - 1));
        }

        @Override
        public void failed(Fill request, String reason) {
            if (fault != Fault.LEAVES_WORK_HANGING) {
                request.first().completeExceptionally(new IOException(reason));
            }
        }
    }

    /// A guest whose pages are free as soon as their device has ended.
    private record Careless(GuestDomain guest) implements GuestDomain, GrantTable {
        @Override
        public DomId id() {
            return guest.id();
        }

        @Override
        public EventChannels eventChannels() {
            return guest.eventChannels();
        }

        @Override
        public GuestMemory memory() {
            return guest.memory();
        }

        @Override
        public PageAllocator pages() {
            return guest.pages();
        }

        @Override
        public GrantTable grants() {
            return this;
        }

        @Override
        public int claim() {
            return guest.grants().claim();
        }

        @Override
        public void unclaim(int gref) {
            guest.grants().unclaim(gref);
        }

        @Override
        public void grant(int gref, DomId backend, int gfn, boolean readOnly) {
            guest.grants().grant(gref, backend, gfn, readOnly);
        }

        @Override
        public boolean tryRevoke(int gref) {
            return guest.grants().tryRevoke(gref);
        }

        @Override
        public void quarantine(int gref, int gfn) {
            guest.pages().free(gfn, 1);
        }

        @Override
        public int retryQuarantined() {
            return 0;
        }

        @Override
        public int quarantinedCount() {
            return 0;
        }

        @Override
        public void close() {
            guest.close();
        }
    }

    /// The contract of this device with a fault, or without one.
    static class Contract extends DeviceContract {
        private final Fault fault;

        /// The other half, in a process of its own, has no fault.
        Contract() {
            this(Fault.NONE);
        }

        Contract(Fault fault) {
            this.fault = fault;
        }

        @Override
        protected BackendDriver backendDriver() {
            return new Backend(fault);
        }

        @Override
        protected FrontendDriver frontendDriver() {
            return new Frontend(fault);
        }

        @Override
        protected void work(Instance device) throws Exception {
            ((Filler) device.hooks()).fill(ThreadLocalRandom.current().nextInt());
        }

        @Override
        protected int entryBytes() {
            return SHAPE.entryBytes();
        }

        @Override
        protected void writeRequest(MemorySegment slot, int id, int gref) {
            slot.set(U32, 0, id);
            slot.set(U32, 4, gref);
            slot.set(U32, 8, MAX_BYTES);
        }
    }
}
