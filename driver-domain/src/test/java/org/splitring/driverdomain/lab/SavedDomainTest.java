package org.splitring.driverdomain.lab;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import tools.jackson.databind.node.JsonNodeFactory;
import tools.jackson.databind.node.ObjectNode;

/// Files of saved domains, good ones and others.
class SavedDomainTest {
    private static final Map<String, String> MEMORY = Map.of("xvdb", "0f", "xvdc", "1e");

    @TempDir Path dir;

    private SavedDomain saved() {
        ObjectNode table = JsonNodeFactory.instance.objectNode();
        table.put("memory", 32);
        table.putArray("disk").add("format=raw, vdev=xvda, target=/images/ä \"b\".img");
        return new SavedDomain("web", 7, "0.1.0", "2026-11-27T10:00:00Z", table, MEMORY);
    }

    private Path file(String text) throws IOException {
        return Files.writeString(dir.resolve("web.saved"), text);
    }

    private String text() throws IOException {
        Path file = dir.resolve("good.saved");
        saved().write(file);
        String text = Files.readString(file);
        Files.delete(file);
        return text;
    }

    private void refused(Path file, String why) {
        LabException e = assertThrows(LabException.class, () -> SavedDomain.read(file));
        String message = e.getMessage() + "";
        assertTrue(message.startsWith(file + ": "), message);
        assertTrue(message.contains(why), message);
        assertEquals(1, message.lines().count(), message);
    }

    @Test
    void whatIsWrittenIsReadAgainAndNothingElseIsLeft() throws Exception {
        Path file = dir.resolve("web.saved");
        saved().write(file);
        assertEquals(saved(), SavedDomain.read(file));
        assertTrue(SavedDomain.isOne(file));
        assertEquals(GuestTable.read(file).name(), "web");
        try (Stream<Path> files = Files.list(dir)) {
            assertEquals(1, files.count());
        }
    }

    @Test
    void aFileThatCannotBeWrittenLeavesNothing() throws Exception {
        Path nowhere = dir.resolve("gone/web.saved");
        assertThrows(IOException.class, () -> saved().write(nowhere));
        assertFalse(Files.exists(nowhere));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "\"version\" : 1 | \"version\" : 2 | version 2 of the format is not known, only 1",
                "\"version\" : 1 | \"version\" : \"1\" | version 1 of the format is not known",
                "splitring saved domain | another | its format is not \"splitring saved domain\"",
                "xvda | xvdb | is damaged, or was edited",
                "\"1e\" | \"1f\" | is damaged, or was edited",
                "\"memory\" : 32 | \"memory\" : 33 | is damaged, or was edited",
                "\"domid\" : 7 | \"domid\" : 8 | is damaged, or was edited",
                "\"program\" | \"programme\" | programme: unknown key",
                "\"saved\" | \"version\" | Duplicate",
            })
    void anotherFileIsRefused(String word, String other, String why) throws Exception {
        String text = text();
        String changed = text.replace(word, other);
        assertFalse(changed.equals(text), text);
        refused(file(changed), why);
    }

    @Test
    void everyPartOfAFileIsRefused() throws Exception {
        String text = text().strip();
        for (int length = 0; length < text.length(); length++) {
            Path part = file(text.substring(0, length));
            assertThrows(LabException.class, () -> SavedDomain.read(part), "length " + length);
        }
        refused(file(text.substring(0, 100)), "is no saved domain, or only a part of one");
        refused(file(text + "{}"), "is no saved domain");
    }

    @Test
    void whatIsNoFileOfOursIsRefused() throws Exception {
        refused(dir, "is a folder");
        refused(dir.resolve("gone"), "no such file");
        refused(file("name = 'web'\n"), "is no saved domain");
        refused(file("[]"), "is no saved domain");
        refused(file("{ }"), "is no saved domain");
        refused(file(" ".repeat((1 << 20) + 1)), "is larger than 1 MiB");
        refused(
                Files.write(dir.resolve("bytes"), new byte[] {'{', -1, 0, 7}),
                "is no saved domain");
    }
}
