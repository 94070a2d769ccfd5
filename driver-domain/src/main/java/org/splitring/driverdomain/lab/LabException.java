package org.splitring.driverdomain.lab;

/// A lab file cannot be used. The message is one line for a person: place, value, what is wrong.
public final class LabException extends Exception {
    private static final long serialVersionUID = 1L;

    public LabException(String message) {
        super(message);
    }

    public LabException(String message, Throwable cause) {
        super(message, cause);
    }
}
