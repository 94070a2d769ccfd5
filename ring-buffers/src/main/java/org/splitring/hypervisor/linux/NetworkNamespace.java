package org.splitring.hypervisor.linux;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.Writer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;

/// A network namespace of its own for a guest, kept by a small process: a shell inside, which
/// waits for our end of a pipe.
///
/// For root it has a name that `ip netns` knows. An ordinary user gets it inside a user namespace
/// of his, where the system allows that, and without a name.
///
/// It ends with [#close], or with this process, however that ends: the keeper sees the end of the
/// pipe, takes the name away and is gone; programs that still run inside keep what they have. Why
/// a keeper, and no call of our own: a process with threads cannot enter a user namespace, a name
/// in `/var/run/netns` outlives whoever made it, and programs need a process by which to find the
/// namespace (`nsenter`).
///
/// The keeper also opens `/dev/net/tun` for us, since an interface lives where that was opened;
/// we take the descriptor from it. Control plane: methods wait for other programs.
public final class NetworkNamespace implements AutoCloseable {
    private static final Path NAMES = Path.of("/var/run/netns");
    private static final int TUN_FD = 3;
    private static final int PATIENCE_SECONDS = 10;

    /// `$1` is the namespace's name, or nothing. Neither Ctrl-C in the terminal nor a pipe that
    /// nobody reads ends it before it has cleaned up.
    private static final String KEEPER =
            """
            trap '' INT TERM HUP QUIT PIPE
            echo ready
            while read -r request; do
              case $request in
                open) if command exec 3<>/dev/net/tun; then echo done; else echo failed; fi ;;
                close) exec 3>&-; echo done ;;
              esac
            done
            exec 3>&-
            if [ -n "$1" ]; then ip netns del "$1"; fi
            """;

    private final Entrance entrance;
    private final Process keeper;
    private final BufferedReader answers;
    private final Writer requests;

    /// How other programs get inside.
    ///
    /// @param keeper process that is inside for as long as the namespace is kept
    /// @param name known to `ip netns`; without one it is the user's own, in a user namespace
    public record Entrance(long keeper, Optional<String> name) {
        /// The command line that runs `command` inside.
        public List<String> commandLine(List<String> command) {
            List<String> line =
                    new ArrayList<>(
                            name.map(known -> List.of("ip", "netns", "exec", known))
                                    .orElseGet(
                                            () ->
                                                    List.of(
                                                            "nsenter",
                                                            "--preserve-credentials",
                                                            "--user",
                                                            "--net",
                                                            "--target",
                                                            Long.toString(keeper),
                                                            "--")));
            line.addAll(command);
            return line;
        }

        /// Has `ip` do some commands inside, one a line and without the word `ip`: all of them, or
        /// up to the first that fails.
        ///
        /// @throws IOException with what `ip` says against it
        public void ip(String commands) throws IOException {
            run(commandLine(List.of("ip", "-batch", "-")), commands);
        }
    }

    private NetworkNamespace(Process keeper, Optional<String> name) {
        this.keeper = keeper;
        entrance = new Entrance(keeper.pid(), name);
        answers =
                new BufferedReader(
                        new InputStreamReader(keeper.getInputStream(), StandardCharsets.UTF_8));
        requests = keeper.outputWriter(StandardCharsets.UTF_8);
    }

    /// Makes one: named for root, in a user namespace for others.
    ///
    /// @throws IOException says which right is missing
    public static NetworkNamespace create(String name) throws IOException {
        return UnixSocket.effectiveUser() == 0 ? createNamed(name) : createForUser();
    }

    private static NetworkNamespace createNamed(String name) throws IOException {
        if (Files.exists(NAMES.resolve(name))) {
            String processes = run(List.of("ip", "netns", "pids", name), "");
            if (!processes.isBlank()) {
                throw new IOException(
                        "network namespace "
                                + name
                                + " exists, and process "
                                + processes.lines().findFirst().orElseThrow()
                                + " is inside: another lab has a domain of this name, perhaps");
            }
            run(List.of("ip", "netns", "del", name), "");
        }
        try {
            run(List.of("ip", "netns", "add", name), "");
        } catch (IOException e) {
            throw new IOException(
                    e.getMessage() + " (it takes CAP_SYS_ADMIN and CAP_NET_ADMIN)", e);
        }
        try {
            return start(
                    List.of("nsenter", "--net=" + NAMES.resolve(name), "--"), Optional.of(name));
        } catch (IOException e) {
            run(List.of("ip", "netns", "del", name), "");
            throw e;
        }
    }

    private static NetworkNamespace createForUser() throws IOException {
        try {
            return start(
                    List.of("unshare", "--user", "--map-root-user", "--net", "--"),
                    Optional.empty());
        } catch (IOException e) {
            throw new IOException(
                    e.getMessage()
                            + " (a namespace takes root's rights, or user namespaces for everybody:"
                            + " sysctl user.max_user_namespaces,"
                            + " kernel.apparmor_restrict_unprivileged_userns)",
                    e);
        }
    }

    private static NetworkNamespace start(List<String> into, Optional<String> name)
            throws IOException {
        List<String> line = new ArrayList<>(into);
        line.addAll(List.of("sh", "-c", KEEPER, "netns-keeper", name.orElse("")));
        NetworkNamespace made = new NetworkNamespace(process(line), name);
        try {
            made.expect("ready", "network namespace");
            return made;
        } catch (IOException e) {
            made.close();
            throw e;
        }
    }

    /// How others get inside.
    public Entrance entrance() {
        return entrance;
    }

    /// Makes a TAP inside; it is closed by whoever gets it.
    ///
    /// @throws IOException says which right is missing
    public TapDevice openTap(String interfaceName) throws IOException {
        Optional<String> problem = TapDevice.nameProblem(interfaceName);
        if (problem.isPresent()) {
            throw new IOException(problem.get());
        }
        int tun;
        ask("open", TapDevice.TUN + ": no such device, or no right to open it");
        try {
            tun = ProcessFd.copy(keeper.pid(), TUN_FD);
        } finally {
            ask("close", "descriptor of " + interfaceName); // or it would outlive ours
        }
        try {
            return TapDevice.adopt(tun, interfaceName);
        } catch (LinuxException e) {
            throw e.errno() == Errno.EPERM
                    ? new IOException(
                            e.getMessage() + " (a TAP takes CAP_NET_ADMIN in its namespace)", e)
                    : e;
        }
    }

    /// See [Entrance#ip].
    public void ip(String commands) throws IOException {
        entrance.ip(commands);
    }

    /// The same in the namespace that this process is in.
    ///
    /// @throws IOException with what `ip` says against it
    public static void ipHere(String commands) throws IOException {
        run(List.of("ip", "-batch", "-"), commands);
    }

    private void ask(String request, String what) throws IOException {
        requests.write(request + "\n");
        requests.flush();
        expect("done", what);
    }

    private void expect(String answer, String what) throws IOException {
        String line = answers.readLine();
        if (!answer.equals(line)) {
            throw new IOException(what + ": " + (line == null ? "its keeper has ended" : line));
        }
    }

    /// Ends the keeper. The name is gone when this returns.
    @Override
    public void close() {
        try {
            requests.close();
        } catch (IOException e) {
            // the keeper is gone already
        }
        try {
            if (!keeper.waitFor(PATIENCE_SECONDS, TimeUnit.SECONDS)) {
                keeper.destroyForcibly();
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private static Process process(List<String> line) throws IOException {
        try {
            return new ProcessBuilder(line).redirectErrorStream(true).start();
        } catch (IOException e) {
            throw new IOException(
                    line.getFirst()
                            + " cannot be run; Debian has it in package "
                            + (line.getFirst().equals("ip") ? "iproute2" : "util-linux"),
                    e);
        }
    }

    /// @return what the program has printed
    /// @throws IOException when it has failed; the message is what it has printed
    private static String run(List<String> line, String input) throws IOException {
        Process process = process(line);
        try (Writer in = process.outputWriter(StandardCharsets.UTF_8)) {
            in.write(input);
        } catch (IOException e) {
            // it did not want to read; its status says what to think of that
        }
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        try {
            if (process.waitFor() != 0) {
                throw new IOException(output.strip().replace('\n', ' '));
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IOException("interrupted while waiting for " + line.getFirst(), e);
        }
        return output;
    }
}
