package org.splitring.netback;

import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.splitring.bridge.JavaPort;
import org.splitring.bridge.LearningSwitch;
import org.splitring.bridge.PortCapabilities;
import org.splitring.bridge.PortSettings;
import org.splitring.bridge.SwitchSettings;
import org.splitring.bridge.VirtualNetwork;
import org.splitring.hypervisor.DeviceLoop;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.EventChannel;
import org.splitring.hypervisor.local.LocalGuestDomain;
import org.splitring.netfront.VifFrontend;
import org.splitring.netfront.VifFrontendDriver;
import org.splitring.netfront.VifFrontendOptions;
import org.splitring.ring.FrontRing;
import org.splitring.testkit.LastingNotes;
import org.splitring.testkit.MortalDriver;
import org.splitring.wire.NetifCtrlLayout;
import org.splitring.wire.NetifExtraLayout;
import org.splitring.wire.NetifRxLayout;
import org.splitring.wire.NetifStatus;
import org.splitring.wire.NetifTxLayout;
import org.splitring.xenbus.BackendOptions;
import org.splitring.xenbus.Timers;
import org.splitring.xenbus.device.BackendBus;
import org.splitring.xenbus.device.BackendContext;
import org.splitring.xenbus.device.BackendHost;
import org.splitring.xenbus.device.DeviceClasses;
import org.splitring.xenbus.device.DeviceNotes;
import org.splitring.xenbus.device.GrantedPages;
import org.splitring.xenbus.device.HostServices;
import org.splitring.xenbus.store.Store;
import org.splitring.xenbus.store.StoreException;

/// A guest with a vif that knows of one backend only, and processes with a network and the backend
/// that die one after the other, at any step. The guest keeps its rings full and its books exact:
/// every slot comes back once, with its id, and what is in a frame is what was sent. What it asks
/// for through the control ring is answered as if it had been asked once.
final class SimulatedVif {
    private static final int DOMID = 1;
    private static final int FRAME_SLOTS = 64; // pages of frames to send
    private static final int RX_PAGES = 64;
    private static final int RX_IDS = 500; // that of the first page: no number of a slot
    private static final int HEADER = 14;
    private static final int MORE = NetifTxLayout.MORE_DATA;

    final VifLab lab;
    int deaths;
    int sent;
    int arrived;
    int received;
    int lost;
    int asked;

    private final LastingNotes notes = new LastingNotes();
    private final LocalGuestDomain domain;
    private final Store guestStore;
    private final DeviceLoop guestLoop;
    private final List<Queue> queues = new ArrayList<>();
    private final Control asker;
    private int stepsToDeath;

    // Of the process of now.
    private MortalDriver process;
    private Store processStore;
    private BackendBus bus;
    private @Nullable JavaPort world;
    private int toArrive = -1; // number of a frame that is waited for
    private int worldSent;

    /// One queue of the guest.
    private final class Queue {
        final GrantedPages txPages;
        final GrantedPages rxPages;
        final GrantedPages data;
        final FrontRing tx;
        final FrontRing rx;
        final EventChannel txPort;
        final EventChannel rxPort;
        final boolean[] used = new boolean[FRAME_SLOTS]; // page, and id, of a tx slot
        final Deque<Integer> rxIds = new ArrayDeque<>(); // in the order of the slots
        final ByteBuffer frame = ByteBuffer.allocate(70_000);
        boolean inFrame;
        int extrasToCome;

        Queue(boolean split) throws Exception {
            txPages = GrantedPages.grant(domain, DomId.ZERO, 1, false);
            rxPages = GrantedPages.grant(domain, DomId.ZERO, 1, false);
            data = GrantedPages.grant(domain, DomId.ZERO, FRAME_SLOTS + RX_PAGES, false);
            tx = FrontRing.init(txPages.memory(), NetifTxLayout.ENTRY_SIZE_BYTES);
            rx = FrontRing.init(rxPages.memory(), NetifRxLayout.ENTRY_SIZE_BYTES);
            txPort = domain.eventChannels().allocUnbound(DomId.ZERO);
            rxPort = split ? domain.eventChannels().allocUnbound(DomId.ZERO) : txPort;
            txPort.listen(guestLoop, () -> event(txPort));
            if (split) {
                rxPort.listen(guestLoop, () -> event(rxPort));
            }
            for (int id = 0; id < RX_PAGES; id++) {
                offer(id);
            }
        }

        void event(EventChannel port) {
            boolean more = true;
            while (more) {
                takeTx();
                takeRx();
                boolean moreTx = tx.finalCheckForResponses();
                more = rx.finalCheckForResponses() || moreTx;
            }
            port.unmask();
        }

        void takeTx() {
            int count = tx.unconsumedResponses();
            for (int i = 0; i < count; i++) {
                int response =
                        NetifTxLayout.readResponse(
                                tx.segment(), tx.slotOffset(tx.consumeResponseIndex()));
                int status = NetifTxLayout.responseStatusOf(response);
                if (status == NetifStatus.NULL) {
                    continue; // of an extra
                }
                int id = NetifTxLayout.responseIdOf(response);
                check(status == NetifStatus.OKAY, "tx status " + status);
                check(id < FRAME_SLOTS && used[id], "tx id " + id + " is answered twice");
                used[id] = false;
            }
        }

        void offer(int id) {
            long slot = rx.slotOffset(rx.takeRequestIndex());
            int gref = data.gref(FRAME_SLOTS + id);
            NetifRxLayout.writeRequest(rx.segment(), slot, RX_IDS + id, gref);
            rxIds.add(id);
        }

        void takeRx() {
            int count = rx.unconsumedResponses();
            List<Integer> again = new ArrayList<>();
            for (int i = 0; i < count; i++) {
                long slot = rx.slotOffset(rx.consumeResponseIndex());
                long response = NetifRxLayout.readSlot(rx.segment(), slot);
                int id = rxIds.remove();
                again.add(id);
                check(extrasToCome == 0, "extras were not asked for");
                check(NetifRxLayout.idOf(response) == RX_IDS + id, "rx id of another slot");
                int status = NetifRxLayout.statusOf(response);
                if (status < 0) {
                    check(!inFrame, "an error in a frame");
                    lost++;
                    continue;
                }
                byte[] piece = new byte[status];
                MemorySegment.copy(
                        data.memory(),
                        ValueLayout.JAVA_BYTE,
                        (FRAME_SLOTS + id) * 4096L + NetifRxLayout.offsetOf(response),
                        piece,
                        0,
                        status);
                frame.put(piece);
                inFrame = (NetifRxLayout.flagsOf(response) & NetifRxLayout.MORE_DATA) != 0;
                if (!inFrame) {
                    checkFrame(frame.flip());
                    received++;
                    frame.clear();
                }
            }
            again.forEach(this::offer);
            if (rx.pushRequestsAndCheckNotify()) {
                rxPort.send();
            }
        }

        /// Puts a frame on the ring, in one page or several, with an extra perhaps.
        void send() {
            int pieces = 1 + lab.sim.choose(lab.sim.choose(3) == 0 ? 4 : 1);
            boolean extra = lab.sim.choose(4) == 0;
            List<Integer> ids = new ArrayList<>();
            for (int id = 0; id < FRAME_SLOTS && ids.size() < pieces; id++) {
                if (!used[id]) {
                    ids.add(id);
                }
            }
            if (ids.size() < pieces || tx.freeRequests() < pieces + 1) {
                return;
            }
            int pieceBytes = 60 + lab.sim.choose(300);
            byte[] bytes = frame(sent++, pieces * pieceBytes, Packets.mac(99), Packets.mac(DOMID));
            for (int i = 0; i < pieces; i++) {
                int id = ids.get(i);
                used[id] = true;
                MemorySegment.copy(
                        bytes,
                        i * pieceBytes,
                        data.memory(),
                        ValueLayout.JAVA_BYTE,
                        id * 4096L,
                        pieceBytes);
                int flags = i < pieces - 1 ? MORE : 0;
                NetifTxLayout.writeRequest(
                        tx.segment(),
                        tx.slotOffset(tx.takeRequestIndex()),
                        data.gref(id),
                        0,
                        i == 0 && extra ? flags | NetifTxLayout.EXTRA_INFO : flags,
                        id,
                        i == 0 ? bytes.length : pieceBytes);
                if (i == 0 && extra) {
                    long slot = tx.slotOffset(tx.takeRequestIndex());
                    NetifExtraLayout.writeHash(tx.segment(), slot, 0, 0, 1, sent);
                }
            }
            if (tx.pushRequestsAndCheckNotify()) {
                txPort.send();
            }
        }

        boolean isQuiet() {
            return tx.outstandingRequests() == 0;
        }

        void close() {
            txPort.close();
            rxPort.close();
            txPages.close();
            rxPages.close();
            data.close();
        }
    }

    /// The guest's end of the control ring, which asks several things at a time. What an answer
    /// says depends on all that was asked before.
    private final class Control {
        private static final int ZEROES = 0; // page of entries for mappings

        record Question(int id, int type, int status) {}

        final GrantedPages pages = GrantedPages.grant(domain, DomId.ZERO, 1, false);
        final GrantedPages data = GrantedPages.grant(domain, DomId.ZERO, 1, false);
        final FrontRing ring = FrontRing.init(pages.memory(), NetifCtrlLayout.ENTRY_SIZE_BYTES);
        final EventChannel port = domain.eventChannels().allocUnbound(DomId.ZERO);
        final Deque<Question> open = new ArrayDeque<>();
        int lastId;

        // When all that was asked is done.
        boolean hashes;
        int mappingSize;

        Control() throws Exception {
            port.listen(guestLoop, this::event);
        }

        void ask() {
            int count = Math.min(1 + lab.sim.choose(4), ring.freeRequests());
            for (int i = 0; i < count; i++) {
                askOne();
            }
            if (ring.pushRequestsAndCheckNotify()) {
                port.send();
            }
        }

        private void askOne() {
            switch (lab.sim.choose(5)) {
                case 0 -> {
                    int algorithm = lab.sim.choose(3);
                    hashes = algorithm < 2 ? algorithm == 1 : hashes;
                    put(NetifCtrlLayout.TYPE_SET_HASH_ALGORITHM, algorithm < 2, algorithm, 0, 0);
                }
                case 1 -> {
                    int types = lab.sim.choose(20);
                    put(NetifCtrlLayout.TYPE_SET_HASH_FLAGS, hashes && types < 16, types, 0, 0);
                }
                case 2 -> {
                    int size = lab.sim.choose(140);
                    mappingSize = size <= 128 ? size : mappingSize;
                    put(NetifCtrlLayout.TYPE_SET_HASH_MAPPING_SIZE, size <= 128, size, 0, 0);
                }
                case 3 -> {
                    int size = lab.sim.choose(128);
                    int from = lab.sim.choose(128);
                    put(
                            NetifCtrlLayout.TYPE_SET_HASH_MAPPING,
                            from + size <= mappingSize,
                            data.gref(ZEROES),
                            size,
                            from);
                }
                default -> put(NetifCtrlLayout.TYPE_GET_HASH_FLAGS, true, 0, 0, 0);
            }
        }

        private void put(int type, boolean succeeds, int first, int second, int third) {
            int id = ++lastId & 0xFFFF;
            long slot = ring.slotOffset(ring.takeRequestIndex());
            NetifCtrlLayout.writeRequest(ring.segment(), slot, id, type, first, second, third);
            int status =
                    succeeds
                            ? NetifCtrlLayout.STATUS_SUCCESS
                            : NetifCtrlLayout.STATUS_INVALID_PARAMETER;
            open.add(new Question(id, type, status));
        }

        private void event() {
            do {
                for (int left = ring.unconsumedResponses(); left > 0; left--) {
                    long slot = ring.slotOffset(ring.consumeResponseIndex());
                    int id = NetifCtrlLayout.responseId(ring.segment(), slot);
                    int type = NetifCtrlLayout.responseType(ring.segment(), slot);
                    int status = NetifCtrlLayout.responseStatus(ring.segment(), slot);
                    Question answered = new Question(id, type, status);
                    Question first = open.remove();
                    check(answered.equals(first), answered + ", and not " + first);
                    asked++;
                }
            } while (ring.finalCheckForResponses());
            port.unmask();
        }

        void close() {
            port.close();
            pages.close();
            data.close();
        }
    }

    SimulatedVif(long seed) throws Exception {
        lab = new VifLab(seed);
        domain = lab.domain(DOMID);
        guestStore = lab.tree.connection(domain.id(), lab.control);
        guestLoop = lab.sim.loop("guest", 0);
        asker = new Control();
        lab.createVif(DOMID, Map.of());
        process = new MortalDriver(lab.driver, this::isLastStep);
        processStore = lab.tree.connection(DomId.ZERO, process.thread(lab.control));
        bus = start();
        lab.awaitBackend(DOMID, "2");
        publish();
        lab.awaitBackend(DOMID, "4");
        lab.settle();
    }

    private boolean isLastStep() {
        stepsToDeath--;
        return stepsToDeath == 0;
    }

    private void publish() throws Exception {
        int count = 1 + lab.sim.choose(2);
        boolean split = lab.sim.choose(2) == 0;
        for (int i = 0; i < count; i++) {
            queues.add(new Queue(split));
        }
        String folder = VifLab.paths(DOMID).frontend();
        guestStore.transaction(
                keys -> {
                    for (String key :
                            List.of("request-rx-copy", "feature-rx-notify", "feature-sg")) {
                        keys.write(folder + "/" + key, "1");
                    }
                    keys.write(folder + "/multi-queue-num-queues", Integer.toString(count));
                    keys.write(folder + "/ctrl-ring-ref", "" + asker.pages.gref(0));
                    keys.write(folder + "/event-channel-ctrl", "" + asker.port.port());
                    for (int i = 0; i < count; i++) {
                        Queue queue = queues.get(i);
                        String place = count == 1 ? folder : folder + "/queue-" + i;
                        keys.write(place + "/tx-ring-ref", Integer.toString(queue.txPages.gref(0)));
                        keys.write(place + "/rx-ring-ref", Integer.toString(queue.rxPages.gref(0)));
                        String name = split ? "/event-channel-tx" : "/event-channel";
                        keys.write(place + name, Integer.toString(queue.txPort.port()));
                        if (split) {
                            keys.write(
                                    place + "/event-channel-rx",
                                    Integer.toString(queue.rxPort.port()));
                        }
                    }
                    keys.write(folder + "/state", "4");
                });
    }

    /// A process with a network, a station in it, and the backends of the guest.
    private BackendBus start() throws StoreException {
        MortalDriver own = process;
        DeviceLoop loop = own.thread(lab.netLoop);
        DeviceLoop control = own.thread(lab.control);
        VirtualNetwork network =
                new VirtualNetwork(
                        "lab", loop, loop::nanoTime, new LearningSwitch(SwitchSettings.DEFAULT));
        loop.execute(
                () ->
                        world =
                                JavaPort.attach(
                                        network,
                                        PortSettings.of("world"),
                                        PortCapabilities.plain(9000),
                                        (bytes, checksum) -> {
                                            if (own.isDead()) {
                                                return;
                                            }
                                            ByteBuffer frame = ByteBuffer.wrap(bytes);
                                            int number = frame.getInt(HEADER);
                                            checkFrame(frame);
                                            arrived++;
                                            if (number == toArrive) {
                                                toArrive = -1;
                                            }
                                        }));
        VifBackendDriver driver =
                new VifBackendDriver(
                        context -> new VifPlace(network, loop, PortSettings.of("vif1.0"), 9000),
                        VifBackendOptions.DEFAULT) {
                    @Override
                    VifDevice device(BackendContext context, VifPlace place) {
                        return new VifDevice(
                                context.domain(),
                                context.paths(),
                                place,
                                VifBackendOptions.DEFAULT,
                                context.service(DeviceNotes.class).orElseThrow(),
                                (memory, entries, size) ->
                                        new MortalNote(memory, entries, size, own));
                    }
                };
        return BackendBus.open(
                new BackendHost(
                        own,
                        processStore,
                        () -> loop,
                        control,
                        Timers.of(control),
                        new SimpleMeterRegistry(),
                        HostServices.NONE.with(DeviceNotes.class, notes)),
                domain.id(),
                DeviceClasses.of(
                        driver,
                        new VifFrontendDriver((c, o) -> noFrontends(), VifFrontendOptions.DEFAULT)),
                BackendOptions.DEFAULT);
    }

    private static VifFrontend noFrontends() {
        throw new AssertionError("no frontends here");
    }

    /// @throws AssertionError with the seed
    void run() throws Exception {
        int rounds = 3 + lab.sim.choose(12);
        for (int round = 0; round < rounds; round++) {
            stepsToDeath = lab.sim.choose(4) == 0 ? 0 : 1 + lab.sim.choose(60);
            int steps = 50 + lab.sim.choose(400);
            for (int i = 0; i < steps && !process.isDead(); i++) {
                disturb();
                lab.sim.step();
            }
            succeed();
        }
        stepsToDeath = 0;
        bothWaysWork();
        for (Queue queue : queues) {
            lab.until("every tx slot is answered", queue::isQuiet);
            check(queue.rxIds.size() == RX_PAGES, "rx slots were lost");
            for (boolean used : queue.used) {
                check(!used, "a tx slot was never answered");
            }
        }
        lab.until("every question is answered", asker.open::isEmpty);
        check(lab.backendState(DOMID).equals("4"), "state");
        end();
    }

    private void disturb() {
        if (lab.sim.choose(10) == 0) {
            guestLoop.execute(asker::ask);
        }
        if (lab.sim.choose(3) == 0) {
            Queue queue = queues.get(lab.sim.choose(queues.size()));
            guestLoop.execute(queue::send);
        }
        if (lab.sim.choose(3) == 0) {
            process.thread(lab.netLoop).execute(this::sendToGuest);
        }
    }

    private void sendToGuest() {
        JavaPort port = world;
        if (port != null) {
            int size = 60 + lab.sim.choose(lab.sim.choose(3) == 0 ? 8000 : 300);
            var ignored = port.send(frame(worldSent++, size, Packets.mac(DOMID), Packets.mac(99)));
        }
    }

    private void succeed() throws Exception {
        deaths++;
        process.kill();
        processStore.close();
        world = null;
        stepsToDeath = 0;
        process = new MortalDriver(lab.driver, this::isLastStep);
        processStore = lab.tree.connection(DomId.ZERO, process.thread(lab.control));
        bus = start();
        if (lab.sim.choose(4) == 0) {
            stepsToDeath = 1 + lab.sim.choose(4); // dies young
        }
    }

    /// A frame each way arrives, with no more help than a network's user gives: it is sent again.
    private void bothWaysWork() {
        for (Queue queue : queues) {
            int before = sent;
            toArrive = before;
            lab.until(
                    "room to send",
                    () -> {
                        guestLoop.execute(queue::send);
                        return sent > before;
                    });
            lab.until("the last frame arrives", () -> toArrive == -1);
        }
        int before = received;
        process.thread(lab.netLoop).execute(this::sendToGuest);
        lab.until("the guest receives", () -> received > before);
        lab.settle();
    }

    private void end() throws Exception {
        var closing = bus.guestGone();
        lab.until("the backend ends", closing::isDone);
        check(notes.isEmpty(), "a note is left");
        check(lab.hypervisor.mappedTotal() == 0, "still mapped");
        queues.forEach(Queue::close);
        asker.close();
        lab.close();
    }

    private static byte[] frame(int number, int sizeBytes, byte[] to, byte[] from) {
        ByteBuffer frame = ByteBuffer.allocate(sizeBytes);
        frame.put(to).put(from).putShort((short) 0x88B5).putInt(number);
        while (frame.hasRemaining()) {
            frame.put((byte) (number * 31 + frame.position()));
        }
        return frame.array();
    }

    private void checkFrame(ByteBuffer frame) {
        int number = frame.getInt(HEADER);
        for (int at = HEADER + 4; at < frame.limit(); at++) {
            check(frame.get(at) == (byte) (number * 31 + at), "byte " + at + " of a frame");
        }
    }

    private void check(boolean holds, String what) {
        if (!holds) {
            throw new AssertionError("seed " + lab.sim.seed() + ": " + what);
        }
    }
}
