package org.splitring.console.back;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.lang.foreign.MemorySegment;
import java.nio.channels.ClosedChannelException;
import java.nio.charset.StandardCharsets;
import org.jspecify.annotations.Nullable;
import org.splitring.xenbus.device.StreamRing;
import org.splitring.xenbus.device.StreamServer;

/// One guest's console, as long as its device exists: what was printed, the log, and the viewers.
/// Guests connect and go; the scroll-back stays.
///
/// What the guest prints is taken as fast as [#BYTES_PER_SECOND] allows, and viewers have no part
/// in
/// that: each reads the scroll-back at his own speed and misses what he is too slow for. So a guest
/// that prints without end fills neither memory nor disk, and slows only itself. What viewers type
/// waits for the guest to take it, and each viewer waits with what he typed.
///
/// Any thread.
final class GuestConsole implements StreamServer, AutoCloseable {
    /// What is shown to a viewer who comes later.
    static final int SCROLL_BACK_BYTES = 64 << 10;

    /// Size at which the log is begun anew.
    static final long LOG_BYTES = 1 << 20;

    /// How much a guest may print, after what it may in the time of [#BURST_NANOS] at once.
    static final long BYTES_PER_SECOND = 1 << 20;

    static final long BURST_NANOS = 1_000_000_000;

    private static final int PIECE_BYTES = 4096;

    private final ScrollBack scrollBack = new ScrollBack(SCROLL_BACK_BYTES);
    private final @Nullable ConsoleLog log;
    private volatile @Nullable StreamRing guest;

    GuestConsole(@Nullable ConsoleLog log) {
        this.log = log;
        if (log != null) {
            byte[] before = log.tail(SCROLL_BACK_BYTES);
            scrollBack.append(before, 0, before.length);
        }
    }

    /// The guest that is connected, and that takes what is typed.
    void connected(@Nullable StreamRing ring) {
        guest = ring;
    }

    /// The guest has printed. One thread at a time.
    void print(byte[] bytes, int length) {
        scrollBack.append(bytes, 0, length);
        if (log != null) {
            log.append(bytes, length);
        }
    }

    @Override
    public void serve(InputStream in, OutputStream out) throws IOException, InterruptedException {
        Thread show = Thread.ofVirtual().name("console viewer").start(() -> show(in, out));
        try {
            type(in);
        } finally {
            show.interrupt();
            show.join();
        }
    }

    /// Gives what a viewer types to the guest; without a guest it is lost.
    private void type(InputStream in) throws IOException, InterruptedException {
        byte[] typed = new byte[256];
        MemorySegment view = MemorySegment.ofArray(typed);
        for (int count = in.read(typed); count >= 0; count = in.read(typed)) {
            StreamRing ring = guest;
            if (ring != null) {
                try {
                    ring.write(view, 0, count);
                } catch (ClosedChannelException e) {
                    // the guest has just gone
                }
            }
        }
    }

    private void show(InputStream in, OutputStream out) {
        try (in) {
            ScrollBack.Reader reader = scrollBack.reader();
            byte[] bytes = new byte[PIECE_BYTES];
            for (int count = reader.read(bytes); count >= 0; count = reader.read(bytes)) {
                if (reader.missed() > 0) {
                    String note = "\r\n[" + reader.missed() + " bytes left out]\r\n";
                    out.write(note.getBytes(StandardCharsets.US_ASCII));
                }
                out.write(bytes, 0, count);
                out.flush();
            }
        } catch (IOException e) {
            // the viewer has gone; closing its connection ends the other direction
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    /// Ends the viewers, once they have seen everything.
    @Override
    public void close() {
        scrollBack.close();
        if (log != null) {
            log.close();
        }
    }
}
