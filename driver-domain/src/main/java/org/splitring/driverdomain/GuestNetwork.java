package org.splitring.driverdomain;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.driverdomain.net.TapVif;
import org.splitring.hypervisor.attached.NettyDeviceLoop;
import org.splitring.hypervisor.linux.NetworkNamespace;
import org.splitring.hypervisor.linux.TapDevice;
import org.splitring.netfront.VifFrontend;
import org.splitring.netfront.VifFrontendDriver;
import org.splitring.netfront.VifFrontendOptions;
import org.splitring.xenbus.device.DeviceException;
import org.splitring.xenbus.device.FrontendContext;

/// The network of a `java` guest: one namespace, made with its first vif, and in it an interface
/// `ethN` for each. Programs that run inside (`exec`) have nothing else.
///
/// Besides `mac` and `mtu`, which every toolstack writes, our own writes `ip` and `gateway` into
/// the frontend's folder: what an interface is set to, words separated by blanks.
final class GuestNetwork implements VifFrontendDriver.Users, AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(GuestNetwork.class);

    private final NettyDeviceLoop loop;
    private final String domain;
    private final Path folder;
    private @Nullable NetworkNamespace namespace;
    private boolean closed;

    /// @param loop of all vifs
    /// @param folder of the domain in the run directory
    GuestNetwork(NettyDeviceLoop loop, String domain, Path folder) {
        this.loop = loop;
        this.domain = domain;
        this.folder = folder;
    }

    @Override
    public VifFrontend open(FrontendContext context, VifFrontendOptions options)
            throws DeviceException {
        String name = "eth" + context.device();
        String commands = commands(context, name);
        try {
            NetworkNamespace inside = namespace();
            TapDevice tap = inside.openTap(name);
            try {
                inside.ip(commands);
            } catch (IOException e) {
                tap.close();
                throw e;
            }
            TapVif user = new TapVif(loop, tap);
            context.onEnd(user);
            VifFrontend vif = VifFrontend.create(loop, user, options);
            user.serve(vif);
            return vif;
        } catch (IOException e) {
            throw new DeviceException(name + ": " + e.getMessage(), e);
        }
    }

    private static String commands(FrontendContext context, String name) throws DeviceException {
        StringBuilder commands = new StringBuilder();
        commands.append("link set dev ").append(name);
        word(context, "mac").ifPresent(mac -> commands.append(" address ").append(mac));
        word(context, "mtu").ifPresent(mtu -> commands.append(" mtu ").append(mtu));
        commands.append(" up\n");
        for (String address : words(context, "ip")) {
            commands.append("addr add ").append(address).append(" dev ").append(name);
            // Our own switch knows who has which address; a guest need not wait for an answer.
            commands.append(address.indexOf(':') >= 0 ? " nodad\n" : "\n");
        }
        for (String gateway : words(context, "gateway")) {
            commands.append("route add default via ").append(gateway);
            // On the link whatever the prefix length: a routed guest has a subnet of its own.
            commands.append(" dev ").append(name).append(" onlink\n");
        }
        return commands.toString();
    }

    private static Optional<String> word(FrontendContext context, String key)
            throws DeviceException {
        String[] words = words(context, key);
        return words.length == 1 ? Optional.of(words[0]) : Optional.empty();
    }

    /// Only what addresses and numbers are made of: these are words of a command.
    private static String[] words(FrontendContext context, String key) throws DeviceException {
        String text = context.parameter(key).orElse("").strip();
        if (!text.matches("[0-9A-Fa-f.:/ ]*")) {
            throw new DeviceException(key + " \"" + text + "\" is no address");
        }
        return text.isEmpty() ? new String[0] : text.split(" +", -1);
    }

    private synchronized NetworkNamespace namespace() throws IOException {
        if (closed) {
            throw new IOException("the guest is ending");
        }
        NetworkNamespace made = namespace;
        if (made == null) {
            made = NetworkNamespace.create(name(domain));
            namespace = made;
            made.ip("link set dev lo up\n");
            NamespaceRecord.of(made.entrance()).write(folder);
        }
        return made;
    }

    /// What `ip netns` calls the namespace of a domain.
    static String name(String domain) {
        return "splitring-" + domain;
    }

    /// Ends the namespace, after the devices that have interfaces in it.
    @Override
    public synchronized void close() {
        closed = true;
        NetworkNamespace made = namespace;
        if (made != null) {
            try {
                Files.deleteIfExists(folder.resolve(NamespaceRecord.FILE));
            } catch (IOException e) {
                LOG.warn("{} stays: {}", NamespaceRecord.FILE, e.getMessage());
            }
            made.close();
        }
    }
}
