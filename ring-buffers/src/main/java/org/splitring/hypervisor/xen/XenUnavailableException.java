package org.splitring.hypervisor.xen;

import java.io.IOException;

/// Something that Xen or Linux must give is not there. The message is one line, and ends with what
/// to do about it.
public final class XenUnavailableException extends IOException {
    private static final long serialVersionUID = 1L;

    public XenUnavailableException(String message) {
        super(message);
    }
}
