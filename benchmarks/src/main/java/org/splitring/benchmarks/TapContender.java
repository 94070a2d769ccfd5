package org.splitring.benchmarks;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// Two namespaces with something between them, measured with iperf3 and ping.
///
/// @param notes hears of a test that brought no figure
record TapContender(String subject, TapBed bed, PrintWriter notes) implements Contender {
    private static final Pattern TCP =
            Pattern.compile("([0-9.]+) Kbits/sec +receiver", Pattern.MULTILINE);
    private static final Pattern UDP =
            Pattern.compile("-([0-9.]+) +sec .* ([0-9]+)/([0-9]+) \\(.*receiver");
    private static final Pattern PING = Pattern.compile("rtt min/avg/max/mdev = [^/]*/([0-9.]+)/");

    /// Of UDP, so that the frame has 64 bytes.
    private static final String PAYLOAD = Integer.toString(64 - 14 - 20 - 8);

    private static final long LIMIT_SECONDS = 30;

    @Override
    public String variant(String test) {
        return "tap/" + test;
    }

    /// @param seconds of each test with iperf3, whole ones
    /// @param pings one after the other, as fast as they are answered
    List<Figure> run(int seconds, int pings) throws IOException, InterruptedException {
        List<Figure> figures = new ArrayList<>();
        try {
            figures.add(new Figure("tcp", "bits_per_second", tcpBitsPerSecond(bed, seconds)));
            Matcher udp = find(UDP, iperf(bed, seconds, "-u", "-b", "0", "-l", PAYLOAD));
            double received = Long.parseLong(udp.group(3)) - Long.parseLong(udp.group(2));
            figures.add(
                    new Figure(
                            "udp-64",
                            "packets_per_second",
                            received / Double.parseDouble(udp.group(1))));
            List<String> ping =
                    bed.inside(
                            1, "ping", "-f", "-q", "-c", "" + pings, "-W", "5", TapBed.address(2));
            Matcher rtt = find(PING, ToolProgram.run(ping, Map.of(), LIMIT_SECONDS));
            figures.add(new Figure("ping", "rtt_ns", Double.parseDouble(rtt.group(1)) * 1e6));
        } catch (IOException e) {
            notes.println("note: " + subject + " gave no figure: " + e.getMessage());
        }
        return figures;
    }

    /// What one TCP connection carries from guest 1 to guest 2.
    static double tcpBitsPerSecond(TapBed bed, int seconds)
            throws IOException, InterruptedException {
        return Double.parseDouble(find(TCP, iperf(bed, seconds)).group(1)) * 1e3;
    }

    private static Matcher find(Pattern pattern, String text) throws IOException {
        Matcher matcher = pattern.matcher(text);
        if (!matcher.find()) {
            throw new IOException("no figure in: " + text);
        }
        return matcher;
    }

    private static String iperf(TapBed bed, int seconds, String... options)
            throws IOException, InterruptedException {
        Path output = bed.folder().resolve("iperf3.out");
        Process server =
                ToolProgram.start(
                        bed.inside(2, "iperf3", "-s", "-1", "--forceflush"), Map.of(), output);
        try {
            long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(LIMIT_SECONDS);
            while (!Files.readString(output).contains("Server listening")) {
                if (!server.isAlive() || System.nanoTime() - end > 0) {
                    throw new IOException("iperf3 -s: " + Files.readString(output));
                }
                TimeUnit.MILLISECONDS.sleep(10);
            }
            List<String> client =
                    bed.inside(1, "iperf3", "-c", TapBed.address(2), "-f", "k", "-t", "" + seconds);
            client.addAll(List.of(options));
            return ToolProgram.run(client, Map.of(), LIMIT_SECONDS + seconds);
        } finally {
            server.destroyForcibly().waitFor();
        }
    }

    @Override
    public String toString() {
        return subject + " tap";
    }
}
