package org.splitring.testkit.contract;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.CompletableFuture;
import org.splitring.testkit.contract.DeviceContract.Instance;
import org.splitring.xenbus.DevicePaths;
import org.splitring.xenbus.device.DeviceClasses;
import org.splitring.xenbus.device.FrontendBus;

/// Runs the scenarios of a contract: each in a lab of its own, with a look for leaks at its end.
final class ContractRun {
    /// What the author says of his device.
    final DeviceContract contract;

    ContractRun(DeviceContract contract) {
        this.contract = contract;
    }

    interface Scenario {
        void run(ContractLab lab, ContractGuest guest, DeviceClasses classes) throws Exception;
    }

    /// Runs a scenario in a lab with one guest, and looks for leaks of the device and the process.
    void run(ContractPlatform platform, Scenario scenario) throws Exception {
        ContractResources before = resourcesNow();
        try (ContractLab lab = new ContractLab(platform);
                DeviceClasses classes = classes()) {
            contract.useFiles(lab.files);
            ContractGuest guest = lab.guest(1);
            guest.openBackends(classes);
            guest.openFrontends(classes);
            scenario.run(lab, guest, classes);
            lab.closeBuses();
        }
        nothingLeaked(before);
    }

    interface LoneScenario {
        void run(Path folder) throws Exception;
    }

    /// Runs a scenario that needs no lab of this process, and looks for leaks of the process.
    ///
    /// A folder is all that it is given.
    void alone(LoneScenario scenario) throws Exception {
        ContractResources before = resourcesNow();
        Path folder = Files.createTempDirectory("contract");
        try {
            contract.useFiles(Files.createDirectory(folder.resolve("files")));
            scenario.run(folder);
        } finally {
            ContractLab.delete(folder);
        }
        nothingLeaked(before);
    }

    /// What the process holds, after the JDK has started what it starts once.
    private static ContractResources resourcesNow() throws Exception {
        Path folder = Files.createTempDirectory("contract");
        try {
            VirtualSockets.warmUp(folder);
        } finally {
            ContractLab.delete(folder);
        }
        return ContractResources.now();
    }

    private static void nothingLeaked(ContractResources before) {
        Bounded.until(
                () -> "the process leaks " + ContractResources.leakedSince(before),
                () -> ContractResources.leakedSince(before).isEmpty());
    }

    /// The device's two drivers.
    DeviceClasses classes() throws Exception {
        return DeviceClasses.of(contract.backendDriver(), contract.frontendDriver());
    }

    DevicePaths paths(ContractLab lab, ContractGuest guest, int device) throws Exception {
        return lab.paths(guest, contract.backendDriver().deviceClass(), device);
    }

    void create(ContractLab lab, DevicePaths paths) throws Exception {
        lab.create(
                paths, contract.frontendParameters(), contract.backendParameters(paths.device()));
    }

    Instance attach(ContractLab lab, ContractGuest guest, int device) throws Exception {
        DevicePaths paths = paths(lab, guest, device);
        create(lab, paths);
        return connected(guest, paths);
    }

    static Instance connected(ContractGuest guest, DevicePaths paths) {
        FrontendBus.Frontend frontend = guest.connected(paths);
        return new Instance(frontend.hooks(), guest.sockets, paths.device());
    }

    private CompletableFuture<Void> later(Instance device) {
        CompletableFuture<Void> done = new CompletableFuture<>();
        Thread.ofVirtual()
                .start(
                        () -> {
                            try {
                                contract.work(device);
                                done.complete(null);
                            } catch (Throwable e) { // the test looks at it
                                done.completeExceptionally(e);
                            }
                        });
        return done;
    }

    void workOnce(Instance device) {
        Bounded.get("a piece of work", later(device));
    }

    static void nothingLeft(ContractGuest guest) {
        Bounded.until(
                () -> "devices that are gone leak " + guest.held(),
                () -> guest.frontendList().isEmpty() && guest.held().isEmpty());
    }
}
