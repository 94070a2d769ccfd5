package org.splitring.p9.back;

/// What one guest may have of the driver domain at a time.
///
/// @param messageBytes longest message (`msize`) that is agreed to
/// @param fids handles on files; each keeps a path of at most 4 KiB
/// @param openFiles how many of them may be open: each is a descriptor
public record P9Limits(int messageBytes, int fids, int openFiles) {
    /// Shortest message length that is worth a session.
    public static final int LEAST_MESSAGE_BYTES = 4096;

    /// 128 KiB, 1024 handles, 256 of them open.
    public static final P9Limits DEFAULT = new P9Limits(128 << 10, 1024, 256);

    public P9Limits {
        if (messageBytes < LEAST_MESSAGE_BYTES || fids < 1 || openFiles < 1) {
            throw new IllegalArgumentException(
                    "messages of "
                            + messageBytes
                            + " bytes, "
                            + fids
                            + " fids, "
                            + openFiles
                            + " open files");
        }
    }
}
