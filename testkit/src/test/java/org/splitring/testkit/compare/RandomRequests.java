package org.splitring.testkit.compare;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
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

    /// What kinds of requests there are.
    ///
    /// @param guestsTransact whether guests begin transactions
    /// @param guestsComeAndGo whether they are released and introduced
    record Mix(boolean guestsTransact, boolean guestsComeAndGo) {}

    private final Random random;
    private final Mix mix;
    private final List<List<Integer>> open = new ArrayList<>();
    private final List<List<String>> watches = new ArrayList<>();
    private final Set<Integer> gone = new TreeSet<>(); // connections of released guests

    RandomRequests(Random random, Mix mix) {
        this.random = random;
        this.mix = mix;
        for (int i = 0; i < DOMAINS.size(); i++) {
            open.add(new ArrayList<>());
            watches.add(new ArrayList<>());
        }
    }

    /// Takes note of what a step has done.
    void answered(Numbered numbered, List<String> answer) {
        Step step = numbered.step();
        if (answer.isEmpty() || answer.getFirst().startsWith("error ")) {
            return;
        }
        switch (step.type()) {
            case XsdSockmsgLayout.TRANSACTION_START ->
                    open.get(step.connection()).add(numbered.number());
            case XsdSockmsgLayout.INTRODUCE -> gone.remove(connectionNamed(step));
            case XsdSockmsgLayout.RELEASE -> {
                int connection = connectionNamed(step);
                gone.add(connection);
                open.get(connection).clear();
                watches.get(connection).clear();
            }
            default -> {}
        }
    }

    private static int connectionNamed(Step step) {
        String domain = step.payload().substring(0, step.payload().indexOf('\0'));
        return DOMAINS.indexOf(Integer.parseInt(domain));
    }

    private <T> T oneOf(List<T> choices) {
        return choices.get(random.nextInt(choices.size()));
    }

    private boolean chance(int ofHundred) {
        return random.nextInt(100) < ofHundred;
    }

    Step next() {
        if (mix.guestsComeAndGo && chance(4)) {
            return comeOrGo();
        }
        int connection = random.nextInt(DOMAINS.size());
        while (gone.contains(connection)) {
            connection = random.nextInt(DOMAINS.size());
        }
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
                    (special ? "a" : path)
                            + "\0"
                            + (mix.guestsComeAndGo && path.equals("/") ? "n0\0" : "")
                            + permissions());
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

    /// A guest is introduced that is gone, or released. A release takes rights away from nodes
    /// here, and
    /// with it spoils transactions that have seen these, so all end first.
    private Step comeOrGo() {
        int connection = 2 + random.nextInt(DOMAINS.size() - 2);
        if (gone.contains(connection)) {
            return introduce(DOMAINS.get(connection));
        }
        for (int i = 0; i < open.size(); i++) {
            if (!open.get(i).isEmpty()) {
                return end(i, open.get(i).getFirst(), "T\0");
            }
        }
        return new Step(
                random.nextInt(2), XsdSockmsgLayout.RELEASE, 0, DOMAINS.get(connection) + "\0");
    }

    private static Step introduce(int domain) {
        return new Step(0, XsdSockmsgLayout.INTRODUCE, 0, domain + "\0001\0001\0");
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
        int connection = mix.guestsTransact ? who : 0;
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
        return end(connection, oneOf(mine), how);
    }

    private Step end(int connection, Integer transaction, String how) {
        open.get(connection).remove(/* element */ transaction);
        return new Step(connection, XsdSockmsgLayout.TRANSACTION_END, transaction, how);
    }

    private Step watch(int connection) {
        String path = chance(3) ? oneOf(List.of("@unknown", "@", "@a b")) : path();
        // Two watches have two tokens: in which order they hear is each daemon's own.
        String token = Integer.toHexString(path.hashCode()) + random.nextInt(2);
        String watch = path + "\0" + token + "\0";
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

    private Step rare(int who) {
        Step step = rarer(who);
        return chance(3) ? new Step(step.connection(), step.type(), -1, step.payload()) : step;
    }

    private Step rarer(int connection) {
        int domain = random.nextInt(6);
        return switch (random.nextInt(12)) {
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
            case 7 ->
                    forGuests(connection, XsdSockmsgLayout.SET_TARGET, domain + "\0" + "1" + "\0");
            case 8, 9 -> command(connection);
            case 10 -> ofDomain0(connection);
            default -> ofSpecialName();
        };
    }

    /// CONTROL, where an answer does not show the daemon's own way of life.
    private Step command(int connection) {
        String command =
                switch (random.nextInt(3)) {
                    case 0 -> {
                        int guest = there();
                        yield guest == 0 ? "quota\0" : "quota\0" + guest + "\0";
                    }
                    case 1 -> "check\0";
                    default ->
                            oneOf(
                                    List.of(
                                            "",
                                            "check",
                                            "check\0x\0",
                                            "print\0",
                                            "print\0hello\0",
                                            "print\0a\0b\0",
                                            "nonsense\0",
                                            "quota\0",
                                            "quota\0" + "99\0",
                                            "quota\0" + "1\0" + "2\0",
                                            "quota\0set\0",
                                            "quota\0set\0nodes\0",
                                            "quota\0set\0cows\0" + "1\0",
                                            "quota\0set\0nodes\0" + "0\0",
                                            "quota\0set\0path-max\0" + "2048\0",
                                            "quota\0set\0path-max\0" + "2048\0x\0",
                                            "quota-soft\0",
                                            "quota-soft\0" + "1\0",
                                            "quota-soft\0set\0nodes\0" + "1\0",
                                            "quota-soft\0set\0memory\0" + "2097152\0"));
                };
        return new Step(connection % 2, XsdSockmsgLayout.CONTROL, 0, command);
    }

    /// A guest that is introduced, or domain 0.
    private int there() {
        int connection = random.nextInt(DOMAINS.size());
        return gone.contains(connection) ? 0 : DOMAINS.get(connection);
    }

    /// What only domain 0 may do, in sensible ways and not, without a guest that comes or goes.
    private Step ofDomain0(int connection) {
        int type =
                oneOf(
                        List.of(
                                XsdSockmsgLayout.INTRODUCE,
                                XsdSockmsgLayout.RELEASE,
                                XsdSockmsgLayout.RESUME,
                                XsdSockmsgLayout.SET_TARGET));
        String payload =
                switch (type) {
                    case XsdSockmsgLayout.INTRODUCE ->
                            oneOf(List.of("", "1\0", "1\0001\0", "1\0001\0000\0", "1\0001\0001"));
                    case XsdSockmsgLayout.SET_TARGET ->
                            mix.guestsComeAndGo
                                    ? oneOf(List.of("", "1\0", "1\00099\0", "99\0001\0"))
                                    : random.nextInt(1, 4) + "\0" + random.nextInt(1, 4) + "\0";
                    case XsdSockmsgLayout.RELEASE -> oneOf(List.of("", "\0", "0\0", "99\0", "1"));
                    default -> oneOf(List.of("", "\0", "0\0", "99\0", "1", there() + "\0"));
                };
        return new Step(connection % 2, type, 0, payload);
    }

    private Step ofSpecialName() {
        String name = oneOf(List.of("@introduceDomain", "@releaseDomain"));
        return new Step(0, XsdSockmsgLayout.SET_PERMS, 0, name + "\0" + permissions());
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
                                XsdSockmsgLayout.UNWATCH,
                                XsdSockmsgLayout.GET_DOMAIN_PATH));
        String payload =
                oneOf(
                        List.of(
                                "",
                                "\0",
                                "/shared",
                                "/shared/a\0/shared/b\0/shared/c\0/shared/d\0",
                                "/shared/a\0b",
                                "\0\0\0"));
        if (type == XsdSockmsgLayout.GET_DOMAIN_PATH && payload.equals("\0")) {
            payload = "1"; // no number there is 0
        }
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
