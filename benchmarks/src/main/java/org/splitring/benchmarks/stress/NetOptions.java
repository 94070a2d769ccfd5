package org.splitring.benchmarks.stress;

import java.util.Map;
import org.splitring.netfront.VifFrontendOptions;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;

/// What is asked of a network.
final class NetOptions {
    private static final int MOST_BYTES = 65_535;
    private static final int PLAIN_MTU = 1500;
    private static final long MEMORY_BYTES = 2 << 20; // of a guest besides its queues
    private static final long QUEUE_BYTES = 5 << 19; // 256 pages each way, and the rings

    @Option(
            names = "--frame-size",
            paramLabel = "SIZE",
            defaultValue = "1514",
            converter = Amounts.Size.class,
            description =
                    "Bytes of a frame, the Ethernet header included: 60 to 65535 (default:"
                            + " ${DEFAULT-VALUE}).")
    private long frameSize;

    @Option(
            names = "--window",
            paramLabel = "N",
            defaultValue = "128",
            description =
                    "Without --rate: frames of a stream under way at most; 0 for as many as there is"
                            + " room for. The streams to a guest may share a ring of 256: what does"
                            + " not fit is lost (default: ${DEFAULT-VALUE}).")
    private int window;

    @Option(
            names = "--streams",
            paramLabel = "N",
            defaultValue = "1",
            description =
                    "Streams of each pair, 1 to 8, each through a queue of its own (default:"
                            + " ${DEFAULT-VALUE}).")
    private int streams;

    @Option(
            names = "--bidirectional",
            description = "The second guest of each pair sends as the first does.")
    private boolean bidirectional;

    @Option(
            names = "--verify",
            negatable = true,
            defaultValue = "true",
            fallbackValue = "true",
            description = {
                "Gives each frame a payload of its own and a checksum, and checks them (default; off"
                        + " with --no-verify).",
                "Loss, order and duplicates are always counted."
            })
    private boolean verify;

    void check(CommandSpec command) {
        if (frameSize < StressFrame.LEAST_BYTES || frameSize > MOST_BYTES) {
            throw new ParameterException(
                    command.commandLine(),
                    "--frame-size must be %d to %d, not %d"
                            .formatted(StressFrame.LEAST_BYTES, MOST_BYTES, frameSize));
        }
        StressOptions.range(command, "--window", window, 0, SequenceWindow.SIZE);
        StressOptions.range(command, "--streams", streams, 1, 8);
    }

    int frameBytes() {
        return (int) frameSize;
    }

    int mtu() {
        return Math.max(PLAIN_MTU, frameBytes() - StressFrame.ETHERNET);
    }

    int streams() {
        return streams;
    }

    boolean isBidirectional() {
        return bidirectional;
    }

    FrameStream.Settings load() {
        return new FrameStream.Settings(frameBytes(), window, verify);
    }

    VifFrontendOptions frontend() {
        return VifFrontendOptions.DEFAULT.withQueues(streams);
    }

    long memoryBytes() {
        return MEMORY_BYTES + streams * QUEUE_BYTES;
    }

    void describe(Map<String, String> settings) {
        settings.put("frame size", frameSize + " B");
        settings.put("window", Integer.toString(window));
        settings.put("streams", Integer.toString(streams));
        settings.put("directions", bidirectional ? "2" : "1");
        settings.put("verify", verify ? "yes" : "no");
    }
}
