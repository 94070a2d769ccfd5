package org.splitring.driverdomain;

import com.sun.management.OperatingSystemMXBean;
import io.micrometer.core.instrument.FunctionCounter;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.binder.jvm.JvmGcMetrics;
import io.micrometer.core.instrument.binder.jvm.JvmMemoryMetrics;
import io.micrometer.core.instrument.binder.jvm.JvmThreadMetrics;
import io.micrometer.core.instrument.binder.system.ProcessorMetrics;
import io.micrometer.core.instrument.composite.CompositeMeterRegistry;
import io.micrometer.core.instrument.config.MeterFilter;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import io.micrometer.prometheusmetrics.PrometheusConfig;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;
import io.prometheus.metrics.model.registry.MultiCollector;
import io.prometheus.metrics.model.snapshots.ClassicHistogramBuckets;
import io.prometheus.metrics.model.snapshots.CounterSnapshot;
import io.prometheus.metrics.model.snapshots.GaugeSnapshot;
import io.prometheus.metrics.model.snapshots.HistogramSnapshot;
import io.prometheus.metrics.model.snapshots.InfoSnapshot;
import io.prometheus.metrics.model.snapshots.Labels;
import io.prometheus.metrics.model.snapshots.MetricSnapshots;
import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Supplier;
import org.splitring.bridge.PortCounter;
import org.splitring.hypervisor.DomId;
import org.splitring.xenbus.store.StoreTree;

/// The meters of a running lab, for its own commands and for Prometheus: `docs/metrics.md`.
///
/// Devices register theirs with Micrometer ([#registry]). What has its counters elsewhere, and
/// histograms, which Micrometer fills itself or not at all, is read when Prometheus asks.
final class LabMetrics implements AutoCloseable {
    private static final double NANOS_PER_SECOND = 1e9;
    private static final String LATENCY = "splitring.vbd.latency";

    private final CompositeMeterRegistry meters = new CompositeMeterRegistry();
    private final SimpleMeterRegistry plain = new SimpleMeterRegistry();
    private final PrometheusMeterRegistry prometheus =
            new PrometheusMeterRegistry(PrometheusConfig.DEFAULT);
    private final JvmGcMetrics collections = new JvmGcMetrics();

    LabMetrics() {
        // The second and third have names that Prometheus' conventions do not allow.
        for (String name : List.of(LATENCY, "process.cpu.time", "system.cpu.count")) {
            prometheus.config().meterFilter(MeterFilter.denyNameStartsWith(name));
        }
        meters.add(plain);
        meters.add(prometheus);
        new JvmMemoryMetrics().bindTo(prometheus);
        new JvmThreadMetrics().bindTo(prometheus);
        new ProcessorMetrics().bindTo(prometheus);
        collections.bindTo(prometheus);
        if (ManagementFactory.getOperatingSystemMXBean() instanceof OperatingSystemMXBean system) {
            FunctionCounter.builder(
                            "process.cpu", system, os -> os.getProcessCpuTime() / NANOS_PER_SECOND)
                    .baseUnit("seconds")
                    .description("Processor time of the driver domain.")
                    .register(prometheus);
        }
        collect(this::latencies);
    }

    /// Where devices register.
    MeterRegistry registry() {
        return meters;
    }

    /// Adds what is read when somebody asks.
    void collect(Supplier<MetricSnapshots> source) {
        prometheus.getPrometheusRegistry().register((MultiCollector) source::get);
    }

    /// Everything in Prometheus' text format.
    String text() {
        return prometheus.scrape();
    }

    /// The histograms that disks keep, in Prometheus' form.
    private MetricSnapshots latencies() {
        Map<Labels, TreeMap<Double, Long>> below = new TreeMap<>();
        for (FunctionCounter bucket : plain.find(LATENCY + ".bucket").functionCounters()) {
            String bound = String.valueOf(bucket.getId().getTag("le"));
            below.computeIfAbsent(labels(bucket), key -> new TreeMap<>())
                    .put(
                            bound.equals("+Inf")
                                    ? Double.POSITIVE_INFINITY
                                    : Double.parseDouble(bound),
                            (long) bucket.count());
        }
        Map<Labels, Double> sums = new TreeMap<>();
        for (FunctionCounter sum : plain.find(LATENCY + ".seconds").functionCounters()) {
            sums.put(labels(sum), sum.count());
        }
        HistogramSnapshot.Builder all =
                HistogramSnapshot.builder()
                        .name("splitring_vbd_latency_seconds")
                        .help("Time of a disk's requests from the ring to the answer.");
        below.forEach(
                (labels, buckets) ->
                        all.dataPoint(
                                HistogramSnapshot.HistogramDataPointSnapshot.builder()
                                        .labels(labels)
                                        .classicHistogramBuckets(apart(buckets))
                                        .sum(sums.getOrDefault(labels, 0.0))
                                        .build()));
        return MetricSnapshots.of(all.build());
    }

    private static Labels labels(FunctionCounter meter) {
        return Labels.of(
                "device", String.valueOf(meter.getId().getTag("device")),
                "direction", String.valueOf(meter.getId().getTag("direction")),
                "guest", String.valueOf(meter.getId().getTag("guest")));
    }

    /// Counts of each bucket by itself, of counts up to a bound.
    private static ClassicHistogramBuckets apart(Map<Double, Long> below) {
        ClassicHistogramBuckets.Builder buckets = ClassicHistogramBuckets.builder();
        long last = 0;
        for (Map.Entry<Double, Long> bucket : below.entrySet()) {
            // Read one after the other while requests are answered: never less than none.
            buckets.bucket(bucket.getKey(), Math.max(0, bucket.getValue() - last));
            last = Math.max(last, bucket.getValue());
        }
        return buckets.build();
    }

    /// The ports of networks.
    static MetricSnapshots ports(Iterable<RunningNetwork> networks) {
        CounterSnapshot.Builder frames =
                CounterSnapshot.builder()
                        .name("splitring_port_frames")
                        .help("Frames at a port of a network; in is into the network.");
        CounterSnapshot.Builder bytes =
                CounterSnapshot.builder()
                        .name("splitring_port_bytes")
                        .help("Bytes of the frames at a port of a network.");
        CounterSnapshot.Builder dropped =
                CounterSnapshot.builder()
                        .name("splitring_port_dropped_frames")
                        .help("Frames that were not passed on at a port of a network, by reason.");
        CounterSnapshot.Builder special =
                CounterSnapshot.builder()
                        .name("splitring_port_special_frames")
                        .help("Of the frames at a port, those of a kind that costs more.");
        GaugeSnapshot.Builder ports =
                GaugeSnapshot.builder()
                        .name("splitring_network_ports")
                        .help("Ports that are plugged into a network.");
        for (RunningNetwork network : networks) {
            String name = network.plan().name();
            var links = network.links();
            ports.dataPoint(gauge(Labels.of("network", name), links.size()));
            for (var link : links) {
                for (PortCounter counter : PortCounter.values()) {
                    PortMeter meter = PortMeter.of(counter);
                    CounterSnapshot.Builder into =
                            switch (meter.kind()) {
                                case FRAMES -> frames;
                                case BYTES -> bytes;
                                case DROPPED -> dropped;
                                case SPECIAL -> special;
                            };
                    into.dataPoint(
                            CounterSnapshot.CounterDataPointSnapshot.builder()
                                    .labels(meter.labels(name, link.settings().name()))
                                    .value((double) link.counters().get(counter))
                                    .build());
                }
            }
        }
        return MetricSnapshots.of(
                frames.build(), bytes.build(), dropped.build(), special.build(), ports.build());
    }

    /// The names of guests, for those who look at numbers of theirs.
    static MetricSnapshots domains(Iterable<LabGuest> guests) {
        InfoSnapshot.Builder names =
                InfoSnapshot.builder()
                        .name("splitring_domain")
                        .help("The domain of a guest's number.");
        GaugeSnapshot.Builder attached =
                GaugeSnapshot.builder()
                        .name("splitring_domain_attached")
                        .help("1 while a guest is attached.");
        for (LabGuest guest : guests) {
            String number = guest.domid().toString();
            names.dataPoint(
                    InfoSnapshot.InfoDataPointSnapshot.builder()
                            .labels(Labels.of("domain", guest.domain().name(), "guest", number))
                            .build());
            attached.dataPoint(gauge(Labels.of("guest", number), guest.isAttached() ? 1 : 0));
        }
        return MetricSnapshots.of(names.build(), attached.build());
    }

    /// What domains have of the store.
    static MetricSnapshots store(StoreTree tree, Iterable<LabGuest> guests) {
        GaugeSnapshot.Builder nodes =
                GaugeSnapshot.builder()
                        .name("splitring_store_nodes")
                        .help("Nodes of the store that a domain owns.");
        GaugeSnapshot.Builder bytes =
                GaugeSnapshot.builder()
                        .name("splitring_store_bytes")
                        .help("Memory that a domain has in the store.");
        GaugeSnapshot.Builder watches =
                GaugeSnapshot.builder()
                        .name("splitring_store_watches")
                        .help("Watches that a domain has registered.");
        List<DomId> domains = new ArrayList<>(List.of(DomId.ZERO));
        guests.forEach(guest -> domains.add(guest.domid()));
        for (DomId domain : domains) {
            StoreTree.DomainUse use = tree.use(domain);
            Labels labels = Labels.of("guest", domain.toString());
            nodes.dataPoint(gauge(labels, use.nodes()));
            bytes.dataPoint(gauge(labels, (double) use.bytes()));
            watches.dataPoint(gauge(labels, use.watches()));
        }
        return MetricSnapshots.of(nodes.build(), bytes.build(), watches.build());
    }

    private static GaugeSnapshot.GaugeDataPointSnapshot gauge(Labels labels, double value) {
        return GaugeSnapshot.GaugeDataPointSnapshot.builder().labels(labels).value(value).build();
    }

    @Override
    public void close() {
        collections.close();
        meters.close();
        plain.close();
        prometheus.close();
    }
}
