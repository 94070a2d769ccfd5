/// Measurements: rings, the store, networks and disks beside their peers, and under load that is
/// checked.
module org.splitring.benchmarks {
    requires org.splitring.blkback;
    requires org.splitring.blkfront;
    requires org.splitring.bridge;
    requires org.splitring.netback;
    requires org.splitring.netfront;
    requires org.splitring.ringbuffers;
    requires org.splitring.xenbus;
    requires transitive info.picocli; // the program adds our commands to its own
    requires java.management; // processor time of a thread
    requires micrometer.core;
    requires HdrHistogram;
    requires tools.jackson.databind; // reports of stress, which are read again to be compared
    requires org.agrona;
    requires org.jctools.core;

    exports org.splitring.benchmarks;

    opens org.splitring.benchmarks to
            info.picocli;
    opens org.splitring.benchmarks.stress to
            info.picocli,
            tools.jackson.databind;
}
