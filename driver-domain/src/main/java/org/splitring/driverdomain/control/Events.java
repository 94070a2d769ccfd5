package org.splitring.driverdomain.control;

import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import tools.jackson.databind.json.JsonMapper;

/// What happens in a lab, for everybody who listens. Any thread.
public final class Events implements EventSource {
    /// Most listeners at a time.
    public static final int MAX_LISTENERS = 32;

    private final Set<Listener> listeners = ConcurrentHashMap.newKeySet();
    private final JsonMapper json;

    /// @param json how values become text
    public Events(JsonMapper json) {
        this.json = json;
    }

    /// Tells everybody; costs nothing when nobody listens.
    ///
    /// @param type one word
    /// @param value what becomes JSON
    public void publish(String type, Object value) {
        if (listeners.isEmpty()) {
            return;
        }
        String text = json.writeValueAsString(value);
        listeners.forEach(listener -> listener.send(type, text));
    }

    @Override
    public AutoCloseable open(Listener listener) throws ControlException {
        synchronized (this) {
            if (listeners.size() >= MAX_LISTENERS) {
                throw new ControlException(
                        503, "there are " + MAX_LISTENERS + " listeners already, the most");
            }
            listeners.add(listener);
        }
        return () -> listeners.remove(listener);
    }
}
