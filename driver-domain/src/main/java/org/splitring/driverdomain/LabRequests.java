package org.splitring.driverdomain;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Executor;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.driverdomain.lab.LabException;
import org.splitring.xenbus.store.Store;
import org.splitring.xenbus.store.StoreError;
import org.splitring.xenbus.store.StoreException;
import org.splitring.xenbus.store.Watch;

/// What commands ask of the driver domain of a running lab, through its store. Guests can neither
/// ask nor read there.
///
///     /splitring/requests/REQUEST    "ask", a verb and its words, a line each;
///                                    then "ok" or "error", and lines about it
record LabRequests(Store store) {
    static final String RELOAD = "reload";
    static final String CAPTURE = "capture";
    static final String END_CAPTURE = "end-capture";

    private static final Logger LOG = LoggerFactory.getLogger(LabRequests.class);
    private static final String FOLDER = "/splitring/requests";
    private static final String ASK = "ask\n";
    private static final String OK = "ok\n";
    private static final String ERROR = "error\n";

    /// With room for the path of the node in the store's messages.
    private static final int MAX_CHARS = 3500;

    /// Does what is asked.
    interface Handler {
        /// Does it, on a thread that may wait.
        ///
        /// @param words none of them has a line break
        /// @return lines for people
        String handle(String verb, List<String> words) throws CommandException, LabException;
    }

    /// Asks, and waits for the answer.
    ///
    /// @return lines for people
    /// @throws CommandException with what is wrong, or when nobody answers in time
    String ask(Duration limit, String verb, String... words)
            throws StoreException, CommandException, InterruptedException {
        List<String> lines = new ArrayList<>(List.of(verb));
        lines.addAll(List.of(words));
        String text = ASK + String.join("\n", lines);
        if (text.length() > MAX_CHARS || text.lines().count() != lines.size() + 1) {
            throw new CommandException(
                    "\"" + String.join(" ", words) + "\" is too long, or has a line break in it");
        }
        String request = FOLDER + "/" + NodeWait.uniqueName();
        store.write(request, text);
        String answer;
        try {
            answer = NodeWait.await(store, request, limit, value -> !isAsked(value)).orElse("");
        } finally {
            store.remove(request);
        }
        if (answer.startsWith(ERROR)) {
            throw new CommandException(answer.substring(ERROR.length()));
        }
        if (!answer.startsWith(OK)) {
            throw new CommandException(
                    "no answer within "
                            + limit.toSeconds()
                            + " s: the driver domain's log may say why");
        }
        return answer.substring(OK.length());
    }

    private static boolean isAsked(Optional<String> value) {
        return value.orElse("").startsWith(ASK);
    }

    /// Answers what is asked from now on. Whoever asked an earlier driver domain waits no longer:
    /// his connection ended with that.
    ///
    /// @param executor for the work, which waits for files and loops
    Watch answer(Handler handler, Executor executor) throws StoreException {
        store.remove(FOLDER);
        return store.watch(FOLDER, path -> executor.execute(() -> answerAll(handler)));
    }

    private synchronized void answerAll(Handler handler) {
        try {
            for (String name : store.list(FOLDER)) {
                String request = FOLDER + "/" + name;
                Optional<String> text = store.read(request);
                if (isAsked(text)) {
                    store.write(request, answer(handler, text.orElseThrow()));
                }
            }
        } catch (StoreException e) {
            if (e.error() == StoreError.EIO) {
                LOG.debug("the store was closed: {}", e.getMessage());
            } else {
                LOG.error("requests of commands cannot be answered", e);
            }
        }
    }

    private static String answer(Handler handler, String text) {
        List<String> lines = text.lines().skip(1).toList();
        String answer;
        try {
            answer = OK + handler.handle(lines.getFirst(), lines.subList(1, lines.size()));
        } catch (CommandException | LabException e) {
            answer = ERROR + e.getMessage();
        } catch (RuntimeException e) {
            LOG.error("request {} failed", lines, e);
            answer = ERROR + "internal error: " + e;
        }
        return answer.substring(0, Math.min(answer.length(), MAX_CHARS));
    }
}
