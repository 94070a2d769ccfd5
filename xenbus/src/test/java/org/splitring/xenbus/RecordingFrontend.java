package org.splitring.xenbus;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Executor;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.splitring.hypervisor.GuestDomain;
import org.splitring.xenbus.store.StoreAccess;
import org.splitring.xenbus.store.StoreException;

/// The frontend of a device without rings: it notes what it is told.
final class RecordingFrontend implements FrontendHooks {
    final List<String> story = new ArrayList<>();
    int open;
    int ends;
    private int rings;
    @Nullable Consumer<String> broken;

    /// The state that rings are published with.
    XenbusState publishedAs = XenbusState.INITIALISED;

    /// Set: a connection's close waits until this is run.
    boolean closesLate;

    @Nullable Runnable closeNow;

    @Override
    public XenbusState publishedAs() {
        return publishedAs;
    }

    @Override
    public Connection prepare(
            GuestDomain guest, DevicePaths paths, Keys backend, Consumer<String> toBreak)
            throws StoreException, HandshakeException {
        if (!backend.flag("feature-test")) {
            throw new HandshakeException("feature-test is missing");
        }
        if (open != 0) {
            throw new AssertionError("prepared twice");
        }
        open++;
        broken = toBreak;
        int ring = ++rings;
        story.add("prepare " + ring);
        return new Connection() {
            @Override
            public void publish(StoreAccess keys, String folder) throws StoreException {
                keys.write(folder + "/ring-ref", Integer.toString(ring));
            }

            @Override
            public void connected(Keys keys) throws StoreException, HandshakeException {
                story.add("connected " + keys.number("size", 1, 1 << 20));
            }

            @Override
            public void changed(Keys keys) throws StoreException, HandshakeException {
                story.add("changed " + keys.number("size", 1, 1 << 20));
            }

            @Override
            public void pause(Executor executor, Runnable quiet) {
                story.add("pause");
                executor.execute(quiet);
            }

            @Override
            public void drain(Executor executor, Runnable quiet) {
                story.add("drain");
                executor.execute(quiet);
            }

            @Override
            public void close(Executor executor, Runnable closed) {
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
            }
        };
    }

    @Override
    public void lost(String reason) {
        story.add("lost");
    }

    @Override
    public void ended(String reason) {
        ends++;
        story.add("ended: " + reason);
    }

    void breakNow(String reason) {
        Consumer<String> now = broken;
        if (now == null) {
            throw new AssertionError("was never connected");
        }
        now.accept(reason);
    }
}
