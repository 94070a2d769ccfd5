package org.splitring.xenbus;

/// State of one end of a device, as both ends publish it in their `state` node.
///
/// Source: Xen `public/io/xenbus.h`, `enum xenbus_state`.
public enum XenbusState {
    /// Not known, or no such node.
    UNKNOWN(0, "Unknown"),
    INITIALISING(1, "Initialising"),
    /// The backend has published its features and waits for the frontend.
    INIT_WAIT(2, "InitWait"),
    /// The frontend has published its rings.
    INITIALISED(3, "Initialised"),
    CONNECTED(4, "Connected"),
    CLOSING(5, "Closing"),
    CLOSED(6, "Closed"),
    RECONFIGURING(7, "Reconfiguring"),
    RECONFIGURED(8, "Reconfigured");

    private static final XenbusState[] BY_NUMBER = values();

    private final int number;
    private final String headerName;

    XenbusState(int number, String headerName) {
        this.number = number;
        this.headerName = headerName;
    }

    /// The number that is written into the store.
    public int number() {
        return number;
    }

    /// Reads a `state` node. The peer wrote it, so everything that is not exactly one digit 0 to 8
    /// is [#UNKNOWN]: `9`, `-1`, an empty value, `4 `, 2^32 + 4. One NUL after the digit is let
    /// pass, since guests written in C send the end of their string along.
    public static XenbusState parse(String text) {
        boolean oneDigit = text.length() == 1 || (text.length() == 2 && text.charAt(1) == 0);
        if (!oneDigit || text.charAt(0) < '0' || text.charAt(0) > '8') {
            return UNKNOWN;
        }
        return BY_NUMBER[text.charAt(0) - '0'];
    }

    /// Number and the header's name, for messages: `1 (Initialising)`.
    @Override
    public String toString() {
        return number + " (" + headerName + ")";
    }
}
