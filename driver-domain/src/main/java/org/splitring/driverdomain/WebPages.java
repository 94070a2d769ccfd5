package org.splitring.driverdomain;

import java.io.IOException;
import java.io.InputStream;
import java.util.Map;
import org.splitring.driverdomain.control.Answer;
import org.splitring.driverdomain.control.ControlException;
import org.splitring.driverdomain.control.ControlRequest;

/// What the control API shows to everybody: its own description, and the web page. They are
/// resources beside this class, as they were written.
final class WebPages {
    /// By the ending of their names. Nothing else is shown.
    private static final Map<String, String> TYPES =
            Map.of(
                    "html", "text/html; charset=utf-8",
                    "css", "text/css; charset=utf-8",
                    "js", "text/javascript; charset=utf-8",
                    "svg", "image/svg+xml",
                    "json", "application/json");

    private WebPages() {}

    static Answer openApi(ControlRequest request) throws ControlException, IOException {
        return read("openapi.json");
    }

    static Answer index(ControlRequest request) throws ControlException, IOException {
        return read("index.html");
    }

    static Answer file(ControlRequest request) throws ControlException, IOException {
        return read(request.name("file"));
    }

    private static Answer read(String name) throws ControlException, IOException {
        String type = TYPES.get(name.substring(name.lastIndexOf('.') + 1));
        boolean plain = name.matches("[a-z0-9-]{1,40}\\.[a-z]{2,4}");
        if (type == null || !plain) {
            throw ControlException.notFound("there is no page " + name);
        }
        try (InputStream in = WebPages.class.getResourceAsStream("web/" + name)) {
            if (in == null) {
                throw ControlException.notFound("there is no page " + name);
            }
            return new Answer(type, in.readAllBytes());
        }
    }
}
