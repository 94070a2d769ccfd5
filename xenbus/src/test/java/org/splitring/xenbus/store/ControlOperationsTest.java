package org.splitring.xenbus.store;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.splitring.xenbus.store.WireTest.next;
import static org.splitring.xenbus.store.WireTest.show;

import io.netty.channel.embedded.EmbeddedChannel;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.splitring.hypervisor.DomId;

/// What only domain 0 may ask, and watches on domains, over the wire.
class ControlOperationsTest {
    private static final DomId SEVEN = new DomId(7);
    private static final DomId EIGHT = new DomId(8);

    private final StoreTree tree = new StoreTree();
    private final EmbeddedChannel control = channel(DomId.ZERO);

    private EmbeddedChannel channel(DomId domain) {
        return new EmbeddedChannel(new StoreWireServer(tree).handler(domain));
    }

    @AfterEach
    void booksBalance() {
        control.finishAndReleaseAll();
        tree.checkBooks();
    }

    private String ask(int type, String payload) {
        return WireTest.ask(control, type, 0, payload);
    }

    private void introduce(int domain) {
        assertEquals("8 OK|", ask(8, domain + "\0" + "-1\0" + "3\0"));
    }

    @Test
    void domainsComeAndGo() {
        assertEquals("17 T|", ask(17, "0\0"));
        assertEquals("17 T|", ask(17, "32752\0"));
        assertEquals("17 F|", ask(17, "7\0"));
        for (String bad :
                new String[] {"7\0" + "1\0", "7\0" + "1\0" + "0\0", "x\0" + "1\0" + "1\0"}) {
            assertEquals("16 EINVAL|", ask(8, bad));
        }
        introduce(7);
        introduce(7); // again: a new event channel in Xen's world, nothing here
        assertEquals("17 T|", ask(17, "7\0"));
        assertEquals("18 OK|", ask(18, "7\0"));
        assertEquals("16 ENOENT|", ask(18, "8\0"));
        assertEquals("16 EINVAL|", ask(18, "0\0"));
        EmbeddedChannel guest = channel(SEVEN);
        assertEquals("9 OK|", ask(9, "7\0"));
        guest.runPendingTasks();
        assertFalse(guest.isOpen());
        assertEquals("16 ENOENT|", ask(9, "7\0"));
        assertEquals("16 EINVAL|", ask(9, "0\0"));
        guest.finishAndReleaseAll();
    }

    @Test
    void whatADeadDomainMightDoIsNoNewsToOthers() {
        introduce(7);
        assertEquals("11 OK|", ask(11, "/a/kept\0" + "1"));
        assertEquals("14 OK|", ask(14, "/a/kept\0n0\0r7\0"));
        assertEquals("11 OK|", ask(11, "/a/its\0" + "1"));
        assertEquals("14 OK|", ask(14, "/a/its\0n7\0"));
        assertEquals("4 OK|", ask(4, "/a\0t\0"));
        assertEquals("15 /a|t|", show(next(control)));
        assertEquals("9 OK|", ask(9, "7\0"));
        assertEquals("15 /a/its|t|", show(next(control)));
        assertNull(next(control));
        assertEquals("3 n0|", ask(3, "/a/kept\0"));
    }

    @Test
    void h106_aSpecialNameOfADeadDomainBecomesDomain0s() {
        introduce(7);
        EmbeddedChannel guest = channel(EIGHT);
        assertEquals("14 OK|", ask(14, "@releaseDomain\0n7\0r8\0"));
        assertEquals("9 OK|", ask(9, "7\0"));
        assertEquals(
                "16 EACCES|",
                WireTest.ask(guest, 14, 0, "@releaseDomain\0b8\0"),
                "being named next does not make it the owner");
        guest.finishAndReleaseAll();
    }

    @Test
    void watchesOnDomainsSayWhichOneWhenTheyHaveADepth() {
        assertEquals("4 OK|", ask(4, "@introduceDomain\0plain\0"));
        assertEquals("15 @introduceDomain|plain|", show(next(control)));
        assertEquals("4 OK|", ask(4, "@releaseDomain\0deep\0" + "1\0"));
        assertEquals("15 @releaseDomain|deep|", show(next(control)));
        assertEquals("4 OK|", ask(4, "@releaseDomain/8\0eight\0"));
        assertEquals("15 @releaseDomain/8|eight|", show(next(control)));
        introduce(7);
        assertEquals("15 @introduceDomain|plain|", show(next(control)));
        introduce(8);
        assertEquals("15 @introduceDomain|plain|", show(next(control)));
        assertEquals("9 OK|", ask(9, "7\0"));
        assertEquals("15 @releaseDomain/7|deep|", show(next(control)));
        assertNull(next(control));
        assertEquals("9 OK|", ask(9, "8\0"));
        String first = show(next(control));
        String second = show(next(control));
        assertTrue((first + second).contains("15 @releaseDomain/8|deep|"), first + second);
        assertTrue((first + second).contains("15 @releaseDomain/8|eight|"), first + second);
    }

    @Test
    void aGuestHearsOfDomainsWhenItMay() {
        EmbeddedChannel guest = channel(SEVEN);
        assertEquals("4 OK|", WireTest.ask(guest, 4, 0, "@releaseDomain\0t\0"));
        assertEquals("15 @releaseDomain|t|", show(next(guest)));
        assertEquals("16 EACCES|", WireTest.ask(guest, 14, 0, "@releaseDomain\0n7\0"));
        introduce(8);
        assertEquals("9 OK|", ask(9, "8\0"));
        assertNull(next(guest));
        assertEquals("14 OK|", ask(14, "@releaseDomain\0n0\0r7\0"));
        introduce(8);
        assertEquals("9 OK|", ask(9, "8\0"));
        assertEquals("15 @releaseDomain|t|", show(next(guest)));
        assertEquals("16 EINVAL|", ask(14, "@other\0n0\0"));
        guest.finishAndReleaseAll();
    }

    @Test
    void aWatchHearsOfNothingBelowItsDepth() {
        for (String depth : new String[] {"0", "1"}) {
            assertEquals("4 OK|", ask(4, "/a\0d" + depth + "\0" + depth + "\0"));
            assertEquals("15 /a|d" + depth + "|", show(next(control)));
        }
        assertEquals("16 EINVAL|", ask(4, "/a\0t\0x\0"));
        assertEquals("11 OK|", ask(11, "/a/b/c\0" + "1"));
        assertNull(next(control));
        assertEquals("11 OK|", ask(11, "/a/b\0" + "1"));
        assertEquals("15 /a/b|d1|", show(next(control)));
        assertEquals("11 OK|", ask(11, "/a\0" + "1"));
        assertEquals("15 /a|d0|", show(next(control)));
        assertEquals("15 /a|d1|", show(next(control)));
        assertEquals("13 OK|", ask(13, "/a/b/c\0"));
        assertNull(next(control));
    }

    @Test
    void aTargetGivesItsRights() {
        introduce(7);
        introduce(8);
        assertEquals("11 OK|", ask(11, "/of-8\0secret"));
        assertEquals("14 OK|", ask(14, "/of-8\0n8\0"));
        EmbeddedChannel guest = channel(SEVEN);
        assertEquals("16 EACCES|", WireTest.ask(guest, 2, 0, "/of-8\0"));
        assertEquals("16 ENOENT|", ask(19, "7\0" + "9\0"));
        assertEquals("19 OK|", ask(19, "7\0" + "8\0"));
        assertEquals("2 secret", WireTest.ask(guest, 2, 0, "/of-8\0"));
        assertEquals("14 OK|", WireTest.ask(guest, 14, 0, "/of-8\0n8\0r7\0"));
        tree.release(EIGHT);
        assertEquals("16 EACCES|", WireTest.ask(guest, 2, 0, "/of-8\0"));
        guest.finishAndReleaseAll();
    }

    @Test
    void quotasAreForAllOrForOne() {
        assertEquals(
                "25 nodes watches transactions outstanding transaction-nodes memory soft-memory"
                        + " node-size path-max permissions|",
                ask(25, ""));
        assertEquals("25 1000|", ask(25, "nodes\0"));
        assertEquals("25 2621440|", ask(25, "memory\0"));
        assertEquals("16 EINVAL|", ask(25, "cows\0"));
        assertEquals("16 ENOENT|", ask(25, "7\0nodes\0"));
        introduce(7);
        introduce(8);
        assertEquals("26 OK|", ask(26, "7\0watches\0" + "2\0"));
        assertEquals("26 OK|", ask(26, "watches\0" + "3\0"));
        assertEquals("25 2|", ask(25, "7\0watches\0"));
        assertEquals("25 3|", ask(25, "8\0watches\0"));
        assertEquals("16 EINVAL|", ask(26, "7\0watches\0-1\0"));
        EmbeddedChannel guest = channel(SEVEN);
        assertEquals("4 OK|", WireTest.ask(guest, 4, 0, "a\0t\0"));
        next(guest);
        assertEquals("4 OK|", WireTest.ask(guest, 4, 0, "b\0t\0"));
        next(guest);
        assertEquals("16 E2BIG|", WireTest.ask(guest, 4, 0, "c\0t\0"));
        assertEquals("26 OK|", ask(26, "7\0watches\0" + "0\0")); // no limit
        assertEquals("4 OK|", WireTest.ask(guest, 4, 0, "c\0t\0"));
        guest.finishAndReleaseAll();
    }

    @Test
    void featuresAreForTheNextPage() {
        assertEquals("23 7|", ask(23, ""));
        assertEquals("16 ENOENT|", ask(23, "7\0"));
        introduce(7);
        assertEquals("23 7|", ask(23, "7\0"));
        assertEquals("24 OK|", ask(24, "7\0" + "3\0"));
        assertEquals("23 3|", ask(23, "7\0"));
        assertEquals("16 EINVAL|", ask(24, "7\0" + "8\0"));
    }

    @Test
    void commandsAreAnsweredInWords() {
        introduce(7);
        assertTrue(ask(0, "help\0").contains("quota"));
        assertEquals("0 OK|", ask(0, "check\0"));
        assertEquals("0 OK|", ask(0, "print\0hello\0"));
        for (String bad :
                new String[] {"", "reboot\0", "check\0x\0", "help\0x\0", "print\0", "check"}) {
            assertEquals("16 EINVAL|", ask(0, bad));
        }
    }

    @Test
    void quotasAreToldInTheWordsOfXensDaemon() {
        introduce(7);
        String all = ask(0, "quota\0");
        assertTrue(
                all.startsWith("0 Quota settings:\nnodes            :     1000 Nodes per domain\n"),
                all);
        assertFalse(all.contains("soft-memory"), all);
        assertEquals(
                "0 Quota settings:\nmemory           :  2097152 Total Xenstore memory per domain"
                        + " (warning level)\n|",
                ask(0, "quota-soft\0"));
        assertEquals("0 OK|", ask(0, "quota\0set\0nodes\0" + "500\0"));
        assertEquals("25 500|", ask(25, "nodes\0"));
        assertEquals("0 OK|", ask(0, "quota-soft\0set\0memory\0" + "1000\0"));
        assertEquals("25 1000|", ask(25, "soft-memory\0"));
        assertTrue(
                ask(0, "quota\0" + "7\0").startsWith("0 Domain 7:\nnodes           :        0\n"));
        assertEquals("16 ENOENT|", ask(0, "quota\0" + "8\0"));
        for (String bad :
                new String[] {
                    "7\0" + "8\0",
                    "set\0nodes\0",
                    "set\0nodes\0" + "0\0",
                    "set\0soft-memory\0" + "1\0",
                    "set\0nodes\0" + "1\0" + "2\0"
                }) {
            assertEquals("16 EINVAL|", ask(0, "quota\0" + bad));
            assertEquals("16 EINVAL|", ask(0, "quota-soft\0" + bad));
        }
    }
}
