package org.splitring.testkit.compare;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.splitring.wire.XsdSockmsgLayout;

/// Gives the same steps to both daemons, until one of them does something else.
final class Comparison {
    private static final int SHOWN = 120;

    private final StoreSide theirs;
    private final StoreSide ours;
    private final AllowedDifferences differences = new AllowedDifferences();
    private final List<Numbered> done = new ArrayList<>();
    private final List<String> story = new ArrayList<>();
    private @Nullable String difference;

    Comparison(StoreSide theirs, StoreSide ours) {
        this.theirs = theirs;
        this.ours = ours;
    }

    /// Carries a step out on both sides, if it can be.
    ///
    /// @return the answer of xenstored, followed by events; empty when it was left out, or when the
    ///     daemons differ
    List<String> run(Numbered step) {
        if (difference != null || !theirs.canRun(step.step())) {
            return List.of();
        }
        done.add(step);
        try {
            List<String> expected = theirs.run(step);
            story.add(step + "\n    " + Step.shown(expected.toString()));
            List<String> found = ours.run(step);
            if (!expected.equals(found) && !differences.allow(step.step(), expected, found)) {
                difference = "ours: " + Step.shown(found.toString());
                return List.of();
            }
            if (differences.cameThrough(step.step(), expected)) {
                difference = "a transaction came through whose answers differed";
                return List.of();
            }
            return expected;
        } catch (IOException e) {
            difference = e.toString();
            return List.of();
        }
    }

    /// Compares what each guest uses and the trees, and has the daemons check themselves.
    void end() throws IOException {
        for (int domain : RandomRequests.DOMAINS) {
            if (theirs.isThere(domain) && domain != 0) {
                run(control(XsdSockmsgLayout.CONTROL, "quota\0" + domain + "\0"));
            }
        }
        run(control(XsdSockmsgLayout.CONTROL, "check\0"));
        if (difference != null) {
            return;
        }
        List<String> expected = theirs.dump();
        List<String> found = ours.dump();
        if (!expected.equals(found)) {
            List<String> missing = new ArrayList<>(expected);
            missing.removeAll(found);
            List<String> more = new ArrayList<>(found);
            more.removeAll(expected);
            difference =
                    "trees: theirs "
                            + Step.shown(missing.toString())
                            + ", ours "
                            + Step.shown(more.toString());
        }
    }

    /// What differs; null for nothing.
    @Nullable String difference() {
        return difference;
    }

    /// What was done, in steps that can be replayed.
    List<Numbered> done() {
        return done;
    }

    /// What was done and answered, a line for each, and what differs.
    String story() {
        List<String> last = story.subList(Math.max(0, story.size() - SHOWN), story.size());
        return String.join("\n", last) + "\n" + difference;
    }

    /// A home for each guest, a folder for all and one for nobody; and nothing that a daemon makes
    /// by itself.
    static List<Numbered> beginning() {
        List<Numbered> steps = new ArrayList<>();
        steps.add(control(XsdSockmsgLayout.RM, "/tool\0"));
        for (int domain = 1; domain <= 3; domain++) {
            steps.add(control(XsdSockmsgLayout.INTRODUCE, domain + "\0" + "1\0" + "1\0"));
            String home = "/local/domain/" + domain + "\0";
            steps.add(control(XsdSockmsgLayout.MKDIR, home));
            steps.add(control(XsdSockmsgLayout.SET_PERMS, home + "n" + domain + "\0"));
        }
        steps.add(control(XsdSockmsgLayout.MKDIR, "/shared\0"));
        steps.add(control(XsdSockmsgLayout.SET_PERMS, "/shared\0b0\0"));
        steps.add(control(XsdSockmsgLayout.MKDIR, "/top\0"));
        steps.add(control(XsdSockmsgLayout.SET_PERMS, "/top\0r0\0b2\0n3\0"));
        steps.add(control(XsdSockmsgLayout.MKDIR, "/closed\0"));
        return steps;
    }

    private static Numbered control(int type, String payload) {
        return new Numbered(0, new Step(0, type, 0, payload));
    }
}
