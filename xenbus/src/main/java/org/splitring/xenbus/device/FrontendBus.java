package org.splitring.xenbus.device;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.hypervisor.GuestDomain;
import org.splitring.xenbus.DevicePaths;
import org.splitring.xenbus.FrontendHooks;
import org.splitring.xenbus.FrontendMachine;
import org.splitring.xenbus.FrontendOptions;
import org.splitring.xenbus.SerialTasks;
import org.splitring.xenbus.XenbusState;
import org.splitring.xenbus.store.Store;
import org.splitring.xenbus.store.StoreException;
import org.splitring.xenbus.store.Watch;

/// The frontends of a guest: an instance for each device in the guest's own `device` folder whose
/// class has a driver, until the device is gone. So a toolstack plugs in a device by writing it.
///
/// What a device does afterwards is the business of its [FrontendMachine]. A driver that refuses a
/// device, or fails, leaves its reason in the device's error node; the other devices do not notice.
/// When the driver domain was replaced, [#resume] goes on with all of them.
public final class FrontendBus implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(FrontendBus.class);

    private final FrontendHost host;
    private final DeviceClasses classes;
    private final FrontendOptions options;
    private final Predicate<String> wanted;
    private final SerialTasks tasks;
    private final CompletableFuture<Void> closed = new CompletableFuture<>();

    // Of the tasks.
    private GuestDomain guest;
    private Store store;
    private @Nullable Watch watch;
    private final Map<Name, Frontend> frontends = new LinkedHashMap<>();
    private final Set<Name> done = new HashSet<>(); // ended; their folders may still be there
    private boolean resting; // until wake
    private boolean closing;

    // What Java makes of a record when it is first compared takes a twentieth of a guest's start.
    private record Name(String deviceClass, int device) {
        @Override
        public boolean equals(Object other) {
            return other instanceof Name name
                    && device == name.device
                    && deviceClass.equals(name.deviceClass);
        }

        @Override
        public int hashCode() {
            return 31 * deviceClass.hashCode() + device;
        }

        @Override
        public String toString() {
            return deviceClass + "/" + device;
        }
    }

    /// One device of the guest.
    ///
    /// @param name class and number: `vrng/0`
    /// @param hooks what the driver made
    /// @param connected completes when it can be used the first time, or with the reason why not
    public record Frontend(
            String name,
            FrontendHooks hooks,
            FrontendMachine machine,
            CompletableFuture<Void> connected,
            FrontendContext context) {}

    private FrontendBus(
            FrontendHost host,
            GuestDomain guest,
            Store store,
            DeviceClasses classes,
            FrontendOptions options,
            Predicate<String> wanted) {
        this.host = host;
        this.guest = guest;
        this.store = store;
        this.classes = classes;
        this.options = options;
        this.wanted = wanted;
        tasks = new SerialTasks("frontends of " + guest.id(), host.executor());
    }

    /// Finds the devices that are there, and begins to connect them; others are found when they
    /// come.
    ///
    /// @param store with the rights of the guest; not closed with the bus
    /// @param classes stays the caller's: closed after the bus
    /// @return completes when the devices that were there have been begun with
    public static CompletableFuture<FrontendBus> open(
            FrontendHost host,
            GuestDomain guest,
            Store store,
            DeviceClasses classes,
            FrontendOptions options) {
        return open(host, guest, store, classes, options, name -> true);
    }

    /// As the other one, for some of the devices: others have a frontend elsewhere.
    ///
    /// @param wanted whether a device, named by class and number (`vbd/51712`), is for this bus
    public static CompletableFuture<FrontendBus> open(
            FrontendHost host,
            GuestDomain guest,
            Store store,
            DeviceClasses classes,
            FrontendOptions options,
            Predicate<String> wanted) {
        FrontendBus bus = new FrontendBus(host, guest, store, classes, options, wanted);
        return bus.call(
                () -> {
                    bus.watchAndLook();
                    return bus;
                });
    }

    /// The devices there are now, in the order in which they came.
    public CompletableFuture<List<Frontend>> frontends() {
        return call(() -> List.copyOf(frontends.values()));
    }

    private interface Call<T> {
        T call() throws StoreException;
    }

    private <T> CompletableFuture<T> call(Call<T> call) {
        CompletableFuture<T> result = new CompletableFuture<>();
        tasks.execute(
                () -> {
                    try {
                        result.complete(call.call());
                    } catch (StoreException | RuntimeException e) {
                        result.completeExceptionally(e);
                    }
                });
        return result;
    }

    private String folder() {
        return DevicePaths.domain(guest.id()) + "/device";
    }

    private void watchAndLook() throws StoreException {
        watch = store.watch(folder(), this::changed);
        look();
    }

    /// States and keys of a device that is known are its machine's business.
    private void changed(String path) {
        tasks.execute(
                () -> {
                    String[] parts =
                            path.substring(Math.min(path.length(), folder().length()))
                                    .split("/", -1);
                    boolean known =
                            parts.length > 3
                                    && parts[2].matches("[0-9]{1,9}")
                                    && frontends.containsKey(
                                            new Name(parts[1], Integer.parseInt(parts[2])));
                    if (!known) {
                        lookAgain();
                    }
                });
    }

    private void lookAgain() {
        if (closing || watch == null) {
            return;
        }
        try {
            look();
        } catch (StoreException e) {
            LOG.debug("frontends of {}: {}", guest.id(), e.getMessage()); // its machines hear of it
        }
    }

    private void look() throws StoreException {
        Set<Name> there = new HashSet<>();
        for (String deviceClass : store.list(folder())) {
            if (classes.get(deviceClass).isEmpty()) {
                continue;
            }
            for (String number : store.list(folder() + "/" + deviceClass)) {
                if (number.matches("[0-9]{1,9}") && wanted.test(deviceClass + "/" + number)) {
                    there.add(new Name(deviceClass, Integer.parseInt(number)));
                }
            }
        }
        done.retainAll(there);
        for (Name name : there) {
            if (frontends.containsKey(name)) {
                continue;
            }
            XenbusState state =
                    XenbusState.parse(store.read(folder() + "/" + name + "/state").orElse(""));
            boolean begun = done.contains(name) && state != XenbusState.INITIALISING;
            if (state != XenbusState.UNKNOWN && !begun) {
                begin(name);
            }
        }
    }

    private void begin(Name name) {
        FrontendDriver driver = classes.get(name.deviceClass()).orElseThrow().frontend();
        FrontendContext context =
                new FrontendContext(host, guest, store, name.deviceClass(), name.device());
        FrontendHooks hooks;
        try {
            hooks = driver.create(context);
        } catch (DeviceException e) {
            context.end();
            refuse(name, String.valueOf(e.getMessage()));
            return;
        } catch (RuntimeException | LinkageError e) { // somebody else's code
            context.end();
            LOG.error("frontend {}: the driver failed", name, e);
            refuse(name, "the driver failed: " + e);
            return;
        }
        FrontendMachine machine =
                FrontendMachine.create(
                        guest,
                        store,
                        name.deviceClass(),
                        name.device(),
                        hooks,
                        options,
                        host.executor(),
                        host.timers());
        CompletableFuture<Void> connected = machine.connectAsync();
        Frontend frontend = new Frontend(name.toString(), hooks, machine, connected, context);
        frontends.put(name, frontend);
        var ignored =
                connected.whenComplete(
                        (nothing, failure) -> {
                            if (failure != null) {
                                LOG.warn("frontend {}: {}", name, failure.getMessage());
                            }
                        });
        forgetAtEnd(name, frontend);
    }

    private void forgetAtEnd(Name name, Frontend frontend) {
        var ignored =
                frontend.machine().whenEnded().thenRunAsync(() -> ended(name, frontend), tasks);
    }

    private void ended(Name name, Frontend frontend) {
        frontend.context().end();
        frontends.remove(name, frontend);
        done.add(name);
        if (closing && frontends.isEmpty()) {
            closed.complete(null);
        }
        lookAgain(); // a new one may stand under the number already
    }

    private void refuse(Name name, String reason) {
        LOG.warn("frontend {}: {}", name, reason);
        done.add(name);
        try {
            store.write(
                    DevicePaths.domain(guest.id()) + "/error/device/" + name + "/error", reason);
            store.write(
                    folder() + "/" + name + "/state",
                    Integer.toString(XenbusState.CLOSED.number()));
        } catch (StoreException e) {
            LOG.debug("frontend {}: error node: {}", name, e.getMessage());
        }
    }

    /// The driver domain is gone: everything waits for [#resume].
    public void suspend() {
        tasks.execute(
                () -> {
                    stopWatching();
                    frontends.values().forEach(frontend -> frontend.machine().suspend());
                });
    }

    /// Closes every device in order, so that nothing of the guest is in use, and waits for [#wake]:
    /// what the devices' users want meanwhile waits. Devices that come then wait, too.
    ///
    /// @return completes when all are closed
    public CompletableFuture<Void> rest() {
        CompletableFuture<Void> result = new CompletableFuture<>();
        tasks.execute(
                () -> {
                    resting = true;
                    stopWatching();
                    complete(
                            result,
                            frontends.values().stream()
                                    .map(frontend -> frontend.machine().rest())
                                    .toList());
                });
        return result;
    }

    /// Ends [#rest].
    ///
    /// @return completes when every device is connected again
    public CompletableFuture<Void> wake() {
        CompletableFuture<Void> result = new CompletableFuture<>();
        tasks.execute(
                () -> {
                    resting = false;
                    resumeNow(guest, store, result);
                });
        return result;
    }

    /// Goes on with another driver domain and store behind the same guest memory; while the guest
    /// rests, only [#wake] does.
    ///
    /// @return completes when every device is connected again
    public CompletableFuture<Void> resume(GuestDomain attached, Store connected) {
        CompletableFuture<Void> result = new CompletableFuture<>();
        tasks.execute(() -> resumeNow(attached, connected, result));
        return result;
    }

    private void resumeNow(GuestDomain attached, Store connected, CompletableFuture<Void> result) {
        stopWatching();
        guest = attached;
        store = connected;
        if (resting) {
            result.complete(null);
            return;
        }
        List<CompletableFuture<Void>> resumed = new ArrayList<>();
        for (Frontend frontend : frontends.values()) {
            resumed.add(frontend.machine().resume(attached, connected));
        }
        try {
            watchAndLook();
        } catch (StoreException e) {
            result.completeExceptionally(e);
            return;
        }
        complete(result, resumed);
    }

    private static void complete(
            CompletableFuture<Void> result, List<CompletableFuture<Void>> parts) {
        var ignored =
                CompletableFuture.allOf(parts.toArray(CompletableFuture[]::new))
                        .whenComplete(
                                (nothing, failure) -> {
                                    if (failure == null) {
                                        result.complete(null);
                                    } else {
                                        result.completeExceptionally(failure);
                                    }
                                });
    }

    private void stopWatching() {
        Watch old = watch;
        watch = null;
        if (old != null) {
            old.close();
        }
    }

    /// Closes every device, with its backend's help where that is there in time.
    ///
    /// @return completes when all are closed
    public CompletableFuture<Void> closeAsync() {
        tasks.execute(
                () -> {
                    closing = true;
                    stopWatching();
                    for (Frontend frontend : frontends.values()) {
                        var ignored = frontend.machine().closeAsync(); // heard of by whenEnded
                    }
                    if (frontends.isEmpty()) {
                        closed.complete(null);
                    }
                });
        return closed.copy();
    }

    /// As [#closeAsync], and waits. Not on a loop.
    @Override
    public void close() {
        closeAsync().join();
    }
}
