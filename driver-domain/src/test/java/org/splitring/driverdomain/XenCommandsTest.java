package org.splitring.driverdomain;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// Commands for a Xen host, where there is none: one line, before anything is done.
class XenCommandsTest {
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "backend | there is no Xen here",
                "backend --uplink=a=b=c | there is no Xen here",
                "frontend vbd/51712 | there is no Xen here",
                "frontend vbd/xvda | \"vbd/xvda\" is no device: say vbd/51712 or vif/0",
                "frontend vif/0 vif/0 | vif/0 is there twice",
                "frontend vif/0 --memory=0 | --memory 0 is not between 1 and 1024",
                "bench grants | there is no Xen here"
            })
    void whereThereIsNoXenOneLineSaysSo(String line, String words) {
        assumeFalse(Files.exists(Path.of("/sys/hypervisor/type")), "a Xen host has it all");
        StringWriter err = new StringWriter();
        StringWriter out = new StringWriter();
        int code =
                Splitring.commandLine()
                        .setErr(new PrintWriter(err))
                        .setOut(new PrintWriter(out))
                        .execute(line.split(" ", -1));
        assertEquals(1, code, err::toString);
        assertEquals(1, err.toString().lines().count(), err::toString);
        assertTrue(err.toString().contains(words), err::toString);
        assertEquals("", out.toString());
    }
}
