package org.example.vrng;

import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemoryLayout.PathElement;
import java.lang.foreign.StructLayout;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;
import org.splitring.xenbus.device.RingShape;

/// What the two halves of the entropy source say to each other: one request asks for one page full.
///
///     byte      0        4        8        12
///     request   | id     | gref   | size   |     size 1 to 4096, into the page of gref
///     response  | id     | status |              how many bytes are there, or -1
final class VrngProtocol {
    static final String CLASS = "vrng";
    static final int MAX_BYTES = 4096;
    static final int ERROR = -1;

    private static final ValueLayout.OfInt U32 =
            ValueLayout.JAVA_INT.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final StructLayout REQUEST =
            MemoryLayout.structLayout(U32.withName("id"), U32.withName("gref"), U32.withName("size"));
    private static final StructLayout RESPONSE =
            MemoryLayout.structLayout(U32.withName("id"), U32.withName("status"));

    static final VarHandle REQUEST_ID = field(REQUEST, "id");
    static final VarHandle REQUEST_GREF = field(REQUEST, "gref");
    static final VarHandle REQUEST_SIZE = field(REQUEST, "size");
    static final VarHandle RESPONSE_ID = field(RESPONSE, "id");
    static final VarHandle RESPONSE_STATUS = field(RESPONSE, "status");

    static final RingShape RING =
            RingShape.of((int) REQUEST.byteSize(), (int) RESPONSE.byteSize());

    private VrngProtocol() {}

    private static VarHandle field(StructLayout layout, String name) {
        VarHandle handle = layout.varHandle(PathElement.groupElement(name));
        return MethodHandles.insertCoordinates(handle, 1, 0L);
    }
}
