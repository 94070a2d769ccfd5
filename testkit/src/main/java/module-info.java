/// Polite and hostile peers, simulation, fault injection.
module org.splitring.testkit {
    requires transitive org.splitring.xenbus;
    requires org.junit.jupiter.api; // ExternalTools skips a test when a client is not installed

    exports org.splitring.testkit;
}
