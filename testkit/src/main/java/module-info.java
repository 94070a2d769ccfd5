/// Polite and hostile peers, simulation, fault injection, and the contract of devices.
module org.splitring.testkit {
    requires transitive org.splitring.xenbus;
    requires transitive org.junit.jupiter.api; // tests that authors of devices inherit
    requires transitive org.junit.jupiter.params;
    requires io.netty.transport;
    requires micrometer.core;

    exports org.splitring.testkit;
    exports org.splitring.testkit.contract;
}
