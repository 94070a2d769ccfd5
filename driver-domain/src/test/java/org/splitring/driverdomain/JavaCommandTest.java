package org.splitring.driverdomain;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.parallel.Isolated;

/// Options that a user gives to the JVMs of driver domains and guests.
@Isolated // a property of the whole process
class JavaCommandTest {
    private static final String PROPERTY = "splitring.jvm.options";

    @AfterEach
    void none() {
        System.clearProperty(PROPERTY);
    }

    @Test
    void optionsComeLastAndArePassedOn() {
        System.setProperty(PROPERTY, " -Xmx500m  -Dgiven=yes ");
        for (List<String> command :
                List.of(
                        JavaCommand.guest(List.of("guest", "--memory=64")),
                        JavaCommand.driverDomain(List.of("up", "lab.toml")))) {
            int given = command.indexOf("-Xmx500m");
            assertEquals("-Dgiven=yes", command.get(given + 1), command::toString);
            assertEquals("-cp", command.get(given + 2), command::toString);
            List<String> ours = command.subList(0, given);
            assertTrue(ours.stream().anyMatch(word -> word.startsWith("-Xmx")), ours::toString);
            assertTrue(
                    ours.contains("-D" + PROPERTY + "=-Xmx500m  -Dgiven=yes"), command::toString);
        }
    }

    @Test
    void withoutThemThereIsNothingMore() {
        List<String> without = JavaCommand.guest(List.of("guest"));
        assertFalse(without.stream().anyMatch(word -> word.contains(PROPERTY)));
        System.setProperty(PROPERTY, "  ");
        assertEquals(without, JavaCommand.guest(List.of("guest")));
    }
}
