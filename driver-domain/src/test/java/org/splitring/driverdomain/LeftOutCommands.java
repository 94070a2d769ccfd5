package org.splitring.driverdomain;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/// The commands of the documents that no test runs as they stand there, each with its reason.
final class LeftOutCommands {
    private static final String ALONE = "a single test of those that `verify` runs";
    private static final String LONG = "takes very long";
    private static final String XEN = "XenIT: inside the real Xen, CI's second command";

    private LeftOutCommands() {}

    static boolean contains(Documents.Command command) {
        return reasons().containsKey(command.text());
    }

    static Map<String, String> reasons() {
        Map<String, String> all = new LinkedHashMap<>();
        all.put("./splitring top --rates", "goes on until Ctrl-C");
        for (String serve : List.of("web.qcow2 --socket web.nbd", "now.qcow2 --socket now.nbd")) {
            all.put("./splitring disk serve -f qcow2 " + serve, "DiskServeIT");
        }
        all.put("./mvnw verify", "CI's first command");
        all.put("./mvnw verify -Pxen", "CI's second command");
        all.put("./mvnw test -T1 -Pfuzz -Dfuzz.time=10m", LONG);
        all.put("driver-domain/src/main/dist/build --deb", "DistIT, of the long tests");
        all.put("./mvnw -Prelease package -DskipTests", LONG);
        all.put(
                "./mvnw verify -B -ntp -pl blkback,netback,xenbus,driver-domain -am",
                "part of CI's first command");
        all.put(
                "./mvnw -pl benchmarks -am verify -Plong -Dtest=StressTest"
                        + " -Dsurefire.failIfNoSpecifiedTests=false",
                LONG);
        all.put(
                "./mvnw -pl blkback -am test -Dtest=VbdSimulationTest"
                        + " -Dsurefire.failIfNoSpecifiedTests=false"
                        + " -Dextra.test.jvm.args=-Dsplitring.seed=123",
                ALONE);
        all.put(
                "./mvnw -pl bridge test -Dtest=SwitchModelTest"
                        + " -Dextra.test.jvm.args=-Dsplitring.seed=123",
                ALONE);
        all.put(
                "./mvnw -pl testkit -am test -Dtest=SimulationTest"
                        + " -Dsurefire.failIfNoSpecifiedTests=false"
                        + " -Dextra.test.jvm.args=-Dsplitring.seed=123",
                ALONE);
        all.put(
                "./mvnw -pl testkit -am -Dtest=StoreComparisonIT"
                        + " -Dsurefire.failIfNoSpecifiedTests=false -Dstore.sequences=N test",
                ALONE);
        all.put(
                "./mvnw verify -Plong -pl testkit -am"
                        + " -Dtest=RequestSoakIT#aHundredMillionRequests"
                        + " -Dsplitring.soak.requests=1000000000"
                        + " -Dsurefire.failIfNoSpecifiedTests=false",
                LONG);
        all.put(
                "./mvnw -pl driver-domain -am verify -Dtest=ReplaceIT"
                        + " -Dsurefire.failIfNoSpecifiedTests=false"
                        + " -Dextra.test.jvm.args=-Dsplitring.replacements=1000",
                LONG);
        all.put("benchmarks/model/check", "HandshakeModelTest runs it");
        String passt = "PasstUplinkIT starts it in this way";
        all.put(
                "passt --foreground --socket ./passt.sock --address 10.40.0.2 --netmask 30"
                        + " --gateway 10.40.0.1",
                passt);
        all.put(
                "qemu-system-x86_64 ... -netdev stream,id=n,server=off,addr.type=unix,"
                        + "addr.path=vm.sock -device virtio-net-pci,netdev=n",
                passt);
        all.put("./splitring backend --uplink xenbr0", XEN);
        all.put("./splitring frontend vbd/51712 vif/0 --sockets /run/disks", XEN);
        for (String xl :
                List.of(
                        "block-attach web 'format=raw,vdev=xvdb,access=ro,"
                                + "script=hotplug-splitring,target=/images/data.img'",
                        "block-detach web xvdb",
                        "network-attach web bridge=inner script=hotplug-splitring",
                        "block-attach 0 format=raw,vdev=xvda,access=rw,target=/dev/loop0",
                        "network-attach 0 bridge=xenbr0 script=vif-bridge")) {
            all.put("xl " + xl, XEN);
        }
        for (String command :
                List.of(
                        "boot",
                        "run 'xl list'",
                        "run 'guest create web ip=192.168.77.2/24'",
                        "run 'guest run web uname -a'",
                        "stop")) {
            all.put("testkit/xen/testbed " + command, XEN);
        }
        String made = "NewDeviceTutorialIT does the same as docs/new-device.md has it";
        all.put("splitring=/path/to/splitring", made);
        all.put("(cd \"$splitring\" && ./mvnw -q install -Dquick -Dmaven.test.skip=true)", made);
        all.put("\"$splitring/mvnw\" -q -f pom.xml package", made);
        all.put(
                "\"$splitring/splitring\" up vrng.toml --plugins target --run-dir run --detach",
                made);
        all.put("socat -u UNIX-CONNECT:run/web/vrng0.sock - | head -c 16 | xxd", made);
        all.put("\"$splitring/splitring\" down --run-dir run", made);
        return all;
    }
}
