package org.splitring.xenbus.device;

import java.util.HashMap;
import java.util.Map;
import java.util.Optional;

/// What a program lends to drivers of its own classes, one object for each type: the open images of
/// disks, say. A driver must do without what is not there. Immutable.
public final class HostServices {
    /// Nothing.
    public static final HostServices NONE = new HostServices(Map.of());

    private final Map<Class<?>, Object> services;

    private HostServices(Map<Class<?>, Object> services) {
        this.services = Map.copyOf(services);
    }

    /// These, and one more.
    ///
    /// @param type under which drivers ask for it
    public <T> HostServices with(Class<T> type, T service) {
        Map<Class<?>, Object> more = new HashMap<>(services);
        more.put(type, service);
        return new HostServices(more);
    }

    <T> Optional<T> find(Class<T> type) {
        return Optional.ofNullable(services.get(type)).map(type::cast);
    }
}
