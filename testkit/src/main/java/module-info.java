/// Polite and hostile peers, simulation, fault injection.
module org.splitring.testkit {
    requires transitive org.splitring.xenbus;
}
