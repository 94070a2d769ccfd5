package org.splitring.netback;

import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicLong;
import org.jspecify.annotations.Nullable;
import org.splitring.bridge.JavaPort;
import org.splitring.bridge.LearningSwitch;
import org.splitring.bridge.PortCapabilities;
import org.splitring.bridge.PortSettings;
import org.splitring.bridge.SwitchSettings;
import org.splitring.bridge.VirtualNetwork;
import org.splitring.hypervisor.DeviceLoop;
import org.splitring.netfront.ReceivedFrame;
import org.splitring.netfront.TxFrame;
import org.splitring.netfront.VifFrontend;
import org.splitring.netfront.VifFrontendDriver;
import org.splitring.netfront.VifFrontendOptions;
import org.splitring.netfront.VifUser;
import org.splitring.testkit.contract.DeviceContract;
import org.splitring.xenbus.FrontendHooks;
import org.splitring.xenbus.device.BackendContext;
import org.splitring.xenbus.device.BackendDriver;
import org.splitring.xenbus.device.FrontendDriver;

/// A vif keeps the contract of devices. A piece of work is a frame to a port of the network that
/// answers it; what was lost on the way is sent again, as every network's users do.
public class VifContractTest extends DeviceContract {
    private static final long RETRY_MILLIS = 50;
    private static final int TOKEN_AT = 14;

    private final Map<FrontendHooks, Client> clients = new ConcurrentHashMap<>();
    private @Nullable VirtualNetwork network; // guarded by this
    private @Nullable DeviceLoop loop; // guarded by this

    @Override
    protected BackendDriver backendDriver() {
        return new VifBackendDriver(this::place, VifBackendOptions.DEFAULT);
    }

    /// The network is made for the first vif of a test, on that one's loop.
    private synchronized VifPlace place(BackendContext context) {
        DeviceLoop now = loop;
        VirtualNetwork lab = network;
        if (now == null || lab == null) {
            DeviceLoop its = context.loop();
            now = its;
            lab =
                    new VirtualNetwork(
                            "contract",
                            its,
                            its::nanoTime,
                            new LearningSwitch(SwitchSettings.DEFAULT));
            loop = now;
            network = lab;
            VirtualNetwork made = lab;
            its.execute(() -> attachEcho(made));
        }
        String name = "vif" + context.paths().frontendDomain() + "." + context.paths().device();
        return new VifPlace(lab, now, PortSettings.of(name), 1500);
    }

    private static void attachEcho(VirtualNetwork network) {
        JavaPort[] port = new JavaPort[1];
        port[0] =
                JavaPort.attach(
                        network,
                        PortSettings.of("echo"),
                        PortCapabilities.plain(1500),
                        (frame, checksum) -> {
                            byte[] answer = frame.clone();
                            System.arraycopy(frame, 6, answer, 0, 6);
                            System.arraycopy(Packets.mac(99), 0, answer, 6, 6);
                            port[0].send(answer);
                        });
    }

    @Override
    protected FrontendDriver frontendDriver() {
        return new VifFrontendDriver(
                (context, options) -> {
                    Client client = new Client(context.device());
                    VifFrontend vif = VifFrontend.create(context.loop(), client, options);
                    client.vif = vif;
                    clients.put(vif.hooks(), client);
                    context.onEnd(client::end);
                    return vif;
                },
                VifFrontendOptions.DEFAULT);
    }

    /// What a guest's program knows of its vif.
    private static final class Client implements VifUser {
        private final AtomicLong tokens = new AtomicLong();
        private final Map<Long, CompletableFuture<Void>> waiting = new ConcurrentHashMap<>();
        private final byte[] mac;
        private volatile boolean ended;
        private volatile @Nullable VifFrontend vif;

        Client(int device) {
            mac = Packets.mac(10 + device);
        }

        void end() {
            ended = true;
        }

        @Override
        public void received(ReceivedFrame frame) {
            byte[] bytes = new byte[frame.sizeBytes()];
            frame.copyTo(MemorySegment.ofArray(bytes), 0, 0, bytes.length);
            if (bytes.length >= TOKEN_AT + 8) {
                CompletableFuture<Void> asked =
                        waiting.get(ByteBuffer.wrap(bytes).getLong(TOKEN_AT));
                if (asked != null) {
                    asked.complete(null);
                }
            }
        }

        void ask() throws Exception {
            long token = (System.nanoTime() << 16) | (tokens.getAndIncrement() & 0xFFFF);
            CompletableFuture<Void> answer = new CompletableFuture<>();
            waiting.put(token, answer);
            try {
                while (true) {
                    VifFrontend now = vif;
                    if (ended || now == null) {
                        throw new IllegalStateException("the device has ended");
                    }
                    now.loop().execute(() -> send(now, token));
                    try {
                        answer.get(RETRY_MILLIS, TimeUnit.MILLISECONDS);
                        return;
                    } catch (TimeoutException e) {
                        // lost, or late: asked again
                    }
                }
            } finally {
                waiting.remove(token);
            }
        }

        private void send(VifFrontend now, long token) {
            TxFrame frame = now.acquire(0, 100);
            if (frame == null) {
                return;
            }
            byte[] bytes = Packets.frame(Packets.mac(99), mac, 100);
            ByteBuffer.wrap(bytes).putLong(TOKEN_AT, token);
            frame.append(MemorySegment.ofArray(bytes), 0, bytes.length);
            frame.send();
            now.flush();
        }
    }

    @Override
    protected void work(Instance device) throws Exception {
        Client client = clients.get(device.hooks());
        if (client == null) {
            throw new IllegalStateException("no such vif");
        }
        client.ask();
    }

    @Override
    protected int entryBytes() {
        return 0; // two rings: HostileTxTest and HostileRxTest attack them
    }

    @Override
    protected void writeRequest(MemorySegment slot, int id, int gref) {
        throw new UnsupportedOperationException("no single ring of requests");
    }
}
