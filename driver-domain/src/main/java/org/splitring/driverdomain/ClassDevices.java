package org.splitring.driverdomain;

import io.netty.channel.EventLoop;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentSkipListMap;
import org.splitring.blkfront.VbdFrontend;
import org.splitring.blkfront.VbdFrontendOptions;
import org.splitring.blkfront.VbdUser;
import org.splitring.driverdomain.guest.Guest;
import org.splitring.driverdomain.guest.GuestVif;
import org.splitring.hypervisor.attached.NettyDeviceLoop;
import org.splitring.netfront.VifChannel;
import org.splitring.netfront.VifFrontend;
import org.splitring.netfront.VifFrontendDriver;
import org.splitring.netfront.VifFrontendOptions;
import org.splitring.xenbus.device.DeviceException;
import org.splitring.xenbus.device.FrontendContext;

/// The devices of a guest that runs a Java class: disks as frontends, interfaces as channels.
final class ClassDevices implements VbdUser, VifFrontendDriver.Users, Guest {
    private static final int MOST_BUFFER_BYTES = 8 << 20;

    private final NettyDeviceLoop loop;
    private final String name;
    private final List<String> arguments;
    private final int bufferBytes;
    private final Map<Integer, GuestVif> vifs = new ConcurrentSkipListMap<>();
    private final Map<String, VbdFrontend> disks = new ConcurrentHashMap<>();

    /// @param loop of all of them
    ClassDevices(NettyDeviceLoop loop, String name, List<String> arguments, int memoryMib) {
        this.loop = loop;
        this.name = name;
        this.arguments = List.copyOf(arguments);
        bufferBytes = Math.min(MOST_BUFFER_BYTES, memoryMib << 20 >> 3);
    }

    @Override
    public VifFrontend open(FrontendContext context, VifFrontendOptions options)
            throws DeviceException {
        int device = context.device();
        VifChannel channel = new VifChannel("vif " + device);
        VifFrontend vif = VifFrontend.create(loop, channel, options.withoutOffloads());
        channel.vif(vif);
        EventLoop events = loop.eventLoop(); // of any kind: the channel has no descriptor
        events.register(channel).syncUninterruptibly();
        vifs.put(
                device,
                new GuestVif(
                        channel,
                        context.parameter("mac").orElse(""),
                        words(context, "ip"),
                        words(context, "gateway")));
        context.onEnd(
                () -> {
                    vifs.remove(device);
                    channel.close().syncUninterruptibly();
                });
        return vif;
    }

    private static List<String> words(FrontendContext context, String key) throws DeviceException {
        String text = context.parameter(key).orElse("").strip();
        return text.isEmpty() ? List.of() : List.of(text.split(" +", -1));
    }

    @Override
    public VbdFrontendOptions options(int device) {
        return VbdFrontendOptions.DEFAULT.withBufferBytes(bufferBytes);
    }

    @Override
    public void connected(int device, VbdFrontend disk) {
        disks.put(DiskExports.name(device, disk), disk);
    }

    @Override
    public void gone(int device, VbdFrontend disk) {
        disks.values().remove(disk);
    }

    @Override
    public String name() {
        return name;
    }

    @Override
    public List<String> arguments() {
        return arguments;
    }

    @Override
    public Set<Integer> vifs() {
        return Set.copyOf(vifs.keySet());
    }

    @Override
    public Optional<GuestVif> vif(int device) {
        return Optional.ofNullable(vifs.get(device));
    }

    @Override
    public Set<String> disks() {
        return Set.copyOf(disks.keySet());
    }

    @Override
    public Optional<VbdFrontend> disk(String disk) {
        return Optional.ofNullable(disks.get(disk));
    }
}
