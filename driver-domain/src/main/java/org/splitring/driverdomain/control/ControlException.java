package org.splitring.driverdomain.control;

/// A request that is refused, with the status of HTTP that says why.
public final class ControlException extends Exception {
    private static final long serialVersionUID = 1;

    private final int status;

    /// @param status of HTTP, 400 and above
    /// @param message one sentence for people: what was wrong, and where
    public ControlException(int status, String message) {
        super(message);
        this.status = status;
    }

    /// Nothing of that name.
    public static ControlException notFound(String message) {
        return new ControlException(404, message);
    }

    /// Something in the request makes no sense.
    public static ControlException badRequest(String message) {
        return new ControlException(400, message);
    }

    int status() {
        return status;
    }
}
