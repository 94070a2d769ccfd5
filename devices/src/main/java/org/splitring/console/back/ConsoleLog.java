package org.splitring.console.back;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/// A guest's console in a file. When the file is full it becomes `FILE.1`, in the place of the one
/// before, so that the two together have a bound whatever a guest prints.
///
/// One thread at a time.
final class ConsoleLog implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(ConsoleLog.class);

    private final Path file;
    private final long limitBytes;
    private @Nullable FileChannel channel;
    private long size;
    private boolean failed;

    /// @param limitBytes of each of the two files
    ConsoleLog(Path file, long limitBytes) {
        this.file = file;
        this.limitBytes = limitBytes;
    }

    /// The end of what an earlier driver domain has logged.
    byte[] tail(int maxBytes) {
        try (FileChannel old = FileChannel.open(file, StandardOpenOption.READ)) {
            long from = Math.max(0, old.size() - maxBytes);
            ByteBuffer tail = ByteBuffer.allocate((int) (old.size() - from));
            while (tail.hasRemaining() && old.read(tail, from + tail.position()) >= 0) {
                // until it is full
            }
            byte[] read = new byte[tail.position()];
            tail.flip().get(read);
            return read;
        } catch (IOException e) {
            return new byte[0]; // there is none yet
        }
    }

    /// Appends. A log that cannot be written is given up, with one line; the console goes on.
    void append(byte[] bytes, int length) {
        if (failed) {
            return;
        }
        try {
            int done = 0;
            while (done < length) {
                FileChannel to = open();
                int count = (int) Math.min(length - done, limitBytes - size);
                ByteBuffer piece = ByteBuffer.wrap(bytes, done, count);
                while (piece.hasRemaining()) {
                    to.write(piece);
                }
                done += count;
                size += count;
                if (size >= limitBytes) {
                    rotate();
                }
            }
        } catch (IOException e) {
            failed = true;
            LOG.warn("console log {}: given up: {}", file, e.toString());
            close();
        }
    }

    private FileChannel open() throws IOException {
        FileChannel present = channel;
        if (present == null) {
            present = FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.APPEND);
            channel = present;
            size = present.size();
            if (size >= limitBytes) {
                rotate();
                return open();
            }
        }
        return present;
    }

    private void rotate() throws IOException {
        FileChannel full = channel;
        channel = null;
        if (full != null) {
            full.close();
        }
        Files.move(
                file,
                file.resolveSibling(file.getFileName() + ".1"),
                StandardCopyOption.REPLACE_EXISTING);
        size = 0;
    }

    @Override
    public void close() {
        FileChannel open = channel;
        channel = null;
        if (open != null) {
            try {
                open.close();
            } catch (IOException e) {
                LOG.warn("console log {}: {}", file, e.toString());
            }
        }
    }
}
