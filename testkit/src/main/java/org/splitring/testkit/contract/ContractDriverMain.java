package org.splitring.testkit.contract;

import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.DomainLimits;
import org.splitring.hypervisor.attached.AttachServer;
import org.splitring.hypervisor.attached.NettyDeviceLoops;
import org.splitring.xenbus.DeviceEnd;
import org.splitring.xenbus.DevicePaths;
import org.splitring.xenbus.device.DeviceClasses;
import org.splitring.xenbus.store.StoreTree;

/// A driver domain in a process of its own, with a store and one guest, until it is killed. It says
/// `listening` when a guest may attach.
///
///     ContractDriverMain CONTRACT ATTACH-SOCKET FILES DOMID DEVICE [PARAMETER]...
///
/// A parameter is `front:KEY=VALUE` or `back:KEY=VALUE`.
final class ContractDriverMain {
    private static final int PARAMETERS = 5;

    private ContractDriverMain() {}

    public static void main(String[] arguments) throws Exception {
        DeviceContract contract = DeviceContract.make(arguments[0], Path.of(arguments[2]));
        DomId guest = new DomId(Integer.parseInt(arguments[3]));
        DevicePaths device =
                new DevicePaths(
                        contract.backendDriver().deviceClass(),
                        guest,
                        DomId.ZERO,
                        Integer.parseInt(arguments[4]));
        NettyDeviceLoops loops = new NettyDeviceLoops("contract-back", 2, 0);
        StoreTree tree = new StoreTree();
        DeviceClasses classes =
                DeviceClasses.of(contract.backendDriver(), contract.frontendDriver());
        ServedGuest served =
                new ServedGuest(
                        tree,
                        tree.connection(DomId.ZERO, DeviceEnd.VIRTUAL_THREADS),
                        loops,
                        classes,
                        device,
                        parameters(arguments, "front:"),
                        parameters(arguments, "back:"));
        AttachServer server = new AttachServer(DomId.ZERO, loops.next());
        var ignored = server.listen(Path.of(arguments[1]), guest, DomainLimits.DEFAULT, served);
        System.out.println("listening");
        ContractProcess.untilTheTestEnds();
    }

    private static Map<String, String> parameters(String[] arguments, String side) {
        Map<String, String> parameters = new LinkedHashMap<>();
        for (int i = PARAMETERS; i < arguments.length; i++) {
            if (arguments[i].startsWith(side)) {
                String[] pair = arguments[i].substring(side.length()).split("=", 2);
                parameters.put(pair[0], pair[1]);
            }
        }
        return parameters;
    }
}
