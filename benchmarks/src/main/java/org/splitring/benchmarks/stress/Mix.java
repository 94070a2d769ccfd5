package org.splitring.benchmarks.stress;

import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.SplittableRandom;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/// In which proportions the kinds of block requests come: `read=70,write=25,flush=5`. The numbers
/// need not add up to 100.
final class Mix {
    /// The kinds there are.
    enum Kind {
        READ,
        WRITE,
        FLUSH,
        DISCARD;

        String label() {
            return name().toLowerCase(Locale.ROOT);
        }
    }

    private static final int MOST = 1_000_000;
    private static final String FORM =
            "KIND=SHARE of read, write, flush and discard, such as" + " read=70,write=25,flush=5";

    private final Map<Kind, Integer> shares;
    private final int[] upTo; // sums of the shares, in the order of the kinds
    private final Kind[] kinds;

    private Mix(Map<Kind, Integer> shares) {
        this.shares = shares;
        upTo = new int[shares.size()];
        kinds = new Kind[shares.size()];
        int sum = 0;
        int i = 0;
        for (Map.Entry<Kind, Integer> share : shares.entrySet()) {
            sum += share.getValue();
            upTo[i] = sum;
            kinds[i] = share.getKey();
            i++;
        }
    }

    /// @throws IllegalArgumentException when it says nothing that can be done: one line that
    ///     says why
    static Mix parse(String text) {
        Map<Kind, Integer> shares = new EnumMap<>(Kind.class);
        for (String part : text.split(",", -1)) {
            String[] words = part.strip().split("=", -1);
            if (words.length != 2 || !words[1].matches("[0-9]{1,7}")) {
                throw new IllegalArgumentException("'" + part + "' is not " + FORM);
            }
            Kind kind = kind(words[0]);
            int share = Integer.parseInt(words[1]);
            if (share > MOST) {
                throw new IllegalArgumentException("'" + part + "': at most " + MOST);
            }
            if (shares.put(kind, share) != null) {
                throw new IllegalArgumentException("'" + words[0] + "' is there twice");
            }
        }
        shares.values().removeIf(share -> share == 0);
        if (shares.isEmpty()) {
            throw new IllegalArgumentException("'" + text + "' leaves nothing to do");
        }
        return new Mix(shares);
    }

    private static Kind kind(String label) {
        for (Kind kind : Kind.values()) {
            if (kind.label().equals(label)) {
                return kind;
            }
        }
        throw new IllegalArgumentException("'" + label + "' is not " + FORM);
    }

    /// For picocli.
    static final class Converter implements ITypeConverter<Mix> {
        @Override
        public Mix convert(String text) {
            try {
                return parse(text);
            } catch (IllegalArgumentException e) {
                throw new TypeConversionException(e.getMessage());
            }
        }
    }

    /// Kinds that occur, in the order of [Kind].
    List<Kind> kinds() {
        return new ArrayList<>(shares.keySet());
    }

    boolean has(Kind kind) {
        return shares.containsKey(kind);
    }

    /// Whether the disk is only looked at.
    boolean isReadOnly() {
        return !has(Kind.WRITE) && !has(Kind.DISCARD);
    }

    /// The next request's kind, as its place in [#kinds].
    int pick(SplittableRandom random) {
        int last = upTo.length - 1;
        if (last == 0) {
            return 0;
        }
        int ball = random.nextInt(upTo[last]);
        int i = 0;
        while (ball >= upTo[i]) {
            i++;
        }
        return i;
    }

    Kind kind(int index) {
        return kinds[index];
    }

    @Override
    public String toString() {
        List<String> parts = new ArrayList<>();
        shares.forEach((kind, share) -> parts.add(kind.label() + "=" + share));
        return String.join(",", parts);
    }
}
