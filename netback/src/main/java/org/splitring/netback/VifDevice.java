package org.splitring.netback;

import java.util.function.Consumer;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.DriverDomain;
import org.splitring.hypervisor.EventChannelException;
import org.splitring.hypervisor.GrantException;
import org.splitring.xenbus.BackendHooks;
import org.splitring.xenbus.HandshakeException;
import org.splitring.xenbus.Keys;
import org.splitring.xenbus.store.StoreAccess;
import org.splitring.xenbus.store.StoreException;

/// What a vif does at the steps of its life: the keys it writes, and the connection it makes.
final class VifDevice implements BackendHooks {
    private final DriverDomain domain;
    private final DomId frontend;
    private final VifPlace place;
    private final VifBackendOptions options;
    private final VifCounters counters = new VifCounters();
    private final VifPort port;

    VifDevice(DriverDomain domain, DomId frontend, VifPlace place, VifBackendOptions options) {
        this.domain = domain;
        this.frontend = frontend;
        this.place = place;
        this.options = options;
        port = new VifPort(place, counters);
        port.attach();
    }

    VifCounters counters() {
        return counters;
    }

    VifPort port() {
        return port;
    }

    @Override
    public void offer(StoreAccess keys, String folder) throws StoreException {
        keys.write(folder + "/feature-rx-copy", "1");
        keys.write(folder + "/feature-rx-flip", "0");
        keys.write(folder + "/feature-sg", "1");
        keys.write(folder + "/feature-gso-tcpv4", "1");
        keys.write(folder + "/feature-gso-tcpv6", "1");
        keys.write(folder + "/feature-ipv6-csum-offload", "1");
        keys.write(folder + "/feature-multicast-control", "1");
        keys.write(folder + "/feature-dynamic-multicast-control", "1");
        keys.write(folder + "/feature-xdp-headroom", "1");
        keys.write(folder + "/feature-split-event-channels", "1");
        keys.write(folder + "/feature-ctrl-ring", "1");
        keys.write(folder + "/multi-queue-max-queues", Integer.toString(options.maxQueues()));
    }

    @Override
    public Connection connect(Keys keys, Consumer<String> broken)
            throws StoreException, HandshakeException, GrantException, EventChannelException {
        if (!port.refusal().isEmpty()) {
            throw new HandshakeException(port.refusal());
        }
        return VifConnection.open(
                domain,
                frontend,
                VifKeys.read(keys, options.maxQueues()),
                port,
                place,
                options,
                counters,
                cause -> broken.accept(String.valueOf(cause.getMessage())));
    }

    @Override
    public void publish(StoreAccess keys, String folder) {
        // All that a frontend wants to know stands there since InitWait.
    }

    @Override
    public void ended() {
        port.detach();
    }
}
