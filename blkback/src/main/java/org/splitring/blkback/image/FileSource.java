package org.splitring.blkback.image;

import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import org.splitring.blkback.DiskException;

/// Names an image: where it is, and what it is.
///
/// @param path from the root on
public record FileSource(ImageFormat format, Path path) implements DiskSource {
    public FileSource {
        if (!path.isAbsolute()) {
            throw new IllegalArgumentException("relative path " + path);
        }
    }

    /// As [DiskSource#parse], for files only.
    static FileSource parse(String text) throws DiskException {
        int colon = text.startsWith("/") ? -1 : text.indexOf(':');
        String label = colon < 0 ? "raw" : text.substring(0, colon);
        String quoted = "\"" + DiskException.printable(text) + "\"";
        ImageFormat format =
                ImageFormat.of(label.equals("aio") ? "raw" : label)
                        .orElseThrow(
                                () ->
                                        new DiskException(
                                                quoted
                                                        + ", whose format is none of "
                                                        + ImageFormat.labels()));
        try {
            Path path = Path.of(text.substring(colon + 1));
            if (path.isAbsolute()) {
                return new FileSource(format, path);
            }
        } catch (InvalidPathException e) {
            throw new DiskException(quoted + ", which is no path");
        }
        throw new DiskException(quoted + ": give the image's path, from the root on");
    }

    /// The path.
    @Override
    public String name() {
        return path.toString();
    }

    /// The path, with the format before it unless that is raw: `qcow2:/images/web.qcow2`.
    @Override
    public String toString() {
        return format == ImageFormat.RAW ? path.toString() : format.label() + ":" + path;
    }
}
