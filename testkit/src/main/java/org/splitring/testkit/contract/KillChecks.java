package org.splitring.testkit.contract;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.attached.AttachSocket;
import org.splitring.testkit.contract.DeviceContract.Instance;
import org.splitring.xenbus.DevicePaths;
import org.splitring.xenbus.device.DeviceClasses;

/// What must become of a device when one of its halves is killed with -9 under load: a part of
/// [DeviceContract]. The half that is killed is a process of its own; this process looks at what
/// the other half makes of it.
final class KillChecks {
    /// How often each half is killed in a test.
    private static final int KILLS = Integer.getInteger("splitring.contract.kills", 1);

    private static final int VICTIM = 2;
    private static final int WARM = 10; // pieces of work before a kill

    private final ContractRun run;

    KillChecks(ContractRun run) {
        this.run = run;
    }

    void bearsTheDeathOfItsGuest() throws Exception {
        run.run(
                ContractPlatform.ATTACHED,
                (lab, neighbour, classes) -> {
                    Instance good = run.attach(lab, neighbour, 0);
                    try (ContractLoad load = new ContractLoad(run.contract, good)) {
                        for (int i = 0; i < KILLS; i++) {
                            killGuest(lab, classes);
                            load.progress(5);
                        }
                    }
                });
    }

    private void killGuest(ContractLab lab, DeviceClasses classes) throws Exception {
        DevicePaths device =
                new DevicePaths(
                        run.contract.backendDriver().deviceClass(),
                        new DomId(VICTIM),
                        DomId.ZERO,
                        1);
        Path sockets = Files.createDirectories(lab.folder.resolve("victim"));
        try (ServedGuest served =
                        new ServedGuest(
                                lab.tree,
                                lab.control,
                                lab.backLoops,
                                classes,
                                device,
                                run.contract.frontendParameters(),
                                run.contract.backendParameters(device.device()));
                AttachSocket socket = lab.listen(device.frontendDomain(), served);
                ContractProcess guest =
                        ContractProcess.start(
                                ContractGuestMain.class,
                                List.of(
                                        run.contract.getClass().getName(),
                                        socket.path().toString(),
                                        sockets.toString(),
                                        lab.files.toString(),
                                        Integer.toString(device.device())))) {
            guest.awaitProgress(WARM);
            guest.kill();
            assertEquals("", served.awaitGone(), "held of a guest that was killed");
        }
    }

    void bearsTheDeathOfItsDriverDomain() throws Exception {
        run.alone(
                folder -> {
                    Path sockets = Files.createDirectories(folder.resolve("sockets"));
                    Path attach = folder.resolve("attach");
                    ContractProcess driver = startDriver(attach);
                    try (DeviceClasses classes = run.classes();
                            LoneGuest guest = new LoneGuest(attach, sockets, classes)) {
                        Instance device =
                                guest.connected(run.contract.backendDriver().deviceClass(), 0);
                        try (ContractLoad load = new ContractLoad(run.contract, device)) {
                            for (int i = 0; i < KILLS; i++) {
                                load.progress(WARM);
                                guest.expectLoss();
                                driver.kill();
                                Files.deleteIfExists(attach);
                                driver = startDriver(attach);
                                guest.awaitResumed();
                            }
                            load.progress(WARM);
                        }
                        guest.closeDevices();
                    } finally {
                        driver.kill();
                    }
                });
    }

    private ContractProcess startDriver(Path attach) throws Exception {
        List<String> arguments = new ArrayList<>();
        arguments.add(run.contract.getClass().getName());
        arguments.add(attach.toString());
        arguments.add(run.contract.files().toString());
        arguments.add(Integer.toString(VICTIM));
        arguments.add("0");
        add(arguments, "front:", run.contract.frontendParameters());
        add(arguments, "back:", run.contract.backendParameters(0));
        ContractProcess driver = ContractProcess.start(ContractDriverMain.class, arguments);
        boolean listening = false;
        try {
            driver.awaitLine("listening");
            listening = true;
            return driver;
        } finally {
            if (!listening) {
                driver.kill();
            }
        }
    }

    private static void add(List<String> to, String side, Map<String, String> parameters) {
        parameters.forEach((key, value) -> to.add(side + key + "=" + value));
    }
}
