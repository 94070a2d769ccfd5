package org.splitring.testkit.compare;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.splitring.wire.XsdSockmsgLayout;

/// Makes requests of every kind, sensible and not, about a few paths that meet often.
final class RandomRequests {
    /// Which domain each connection has; domain 0 has two.
    static final List<Integer> DOMAINS = List.of(0, 0, 1, 2, 3);

    private static final List<String> NAMES = List.of("a", "b", "c");
    private static final List<String> FOLDERS =
            List.of(
                    "/local/domain/1/",
                    "/local/domain/2/",
                    "/local/domain/3/",
                    "/shared/",
                    "/closed/",
                    "/top/",
                    "/");
    private static final List<String> ODD_PATHS =
            List.of(
                    "",
                    "/",
                    "//",
                    "/shared/",
                    "/shared//a",
                    "shared/",
                    "@releaseDomain",
                    "@introduceDomain",
                    "/@x",
                    "/shared/a b",
                    "/shared/\u00e9",
                    "/shared/a.b",
                    "/shared/_@-",
                    "/local",
                    "/local/domain",
                    "/local/domain/1",
                    "/local/domain/2",
                    "/tool/xenstored",
                    "../a");
    private static final List<String> ODD_PERMISSIONS =
            List.of("", "n", "x1", "r1junk", "N1", " n1");

    private final Random random;
    private final boolean guestsTransact;
    private final List<List<Integer>> open = new ArrayList<>();
    private final List<List<String>> watches = new ArrayList<>();

    RandomRequests(Random random, boolean guestsTransact) {
        this.random = random;
        this.guestsTransact = guestsTransact;
        for (int i = 0; i < DOMAINS.size(); i++) {
            open.add(new ArrayList<>());
            watches.add(new ArrayList<>());
        }
    }

    /// A transaction has begun, under the number that steps shall name it by.
    void began(int connection, int transaction) {
        open.get(connection).add(transaction);
    }

    private <T> T oneOf(List<T> choices) {
        return choices.get(random.nextInt(choices.size()));
    }

    private boolean chance(int ofHundred) {
        return random.nextInt(100) < ofHundred;
    }

    Step next() {
        int connection = random.nextInt(DOMAINS.size());
        int kind = random.nextInt(100);
        if (kind < 22) {
            String payload = path() + "\0" + value();
            int most = Math.min(payload.length(), XsdSockmsgLayout.PAYLOAD_MAX_BYTES);
            return inside(connection, XsdSockmsgLayout.WRITE, payload.substring(0, most));
        }
        if (kind < 34) {
            return inside(connection, XsdSockmsgLayout.READ, path() + "\0");
        }
        if (kind < 41) {
            return inside(connection, XsdSockmsgLayout.MKDIR, path() + "\0");
        }
        if (kind < 48) {
            String path = path();
            boolean allHomes = path.equals("/local") || path.equals("/local/domain");
            return inside(connection, XsdSockmsgLayout.RM, allHomes ? "a\0" : path + "\0");
        }
        if (kind < 54) {
            return inside(connection, XsdSockmsgLayout.DIRECTORY, path() + "\0");
        }
        if (kind < 57) {
            String from = chance(80) ? "0" : oneOf(List.of("1", "2", "99", "007"));
            return inside(connection, XsdSockmsgLayout.DIRECTORY_PART, path() + "\0" + from + "\0");
        }
        if (kind < 61) {
            return inside(connection, XsdSockmsgLayout.GET_PERMS, path() + "\0");
        }
        if (kind < 68) {
            String path = path();
            boolean special = connection >= 2 && path.startsWith("@");
            return inside(
                    connection,
                    XsdSockmsgLayout.SET_PERMS,
                    (special ? "a" : path) + "\0" + permissions());
        }
        if (kind < 76) {
            return begin(connection);
        }
        if (kind < 84) {
            return end(connection);
        }
        if (kind < 90) {
            return watch(connection);
        }
        if (kind < 94) {
            return unwatch(connection);
        }
        return rare(connection);
    }

    private Step inside(int connection, int type, String payload) {
        List<Integer> mine = open.get(connection);
        int transaction = 0;
        if (chance(1)) {
            transaction = -1;
        } else if (!mine.isEmpty() && chance(60)) {
            transaction = oneOf(mine);
        }
        return new Step(connection, type, transaction, payload);
    }

    private Step begin(int who) {
        int connection = guestsTransact ? who : 0;
        int within = chance(3) && !open.get(connection).isEmpty() ? oneOf(open.get(connection)) : 0;
        String payload = chance(97) ? "\0" : oneOf(List.of("", "x\0", "\0\0"));
        return new Step(connection, XsdSockmsgLayout.TRANSACTION_START, within, payload);
    }

    private Step end(int connection) {
        List<Integer> mine = open.get(connection);
        String how = chance(80) ? "T\0" : "F\0";
        if (mine.isEmpty() || chance(3)) {
            how = oneOf(List.of("T\0", "F\0", "T", "X\0", "", "T\0F\0", "Tx\0"));
            return new Step(connection, XsdSockmsgLayout.TRANSACTION_END, chance(50) ? 0 : -1, how);
        }
        Integer transaction = oneOf(mine);
        mine.remove(/* element */ transaction);
        return new Step(connection, XsdSockmsgLayout.TRANSACTION_END, transaction, how);
    }

    private Step watch(int connection) {
        String path = chance(3) ? oneOf(List.of("@unknown", "@", "@a b")) : path();
        String watch = path + "\0" + "token" + random.nextInt(5) + "\0";
        if (chance(10) && !watches.get(connection).isEmpty()) {
            watch = oneOf(watches.get(connection));
        }
        watches.get(connection).add(watch);
        return new Step(connection, XsdSockmsgLayout.WATCH, 0, watch);
    }

    private Step unwatch(int connection) {
        List<String> mine = watches.get(connection);
        String watch = "/shared\0token9\0";
        if (!mine.isEmpty() && chance(90)) {
            watch = oneOf(mine);
            mine.remove(watch);
        }
        return new Step(connection, XsdSockmsgLayout.UNWATCH, 0, watch);
    }

    private Step rare(int connection) {
        int domain = random.nextInt(6);
        return switch (random.nextInt(8)) {
            case 0 -> new Step(connection, XsdSockmsgLayout.GET_DOMAIN_PATH, 0, oddNumber() + "\0");
            case 1 ->
                    new Step(
                            connection,
                            XsdSockmsgLayout.IS_DOMAIN_INTRODUCED,
                            0,
                            oddNumber() + "\0");
            case 2 -> new Step(connection, 64 + random.nextInt(200), 0, "x\0");
            case 3 -> malformed(connection);
            case 4 -> {
                if (chance(80)) {
                    yield inside(connection, XsdSockmsgLayout.READ, path() + "\0");
                }
                watches.get(connection).clear();
                yield new Step(connection, XsdSockmsgLayout.RESET_WATCHES, 0, "\0");
            }
            case 5 -> forGuests(connection, XsdSockmsgLayout.INTRODUCE, domain + "\0001\0001\0");
            case 6 -> forGuests(connection, XsdSockmsgLayout.RELEASE, domain + "\0");
            default ->
                    forGuests(connection, XsdSockmsgLayout.SET_TARGET, domain + "\0" + "1" + "\0");
        };
    }

    /// What only domain 0 may do; sent as a guest.
    private Step forGuests(int connection, int type, String payload) {
        return new Step(connection < 2 ? 2 : connection, type, 0, payload);
    }

    private String oddNumber() {
        return chance(70)
                ? Integer.toString(random.nextInt(5))
                : oneOf(List.of("5", "007", "32751"));
    }

    /// Too few or too many strings, where xenstored looks at their number.
    private Step malformed(int connection) {
        int type =
                oneOf(
                        List.of(
                                XsdSockmsgLayout.DIRECTORY_PART,
                                XsdSockmsgLayout.SET_PERMS,
                                XsdSockmsgLayout.WATCH,
                                XsdSockmsgLayout.UNWATCH));
        String payload =
                oneOf(
                        List.of(
                                "",
                                "\0",
                                "/shared",
                                "/shared/a\0/shared/b\0/shared/c\0/shared/d\0",
                                "/shared/a\0b",
                                "\0\0\0"));
        return inside(connection, type, payload);
    }

    private String path() {
        if (chance(6)) {
            return oneOf(ODD_PATHS);
        }
        if (chance(1)) {
            int length = oneOf(List.of(2047, 2048, 3073));
            return oneOf(List.of("/", "x")) + "p".repeat(length - 1);
        }
        StringBuilder path = new StringBuilder(chance(20) ? "" : oneOf(FOLDERS));
        path.append(oneOf(NAMES));
        for (int depth = random.nextInt(3); depth > 0; depth--) {
            path.append('/').append(oneOf(NAMES));
        }
        return path.toString();
    }

    private String value() {
        if (chance(3)) {
            return "v".repeat(oneOf(List.of(40, 60, 2000, 2040, 2048, 2049)));
        }
        return oneOf(List.of("", "1", "two", "three\0four", "\0", "\u00ff")) + random.nextInt(1000);
    }

    private String permissions() {
        StringBuilder text = new StringBuilder();
        int count = 1 + random.nextInt(chance(10) ? 8 : 3);
        for (int i = 0; i < count; i++) {
            text.append(
                            chance(3)
                                    ? oneOf(ODD_PERMISSIONS)
                                    : oneOf(List.of("n", "r", "w", "b")) + random.nextInt(4))
                    .append('\0');
        }
        return text.toString();
    }
}
