package org.splitring.hypervisor.xen;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.splitring.hypervisor.DomId;

/// References that belong to pages, and grants that do not end.
class XenGrantTableTest {
    private static final DomId BACKEND = new DomId(4);

    private final XenGrantTable table = new XenGrantTable(new int[] {900, 17, 33}, BACKEND);

    @Test
    void aReferenceIsOfItsPage() {
        assertTrue(table.isLasting());
        assertEquals(-1, table.claim());
        assertEquals(17, table.claimFor(1));
        assertEquals(-1, table.claimFor(1));
        assertThrows(IllegalArgumentException.class, () -> table.grant(17, BACKEND, 2, false));
        table.grant(17, BACKEND, 1, false);
        assertThrows(IllegalStateException.class, () -> table.grant(17, BACKEND, 1, false));
        assertThrows(IllegalStateException.class, () -> table.grant(33, BACKEND, 2, false));
    }

    @Test
    void nobodyElseIsGrantedAnything() {
        table.claimFor(0);
        String said =
                String.valueOf(
                        assertThrows(
                                        IllegalArgumentException.class,
                                        () -> table.grant(900, new DomId(5), 0, false))
                                .getMessage());
        assertTrue(
                said.contains("900") && said.contains("domain 4") && said.contains("domain 5"),
                said);
    }

    @Test
    void aPageCanBeUsedAgainAtOnce() {
        table.claimFor(2);
        table.grant(33, BACKEND, 2, true);
        assertThrows(IllegalStateException.class, () -> table.unclaim(33));
        assertTrue(table.tryRevoke(33));
        assertTrue(table.tryRevoke(33)); // not granted, as for the other tables
        table.unclaim(33);
        assertThrows(IllegalStateException.class, () -> table.tryRevoke(33));
        assertThrows(IllegalStateException.class, () -> table.tryRevoke(34));
        assertEquals(33, table.claimFor(2));
        assertEquals(0, table.quarantinedCount());
    }
}
