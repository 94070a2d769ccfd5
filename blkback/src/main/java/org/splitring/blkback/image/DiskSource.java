package org.splitring.blkback.image;

import java.nio.file.Path;
import org.splitring.blkback.DiskException;

/// Names what a disk is made of. As a text it is what stands in the node `params`, where xl's
/// toolstack writes it too.
public sealed interface DiskSource permits FileSource, NbdSource {
    /// A raw image.
    static FileSource raw(Path path) {
        return new FileSource(ImageFormat.RAW, path);
    }

    /// Reads what [#toString] wrote, and what xl's toolstack writes: `aio:` is raw.
    ///
    /// @throws DiskException when it is neither; the message begins with the text, in quotes
    static DiskSource parse(String text) throws DiskException {
        for (String raw : new String[] {"", "aio:", "raw:"}) {
            if (text.startsWith(raw) && NbdSource.isOne(text.substring(raw.length()))) {
                return NbdSource.parse(text.substring(raw.length()));
            }
        }
        return FileSource.parse(text);
    }

    /// What a person calls it, without a format: a path, a URI.
    String name();

    /// What [#parse] reads.
    @Override
    String toString();
}
