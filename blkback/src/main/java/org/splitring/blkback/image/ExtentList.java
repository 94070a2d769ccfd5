package org.splitring.blkback.image;

import java.io.IOException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.splitring.blkback.DiskException;

/// A text file that says of which parts of which files a disk consists, one after the other, as the
/// first disks of Xen did. A line is `OFFSET SIZE PATH`, in bytes; lines that begin with `#` and
/// empty ones say nothing.
record ExtentList(List<Part> parts) {
    private static final int MAX_PARTS = 4096;
    private static final long MAX_FILE_BYTES = 1 << 20;
    private static final Pattern LINE = Pattern.compile("(\\d{1,18})\\s+(\\d{1,18})\\s+(\\S.*)");

    /// A part of a file, in bytes.
    ///
    /// @param name of the file, as written
    record Part(long offset, long sizeBytes, String name) {}

    /// Reads a list.
    ///
    /// @throws DiskException naming file and line
    static ExtentList read(Path list) throws DiskException {
        List<String> lines;
        try {
            if (Files.size(list) > MAX_FILE_BYTES) {
                throw new DiskException(
                        "image " + list + " is larger than 1 MiB, so it is no list");
            }
            lines = Files.readAllLines(list);
        } catch (CharacterCodingException e) {
            throw new DiskException("image " + list + " is no list of extents: no text", e);
        } catch (DiskException e) {
            throw e;
        } catch (IOException e) {
            throw new DiskException("image " + list + " cannot be read: " + e.getMessage(), e);
        }
        List<Part> parts = new ArrayList<>();
        for (int i = 0; i < lines.size(); i++) {
            String line = lines.get(i).strip();
            if (line.isEmpty() || line.startsWith("#")) {
                continue;
            }
            Matcher matcher = LINE.matcher(line);
            if (!matcher.matches()) {
                String shown =
                        DiskException.printable(line.substring(0, Math.min(80, line.length())));
                throw new DiskException(
                        list + ":" + (i + 1) + ": \"" + shown + "\" is not OFFSET SIZE PATH");
            }
            long offset = Long.parseLong(matcher.group(1));
            long size = Long.parseLong(matcher.group(2));
            if (offset % 512 != 0 || size % 512 != 0 || size == 0) {
                throw new DiskException(
                        list + ":" + (i + 1) + ": offset and size are not whole sectors of 512");
            }
            if (parts.size() == MAX_PARTS) {
                throw new DiskException(
                        "image " + list + " has more than " + MAX_PARTS + " extents");
            }
            parts.add(new Part(offset, size, matcher.group(3)));
        }
        if (parts.isEmpty()) {
            throw new DiskException("image " + list + " lists no extents");
        }
        return new ExtentList(parts);
    }
}
