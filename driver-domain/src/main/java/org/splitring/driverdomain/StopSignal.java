package org.splitring.driverdomain;

import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/// What a command that serves waits for: a signal, or a reason to stop of its own.
final class StopSignal {
    private final CountDownLatch stop = new CountDownLatch(1);
    private volatile boolean storeLost;

    /// From now on SIGTERM and Ctrl-C make [#await] return, and the JVM ends when the command has.
    void install() {
        Runtime.getRuntime().addShutdownHook(new Thread(this::stopAndAwaitCommand, "stop"));
    }

    private void stopAndAwaitCommand() {
        stop();
        try {
            Splitring.COMMAND_ENDED.await(1, TimeUnit.MINUTES);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    void stop() {
        stop.countDown();
    }

    /// The store has gone away: nothing more can be served.
    void storeLost() {
        storeLost = true;
        stop();
    }

    void await() throws InterruptedException {
        stop.await();
    }

    /// @param store how it was reached
    /// @throws CommandException when the store was lost
    void checkStore(XenStoreWay store) throws CommandException {
        if (storeLost) {
            throw new CommandException(
                    "xenstore at "
                            + store.path()
                            + " has gone away: nothing is served any more; start this again when"
                            + " it is back");
        }
    }
}
