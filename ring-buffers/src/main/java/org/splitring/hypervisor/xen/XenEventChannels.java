package org.splitring.hypervisor.xen;

import java.nio.file.Path;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.EventChannel;
import org.splitring.hypervisor.EventChannelException;
import org.splitring.hypervisor.EventChannels;
import org.splitring.hypervisor.linux.EvtchnDevice;
import org.splitring.hypervisor.linux.LinuxException;

/// Ports of this domain, each with a descriptor of its own.
final class XenEventChannels implements EventChannels {
    private final Path device;

    XenEventChannels(Path device) {
        this.device = device;
    }

    @Override
    public EventChannel allocUnbound(DomId remote) throws EventChannelException {
        try {
            return new XenEventChannel(EvtchnDevice.allocUnbound(device, remote.value()));
        } catch (LinuxException e) {
            throw refused(e);
        }
    }

    @Override
    public EventChannel bindInterdomain(DomId remote, int remotePort) throws EventChannelException {
        try {
            return new XenEventChannel(
                    EvtchnDevice.bindInterdomain(device, remote.value(), remotePort));
        } catch (LinuxException e) {
            throw refused(e);
        }
    }

    private static EventChannelException refused(LinuxException e) {
        return new EventChannelException(e.errno(), String.valueOf(e.getMessage()));
    }
}
