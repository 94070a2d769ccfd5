package org.splitring.driverdomain;

/// A command cannot do what it was asked. The message is one line for a person.
final class CommandException extends Exception {
    private static final long serialVersionUID = 1L;

    CommandException(String message) {
        super(message);
    }

    CommandException(String message, Throwable cause) {
        super(message, cause);
    }
}
