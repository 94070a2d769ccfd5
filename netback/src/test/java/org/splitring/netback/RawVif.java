package org.splitring.netback;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.EventChannel;
import org.splitring.hypervisor.local.LocalGuestDomain;
import org.splitring.testkit.HostileFrontend;
import org.splitring.xenbus.device.BackendBus;
import org.splitring.xenbus.device.GrantedPages;
import org.splitring.xenbus.store.Store;

/// A frontend of a vif without a driver: it grants rings and pages and publishes them as a guest's
/// own software would, and then does what a test wants. Slots are written byte by byte, since a
/// double that shares the layouts of what it tests would share its mistakes.
final class RawVif implements AutoCloseable {
    static final int TX_ENTRY = 12;
    static final int RX_ENTRY = 8;
    static final int CSUM_BLANK = 1;
    static final int DATA_VALIDATED = 2;
    static final int MORE_DATA = 4;
    static final int EXTRA_INFO = 8;

    final VifLab lab;
    final int domid;
    final LocalGuestDomain domain;
    final Store store;
    final GrantedPages txRing;
    final GrantedPages rxRing;
    final GrantedPages ctrlRing;
    final GrantedPages data; // 32 pages that the backend may use
    final EventChannel txPort;
    final EventChannel rxPort;
    final EventChannel ctrlPort;
    HostileFrontend tx;
    HostileFrontend rx;
    final HostileFrontend ctrl;
    final Map<String, String> keys = new LinkedHashMap<>();
    BackendBus backends;
    private int rxPosted;
    private int asked;

    RawVif(VifLab lab, int domid) throws Exception {
        this.lab = lab;
        this.domid = domid;
        domain = lab.domain(domid);
        store = lab.tree.connection(domain.id(), lab.control);
        txRing = GrantedPages.grant(domain, DomId.ZERO, 1, false);
        rxRing = GrantedPages.grant(domain, DomId.ZERO, 1, false);
        ctrlRing = GrantedPages.grant(domain, DomId.ZERO, 1, false);
        data = GrantedPages.grant(domain, DomId.ZERO, 32, false);
        txPort = domain.eventChannels().allocUnbound(DomId.ZERO);
        rxPort = domain.eventChannels().allocUnbound(DomId.ZERO);
        ctrlPort = domain.eventChannels().allocUnbound(DomId.ZERO);
        int index = 0;
        tx = new HostileFrontend(txRing.memory(), TX_ENTRY, txPort, index);
        rx = new HostileFrontend(rxRing.memory(), RX_ENTRY, rxPort, index);
        ctrl = new HostileFrontend(ctrlRing.memory(), 16, ctrlPort, index);
        tx.initialiseAt(index);
        rx.initialiseAt(index);
        ctrl.initialiseAt(index);
        keys.put("tx-ring-ref", Integer.toString(txRing.gref(0)));
        keys.put("rx-ring-ref", Integer.toString(rxRing.gref(0)));
        keys.put("event-channel-tx", Integer.toString(txPort.port()));
        keys.put("event-channel-rx", Integer.toString(rxPort.port()));
        keys.put("request-rx-copy", "1");
        keys.put("feature-rx-notify", "1");
        keys.put("feature-sg", "1");
        keys.put("feature-gso-tcpv4", "1");
        keys.put("feature-gso-tcpv6", "1");
        keys.put("feature-ipv6-csum-offload", "1");
        backends = lab.backends(domid);
        lab.createVif(domid, Map.of());
        lab.awaitBackend(domid, "2");
    }

    /// Announces the control ring too.
    RawVif withControlRing() {
        keys.put("ctrl-ring-ref", Integer.toString(ctrlRing.gref(0)));
        keys.put("event-channel-ctrl", Integer.toString(ctrlPort.port()));
        return this;
    }

    /// Announces one event channel for both rings.
    RawVif withOneEventChannel() {
        keys.remove("event-channel-tx");
        keys.remove("event-channel-rx");
        keys.put("event-channel", Integer.toString(txPort.port()));
        rx = new HostileFrontend(rxRing.memory(), RX_ENTRY, txPort, 0);
        return this;
    }

    /// Writes its keys and state 4, as Linux's netfront does.
    RawVif publish() throws Exception {
        return publish("4");
    }

    /// Writes its keys and a state, together.
    RawVif publish(String state) throws Exception {
        String folder = VifLab.paths(domid).frontend();
        store.transaction(
                transaction -> {
                    for (Map.Entry<String, String> key : keys.entrySet()) {
                        transaction.write(folder + "/" + key.getKey(), key.getValue());
                    }
                    transaction.write(folder + "/state", state);
                });
        return this;
    }

    RawVif connect() throws Exception {
        publish();
        lab.awaitBackend(domid, "4");
        lab.settle();
        return this;
    }

    /// Rings as at the start, for another connection.
    void restart() {
        tx = new HostileFrontend(txRing.memory(), TX_ENTRY, txPort, 0);
        rx = new HostileFrontend(rxRing.memory(), RX_ENTRY, rxPort, 0);
        tx.initialiseAt(0);
        rx.initialiseAt(0);
    }

    void state(String state) throws Exception {
        store.write(VifLab.paths(domid).frontend() + "/state", state);
    }

    /// A slot of the tx ring.
    static MemorySegment txSlot(int gref, int offset, int flags, int id, int size) {
        MemorySegment slot = Arena.ofAuto().allocate(TX_ENTRY, 4);
        slot.set(ValueLayout.JAVA_INT, 0, gref);
        slot.set(ValueLayout.JAVA_SHORT, 4, (short) offset);
        slot.set(ValueLayout.JAVA_SHORT, 6, (short) flags);
        slot.set(ValueLayout.JAVA_SHORT, 8, (short) id);
        slot.set(ValueLayout.JAVA_SHORT, 10, (short) size);
        return slot;
    }

    /// An extra: type, flags, and six bytes.
    static MemorySegment extra(int type, int flags, int... six) {
        MemorySegment slot = Arena.ofAuto().allocate(TX_ENTRY, 4);
        slot.set(ValueLayout.JAVA_BYTE, 0, (byte) type);
        slot.set(ValueLayout.JAVA_BYTE, 1, (byte) flags);
        for (int i = 0; i < six.length; i++) {
            slot.set(ValueLayout.JAVA_BYTE, 2 + i, (byte) six[i]);
        }
        return slot;
    }

    static MemorySegment gsoExtra(int gsoType, int size) {
        return extra(1, 0, size & 0xFF, size >>> 8, gsoType, 0, 0, 0);
    }

    /// Puts a frame into the first data pages, cut as `pieces` says, and publishes its slots.
    ///
    /// @param extras between the first slot and the others
    void send(byte[] frame, int flags, List<MemorySegment> extras, int... pieces) {
        List<MemorySegment> slots = slots(frame, flags, extras, pieces);
        for (MemorySegment slot : slots) {
            tx.publish(slot);
        }
        tx.kick(1);
    }

    List<MemorySegment> slots(byte[] frame, int flags, List<MemorySegment> extras, int... pieces) {
        List<MemorySegment> slots = new ArrayList<>();
        int at = 0;
        for (int i = 0; i < pieces.length; i++) {
            int offset = (i * 17) % 64;
            MemorySegment.copy(
                    MemorySegment.ofArray(frame), at, data.memory(), i * 4096L + offset, pieces[i]);
            int more = i < pieces.length - 1 ? MORE_DATA : 0;
            if (i == 0) {
                int first = flags | more | (extras.isEmpty() ? 0 : EXTRA_INFO);
                slots.add(txSlot(data.gref(i), offset, first, 100, frame.length));
                slots.addAll(extras);
            } else {
                slots.add(txSlot(data.gref(i), offset, more, 100 + i, pieces[i]));
            }
            at += pieces[i];
        }
        return slots;
    }

    void send(byte[] frame) {
        send(frame, 0, List.of(), frame.length);
    }

    /// Waits until so many tx slots are answered in all.
    void awaitTx(int count) {
        lab.until("tx response " + count + ", " + tx.rspProd(), () -> tx.rspProd() == count);
    }

    int txStatus(int index) {
        return tx.slot(index).get(ValueLayout.JAVA_SHORT, 2);
    }

    int txId(int index) {
        return tx.slot(index).get(ValueLayout.JAVA_SHORT, 0) & 0xFFFF;
    }

    /// Offers pages of the upper half for frames.
    void offerRx(int count) {
        publishRx(count);
        rx.kick(1);
    }

    /// The same, with an event only where the backend has asked for one.
    ///
    /// @return whether it had
    boolean offerRxAsAsked(int count) {
        int before = rxPosted;
        publishRx(count);
        int reqEvent = rxRing.memory().get(ValueLayout.JAVA_INT, 4);
        boolean asked = rxPosted - reqEvent >= 0 && reqEvent - before > 0;
        if (asked) {
            rx.kick(1);
        }
        return asked;
    }

    private void publishRx(int count) {
        for (int i = 0; i < count; i++) {
            MemorySegment slot = Arena.ofAuto().allocate(RX_ENTRY, 8);
            slot.set(ValueLayout.JAVA_SHORT, 0, (short) rxPosted);
            slot.set(ValueLayout.JAVA_INT, 4, data.gref(16 + rxPosted % 16));
            rx.publish(slot);
            rxPosted++;
        }
    }

    void awaitRx(int count) {
        lab.until("rx response " + count + ", " + rx.rspProd(), () -> rx.rspProd() == count);
    }

    int rxField(int index, int byteOffset) {
        return rx.slot(index).get(ValueLayout.JAVA_SHORT, byteOffset);
    }

    int rxStatus(int index) {
        return rxField(index, 6);
    }

    int rxFlags(int index) {
        return rxField(index, 4);
    }

    /// The bytes of a frame of one slot.
    byte[] rxBytes(int index) {
        byte[] bytes = new byte[rxStatus(index)];
        MemorySegment.copy(
                data.memory(),
                (16 + index % 16) * 4096L + rxField(index, 2),
                MemorySegment.ofArray(bytes),
                0,
                bytes.length);
        return bytes;
    }

    /// Asks through the control ring.
    ///
    /// @return the status
    int ask(int type, int first, int second, int third) {
        question(type, first, second, third);
        return answer(type);
    }

    /// The first half of [#ask].
    void question(int type, int first, int second, int third) {
        MemorySegment slot = Arena.ofAuto().allocate(16, 4);
        slot.set(ValueLayout.JAVA_SHORT, 0, (short) (500 + asked));
        slot.set(ValueLayout.JAVA_SHORT, 2, (short) type);
        slot.set(ValueLayout.JAVA_INT, 4, first);
        slot.set(ValueLayout.JAVA_INT, 8, second);
        slot.set(ValueLayout.JAVA_INT, 12, third);
        ctrl.publishAndKick(slot);
        asked++;
    }

    /// The second half of [#ask].
    int answer(int type) {
        lab.until("answer " + asked, () -> ctrl.rspProd() == asked);
        MemorySegment answer = ctrl.slot(asked - 1);
        assertEquals(500 + asked - 1, answer.get(ValueLayout.JAVA_SHORT, 0));
        assertEquals((short) type, answer.get(ValueLayout.JAVA_SHORT, 2));
        return answer.get(ValueLayout.JAVA_INT, 4);
    }

    /// What the last answer has beside its status.
    int answeredData() {
        return ctrl.slot(asked - 1).get(ValueLayout.JAVA_INT, 8);
    }

    /// The backend has given up on this vif, with this message.
    void awaitFatal(String message) throws Exception {
        lab.awaitBackend(domid, "5");
        String error = lab.backendError(domid);
        if (!error.contains(message)) {
            throw new AssertionError("error \"" + error + "\", expected " + message);
        }
        state("6");
        lab.awaitBackend(domid, "6");
        lab.settle();
        int mapped = lab.hypervisor.mappedTotal();
        if (mapped != lab.mappedByOthers) {
            throw new AssertionError("still mapped: " + mapped);
        }
    }

    @Override
    public void close() {
        txPort.close();
        rxPort.close();
        ctrlPort.close();
        txRing.close();
        rxRing.close();
        ctrlRing.close();
        data.close();
    }
}
