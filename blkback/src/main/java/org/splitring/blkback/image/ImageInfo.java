package org.splitring.blkback.image;

/// What an image says about itself. Nothing that it names was opened.
///
/// @param sizeBytes of the disk
/// @param fileBytes what the file takes on its file system; -1 for an export of a server
/// @param details of the format, for people: `version 3, clusters of 64 KiB`; empty for a raw
///     image
/// @param backingFile as written in the image, without control characters; empty when there is none
/// @param backingFormat as written; empty when the image does not say
public record ImageInfo(
        DiskSource source,
        long sizeBytes,
        long fileBytes,
        String details,
        String backingFile,
        String backingFormat) {}
