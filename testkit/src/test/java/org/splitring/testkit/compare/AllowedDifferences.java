package org.splitring.testkit.compare;

import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.splitring.wire.XsdSockmsgLayout;

/// Where our server may answer otherwise than xenstored, in one sequence.
///
/// - **A transaction that can only fail**, because something it has looked at was changed:
///   xenstored shows it some nodes as they were and others as they are, ours one version of the
///   tree. In the end it must fail in both.
/// - **A transaction that was refused something** fails in both, with one error or another:
///   xenstored counts its nodes only at its end.
/// - **Events of a transaction for guests**: xenstored decides who may hear of a node when some of
///   the changes are made and others are not, ours by the tree before and after, and so tells more.
///   Domain 0, which may hear of everything, must hear the same.
///
/// Where they are known to differ otherwise, the requests keep away from it:
/// `docs/notes/xenstored.md`
/// has the list.
final class AllowedDifferences {
    private final Set<Integer> hopeless = new HashSet<>();

    /// Whether answers that differ may.
    boolean allow(Step step, List<String> theirs, List<String> ours) {
        if (step.type() == XsdSockmsgLayout.TRANSACTION_END) {
            return step.transaction() > 0
                    && (tellsMore(theirs, ours) || (isError(theirs) && isError(ours)));
        }
        if (step.transaction() <= 0 || theirs.size() > 1 || ours.size() > 1) {
            return false;
        }
        hopeless.add(step.transaction());
        return true;
    }

    /// Whether our guests only have heard more.
    private static boolean tellsMore(List<String> theirs, List<String> ours) {
        Map<String, Set<String>> heard = events(ours);
        Map<String, Set<String>> expected = events(theirs);
        Set<String> watches = new HashSet<>(heard.keySet());
        watches.addAll(expected.keySet());
        for (String watch : watches) {
            Set<String> here = heard.getOrDefault(watch, Set.of());
            Set<String> there = expected.getOrDefault(watch, Set.of());
            boolean ofDomain0 = watch.startsWith("events 0 ") || watch.startsWith("events 1 ");
            if (!(ofDomain0 ? here.equals(there) : here.containsAll(there))) {
                return false;
            }
        }
        return theirs.getFirst().equals(ours.getFirst());
    }

    /// Paths by connection and token.
    private static Map<String, Set<String>> events(List<String> answer) {
        Map<String, Set<String>> events = new HashMap<>();
        for (String line : answer.subList(1, answer.size())) {
            int end = line.lastIndexOf(' ');
            events.put(line.substring(0, end), Set.of(line.substring(end + 1).split(",", -1)));
        }
        return events;
    }

    /// Fails when a transaction came through that gave different answers.
    boolean cameThrough(Step step, List<String> answer) {
        return step.type() == XsdSockmsgLayout.TRANSACTION_END
                && hopeless.contains(step.transaction())
                && step.payload().startsWith("T")
                && !isError(answer);
    }

    private static boolean isError(List<String> answer) {
        return answer.getFirst().startsWith("error ");
    }
}
