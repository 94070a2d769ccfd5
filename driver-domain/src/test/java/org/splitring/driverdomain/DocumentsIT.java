package org.splitring.driverdomain;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.Order;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.testkit.ExternalTools;

/// The commands of the README and of the pages about labs as they stand there, one after the
/// other. Those about measuring are in [MeasuringDocumentsIT], those of the modules in
/// [ModuleDocumentsIT], and what a page says of a device (`docs/new-device.md`) in
/// [NewDeviceTutorialIT].
@Timeout(480)
@Order(3) // long
class DocumentsIT {
    private static final List<String> SECTIONS =
            List.of(
                    "Try it",
                    "A network",
                    "See and steer it",
                    "Plug in a disk",
                    "Images of other formats",
                    "Replace the driver domain");
    private static final List<String> PAGES =
            List.of(
                    "docs/metrics.md",
                    "docs/control.md",
                    "docs/lab-file.md",
                    "docs/architecture.md");

    private static final Duration LIMIT = Duration.ofSeconds(400);

    @TempDir private Path dir;

    /// What is run here.
    static List<Documents.Command> commands() throws IOException {
        List<Documents.Command> found = Documents.commands(SECTIONS, PAGES);
        found.removeIf(LeftOutCommands::contains);
        found.removeIf(command -> command.text().startsWith("javac ")); // a guest of its own
        return found;
    }

    @Test
    void commandsWorkAsTheyStandThere() throws Exception {
        ExternalTools.require("curl", "curl");
        ExternalTools.require("nbdinfo", "libnbd-bin");
        ExternalTools.require("qemu-io", "qemu-utils");
        DocumentShell shell = new DocumentShell(dir);
        for (Documents.Command command : commands()) {
            if (command.text().startsWith("jfr ")) { // three seconds of its minute
                shell.prepare("sleep 3", "jcmd $(cut -d' ' -f1 run/lock) JFR.stop name=lab");
            }
            shell.command(command);
        }
        assertTrue(shell.commands() > 15);

        String said = shell.run(LIMIT);
        assertTrue(said.contains("3 received"), said);
        assertTrue(said.contains("nothing is wrong"), said);
        assertTrue(said.contains("# TYPE splitring_"), said);
        assertTrue(said.contains("splitring.DeviceMeter"), said);
        assertTrue(said.contains("\"req_prod\""), said);
    }
}
