package org.splitring.testkit.contract;

import java.nio.file.Path;
import org.splitring.testkit.contract.DeviceContract.Instance;
import org.splitring.xenbus.device.DeviceClasses;

/// A guest in a process of its own, whose device is under load until it is killed.
///
///     ContractGuestMain CONTRACT ATTACH-SOCKET SOCKETS FILES DEVICE
final class ContractGuestMain {
    private ContractGuestMain() {}

    public static void main(String[] arguments) throws Exception {
        DeviceContract contract = DeviceContract.make(arguments[0], Path.of(arguments[3]));
        int device = Integer.parseInt(arguments[4]);
        try (DeviceClasses classes =
                        DeviceClasses.of(contract.backendDriver(), contract.frontendDriver());
                LoneGuest guest =
                        new LoneGuest(Path.of(arguments[1]), Path.of(arguments[2]), classes)) {
            Instance connected = guest.connected(contract.frontendDriver().deviceClass(), device);
            ContractLoad load = new ContractLoad(contract, connected);
            Thread.ofVirtual().start(() -> report(load));
            ContractProcess.untilTheTestEnds();
        }
    }

    private static void report(ContractLoad load) {
        while (true) {
            load.progress(1);
            System.out.println("progress " + load.done());
        }
    }
}
