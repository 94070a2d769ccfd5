package org.splitring.testkit.compare;

import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.splitring.testkit.RawStoreClient;
import org.splitring.testkit.RawStoreClient.Message;
import org.splitring.wire.XsdSockmsgLayout;

/// One of the two daemons, with its connections, in terms that can be compared: transactions have
/// the numbers of the sequence, and events are sorted by token; the same event of two watches with
/// the same token counts once.
final class StoreSide {
    private final String name;
    private final List<RawStoreClient> connections;
    private final Map<Integer, String> transactions = new HashMap<>(); // by number of the sequence

    StoreSide(String name, List<RawStoreClient> connections) {
        this.name = name;
        this.connections = connections;
    }

    String name() {
        return name;
    }

    /// Carries a step out.
    ///
    /// @param number the number a transaction gets if this step begins one
    /// @return the answer, followed by the events that every connection has got
    List<String> run(Step step, int number) throws IOException {
        int transaction = step.transaction();
        int id =
                transaction < 0
                        ? 0x7FFFFFF0
                        : transaction == 0
                                ? 0
                                : Integer.parseUnsignedInt(transactions.get(transaction));
        Message answer = connections.get(step.connection()).call(step.type(), id, step.bytes());
        List<String> seen = new ArrayList<>();
        seen.add((answer.isError() ? "error " : "") + comparable(step, answer, number));
        for (int i = 0; i < connections.size(); i++) {
            addEvents(i, seen);
        }
        return seen;
    }

    private String comparable(Step step, Message answer, int number) {
        String text = answer.text();
        if (!answer.isError() && step.type() == XsdSockmsgLayout.TRANSACTION_START) {
            transactions.put(number, text.substring(0, text.length() - 1));
            return "transaction " + number;
        }
        if (!answer.isError() && step.type() == XsdSockmsgLayout.DIRECTORY_PART) {
            return "generation" + text.substring(text.indexOf('\0'));
        }
        return text;
    }

    /// A request that changes nothing: its answer comes after all events that were due before it.
    private void addEvents(int connection, List<String> seen) throws IOException {
        RawStoreClient client = connections.get(connection);
        client.call(XsdSockmsgLayout.GET_DOMAIN_PATH, 0, "0\0");
        Map<String, Set<String>> byToken = new TreeMap<>();
        for (Message event : client.takeEvents()) {
            String[] parts = event.text().split("\0", -1);
            byToken.computeIfAbsent(parts[1], token -> new LinkedHashSet<>()).add(parts[0]);
        }
        byToken.forEach(
                (token, paths) ->
                        seen.add(
                                "events "
                                        + connection
                                        + " "
                                        + token
                                        + " "
                                        + String.join(",", paths)));
    }

    /// The whole tree as domain 0 sees it, one line for each node in the order of listings.
    List<String> dump() throws IOException {
        List<String> lines = new ArrayList<>();
        dump("/", lines);
        return lines;
    }

    private void dump(String path, List<String> lines) throws IOException {
        RawStoreClient client = connections.getFirst();
        Message value = client.call(XsdSockmsgLayout.READ, 0, path + "\0");
        Message permissions = client.call(XsdSockmsgLayout.GET_PERMS, 0, path + "\0");
        lines.add(path + " = " + value.text() + " " + permissions.text());
        Message names = client.call(XsdSockmsgLayout.DIRECTORY, 0, path + "\0");
        if (names.isError() || names.payload().length == 0) {
            return;
        }
        for (String child : names.text().substring(0, names.text().length() - 1).split("\0", -1)) {
            dump((path.equals("/") ? "/" : path + "/") + child, lines);
        }
    }

    void close() {
        connections.forEach(RawStoreClient::close);
    }
}
