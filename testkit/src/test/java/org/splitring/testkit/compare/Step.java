package org.splitring.testkit.compare;

import java.nio.charset.StandardCharsets;
import org.splitring.wire.XsdSockmsgLayout;

/// One request of a sequence.
///
/// @param connection who sends it
/// @param transaction the number of an open transaction among those of the sequence; 0 for none,
///     negative for one that was never begun
/// @param payload one character for each byte
record Step(int connection, int type, int transaction, String payload) {
    byte[] bytes() {
        return payload.getBytes(StandardCharsets.ISO_8859_1);
    }

    private static String name(int type) {
        return switch (type) {
            case XsdSockmsgLayout.CONTROL -> "control";
            case XsdSockmsgLayout.DIRECTORY -> "directory";
            case XsdSockmsgLayout.READ -> "read";
            case XsdSockmsgLayout.GET_PERMS -> "get_perms";
            case XsdSockmsgLayout.WATCH -> "watch";
            case XsdSockmsgLayout.UNWATCH -> "unwatch";
            case XsdSockmsgLayout.TRANSACTION_START -> "start";
            case XsdSockmsgLayout.TRANSACTION_END -> "end";
            case XsdSockmsgLayout.INTRODUCE -> "introduce";
            case XsdSockmsgLayout.RELEASE -> "release";
            case XsdSockmsgLayout.GET_DOMAIN_PATH -> "get_domain_path";
            case XsdSockmsgLayout.WRITE -> "write";
            case XsdSockmsgLayout.MKDIR -> "mkdir";
            case XsdSockmsgLayout.RM -> "rm";
            case XsdSockmsgLayout.SET_PERMS -> "set_perms";
            case XsdSockmsgLayout.IS_DOMAIN_INTRODUCED -> "is_introduced";
            case XsdSockmsgLayout.RESUME -> "resume";
            case XsdSockmsgLayout.SET_TARGET -> "set_target";
            case XsdSockmsgLayout.RESET_WATCHES -> "reset_watches";
            case XsdSockmsgLayout.DIRECTORY_PART -> "directory_part";
            default -> "type " + type;
        };
    }

    /// Text of any bytes, short and on one line.
    static String shown(String text) {
        StringBuilder out = new StringBuilder();
        for (int i = 0; i < Math.min(text.length(), 300); i++) {
            char c = text.charAt(i);
            out.append(c == 0 ? '|' : c >= ' ' && c <= '~' ? c : '?');
        }
        return text.length() > 300 ? out + "... of " + text.length() : out.toString();
    }

    @Override
    public String toString() {
        return "connection "
                + connection
                + (transaction == 0 ? "" : " transaction " + transaction)
                + ": "
                + name(type)
                + " "
                + shown(payload);
    }
}
