package org.splitring.driverdomain;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.Optional;
import org.splitring.hypervisor.linux.NetworkNamespace;

/// What a guest says about its network namespace, so that `exec` finds it: the file
/// `DIR/DOMAIN/netns`, with the process that keeps it in the first line and its name, if it has
/// one, in the second.
record NamespaceRecord(ProcessIdentity keeper, Optional<String> name) {
    static final String FILE = "netns";

    static NamespaceRecord of(NetworkNamespace.Entrance entrance) throws IOException {
        ProcessIdentity keeper =
                ProcessIdentity.of(entrance.keeper())
                        .orElseThrow(() -> new IOException("the namespace's keeper has ended"));
        return new NamespaceRecord(keeper, entrance.name());
    }

    /// Of a namespace that is there; nothing when there is none.
    static Optional<NamespaceRecord> living(Path domainFolder) throws IOException {
        List<String> lines;
        try {
            lines = Files.readAllLines(domainFolder.resolve(FILE), UTF_8);
        } catch (NoSuchFileException e) {
            return Optional.empty();
        }
        Optional<ProcessIdentity> keeper =
                lines.isEmpty() ? Optional.empty() : ProcessIdentity.parse(lines.getFirst());
        Optional<String> name = lines.size() > 1 ? Optional.of(lines.get(1)) : Optional.empty();
        return keeper.filter(ProcessIdentity::isAlive)
                .map(process -> new NamespaceRecord(process, name));
    }

    /// All or nothing: whoever reads meanwhile sees the last one or this one.
    void write(Path domainFolder) throws IOException {
        Path draft = domainFolder.resolve(FILE + ".new");
        Files.writeString(draft, keeper + "\n" + name.map(text -> text + "\n").orElse(""), UTF_8);
        Files.move(draft, domainFolder.resolve(FILE), StandardCopyOption.ATOMIC_MOVE);
    }

    NetworkNamespace.Entrance entrance() {
        return new NetworkNamespace.Entrance(keeper.pid(), name);
    }
}
