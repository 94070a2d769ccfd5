package org.example.vrng;

import java.lang.foreign.MemorySegment;
import java.security.SecureRandom;
import org.splitring.hypervisor.GrantStatus;
import org.splitring.xenbus.BackendHooks;
import org.splitring.xenbus.device.BackendContext;
import org.splitring.xenbus.device.BackendDriver;
import org.splitring.xenbus.device.RingBackend;
import org.splitring.xenbus.device.RingRequest;

/// The backend half: fills the pages that guests grant.
public final class VrngBackendDriver implements BackendDriver {
    @Override
    public String deviceClass() {
        return VrngProtocol.CLASS;
    }

    @Override
    public BackendHooks create(BackendContext context) {
        SecureRandom random = new SecureRandom();
        byte[] bytes = new byte[VrngProtocol.MAX_BYTES];
        return new RingBackend(
                context, VrngProtocol.RING, request -> fill(request, random, bytes));
    }

    /// The numbers are a guest's: the size is checked here, the reference where it is used.
    private static void fill(RingRequest request, SecureRandom random, byte[] bytes) {
        int gref = (int) VrngProtocol.REQUEST_GREF.get(request.bytes());
        int size = (int) VrngProtocol.REQUEST_SIZE.get(request.bytes());
        int status = VrngProtocol.ERROR;
        if (size >= 1 && size <= VrngProtocol.MAX_BYTES) {
            random.nextBytes(bytes);
            MemorySegment from = MemorySegment.ofArray(bytes);
            if (request.copyTo(gref, 0, from, 0, size) == GrantStatus.OKAY) {
                status = size;
            }
        }
        int id = (int) VrngProtocol.REQUEST_ID.get(request.bytes());
        VrngProtocol.RESPONSE_ID.set(request.response(), id);
        VrngProtocol.RESPONSE_STATUS.set(request.response(), status);
        request.answer();
    }
}
