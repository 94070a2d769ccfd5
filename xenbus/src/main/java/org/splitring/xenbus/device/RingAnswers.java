package org.splitring.xenbus.device;

import java.lang.foreign.MemorySegment;
import org.splitring.xenbus.HandshakeException;
import org.splitring.xenbus.Keys;
import org.splitring.xenbus.store.StoreException;

/// What a frontend's requests look like on the ring, and who hears of their answers. Called on the
/// device's loop, which must not wait, except where a method says otherwise.
///
/// @param <T> a request as the device knows it
public interface RingAnswers<T> {
    /// Writes a request into its slot. Called again for the same request when the backend was
    /// replaced before it had answered: whatever the request does, doing it twice must do no harm.
    ///
    /// @param id to be written into the request, and found again in its response
    /// @param slot zeroes at first
    void write(T request, int id, MemorySegment slot);

    /// The id in a response.
    ///
    /// @param response a private copy, from a backend that may write anything
    long id(MemorySegment response);

    /// A request is answered.
    ///
    /// @param response a private copy; the numbers in it are not checked yet
    void answered(T request, MemorySegment response);

    /// A request will never be answered: the device has ended.
    void failed(T request, String reason);

    /// Reads the properties of the device, at each connection and whenever they have changed. On
    /// the control plane.
    ///
    /// @param backend keys that the backend wrote
    default void properties(Keys backend) throws StoreException, HandshakeException {}
}
