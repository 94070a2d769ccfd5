package org.splitring.netback;

import java.util.Optional;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.hypervisor.DriverDomain;
import org.splitring.hypervisor.EventChannelException;
import org.splitring.hypervisor.GrantException;
import org.splitring.xenbus.BackendHooks;
import org.splitring.xenbus.DevicePaths;
import org.splitring.xenbus.HandshakeException;
import org.splitring.xenbus.Keys;
import org.splitring.xenbus.device.DeviceException;
import org.splitring.xenbus.device.DeviceNote;
import org.splitring.xenbus.device.DeviceNotes;
import org.splitring.xenbus.store.StoreAccess;
import org.splitring.xenbus.store.StoreException;

/// What a vif does at the steps of its life: the keys it writes, and the connection it makes.
final class VifDevice implements BackendHooks {
    private static final Logger LOG = LoggerFactory.getLogger(VifDevice.class);

    private final DriverDomain domain;
    private final DevicePaths paths;
    private final DeviceNotes notes;
    private final VifNote.Maker noteMaker;
    private final VifPlace place;
    private final VifBackendOptions options;
    private final VifCounters counters = new VifCounters();
    private final VifPort port;

    private DeviceNote note = DeviceNote.unkept(0); // of the last connection; of the machine

    /// @param notes has memory that outlives the process
    /// @param noteMaker makes the notes of rings there
    VifDevice(
            DriverDomain domain,
            DevicePaths paths,
            VifPlace place,
            VifBackendOptions options,
            DeviceNotes notes,
            VifNote.Maker noteMaker) {
        this.domain = domain;
        this.paths = paths;
        this.notes = notes;
        this.noteMaker = noteMaker;
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
        DeviceNote.unpublish(keys, folder);
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
        checkPlace();
        VifKeys read = VifKeys.read(keys, options.maxQueues());
        return open(read, makeNote(read.queues().size()), broken);
    }

    private void checkPlace() throws HandshakeException {
        if (!port.refusal().isEmpty()) {
            throw new HandshakeException(port.refusal());
        }
    }

    /// A device without a note is better than none.
    private VifNote makeNote(int queues) {
        try {
            return VifNote.make(notes, paths, queues, noteMaker);
        } catch (DeviceException e) {
            LOG.warn(
                    "vif {}: {}: the interface will not outlive this process",
                    paths.backend(),
                    e.getMessage());
            return VifNote.unkept(queues, noteMaker);
        }
    }

    /// What was offered is what this backend offers: it knows no other choice than the number of
    /// queues.
    @Override
    public Optional<Connection> resume(Keys own, Keys keys, Consumer<String> broken)
            throws StoreException, HandshakeException, GrantException, EventChannelException {
        String id = DeviceNote.published(own);
        checkPlace();
        int queues = (int) own.number("multi-queue-max-queues", 1, VifBackendOptions.MAX_QUEUES, 1);
        VifKeys read = VifKeys.read(keys, queues);
        VifNote found = VifNote.find(notes, paths, id, read.queues().size(), noteMaker);
        return Optional.of(open(read, found, broken));
    }

    private Connection open(VifKeys keys, VifNote noted, Consumer<String> broken)
            throws GrantException, EventChannelException {
        VifConnection opened =
                VifConnection.open(
                        domain,
                        paths.frontendDomain(),
                        keys,
                        port,
                        place,
                        options,
                        noted,
                        counters,
                        cause -> broken.accept(String.valueOf(cause.getMessage())));
        note = noted.memory();
        return opened;
    }

    /// All that a frontend wants to know stands there since InitWait.
    @Override
    public void publish(StoreAccess keys, String folder) throws StoreException {
        note.publish(keys, folder);
    }

    @Override
    public void ended() {
        port.detach();
    }
}
