package org.splitring.driverdomain;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/// Every attack of the catalogue that concerns rings, event channels, grants, the store or this JVM
/// has a test that bears its number, and `docs/hostile-coverage.md` says which.
///
/// `./mvnw -pl driver-domain -am test -Dtest=HostileCoverageTest -Dsplitring.coverage.write=true
/// -Dsurefire.failIfNoSpecifiedTests=false` writes the document anew.
class HostileCoverageTest {
    private static final Pattern TEST = Pattern.compile("void ((?:[hjn]\\d{2,3}_)+)(\\w+)\\(");
    private static final Pattern NAMED = Pattern.compile("`(\\w+)\\.([hjn]\\d{2,3}_\\w+)`");
    private static final Pattern ROW = Pattern.compile("(?m)^\\| ([HJN]-\\d+) \\|");

    /// @param reason why there is no test, or what a reader should know; empty when there is
    /// nothing
    private record Attack(String title, String reason) {}

    private static final Map<String, Attack> ATTACKS = attacks();

    @Test
    void everyAttackHasATestNamedAfterItOrAReasonWhyNot() throws IOException {
        Map<String, List<String>> tests = tests();
        List<String> uncovered = new ArrayList<>();
        for (Map.Entry<String, Attack> attack : ATTACKS.entrySet()) {
            boolean tested = tests.containsKey(attack.getKey());
            if (!tested && attack.getValue().reason().isEmpty()) {
                uncovered.add(attack.getKey() + " " + attack.getValue().title());
            }
        }
        assertEquals(List.of(), uncovered, "no test method is named after these");
    }

    @Test
    void theDocumentNamesEveryAttackAndOnlyTestsThatExist() throws IOException {
        Map<String, List<String>> tests = tests();
        Path document = root().resolve("docs/hostile-coverage.md");
        if (Boolean.getBoolean("splitring.coverage.write")) {
            Files.writeString(document, document(tests));
        }
        String text = Files.readString(document);
        List<String> rows = ROW.matcher(text).results().map(m -> m.group(1)).toList();
        assertEquals(List.copyOf(ATTACKS.keySet()), rows, "ids of the table");
        TreeSet<String> existing = new TreeSet<>();
        tests.values().forEach(existing::addAll);
        List<String> gone =
                NAMED.matcher(text)
                        .results()
                        .map(m -> m.group(1) + "." + m.group(2))
                        .filter(name -> !existing.contains(name))
                        .toList();
        assertEquals(List.of(), gone, "named in the document, but there is no such test");
        for (Map.Entry<String, Attack> attack : ATTACKS.entrySet()) {
            if (attack.getValue().reason().isEmpty()) {
                String id = attack.getKey();
                String row = text.substring(text.indexOf("\n| " + id + " |") + 1);
                row = row.substring(0, row.indexOf('\n'));
                assertTrue(
                        NAMED.matcher(row).find(),
                        id + " has neither a test nor a reason in its row");
            }
        }
    }

    private static String document(Map<String, List<String>> tests) {
        StringBuilder text =
                new StringBuilder(
                        """
                        # Which test plays which attack

                        The numbers are those of a catalogue of attacks on split drivers and their \
                        hypervisors, drawn from published
                        advisories: 1 to 13 rings, 20 to 31 the block backend, 40 to 52 the \
                        network backend, 60 to 69 event channels, 70 to 89 grants, 100 to 130 the
                        store and the handshake, J what a JVM adds, N what neighbouring systems met \
                        (20 to 26 clients and servers of NBD, 30 to 34 images, 40 to 51 switches, routers and NAT).
                        `HostileCoverageTest` checks this page, says how to write it anew, and \
                        fails when an attack on rings, event channels,
                        grants, the store, the switch or the JVM has neither a test named after \
                        it nor a reason.

                        | Attack | What the peer does | Tests |
                        |---|---|---|
                        """);
        for (Map.Entry<String, Attack> attack : ATTACKS.entrySet()) {
            List<String> cells = new ArrayList<>();
            tests.getOrDefault(attack.getKey(), List.of()).forEach(t -> cells.add("`" + t + "`"));
            if (!attack.getValue().reason().isEmpty()) {
                cells.add(attack.getValue().reason());
            }
            text.append(
                    "| %s | %s | %s |%n"
                            .formatted(
                                    attack.getKey(),
                                    attack.getValue().title(),
                                    String.join("; ", cells)));
        }
        return text.toString();
    }

    /// Id to `Class.method`, of every test source of the repository.
    private static Map<String, List<String>> tests() throws IOException {
        Map<String, List<String>> found = new TreeMap<>();
        try (Stream<Path> modules = Files.list(root())) {
            for (Path module : modules.sorted().toList()) {
                Path sources = module.resolve("src/test/java");
                if (Files.isDirectory(sources)) {
                    collect(sources, found);
                }
            }
        }
        found.values().forEach(list -> list.sort(null));
        return found;
    }

    private static void collect(Path sources, Map<String, List<String>> found) throws IOException {
        try (Stream<Path> files = Files.walk(sources)) {
            for (Path file : files.filter(f -> f.toString().endsWith(".java")).toList()) {
                Matcher test = TEST.matcher(Files.readString(file));
                String type = file.getFileName().toString().replace(".java", "");
                while (test.find()) {
                    String name = type + "." + test.group(1) + test.group(2);
                    // One test may play several attacks: h071_h072_...
                    for (String id : test.group(1).toUpperCase(Locale.ROOT).split("_", 0)) {
                        found.computeIfAbsent(
                                        id.charAt(0) + "-" + id.substring(1),
                                        k -> new ArrayList<>())
                                .add(name);
                    }
                }
            }
        }
    }

    private static Path root() {
        Path here = Path.of("").toAbsolutePath();
        return Files.exists(here.resolve("mvnw")) ? here : here.resolveSibling("");
    }

    private static Map<String, Attack> attacks() {
        Map<String, Attack> all = new LinkedHashMap<>();
        add(all, "H-001", "producer index too far ahead, or moved backwards");
        add(all, "H-002", "byte ring: distance out of range; a completely full ring");
        add(all, "H-003", "byte ring: either index any value at any moment");
        add(all, "H-004", "fields of a request changed between check and use");
        add(all, "H-005", "the word behind a switch changed while it is looked at");
        add(all, "H-006", "requests submitted without taking responses; slots reused in flight");
        add(
                all,
                "H-007",
                "responses with ids that were never sent, twice, or of another operation");
        add(all, "H-008", "padding of a response read for what else lies there");
        add(all, "H-009", "protocol node unknown, empty, huge, or changed after connect");
        add(all, "H-010", "ring geometry: order, references, pages offered twice");
        add(all, "H-011", "arbitrary values in the event words");
        add(all, "H-012", "events without requests, requests without events");
        add(all, "H-013", "operations that the device's state or features do not allow");
        add(all, "H-020", "writes on a read-only disk");
        add(all, "H-021", "segments and sectors out of range, sums that wrap");
        add(all, "H-022", "indirect requests inside indirect requests");
        add(all, "H-023", "some references of one request cannot be mapped");
        add(all, "H-024", "persistent grants lost on an error path");
        add(all, "H-025", "persistent grants hoarded");
        add(all, "H-026", "very many pages mapped");
        add(all, "H-027", "state toggled as fast as the store allows, with requests in flight");
        add(all, "H-028", "guest pages that are adjacent for the guest only");
        add(all, "H-029", "a flood of flushes, flushes with data");
        add(all, "H-030", "the same page as source and target");
        add(all, "H-031", "image cut short while it is used");
        add(all, "H-040", "a malformed frame whose error path does what its thread must not");
        add(all, "H-041", "a fatal frame before, while and after the vif closes");
        add(all, "H-042", "slots of a frame: too many, too few, across pages, odd extras");
        add(all, "H-043", "headers cut into slots at any place");
        add(all, "H-044", "many slots of a few bytes in a short frame");
        add(all, "H-045", "slots of no bytes, with any reference");
        add(all, "H-046", "nothing taken from the rx ring, or one slot left for ever");
        add(all, "H-047", "frames dropped at full rate while the vif closes");
        add(all, "H-048", "hash keys and mappings of the control ring that do not fit");
        add(all, "H-049", "pages of a frontend lost or used twice");
        add(all, "H-050", "queues, rings and channels that were not offered or are the same");
        add(all, "H-051", "offloads that the headers do not bear out");
        add(all, "H-052", "arithmetic of the rate limit");
        add(all, "H-060", "events at full rate");
        add(all, "H-061", "work done by another path makes honest events look spurious");
        add(all, "H-062", "a port closed while its handler runs");
        add(all, "H-063", "a close that waits for a handler that waits for the close");
        add(all, "H-064", "teardown of a guest with as much as it may have");
        add(all, "H-065", "a port table that changes under its readers");
        add(all, "H-066", "ports that do not exist; a failed bind, then another");
        add(all, "H-067", "a refused call that leaves something half made");
        add(all, "H-068", "every operation with no port, grant or descriptor left");
        add(all, "H-069", "all ports taken when the control plane needs one");
        add(all, "H-070", "partial and repeated unmaps");
        add(all, "H-071", "two unmaps of one mapping at once");
        add(all, "H-072", "in-use bits cleared while another use remains");
        add(all, "H-073", "a positive value where errors are negative");
        add(all, "H-074", "status of an element that was never written");
        add(all, "H-075", "a shared word changed as fast as we compare and set it");
        add(all, "H-076", "transitive grants");
        add(
                all,
                "H-077",
                "lock order on the error path of a transitive copy",
                "transitive grants are refused before any lock is taken (H-076)");
        add(
                all,
                "H-078",
                "switching the version of the grant table under use",
                "there is one version and no operation to switch it");
        add(all, "H-079", "an entry changed after it was pinned");
        add(all, "H-080", "a capacity checked in the wrong unit");
        add(all, "H-081", "very many mappings, unmapped in random order");
        add(all, "H-082", "references out of range, reserved, or before there is a table");
        add(
                all,
                "H-083",
                "growth that fails half way",
                "tables do not grow: HELLO fixes the grant table, and mappings have a limit fixed at the start (H-068)");
        add(all, "H-084", "page transfer", "not offered; an entry for transfer is refused (H-082)");
        add(all, "H-085", "a backend that never lets a page go");
        add(all, "H-086", "pages shared with old contents");
        add(all, "H-087", "many devices of one guest mapping the same references");
        add(all, "H-088", "frontends that trust backends", "the sum of H-007, H-061 and H-085");
        add(all, "H-089", "a granted page replaced by a hole");
        add(
                all,
                "H-100",
                "memory eaten by requests, watches, transactions and events nobody reads");
        add(all, "H-101", "memory held until an answer is read");
        add(all, "H-102", "commits so fast that nobody else's transaction succeeds");
        add(all, "H-103", "a state written in a loop, an event for each");
        add(all, "H-104", "the same against a toolstack that watches everything");
        add(all, "H-105", "watches and special names that tell of others");
        add(all, "H-106", "rights of a dead domain inherited by its number's next owner");
        add(all, "H-107", "nodes of a dead domain left to somebody");
        add(all, "H-108", "nodes given away to use up another's quota");
        add(all, "H-109", "rights not checked on the root");
        add(all, "H-110", "lengths checked before the prefix was added");
        add(all, "H-111", "a token so long that its event fits into no message");
        add(all, "H-112", "lists longer than a message");
        add(all, "H-113", "watches reset in one index and left in another");
        add(all, "H-114", "a client that misbehaves taken for a domain that died");
        add(all, "H-115", "commits that are applied in part");
        add(all, "H-116", "removal of what is gone meanwhile");
        add(all, "H-117", "paths as deep as they can be");
        add(all, "H-118", "lengths that are negative as signed numbers");
        add(all, "H-119", "a request that ends others' connections while they are visited");
        add(all, "H-120", "a connection that ends from two sides");
        add(all, "H-121", "the last node that a quota allows, by every operation");
        add(all, "H-122", "paths that are none");
        add(all, "H-123", "every operation inside a transaction");
        add(all, "H-124", "counters that outlive their domain");
        add(all, "H-125", "what a toolstack reads written by a guest");
        add(all, "H-126", "states that are none, in every state");
        add(all, "H-127", "the store's page reconnected, half written, scribbled over");
        add(all, "H-128", "connections until no descriptor is left");
        add(all, "H-129", "log lines at the guest's command");
        add(all, "H-130", "delimiters in values that are parsed again");
        add(all, "J-01", "memory that its owner can shrink under the JVM");
        add(all, "J-02", "sizes from the peer; segments closed under a reader");
        add(all, "J-03", "unsigned fields taken for signed ones");
        add(all, "J-04", "allocations whose size the peer chooses");
        add(
                all,
                "J-05",
                "stacks overflowed by deep input",
                "no parser recurses; the deepest path of the store is H-117");
        add(all, "J-06", "buffers lost on error paths");
        add(all, "J-07", "requests that make garbage");
        add(all, "J-08", "exceptions with stack traces at the peer's command");
        add(all, "J-09", "a log line for every bad request");
        add(all, "N-20", "NBD clients that never finish the handshake; too many of them");
        add(all, "N-21", "NBD names and lists whose lengths lie, that are too long or no text");
        add(all, "N-22", "NBD options and commands out of order; plain text taken for encrypted");
        add(all, "N-23", "NBD servers that lie about sizes, requests and errors");
        add(all, "N-24", "NBD clients that ask and take no answers");
        add(all, "N-25", "NBD requests with impossible numbers, half sent, or without end");
        add(all, "N-26", "two writers of one image");
        add(all, "N-30", "an image that names files elsewhere, or what is no file");
        add(all, "N-31", "a guest that writes another format's header into its disk");
        add(all, "N-32", "headers and tables of images that lie: sizes, places, chains, bombs");
        add(all, "N-33", "thin disks that fill the storage beneath them");
        add(all, "N-34", "discards that lose what lies beside them");
        add(all, "N-40", "frames with another port's MAC address");
        add(all, "N-41", "ARP and neighbour discovery that name others' addresses");
        add(all, "N-42", "addresses and groups without end");
        add(all, "N-43", "storms, and a guest that bridges two of its ports");
        add(all, "N-44", "runts, giants, tags upon tags; padding with old bytes");
        add(all, "N-45", "fragments that hide what a rule looks at");
        add(all, "N-46", "connections, ports and questions of one guest without end");
        add(all, "N-47", "source addresses that are nobody's, the host's or another guest's");
        add(all, "N-48", "forged ICMP errors; packets that go round for ever");
        add(all, "N-49", "tunnels: strangers, other segments, tunnels in tunnels");
        add(all, "N-50", "protocols that carry addresses: refused, not guessed at");
        add(all, "N-51", "frames that take a rule table long to look up");
        return all;
    }

    private static void add(Map<String, Attack> all, String id, String title) {
        add(all, id, title, "");
    }

    private static void add(Map<String, Attack> all, String id, String title, String reason) {
        all.put(id, new Attack(title, reason));
    }
}
