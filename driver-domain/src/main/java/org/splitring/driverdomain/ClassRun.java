package org.splitring.driverdomain;

import java.io.IOException;
import java.lang.reflect.InvocationTargetException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Path;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.driverdomain.guest.Guest;
import org.splitring.driverdomain.guest.GuestMain;

/// The class that runs in a guest: code of somebody else, which may do anything, but whatever it
/// does ends with a line.
final class ClassRun implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(ClassRun.class);
    private static final long END_MILLIS = 10_000;

    private final String name;
    private final URLClassLoader loader;
    private final GuestMain program;
    private final Thread thread;
    private volatile boolean stopping;

    /// Loads the class.
    ///
    /// @param ended runs when it has returned or thrown
    /// @throws IOException when it cannot be loaded and made: the message says why
    ClassRun(Path jar, String name, Guest guest, Runnable ended) throws IOException {
        this.name = name;
        loader =
                new URLClassLoader(
                        "jar " + jar.getFileName(),
                        new URL[] {jar.toUri().toURL()},
                        ClassRun.class.getClassLoader());
        try {
            program = make();
        } catch (IOException e) {
            loader.close();
            throw e;
        }
        thread =
                Thread.ofPlatform()
                        .name("class " + name)
                        .daemon() // one that does not end does not keep the guest
                        .unstarted(() -> run(guest, ended));
        thread.setContextClassLoader(loader);
    }

    private GuestMain make() throws IOException {
        try {
            Class<?> loaded = Class.forName(name, true, loader);
            if (!GuestMain.class.isAssignableFrom(loaded)) {
                throw new IOException(
                        "class " + name + " does not implement " + GuestMain.class.getName());
            }
            return (GuestMain) loaded.getConstructor().newInstance();
        } catch (NoSuchMethodException e) {
            throw new IOException(
                    "class " + name + " has no public constructor without parameters", e);
        } catch (InvocationTargetException e) {
            throw new IOException("class " + name + " cannot be made: " + e.getCause(), e);
        } catch (ReflectiveOperationException | LinkageError e) {
            throw new IOException("class " + name + " cannot be loaded: " + e, e);
        }
    }

    void start() {
        thread.start();
    }

    private void run(Guest guest, Runnable ended) {
        try {
            program.run(guest);
        } catch (InterruptedException e) {
            if (!stopping) {
                LOG.error("class {} was interrupted", name, e);
            }
        } catch (Throwable t) { // of whatever kind: it is code of somebody else
            LOG.error("class {} failed", name, t);
        } finally {
            ended.run();
        }
    }

    /// Tells it to end, and waits.
    @Override
    public void close() {
        stopping = true;
        thread.interrupt();
        try {
            thread.join(END_MILLIS);
            if (thread.isAlive()) {
                LOG.warn("class {} does not end", name);
            }
            loader.close();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        } catch (IOException e) {
            LOG.warn("{}: {}", loader.getName(), e.getMessage());
        }
    }
}
