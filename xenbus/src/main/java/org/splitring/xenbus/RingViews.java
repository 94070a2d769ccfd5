package org.splitring.xenbus;

import java.util.List;

/// Where all rings of a device stand.
///
/// @param rings of requests
/// @param streams pairs of rings of bytes
public record RingViews(List<RingView> rings, List<StreamView> streams) {
    /// Nobody is connected.
    public static final RingViews NONE = new RingViews(List.of(), List.of());
}
