package org.splitring.xenbus.store;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.splitring.xenbus.store.WireTest.next;
import static org.splitring.xenbus.store.WireTest.show;

import io.netty.channel.embedded.EmbeddedChannel;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.splitring.hypervisor.DomId;

/// What no document says and random requests beside Xen's xenstored have shown
/// (`docs/notes/xenstored.md`), one sequence for each.
class XenstoredAgreementTest {
    private final StoreTree tree = new StoreTree();
    private final EmbeddedChannel control = channel(0);
    private final EmbeddedChannel guest = channel(7);

    private EmbeddedChannel channel(int domain) {
        return new EmbeddedChannel(new StoreWireServer(tree).handler(new DomId(domain)));
    }

    @BeforeEach
    void makeSharedFolder() {
        assertEquals("12 OK|", ask(control, 12, 0, "/shared\0"));
        assertEquals("14 OK|", ask(control, 14, 0, "/shared\0b0\0"));
    }

    @AfterEach
    void booksBalance() {
        control.finishAndReleaseAll();
        guest.finishAndReleaseAll();
        tree.checkBooks();
    }

    private static String ask(EmbeddedChannel channel, int type, int transaction, String payload) {
        return WireTest.ask(channel, type, transaction, payload);
    }

    @Test
    void aTransactionThatWasDeniedRightsDependsOnTheFolder() {
        assertEquals("11 OK|", ask(control, 11, 0, "/shared/a\0" + "1"));
        assertEquals("6 1|", ask(guest, 6, 0, "\0"));
        assertEquals("16 EACCES|", ask(guest, 14, 1, "/shared/a\0b7\0"));
        assertEquals("11 OK|", ask(control, 11, 0, "/shared/c\0" + "1")); // changes the list
        assertEquals("16 EAGAIN|", ask(guest, 7, 1, "T\0"));
    }

    @Test
    void nobodyHearsOfANodeMadeAndRemovedInOneTransaction() {
        assertEquals("4 OK|", ask(control, 4, 0, "/shared\0t\0"));
        assertEquals("15 /shared|t|", show(next(control)));
        assertEquals("6 1|", ask(guest, 6, 0, "\0"));
        assertEquals("11 OK|", ask(guest, 11, 1, "/shared/a/b\0" + "1"));
        assertEquals("13 OK|", ask(guest, 13, 1, "/shared/a\0"));
        assertEquals("11 OK|", ask(guest, 11, 1, "/shared/c\0" + "1"));
        assertEquals("7 OK|", ask(guest, 7, 1, "T\0"));
        assertEquals("15 /shared/c|t|", show(next(control)));
        assertNull(next(control));
    }
}
