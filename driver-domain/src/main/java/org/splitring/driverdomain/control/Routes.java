package org.splitring.driverdomain.control;

import io.netty.handler.codec.http.HttpMethod;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SortedSet;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/// What the API has: a method and the template of a path, whose places in braces take any name.
///
///     GET /v1/domains/{domain}
public final class Routes {
    private final List<Route> routes = new ArrayList<>();

    /// Answers one kind of request, on a thread that may wait.
    @FunctionalInterface
    public interface Handler {
        /// Answers it.
        ///
        /// @return an [Answer], an [EventSource], or what becomes JSON
        /// @throws Exception a [ControlException] with what was wrong; any other is a fault of ours
        Object handle(ControlRequest request) throws Exception;
    }

    /// One line of the list.
    record Route(HttpMethod method, String template, Right right, Handler handler) {
        /// The names in the open places; `null` when the path is another one.
        @Nullable Map<String, String> match(String[] path) {
            String[] parts = template.substring(1).split("/", -1);
            if (parts.length != path.length) {
                return null;
            }
            Map<String, String> names = new HashMap<>();
            for (int i = 0; i < parts.length; i++) {
                String part = parts[i];
                if (part.startsWith("{")) {
                    names.put(part.substring(1, part.length() - 1), path[i]);
                } else if (!part.equals(path[i])) {
                    return null;
                }
            }
            return names;
        }
    }

    /// A route that fits a request, with what stands in its open places.
    record Found(Route route, Map<String, String> names) {}

    /// Looks at something.
    public Routes get(String template, Handler handler) {
        return add(HttpMethod.GET, template, Right.READ, handler);
    }

    /// Shows what is no secret: the page, and what it loads.
    public Routes open(String template, Handler handler) {
        return add(HttpMethod.GET, template, Right.NONE, handler);
    }

    /// Makes something.
    public Routes post(String template, Handler handler) {
        return add(HttpMethod.POST, template, Right.CHANGE, handler);
    }

    /// Changes something.
    public Routes patch(String template, Handler handler) {
        return add(HttpMethod.PATCH, template, Right.CHANGE, handler);
    }

    /// Takes something away.
    public Routes delete(String template, Handler handler) {
        return add(HttpMethod.DELETE, template, Right.CHANGE, handler);
    }

    private Routes add(HttpMethod method, String template, Right right, Handler handler) {
        routes.add(new Route(method, template, right, handler));
        return this;
    }

    /// `METHOD template` of every route.
    public SortedSet<String> list() {
        SortedSet<String> all = new TreeSet<>();
        routes.forEach(route -> all.add(route.method() + " " + route.template()));
        return all;
    }

    /// @param path its parts, decoded
    Found find(HttpMethod method, String[] path) throws ControlException {
        SortedSet<String> others = new TreeSet<>();
        for (Route route : routes) {
            Map<String, String> names = route.match(path);
            if (names != null && route.method().equals(method)) {
                return new Found(route, names);
            }
            if (names != null) {
                others.add(route.method().name());
            }
        }
        String place = "/" + String.join("/", path);
        if (others.isEmpty()) {
            throw ControlException.notFound(
                    "there is no " + place + "; GET /openapi.json says what there is");
        }
        throw new ControlException(
                405, place + " knows " + String.join(", ", others) + ", not " + method);
    }
}
