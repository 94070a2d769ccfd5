package org.splitring.xenbus;

import java.util.List;
import java.util.Optional;
import org.splitring.xenbus.store.StoreAccess;
import org.splitring.xenbus.store.StoreError;
import org.splitring.xenbus.store.StoreException;

/// Reads the keys of one folder as what they should be. The peer wrote them: every value is checked
/// before it is used, and a wrong one is named in the message.
///
/// @param store a connection, or a transaction when the keys must belong together
/// @param folder whose keys are read
public record Keys(StoreAccess store, String folder) {
    private static final int SHOWN_CHARS = 40;

    /// The value as it stands. A key that may not be read counts as missing: that is how a folder
    /// looks to a guest when it is gone.
    public Optional<String> text(String key) throws StoreException {
        try {
            return store.read(folder + "/" + key).map(Keys::withoutNul);
        } catch (StoreException e) {
            if (e.error() == StoreError.EACCES) {
                return Optional.empty();
            }
            throw e;
        }
    }

    /// A whole decimal number.
    ///
    /// @throws KeyException when it is missing, not a number (`1junk`), or not within the bounds
    public long number(String key, long min, long max) throws StoreException, KeyException {
        Optional<String> text = text(key);
        if (text.isEmpty()) {
            throw new KeyException("key " + folder + "/" + key + " is missing");
        }
        return parse(key, text.get(), min, max);
    }

    /// Like [#number(String, long, long)], with a value for a missing key.
    public long number(String key, long min, long max, long missing)
            throws StoreException, KeyException {
        Optional<String> text = text(key);
        return text.isEmpty() ? missing : parse(key, text.get(), min, max);
    }

    /// A yes-or-no key such as `feature-flush-cache`: 1 is yes, 0 and a missing key are no.
    public boolean flag(String key) throws StoreException, KeyException {
        return number(key, 0, 1, 0) == 1;
    }

    /// One of a few words; a missing key is the first of them.
    public String oneOf(String key, List<String> allowed) throws StoreException, KeyException {
        String value = text(key).orElse(allowed.getFirst());
        if (!allowed.contains(value)) {
            throw wrong(key, value, "expected one of " + String.join(", ", allowed));
        }
        return value;
    }

    /// An error that names key and value, for checks of a device's own.
    public KeyException wrong(String key, String value, String why) {
        return new KeyException("key " + folder + "/" + key + " is " + shown(value) + ": " + why);
    }

    private long parse(String key, String text, long min, long max) throws KeyException {
        // 18 digits fit a long; the wire's numbers are shorter.
        if (!text.matches("-?[0-9]{1,18}")) {
            throw wrong(key, text, "not a whole number");
        }
        long value = Long.parseLong(text);
        if (value < min || value > max) {
            throw wrong(key, text, "out of range " + min + ".." + max);
        }
        return value;
    }

    /// Guests written in C send the end of their string along.
    private static String withoutNul(String text) {
        return text.endsWith("\0") ? text.substring(0, text.length() - 1) : text;
    }

    /// Hostile text for a message: printable and short.
    private static String shown(String value) {
        StringBuilder text = new StringBuilder("\"");
        for (int i = 0; i < Math.min(value.length(), SHOWN_CHARS); i++) {
            char c = value.charAt(i);
            text.append(c >= ' ' && c <= '~' ? c : '?');
        }
        text.append('"');
        if (value.length() > SHOWN_CHARS) {
            text.append(" and ").append(value.length() - SHOWN_CHARS).append(" more characters");
        }
        return text.toString();
    }
}
