package org.splitring.blkback.image;

import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import org.splitring.blkback.DiskException;

/// Names an image: where it is, and what it is.
///
/// @param path from the root on
public record DiskSource(ImageFormat format, Path path) {
    public DiskSource {
        if (!path.isAbsolute()) {
            throw new IllegalArgumentException("relative path " + path);
        }
    }

    public static DiskSource raw(Path path) {
        return new DiskSource(ImageFormat.RAW, path);
    }

    /// Reads what [#toString] wrote, and what xl's toolstack writes: `aio:` is raw.
    ///
    /// @throws DiskException when it is neither; the message begins with the text, in quotes
    public static DiskSource parse(String text) throws DiskException {
        int colon = text.startsWith("/") ? -1 : text.indexOf(':');
        String label = colon < 0 ? "raw" : text.substring(0, colon);
        String quoted = "\"" + Qcow2Header.printable(text) + "\"";
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
                return new DiskSource(format, path);
            }
        } catch (InvalidPathException e) {
            throw new DiskException(quoted + ", which is no path");
        }
        throw new DiskException(quoted + ": give the image's path, from the root on");
    }

    /// The path, with the format before it unless that is raw: `qcow2:/images/web.qcow2`. It is
    /// what xl's toolstack writes into `params`.
    @Override
    public String toString() {
        return format == ImageFormat.RAW ? path.toString() : format.label() + ":" + path;
    }
}
