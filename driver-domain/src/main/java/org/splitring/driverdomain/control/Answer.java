package org.splitring.driverdomain.control;

import java.nio.charset.StandardCharsets;

/// What a handler answers when it is not JSON.
public final class Answer {
    private final String type;
    private final byte[] bytes;

    /// Takes over the bytes.
    ///
    /// @param type of the content, as HTTP names it
    public Answer(String type, byte[] bytes) {
        this.type = type;
        this.bytes = bytes;
    }

    /// Text of some kind.
    public static Answer text(String type, String text) {
        return new Answer(type + "; charset=utf-8", text.getBytes(StandardCharsets.UTF_8));
    }

    String type() {
        return type;
    }

    byte[] bytes() {
        return bytes;
    }
}
