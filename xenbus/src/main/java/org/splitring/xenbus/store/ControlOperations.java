package org.splitring.xenbus.store;

import static org.splitring.wire.XenstoreRingLayout.FEATURE_ERROR;
import static org.splitring.wire.XenstoreRingLayout.FEATURE_RECONNECTION;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.hypervisor.DomId;

/// Operations that only domain 0 may use: domains that come and go, their quotas and features, and
/// the commands of CONTROL. Arguments are those of Xen's `docs/misc/xenstore.txt`.
final class ControlOperations {
    /// Bit of `server_features`, later than the header of Xen 4.17: watches have a depth.
    private static final int FEATURE_WATCH_DEPTH = 4;

    /// Bits of the `server_features` word of a guest's page.
    static final int SUPPORTED_FEATURES =
            FEATURE_RECONNECTION | FEATURE_ERROR | FEATURE_WATCH_DEPTH;

    private static final String HELP =
            """
            check\t
            print\t<string>
            quota\t[set <name> <val>|<domid>]
            quota-soft\t[set <name> <val>]
            help\t
            """;
    private static final String SETTINGS = "Quota settings:\n";

    /// What the command calls `soft-memory`.
    private static final String SOFT_NAME = "memory";

    private static final Logger LOG = LoggerFactory.getLogger(ControlOperations.class);

    /// `DOMID_SELF` of `xen.h`: the caller, who exists.
    private static final int SELF = 0x7FF0;

    private final StoreTree tree;
    private final StoreDomains domains;

    ControlOperations(StoreTree tree) {
        this.tree = tree;
        this.domains = tree.domains();
    }

    /// INTRODUCE: domain, frame of its page, and port. A guest of ours brings its page and port
    /// when it attaches, so only the first counts here.
    void introduce(List<String> arguments) throws StoreException {
        if (arguments.size() < 3) {
            throw new StoreException(StoreError.EINVAL, arguments.size() + " arguments, not 3");
        }
        DomId domain = guest(arguments.get(0));
        if (!arguments.get(1).matches("-?[0-9]{1,19}") || number(arguments.get(2)) == 0) {
            throw new StoreException(StoreError.EINVAL, "frame or port is none");
        }
        tree.introduce(domain);
    }

    void release(String domain) throws StoreException {
        DomId guest = guest(domain);
        domains.requireIntroduced(guest);
        tree.release(guest);
    }

    /// RESUME: a domain that was suspended runs again. Nothing here depends on it.
    void resume(String domain) throws StoreException {
        domains.requireIntroduced(guest(domain));
    }

    void setTarget(List<String> arguments) throws StoreException {
        if (arguments.size() < 2) {
            throw new StoreException(StoreError.EINVAL, arguments.size() + " arguments, not 2");
        }
        domains.setTarget(domain(arguments.get(0)), domain(arguments.get(1)));
    }

    boolean isIntroduced(String domain) throws StoreException {
        long number = number(domain);
        return number == SELF || domains.isIntroduced(domain(domain));
    }

    /// GET_FEATURE: of a domain, or what is supported.
    String getFeature(List<String> arguments) throws StoreException {
        String only = arguments.isEmpty() ? "" : arguments.getFirst();
        if (arguments.size() > 1) {
            throw new StoreException(StoreError.EINVAL, arguments.size() + " arguments");
        }
        return Integer.toString(
                only.isEmpty() ? SUPPORTED_FEATURES : domains.features(domain(only)));
    }

    void setFeature(List<String> arguments) throws StoreException {
        if (arguments.size() != 2) {
            throw new StoreException(StoreError.EINVAL, arguments.size() + " arguments, not 2");
        }
        long features = number(arguments.get(1));
        if ((features & ~SUPPORTED_FEATURES) != 0) {
            throw new StoreException(StoreError.EINVAL, "features " + features);
        }
        domains.setFeatures(domain(arguments.get(0)), (int) features);
    }

    /// GET_QUOTA: names of all, one for all domains, or one of a domain.
    String getQuota(List<String> arguments) throws StoreException {
        List<String> given = arguments.equals(List.of("")) ? List.of() : arguments;
        return switch (given.size()) {
            case 0 -> {
                List<String> names = new ArrayList<>();
                for (Quota quota : Quota.values()) {
                    names.add(quota.wireName());
                }
                yield String.join(" ", names);
            }
            case 1 -> Integer.toString(domains.limits().get(quota(given.get(0))));
            case 2 ->
                    Integer.toString(domains.limits(domain(given.get(0))).get(quota(given.get(1))));
            default -> throw new StoreException(StoreError.EINVAL, given.size() + " arguments");
        };
    }

    /// SET_QUOTA: for all domains that have none of their own, or for one.
    void setQuota(List<String> arguments) throws StoreException {
        switch (arguments.size()) {
            case 2 -> domains.setLimit(quota(arguments.get(0)), (int) number(arguments.get(1)));
            case 3 ->
                    domains.setLimit(
                            domain(arguments.get(0)),
                            quota(arguments.get(1)),
                            (int) number(arguments.get(2)));
            default -> throw new StoreException(StoreError.EINVAL, arguments.size() + " arguments");
        }
    }

    /// CONTROL: a command in words, answered in the words of Xen's daemon.
    String command(List<String> words) throws StoreException {
        String command = words.isEmpty() ? "" : words.getFirst();
        List<String> rest = words.isEmpty() ? words : words.subList(1, words.size());
        return switch (command) {
            case "help" -> {
                requireWords(rest, 0);
                yield HELP;
            }
            case "check" -> {
                requireWords(rest, 0);
                tree.checkBooks();
                yield "OK";
            }
            case "print" -> {
                requireWords(rest, 1);
                LOG.info("control: {}", StorePath.shown(rest.getFirst()));
                yield "OK";
            }
            case "quota" -> quotaCommand(rest);
            case "quota-soft" -> softQuotaCommand(rest);
            default -> throw new StoreException(StoreError.EINVAL, "no such command");
        };
    }

    private static void requireWords(List<String> words, int count) throws StoreException {
        if (words.size() != count) {
            throw new StoreException(StoreError.EINVAL, words.size() + " arguments");
        }
    }

    private String quotaCommand(List<String> words) throws StoreException {
        if (words.isEmpty()) {
            StringBuilder text = new StringBuilder(SETTINGS);
            for (Quota quota : Quota.values()) {
                if (quota != Quota.SOFT_MEMORY) {
                    text.append(setting(quota.wireName(), quota));
                }
            }
            return text.toString();
        }
        if (words.getFirst().equals("set")) {
            requireWords(words, 3);
            if (words.get(1).equals(Quota.SOFT_MEMORY.wireName())) {
                throw new StoreException(StoreError.EINVAL, "a soft quota");
            }
            return set(quota(words.get(1)), words.get(2));
        }
        requireWords(words, 1);
        DomId domain = domain(words.getFirst());
        StringBuilder text = new StringBuilder("Domain " + domain + ":\n");
        for (Map.Entry<String, Long> one : domains.usage(domain).entrySet()) {
            text.append(String.format(Locale.ROOT, "%-16s: %8d%n", one.getKey(), one.getValue()));
        }
        return text.toString();
    }

    private String softQuotaCommand(List<String> words) throws StoreException {
        if (words.isEmpty()) {
            return SETTINGS + setting(SOFT_NAME, Quota.SOFT_MEMORY);
        }
        requireWords(words, 3);
        if (!words.get(0).equals("set") || !words.get(1).equals(SOFT_NAME)) {
            throw new StoreException(StoreError.EINVAL, "no such soft quota");
        }
        return set(Quota.SOFT_MEMORY, words.get(2));
    }

    /// As Xen's daemon, and unlike SET_QUOTA, this cannot take a limit away.
    private String set(Quota quota, String value) throws StoreException {
        long limit = number(value);
        if (limit < 1) {
            throw new StoreException(StoreError.EINVAL, quota.wireName() + " of " + limit);
        }
        domains.setLimit(quota, (int) limit);
        return "OK";
    }

    private String setting(String name, Quota quota) {
        return String.format(
                Locale.ROOT,
                "%-17s: %8d %s%n",
                name,
                domains.limits().get(quota),
                quota.description());
    }

    private static Quota quota(String name) throws StoreException {
        Optional<Quota> quota = Quota.byName(name);
        if (quota.isEmpty()) {
            throw new StoreException(StoreError.EINVAL, "no such quota");
        }
        return quota.get();
    }

    private static DomId guest(String text) throws StoreException {
        DomId domain = domain(text);
        if (domain.equals(DomId.ZERO)) {
            throw new StoreException(StoreError.EINVAL, "domain 0 stays");
        }
        return domain;
    }

    static DomId domain(String text) throws StoreException {
        long number = number(text);
        if (number >= DomId.FIRST_RESERVED) {
            throw new StoreException(StoreError.EINVAL, "domain " + number);
        }
        return new DomId((int) number);
    }

    static long number(String text) throws StoreException {
        if (!text.matches("[0-9]{1,9}")) {
            throw new StoreException(StoreError.EINVAL, "not a number");
        }
        return Long.parseLong(text);
    }
}
