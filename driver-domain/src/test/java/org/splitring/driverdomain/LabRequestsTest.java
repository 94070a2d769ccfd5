package org.splitring.driverdomain;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.splitring.hypervisor.DomId;
import org.splitring.xenbus.store.Store;
import org.splitring.xenbus.store.StoreTree;

/// What commands ask through the store.
class LabRequestsTest {
    private static final Duration PATIENCE = Duration.ofSeconds(10);

    private final ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor();
    private final Store store = new StoreTree().connection(DomId.ZERO, threads);
    private final LabRequests requests = new LabRequests(store);
    private final List<String> handled = new CopyOnWriteArrayList<>();

    @AfterEach
    void close() {
        store.close();
        threads.close();
    }

    private String handle(String verb, List<String> words) throws CommandException {
        handled.add(verb);
        return switch (verb) {
            case "echo" -> String.join(",", words);
            case "fail" -> throw new CommandException("no such " + words);
            default -> throw new IllegalStateException(verb);
        };
    }

    @Test
    void whatIsAskedIsAnsweredAndForgotten() throws Exception {
        try (var _ = requests.answer(this::handle, threads)) {
            assertEquals("a,,b c", requests.ask(PATIENCE, "echo", "a", "", "b c"));
            CommandException refused =
                    assertThrows(CommandException.class, () -> requests.ask(PATIENCE, "fail", "x"));
            assertEquals("no such [x]", refused.getMessage());
            CommandException broken =
                    assertThrows(CommandException.class, () -> requests.ask(PATIENCE, "other"));
            assertTrue(String.valueOf(broken.getMessage()).contains("internal error"));
            assertEquals(List.of(), store.list("/splitring/requests"));
        }
    }

    @Test
    void nothingThatDoesNotFitIsAsked() {
        for (String word : List.of("two\nlines", "x".repeat(4000))) {
            CommandException refused =
                    assertThrows(
                            CommandException.class, () -> requests.ask(PATIENCE, "echo", word));
            assertTrue(String.valueOf(refused.getMessage()).contains("too long, or has a line"));
        }
    }

    @Test
    void withoutAnAnswerOneIsToldSo() throws Exception {
        CommandException nobody =
                assertThrows(
                        CommandException.class,
                        () -> requests.ask(Duration.ofMillis(50), "echo", "a"));
        assertTrue(String.valueOf(nobody.getMessage()).contains("no answer within"));
        assertEquals(List.of(), store.list("/splitring/requests"));
    }

    @Test
    void whatAnEarlierDriverDomainWasAskedIsNotDone() throws Exception {
        store.write("/splitring/requests/1-1", "ask\nother");
        try (var _ = requests.answer(this::handle, threads)) {
            assertEquals("new", requests.ask(PATIENCE, "echo", "new"));
        }
        assertEquals(List.of("echo"), handled);
    }
}
