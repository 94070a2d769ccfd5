package org.splitring.netback;

import org.splitring.bridge.Frame;
import org.splitring.bridge.GsoType;
import org.splitring.wire.NetifExtraLayout;
import org.splitring.wire.NetifRxLayout;

/// What the rx ring says about a frame beside its bytes. Reused.
final class RxMark {
    /// `NetifRxLayout` flags of the checksum.
    int flags;

    /// `NetifExtraLayout.GSO_TYPE_*`.
    int gsoType;

    int gsoSizeBytes;

    /// Bit of the hash's type, 0 for none.
    int hashType;

    int hash;

    /// Takes checksum and GSO from a frame; there is no hash then.
    void of(Frame frame) {
        flags =
                switch (frame.checksumState()) {
                    case PARTIAL -> NetifRxLayout.CSUM_BLANK | NetifRxLayout.DATA_VALIDATED;
                    case COMPLETE_VERIFIED -> NetifRxLayout.DATA_VALIDATED;
                    case COMPLETE_UNKNOWN -> 0;
                };
        GsoType gso = frame.gsoType();
        gsoType =
                switch (gso) {
                    case NONE -> NetifExtraLayout.GSO_TYPE_NONE;
                    case TCPV4 -> NetifExtraLayout.GSO_TYPE_TCPV4;
                    case TCPV6 -> NetifExtraLayout.GSO_TYPE_TCPV6;
                };
        gsoSizeBytes = frame.gsoSizeBytes();
        hashType = 0;
        hash = 0;
    }

    /// Takes all of another one.
    void of(RxMark other) {
        flags = other.flags;
        gsoType = other.gsoType;
        gsoSizeBytes = other.gsoSizeBytes;
        hashType = other.hashType;
        hash = other.hash;
    }

    /// How many slots of extras it takes.
    int extras() {
        return (gsoType != NetifExtraLayout.GSO_TYPE_NONE ? 1 : 0) + (hashType != 0 ? 1 : 0);
    }
}
