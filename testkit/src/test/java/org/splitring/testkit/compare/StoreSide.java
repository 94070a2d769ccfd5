package org.splitring.testkit.compare;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import org.splitring.testkit.RawStoreClient;
import org.splitring.testkit.RawStoreClient.Message;
import org.splitring.wire.XsdSockmsgLayout;

/// One of the two daemons, with its connections, in terms that can be compared: transactions have
/// the numbers of the sequence, and events are sorted by token; the same event of two watches with
/// the same token counts once. Rights of domains that were released meanwhile are left out:
/// xenstored
/// keeps listing those, without effect.
final class StoreSide implements AutoCloseable {
    /// One that no daemon gives.
    private static final int NEVER_BEGUN = 0x7FFF_FFF0;

    /// What a domain uses, as far as both count it alike.
    private static final Set<String> ALIKE = Set.of("nodes", "watches", "transactions");

    /// xenstored allows one more than it says.
    private static final Pattern ALLOWED =
            Pattern.compile("((?:watches|transactions) *:) *[0-9]+ ");

    /// With it xenstored begins the connection of a domain anew, even of one that has one.
    private static final Pattern INTRODUCTION = Pattern.compile("[0-9]+\0[^\0]*\0[1-9][0-9]*\0");

    private record Begun(int connection, int id) {}

    private final StoreDaemon daemon;
    private final @Nullable RawStoreClient[] connections; // null: not introduced
    private final Map<Integer, Begun> transactions = new HashMap<>(); // by number of the sequence
    private final Set<Integer> released = new HashSet<>();

    StoreSide(StoreDaemon daemon) throws IOException {
        this.daemon = daemon;
        connections = new RawStoreClient[RandomRequests.DOMAINS.size()];
        connect(0);
    }

    private void connect(int domain) throws IOException {
        for (int i = 0; i < connections.length; i++) {
            if (RandomRequests.DOMAINS.get(i) == domain) {
                connections[i] = daemon.connect(domain);
            }
        }
    }

    /// Whether the step's connection is there, and the domain that it introduces is not.
    boolean canRun(Step step) {
        return connections[step.connection()] != null
                && !(introduces(step) && isThere(firstNumber(step)));
    }

    private static boolean introduces(Step step) {
        return step.type() == XsdSockmsgLayout.INTRODUCE
                && step.connection() <= 1
                && INTRODUCTION.matcher(step.payload()).matches();
    }

    boolean isThere(int domain) {
        return connections[RandomRequests.DOMAINS.indexOf(domain)] != null;
    }

    private static int firstNumber(Step step) {
        return Integer.parseInt(step.payload().substring(0, step.payload().indexOf('\0')));
    }

    /// Carries a step out.
    ///
    /// @return the answer, followed by the events that every connection has got
    List<String> run(Numbered numbered) throws IOException {
        Step step = numbered.step();
        int id = 0;
        if (step.transaction() != 0) {
            Begun begun = transactions.get(step.transaction());
            id = begun == null ? NEVER_BEGUN : begun.id();
        }
        Message answer = connection(step.connection()).call(step.type(), id, step.bytes());
        List<String> seen = new ArrayList<>();
        seen.add((answer.isError() ? "error " : "") + comparable(numbered, answer));
        if (!answer.isError()) {
            comeAndGo(step);
        }
        if (mayTell(step)) {
            // In a transaction xenstored goes by which node was looked at first.
            addEvents(seen, step.type() != XsdSockmsgLayout.TRANSACTION_END);
        }
        return seen;
    }

    /// Whether there may be events. If there are when there should be none, they are found later.
    private static boolean mayTell(Step step) {
        return switch (step.type()) {
            case XsdSockmsgLayout.READ,
                    XsdSockmsgLayout.DIRECTORY,
                    XsdSockmsgLayout.DIRECTORY_PART,
                    XsdSockmsgLayout.GET_PERMS,
                    XsdSockmsgLayout.GET_DOMAIN_PATH,
                    XsdSockmsgLayout.TRANSACTION_START ->
                    false;
            case XsdSockmsgLayout.WRITE,
                    XsdSockmsgLayout.MKDIR,
                    XsdSockmsgLayout.RM,
                    XsdSockmsgLayout.SET_PERMS ->
                    step.transaction() == 0;
            default -> true;
        };
    }

    private RawStoreClient connection(int index) {
        RawStoreClient connection = connections[index];
        if (connection == null) {
            throw new IllegalStateException("connection " + index);
        }
        return connection;
    }

    private void comeAndGo(Step step) throws IOException {
        if (step.type() == XsdSockmsgLayout.INTRODUCE) {
            connect(firstNumber(step));
        } else if (step.type() == XsdSockmsgLayout.RELEASE) {
            int domain = firstNumber(step);
            int index = RandomRequests.DOMAINS.indexOf(domain);
            connection(index).close();
            connections[index] = null;
            transactions.values().removeIf(begun -> begun.connection() == index);
            released.add(domain);
            // Without a change before its next introduction, xenstored would give the next domain
            // of
            // that number its rights on nodes that the release has changed.
            connection(0).call(XsdSockmsgLayout.WRITE, 0, "/closed\0");
        }
    }

    private String comparable(Numbered numbered, Message answer) {
        Step step = numbered.step();
        String text = answer.text();
        if (answer.isError()) {
            return text;
        }
        return switch (step.type()) {
            case XsdSockmsgLayout.TRANSACTION_START -> {
                int id = Integer.parseUnsignedInt(text.substring(0, text.length() - 1));
                transactions.put(numbered.number(), new Begun(step.connection(), id));
                yield "transaction " + numbered.number();
            }
            case XsdSockmsgLayout.DIRECTORY_PART -> "generation" + text.substring(text.indexOf(0));
            case XsdSockmsgLayout.GET_PERMS -> rights(text);
            case XsdSockmsgLayout.CONTROL -> used(text);
            default -> text;
        };
    }

    private String rights(String text) {
        List<String> all = Arrays.asList(text.substring(0, text.length() - 1).split("\0", -1));
        List<String> left = new ArrayList<>(all.subList(0, 1));
        for (String right : all.subList(1, all.size())) {
            if (!released.contains(Integer.parseInt(right.substring(1)))) {
                left.add(right);
            }
        }
        return String.join(" ", left);
    }

    /// Of a table of what a domain uses, the rows that are counted alike; of one of limits, all but
    /// the numbers that mean something else there.
    private static String used(String text) {
        if (text.startsWith("Quota settings:")) {
            return ALLOWED.matcher(text).replaceAll("$1 <limit> ");
        }
        if (!text.startsWith("Domain ")) {
            return text;
        }
        return String.join(
                "\n",
                text.lines()
                        .filter(
                                line ->
                                        line.startsWith("Domain ")
                                                || ALIKE.contains(line.split("[ :]", 2)[0]))
                        .toList());
    }

    private void addEvents(List<String> seen, boolean inOrder) throws IOException {
        daemon.settle();
        List<Map<String, Set<String>>> byToken = new ArrayList<>();
        for (int i = 0; i < connections.length; i++) {
            byToken.add(new TreeMap<>());
        }
        while (takeEvents(byToken)) {
            // as long as there are any
        }
        for (int i = 0; i < connections.length; i++) {
            for (Map.Entry<String, Set<String>> one : byToken.get(i).entrySet()) {
                seen.add(
                        "events "
                                + i
                                + " "
                                + one.getKey()
                                + " "
                                + String.join(
                                        ",",
                                        inOrder ? one.getValue() : new TreeSet<>(one.getValue())));
            }
        }
    }

    /// With a request that changes nothing: its answer comes after events that were due before it,
    /// as
    /// long as these are few.
    private boolean takeEvents(List<Map<String, Set<String>>> byToken) throws IOException {
        for (RawStoreClient client : connections) {
            if (client != null) {
                client.send(XsdSockmsgLayout.GET_DOMAIN_PATH, 0, new byte[] {'0', 0});
            }
        }
        boolean any = false;
        for (int i = 0; i < connections.length; i++) {
            RawStoreClient client = connections[i];
            if (client == null) {
                continue;
            }
            client.answer();
            for (Message event : client.takeEvents()) {
                any = true;
                String[] parts = event.text().split("\0", -1);
                byToken.get(i)
                        .computeIfAbsent(parts[1], token -> new LinkedHashSet<>())
                        .add(parts[0]);
            }
        }
        return any;
    }

    /// The whole tree as domain 0 sees it, one line for each node in the order of listings.
    List<String> dump() throws IOException {
        List<String> lines = new ArrayList<>();
        dump("/", lines);
        return lines;
    }

    private void dump(String path, List<String> lines) throws IOException {
        RawStoreClient client = connection(0);
        Message value = client.call(XsdSockmsgLayout.READ, 0, path + "\0");
        Message permissions = client.call(XsdSockmsgLayout.GET_PERMS, 0, path + "\0");
        lines.add(path + " = " + value.text() + " " + rights(permissions.text()));
        Message names = client.call(XsdSockmsgLayout.DIRECTORY, 0, path + "\0");
        if (names.isError() || names.payload().length == 0) {
            return;
        }
        for (String child : names.text().substring(0, names.text().length() - 1).split("\0", -1)) {
            dump((path.equals("/") ? "/" : path + "/") + child, lines);
        }
    }

    @Override
    public void close() throws IOException {
        for (RawStoreClient connection : connections) {
            if (connection != null) {
                connection.close();
            }
        }
        daemon.close();
    }
}
