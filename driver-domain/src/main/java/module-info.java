/// The program.
module org.splitring.driverdomain {
    requires org.splitring.benchmarks; // the subcommands bench and stress
    requires transitive org.splitring.blkfront;
    requires org.splitring.blkback;
    requires org.splitring.bridge;
    requires org.splitring.netfront;
    requires org.splitring.netback;
    requires org.splitring.devices; // console and 9pfs: found through the SPI, never named
    requires org.splitring.xenbus;
    requires org.splitring.ringbuffers;
    requires ch.qos.logback.classic;
    requires ch.qos.logback.core;
    requires java.compiler; // which names Java has no use for
    requires jdk.jfr;
    requires jdk.management; // processor time of the process
    requires info.picocli;
    requires micrometer.core;
    requires micrometer.registry.prometheus;
    requires io.prometheus.metrics.model;
    requires io.netty.buffer;
    requires io.netty.codec;
    requires io.netty.codec.http; // the control API
    requires io.netty.common;
    requires io.netty.handler; // TLS of the NBD server
    requires transitive io.netty.transport;
    requires io.netty.transport.classes.epoll;
    requires io.netty.transport.unix.common;
    requires org.slf4j;
    requires tools.jackson.core;
    requires tools.jackson.databind;
    requires tools.jackson.dataformat.toml;

    provides ch.qos.logback.classic.spi.Configurator with
            org.splitring.driverdomain.WarningsToStderr;

    exports org.splitring.driverdomain.guest; // for classes that run in guests

    // picocli sets the fields of commands.
    // Jackson makes JSON of what the control API shows.
    opens org.splitring.driverdomain to
            info.picocli,
            tools.jackson.databind;
}
