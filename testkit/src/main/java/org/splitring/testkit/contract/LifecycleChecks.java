package org.splitring.testkit.contract;

import java.util.List;
import org.splitring.testkit.contract.DeviceContract.Instance;
import org.splitring.xenbus.DevicePaths;
import org.splitring.xenbus.device.FrontendBus;

/// How a device must come, go, and be left: the first part of [DeviceContract].
final class LifecycleChecks {
    private final ContractRun run;

    LifecycleChecks(ContractRun run) {
        this.run = run;
    }

    void connectsWorksAndLeavesNothing(ContractPlatform platform) throws Exception {
        run.run(
                platform,
                (lab, guest, classes) -> {
                    for (int round = 0; round < 3; round++) {
                        Instance device = run.attach(lab, guest, 0);
                        for (int i = 0; i < 20; i++) {
                            run.workOnce(device);
                        }
                        lab.detach(run.paths(lab, guest, 0));
                        ContractRun.nothingLeft(guest);
                    }
                });
    }

    void reconnectsAsOftenAsTheGuestLikes(ContractPlatform platform) throws Exception {
        run.run(
                platform,
                (lab, guest, classes) -> {
                    DevicePaths paths = run.paths(lab, guest, 0);
                    run.create(lab, paths);
                    for (int round = 0; round < 4; round++) {
                        run.workOnce(ContractRun.connected(guest, paths));
                        guest.closeFrontends();
                        guest.openFrontends(classes);
                    }
                    run.workOnce(ContractRun.connected(guest, paths));
                });
    }

    void theBackendBearsEveryOrderOfTheFrontendsStates(ContractPlatform platform) throws Exception {
        String[] inputs = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "-1", "", "4 ", "x"};
        run.run(
                platform,
                (lab, guest, classes) -> {
                    guest.closeFrontends(); // the states are ours
                    DevicePaths paths = run.paths(lab, guest, 0);
                    run.create(lab, paths);
                    String state = paths.frontend() + "/state";
                    lab.awaitState(paths.backend(), "2");
                    for (String first : inputs) {
                        for (String second : inputs) {
                            guest.store.write(state, first);
                            guest.store.write(state, second);
                            guest.store.write(state, "5");
                            guest.store.write(state, "6");
                            lab.awaitState(paths.backend(), "6");
                            guest.store.write(state, "1");
                            lab.awaitState(paths.backend(), "2");
                        }
                    }
                    guest.openFrontends(classes);
                    run.workOnce(ContractRun.connected(guest, paths));
                });
    }

    void theFrontendBearsEveryStateOfTheBackend(ContractPlatform platform) throws Exception {
        String[] inputs = {"0", "1", "2", "4", "5", "6", "7", "8", "9", "-1", "", "4 ", "x"};
        run.run(
                platform,
                (lab, guest, classes) -> {
                    guest.closeBackends(); // the states are ours
                    for (int i = 0; i < inputs.length; i++) {
                        DevicePaths paths = run.paths(lab, guest, 100 + i);
                        run.create(lab, paths);
                        String state = paths.backend() + "/state";
                        for (String before : List.of("2", "4", "")) {
                            if (!before.isEmpty()) {
                                lab.control.write(state, before);
                            }
                            lab.control.write(state, inputs[i]);
                        }
                        lab.toolstack.removeDevice(paths);
                    }
                    ContractRun.nothingLeft(guest);
                    guest.openBackends(classes);
                    run.workOnce(run.attach(lab, guest, 0));
                });
    }

    void survivesSuspendAndResume(ContractPlatform platform) throws Exception {
        run.run(
                platform,
                (lab, guest, classes) -> {
                    Instance device = run.attach(lab, guest, 0);
                    try (ContractLoad load = new ContractLoad(run.contract, device)) {
                        for (int round = 0; round < 3; round++) {
                            load.progress(5);
                            FrontendBus bus = guest.frontends;
                            if (bus == null) {
                                throw new IllegalStateException();
                            }
                            bus.suspend();
                            guest.store = lab.reconnect(guest);
                            Bounded.get("resume", bus.resume(guest.domain, guest.store));
                        }
                        load.progress(5);
                    }
                });
    }

    void survivesTheReplacementOfItsBackend(ContractPlatform platform) throws Exception {
        run.run(
                platform,
                (lab, guest, classes) -> {
                    Instance device = run.attach(lab, guest, 0);
                    try (ContractLoad load = new ContractLoad(run.contract, device)) {
                        for (int round = 0; round < 3; round++) {
                            load.progress(5);
                            guest.closeBackends();
                            guest.openBackends(classes);
                        }
                        load.progress(5);
                    }
                });
    }

    void isUnpluggedUnderLoad(ContractPlatform platform) throws Exception {
        run.run(
                platform,
                (lab, guest, classes) -> {
                    for (int round = 0; round < 3; round++) {
                        Instance device = run.attach(lab, guest, 0);
                        ContractLoad load = new ContractLoad(run.contract, device);
                        load.progress(5);
                        lab.detach(run.paths(lab, guest, 0));
                        load.awaitEnded();
                        ContractRun.nothingLeft(guest);
                    }
                });
    }

    void isRemovedByForceUnderLoad(ContractPlatform platform) throws Exception {
        run.run(
                platform,
                (lab, guest, classes) -> {
                    for (int round = 0; round < 3; round++) {
                        Instance device = run.attach(lab, guest, 0);
                        ContractLoad load = new ContractLoad(run.contract, device);
                        load.progress(5);
                        lab.toolstack.removeDevice(run.paths(lab, guest, 0));
                        load.awaitEnded();
                        ContractRun.nothingLeft(guest);
                    }
                });
    }
}
