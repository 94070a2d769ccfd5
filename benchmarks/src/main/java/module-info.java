/// Measurements: rings beside their peers.
module org.splitring.benchmarks {
    requires org.splitring.ringbuffers;
}
