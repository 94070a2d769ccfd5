package org.splitring.xenbus;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.splitring.xenbus.store.StoreAccess;
import org.splitring.xenbus.store.StoreException;

/// The backend of a device without rings: it notes what it is told.
final class RecordingBackend implements BackendHooks {
    final List<String> story = new ArrayList<>();
    int open;
    int ends;
    String size = "2048";
    @Nullable Consumer<String> broken;

    /// Set: a connection's close waits until this is run.
    boolean closesLate;

    @Nullable Runnable closeNow;

    @Override
    public void offer(StoreAccess keys, String folder) throws StoreException {
        keys.write(folder + "/feature-test", "1");
    }

    @Override
    public Connection connect(Keys frontend, Consumer<String> toBreak)
            throws StoreException, HandshakeException {
        long ring = frontend.number("ring-ref", 1, 1000);
        if (open != 0) {
            throw new AssertionError("connected twice");
        }
        open++;
        broken = toBreak;
        story.add("connect " + ring);
        return (executor, closed) -> {
            story.add("close");
            Runnable last =
                    () -> {
                        open--;
                        executor.execute(closed);
                    };
            if (closesLate) {
                closeNow = last;
            } else {
                last.run();
            }
        };
    }

    @Override
    public void publish(StoreAccess keys, String folder) throws StoreException {
        keys.write(folder + "/size", size);
    }

    @Override
    public void ended() {
        ends++;
        story.add("ended");
    }

    void breakNow(String reason) {
        Consumer<String> now = broken;
        if (now == null) {
            throw new AssertionError("was never connected");
        }
        now.accept(reason);
    }
}
