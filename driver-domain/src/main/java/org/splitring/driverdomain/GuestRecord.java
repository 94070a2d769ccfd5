package org.splitring.driverdomain;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/// What the run directory says about a guest process, so that the next driver domain finds it: the
/// file `DIR/DOMAIN/guest.pid`, with the process in the first line and then one line for each word
/// of how it was started.
///
/// @param arguments what it was started with; a guest that was started otherwise cannot be adopted
record GuestRecord(ProcessIdentity process, List<String> arguments) {
    static final String FILE = "guest.pid";

    GuestRecord {
        arguments = List.copyOf(arguments);
    }

    /// Of a guest that lives; nothing when there is none.
    static Optional<GuestRecord> living(Path domainFolder) throws IOException {
        List<String> lines;
        try {
            lines = Files.readAllLines(domainFolder.resolve(FILE), UTF_8);
        } catch (NoSuchFileException e) {
            return Optional.empty();
        }
        if (lines.isEmpty()) {
            return Optional.empty();
        }
        return ProcessIdentity.parse(lines.getFirst())
                .filter(ProcessIdentity::isAlive)
                .map(process -> new GuestRecord(process, lines.subList(1, lines.size())));
    }

    /// All or nothing: whoever reads meanwhile sees the last one or this one.
    void write(Path domainFolder) throws IOException {
        List<String> lines = new ArrayList<>();
        lines.add(process.toString());
        lines.addAll(arguments);
        Path draft = domainFolder.resolve(FILE + ".new");
        Files.write(draft, lines, UTF_8);
        Files.move(draft, domainFolder.resolve(FILE), StandardCopyOption.ATOMIC_MOVE);
    }
}
