package org.splitring.xenbus.device;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// Plug-in jars, good ones and all that is wrong with others. In each test a good jar lies beside
/// the bad one, and must be there in the end.
class DeviceClassesTest {
    @TempDir
    @SuppressWarnings("NullAway.Init")
    Path temp;

    private Path plugins() {
        return temp.resolve("plugins");
    }

    @BeforeEach
    void makeAGoodPlugin() throws IOException {
        Files.createDirectories(plugins());
        jar("good").backend("GoodBack", "good").frontend("GoodFront", "good").write(path("good"));
    }

    private PluginJar jar(String name) {
        return new PluginJar(temp.resolve("work-" + name));
    }

    private Path path(String name) {
        return plugins().resolve(name + ".jar");
    }

    /// Finds what is there; the good one must be among it.
    private List<String> problems(String... furtherClasses) {
        try (DeviceClasses found = DeviceClasses.find(Optional.of(plugins()))) {
            assertTrue(found.names().contains("good"), found::toString);
            assertTrue(found.names().containsAll(Set.of(furtherClasses)), found::toString);
            found.problems().forEach(line -> assertEquals(1, line.lines().count(), line));
            return found.problems();
        }
    }

    private void oneProblem(String wanted, String... furtherClasses) {
        List<String> problems = problems(furtherClasses);
        assertEquals(1, problems.size(), problems::toString);
        assertTrue(problems.getFirst().contains(wanted), problems::toString);
    }

    @Test
    void aGoodJarIsFoundWithBothHalves() {
        try (DeviceClasses found = DeviceClasses.find(Optional.of(plugins()))) {
            assertEquals(List.of(), found.problems());
            DeviceClasses.DeviceClass good = found.get("good").orElseThrow();
            assertEquals("good", good.backend().deviceClass());
            assertEquals("plug-in " + path("good"), good.place());
            ClassLoader loader = good.backend().getClass().getClassLoader();
            assertEquals(loader, good.frontend().getClass().getClassLoader());
            assertEquals("plug-in good.jar", loader.getName());
        }
    }

    @Test
    void aFolderThatIsNotThereHasNoJars() {
        try (DeviceClasses found = DeviceClasses.find(Optional.of(temp.resolve("none")))) {
            assertEquals(List.of(), found.problems());
        }
    }

    @Test
    void eachJarHasItsOwnClasses() throws IOException {
        // The same class names as in the good jar, with other device classes.
        jar("twin").backend("GoodBack", "twin").frontend("GoodFront", "twin").write(path("twin"));
        assertEquals(List.of(), problems("twin"));
    }

    @Test
    void whatIsNoJarIsNamed() throws IOException {
        Files.writeString(path("broken"), "this is no jar");
        oneProblem("plug-in " + path("broken") + ": is not a jar: ");
    }

    @Test
    void aJarThatWasCutOffIsNamed() throws IOException {
        byte[] whole = Files.readAllBytes(path("good"));
        Files.write(path("cut"), java.util.Arrays.copyOf(whole, whole.length / 2));
        oneProblem("plug-in " + path("cut") + ": is not a jar: ");
    }

    @Test
    void aJarWithoutDriversIsNamed() throws IOException {
        jar("none").namesBackend("# nobody").write(path("none"));
        oneProblem("plug-in " + path("none") + ": names no driver in META-INF/services/");
    }

    @Test
    void aDriverThatIsNotInTheJarIsNamed() throws IOException {
        jar("gone").namesBackend("plugin.Gone").write(path("gone"));
        oneProblem("plugin.Gone");
    }

    @Test
    void aMissingFrontendIsNamed() throws IOException {
        jar("half").backend("HalfBack", "half").write(path("half"));
        oneProblem(
                "plug-in "
                        + path("half")
                        + ": device class \"half\" has a backend driver and no frontend driver");
    }

    @Test
    void aMissingBackendIsNamed() throws IOException {
        jar("half").frontend("HalfFront", "half").write(path("half"));
        oneProblem("device class \"half\" has a frontend driver and no backend driver");
    }

    @Test
    void aClassThatAnotherJarHasIsNamedAndTheFirstJarServesIt() throws IOException {
        jar("late").backend("LateBack", "good").frontend("LateFront", "good").write(path("late"));
        oneProblem(
                "plug-in "
                        + path("late")
                        + ": device class \"good\" is there already, from plug-in "
                        + path("good")
                        + ": left out is plugin.LateBack and plugin.LateFront");
    }

    @Test
    void aClassThatIsNamedTwiceInOneJarIsNamed() throws IOException {
        jar("twice")
                .backend("One", "twice")
                .backend("Two", "twice")
                .frontend("Front", "twice")
                .write(path("twice"));
        oneProblem(
                "device class \"twice\" is there already, from plug-in " + path("twice"), "twice");
    }

    @Test
    void aNameThatIsNoneIsNamed() throws IOException {
        jar("odd").backend("Odd", "../odd").write(path("odd"));
        oneProblem("backend driver plugin.Odd: \"../odd\" is no name of a device class");
    }

    @Test
    void aDriverThatThrowsIsNamed() throws IOException {
        jar("bad")
                .backendThat("Bad", "throw new IllegalStateException(\"no\");")
                .write(path("bad"));
        oneProblem("plug-in " + path("bad") + ": backend driver plugin.Bad: IllegalStateException");
    }
}
