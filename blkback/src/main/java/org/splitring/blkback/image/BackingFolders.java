package org.splitring.blkback.image;

import java.io.IOException;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.Pattern;
import org.splitring.blkback.DiskException;

/// Where the files may be that an image says it is based on: in the folder of the disk's own image
/// and below, and in these folders and below. Links are followed before that is looked at.
///
/// @param folders from the root on
public record BackingFolders(List<Path> folders) {
    private static final Pattern PROTOCOL = Pattern.compile("[A-Za-z][A-Za-z0-9+.-]*:.*");

    public BackingFolders {
        folders = List.copyOf(folders);
    }

    /// No folder besides the image's own.
    public static BackingFolders ownOnly() {
        return new BackingFolders(List.of());
    }

    /// Finds the backing file of an image.
    ///
    /// @param top the image that was configured
    /// @param image the image, of those that `top` is based on, that names the file
    /// @throws DiskException when there is none, or it is elsewhere
    Path resolve(Path top, Path image, String name) throws DiskException {
        String shown = DiskException.printable(name);
        if (PROTOCOL.matcher(name).matches()) {
            throw new DiskException(
                    "image " + image + ": backing file \"" + shown + "\" is not a path");
        }
        Path path;
        try {
            path = image.toRealPath().resolveSibling(name).toRealPath();
            Path own = top.toRealPath().resolveSibling("");
            if (isIn(path, own)) {
                return path;
            }
            for (Path folder : folders) {
                if (isIn(path, folder.toRealPath())) {
                    return path;
                }
            }
        } catch (InvalidPathException e) {
            throw new DiskException(
                    "image " + image + ": backing file \"" + shown + "\" is not a path");
        } catch (IOException e) {
            throw new DiskException(
                    "image " + image + ": backing file \"" + shown + "\" cannot be found", e);
        }
        throw new DiskException(
                "image "
                        + image
                        + ": backing file \""
                        + shown
                        + "\" is outside of the image's folder, and in none that is allowed");
    }

    /// Whether a file is in one of these folders or below.
    boolean hold(Path file) {
        try {
            Path real = file.toRealPath();
            for (Path folder : folders) {
                if (isIn(real, folder.toRealPath())) {
                    return true;
                }
            }
            return false;
        } catch (IOException e) {
            return false; // opening it says why
        }
    }

    private static boolean isIn(Path path, Path folder) {
        return path.startsWith(folder);
    }
}
