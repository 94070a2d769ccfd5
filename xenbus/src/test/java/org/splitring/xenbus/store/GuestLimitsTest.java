package org.splitring.xenbus.store;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.splitring.hypervisor.DomId;

/// What counts for a guest's limits, where Xen's daemon has shown it (`docs/notes/xenstored.md`).
class GuestLimitsTest {
    private static final DomId SEVEN = new DomId(7);
    private static final Permission OWNER = Permission.none(SEVEN);
    private static final Permission OTHER = Permission.read(new DomId(8));

    /// 24 for the node and 8 for its one right leave less than 28 for a value.
    private final StoreTree tree = new StoreTree(StoreLimits.DEFAULT.with(Quota.NODE_SIZE, 60));

    private final Store control = tree.connection(DomId.ZERO, Runnable::run);
    private final Store guest = tree.connection(SEVEN, Runnable::run);

    @BeforeEach
    void makeHome() throws StoreException {
        control.makeNode("/local/domain/7");
        control.setPermissions("/local/domain/7", List.of(OWNER));
        guest.write("a", "v".repeat(27));
    }

    @AfterEach
    void booksBalance() {
        tree.checkBooks();
    }

    private static StoreError errorOf(StoreAction action) {
        return assertThrows(StoreException.class, action::run).error();
    }

    private interface StoreAction {
        void run() throws StoreException;
    }

    @Test
    void rightsCountForTheSizeOfANode() throws StoreException {
        assertEquals(
                StoreError.ENOSPC, errorOf(() -> guest.setPermissions("a", List.of(OWNER, OTHER))));
        assertEquals(List.of(OWNER), guest.permissions("a"));
        guest.write("a", "v".repeat(19));
        guest.setPermissions("a", List.of(OWNER, OTHER));
    }

    @Test
    void aNodeThatIsTooLargeKeepsItsRightsUntilTheyMakeItSmallEnough() throws StoreException {
        control.setPermissions("/local/domain/7/a", List.of(OWNER, OTHER, OTHER));
        assertEquals(
                StoreError.ENOSPC, errorOf(() -> guest.setPermissions("a", List.of(OWNER, OTHER))));
        guest.setPermissions("a", List.of(OWNER));
    }

    @Test
    void aTransactionWhoseRightsExceedTheSizeCannotBeCommitted() throws StoreException {
        assertEquals(
                StoreError.ENOMEM,
                errorOf(
                        () ->
                                guest.transaction(
                                        t ->
                                                assertEquals(
                                                        StoreError.ENOSPC,
                                                        errorOf(
                                                                () ->
                                                                        t.setPermissions(
                                                                                "a",
                                                                                List.of(
                                                                                        OWNER,
                                                                                        OTHER)))))));
    }
}
