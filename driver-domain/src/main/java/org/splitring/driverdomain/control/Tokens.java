package org.splitring.driverdomain.control;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.MessageDigest;
import java.security.SecureRandom;
import java.util.Base64;
import java.util.List;
import java.util.Set;

/// Who may do what over TCP: whoever knows one of two words.
///
///     read 0Jx...
///     change hT3...
///
/// They stand in a file that its owner alone can read.
public final class Tokens {
    private static final int TOKEN_BYTES = 24;
    private static final int MIN_CHARS = 16;

    private final byte[] read;
    private final byte[] change;

    private Tokens(String read, String change) {
        this.read = read.getBytes(StandardCharsets.UTF_8);
        this.change = change.getBytes(StandardCharsets.UTF_8);
    }

    /// Makes new ones in a file, which must not exist.
    public static Tokens make(Path file) throws IOException {
        SecureRandom random = new SecureRandom();
        String read = token(random);
        String change = token(random);
        try (var channel =
                Files.newByteChannel(
                        file,
                        Set.of(StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE),
                        PosixFilePermissions.asFileAttribute(
                                PosixFilePermissions.fromString("rw-------")))) {
            String text = "read " + read + "\nchange " + change + "\n";
            channel.write(ByteBuffer.wrap(text.getBytes(StandardCharsets.US_ASCII)));
        }
        return new Tokens(read, change);
    }

    /// Reads those that somebody has written.
    ///
    /// @throws IOException with the place of what is wrong
    public static Tokens load(Path file) throws IOException {
        for (var permission : Files.getPosixFilePermissions(file)) {
            if (!permission.name().startsWith("OWNER")) {
                throw new IOException(
                        file + " can be used by others than its owner: chmod 600 " + file);
            }
        }
        String read = "";
        String change = "";
        List<String> lines = Files.readAllLines(file);
        for (int i = 0; i < lines.size(); i++) {
            String[] words = lines.get(i).strip().split("\\s+", -1);
            String place = file + ":" + (i + 1) + ": ";
            if (words.length != 2 || words[1].length() < MIN_CHARS) {
                throw new IOException(
                        place
                                + "not \"read TOKEN\" or \"change TOKEN\" with at least "
                                + MIN_CHARS
                                + " characters");
            }
            switch (words[0]) {
                case "read" -> read = words[1];
                case "change" -> change = words[1];
                default -> throw new IOException(place + "\"" + words[0] + "\" is no right");
            }
        }
        if (read.isEmpty() || change.isEmpty()) {
            throw new IOException(file + " has no line \"read TOKEN\" or no \"change TOKEN\"");
        }
        return new Tokens(read, change);
    }

    private static String token(SecureRandom random) {
        byte[] bytes = new byte[TOKEN_BYTES];
        random.nextBytes(bytes);
        return Base64.getUrlEncoder().withoutPadding().encodeToString(bytes);
    }

    /// The word that gives every right, for the one who started us.
    public String change() {
        return new String(change, StandardCharsets.UTF_8);
    }

    /// What somebody may do who says `token`. Takes as long for a wrong one, whatever is wrong.
    Right right(String token) {
        byte[] said = token.getBytes(StandardCharsets.UTF_8);
        boolean mayChange = MessageDigest.isEqual(change, said);
        boolean mayRead = MessageDigest.isEqual(read, said);
        if (mayChange) {
            return Right.CHANGE;
        }
        return mayRead ? Right.READ : Right.NONE;
    }
}
