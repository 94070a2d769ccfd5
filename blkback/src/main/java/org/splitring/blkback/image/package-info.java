/// Formats of disk images, each a [org.splitring.blkback.BlockStore].
///
/// Every byte of an image is hostile: a guest may have written it, or whoever made the image. A
/// header is read once, checked against bounds and against the length of the file, and only then
/// is memory made for what it describes. The format is the one that was named, never a guess.
///
/// Start at [DiskSource], which names an image, and [OpenImages], which opens one with all that it
/// is based on. The formats write through [ImageFile], so that tests can lose power under them.
@NullMarked
package org.splitring.blkback.image;

import org.jspecify.annotations.NullMarked;
