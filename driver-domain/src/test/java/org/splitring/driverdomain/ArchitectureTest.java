package org.splitring.driverdomain;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noMethods;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.tngtech.archunit.ArchConfiguration;
import com.tngtech.archunit.core.domain.Dependency;
import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.domain.JavaModifier;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;

/// The directions between modules, checked over the compiled classes of all of them. This module
/// stands on top, so it is the one that sees everything.
class ArchitectureTest {
    private static final JavaClasses MAIN = importMain();

    private static JavaClasses importMain() {
        // Names are enough for these rules, and reading the JDK as well takes seconds.
        ArchConfiguration.get().setResolveMissingDependenciesFromClassPath(false);
        return new ClassFileImporter()
                .withImportOption(new ImportOption.DoNotIncludeTests())
                .importPackages("org.splitring");
    }

    /// Which module may use which other; the packages of each are below one root.
    private static final Map<String, Set<String>> ALLOWED =
            Map.of(
                    "ring-buffers", Set.of(),
                    "xenbus", Set.of("ring-buffers"),
                    "bridge", Set.of(),
                    "blkfront", Set.of("xenbus", "ring-buffers"),
                    "blkback", Set.of("xenbus", "ring-buffers"),
                    "netfront", Set.of("xenbus", "ring-buffers"),
                    "netback", Set.of("xenbus", "ring-buffers", "bridge"),
                    "devices", Set.of("xenbus", "ring-buffers"),
                    "driver-domain",
                            Set.of(
                                    "xenbus",
                                    "ring-buffers",
                                    "bridge",
                                    "blkfront",
                                    "blkback",
                                    "netfront",
                                    "netback",
                                    "benchmarks")); // its subcommand bench

    private static final Map<String, String> MODULE_OF_PACKAGE =
            Map.ofEntries(
                    Map.entry("hypervisor", "ring-buffers"),
                    Map.entry("ring", "ring-buffers"),
                    Map.entry("wire", "ring-buffers"),
                    Map.entry("xenbus", "xenbus"),
                    Map.entry("bridge", "bridge"),
                    Map.entry("blkfront", "blkfront"),
                    Map.entry("blkback", "blkback"),
                    Map.entry("netfront", "netfront"),
                    Map.entry("netback", "netback"),
                    Map.entry("console", "devices"),
                    Map.entry("p9", "devices"),
                    Map.entry("driverdomain", "driver-domain"),
                    Map.entry("testkit", "testkit"),
                    Map.entry("benchmarks", "benchmarks"));

    @Test
    void everyModuleIsSeen() {
        Set<String> seen = new TreeSet<>();
        MAIN.forEach(type -> seen.add(moduleOf(type)));
        Set<String> expected = new TreeSet<>(ALLOWED.keySet());
        // A package-info is a class only when it is annotated, so an empty module shows too.
        seen.removeAll(Set.of("testkit", "benchmarks"));
        assertEquals(expected, seen);
        assertTrue(MAIN.size() > 100, MAIN.size() + " classes");
    }

    @Test
    void modulesUseOnlyWhatIsBelowThem() {
        Set<String> violations = new TreeSet<>();
        for (JavaClass type : MAIN) {
            String module = moduleOf(type);
            if (module.equals("testkit") || module.equals("benchmarks")) {
                continue; // beside the others: who uses them is checked from the other side
            }
            for (Dependency dependency : type.getDirectDependenciesFromSelf()) {
                JavaClass target = dependency.getTargetClass().getBaseComponentType();
                if (!target.getPackageName().startsWith("org.splitring.")) {
                    continue;
                }
                String used = moduleOf(target);
                if (!used.equals(module)
                        && !ALLOWED.getOrDefault(module, Set.of()).contains(used)) {
                    violations.add(module + " -> " + used + ": " + dependency.getDescription());
                }
            }
        }
        assertEquals(Set.of(), violations);
    }

    private static final List<String> FRONTS =
            List.of("blkfront", "netfront", "console.front", "p9.front");
    private static final List<String> BACKS =
            List.of("blkback", "netback", "console.back", "p9.back");

    @Test
    void frontNeverSeesBackNorBackFront() {
        List<List<String>> pairs =
                FRONTS.stream()
                        .flatMap(front -> BACKS.stream().map(back -> List.of(front, back)))
                        .toList();
        for (List<String> pair : pairs) {
            noClasses()
                    .that()
                    .resideInAPackage("org.splitring." + pair.get(0) + "..")
                    .should()
                    .dependOnClassesThat()
                    .resideInAPackage("org.splitring." + pair.get(1) + "..")
                    .check(MAIN);
            noClasses()
                    .that()
                    .resideInAPackage("org.splitring." + pair.get(1) + "..")
                    .should()
                    .dependOnClassesThat()
                    .resideInAPackage("org.splitring." + pair.get(0) + "..")
                    .check(MAIN);
        }
    }

    @Test
    void driversAreWrittenAgainstTheHypervisorAndNotAgainstAPlatform() {
        noClasses()
                .that()
                .resideInAnyPackage(
                        "org.splitring.xenbus..",
                        "org.splitring.bridge..",
                        "org.splitring.blkfront..",
                        "org.splitring.blkback..",
                        "org.splitring.netfront..",
                        "org.splitring.netback..",
                        "org.splitring.console..",
                        "org.splitring.p9..")
                .should()
                .dependOnClassesThat()
                .resideInAnyPackage(
                        "org.splitring.hypervisor.local..", "org.splitring.hypervisor.attached..")
                .check(MAIN);
    }

    @Test
    void onlyTheLinuxPackageCallsNativeFunctions() {
        noClasses()
                .that()
                .resideOutsideOfPackage("org.splitring.hypervisor.linux")
                .should()
                .dependOnClassesThat()
                .haveNameMatching(
                        "java\\.lang\\.foreign\\.(Linker|SymbolLookup|FunctionDescriptor).*")
                .check(MAIN);
        noMethods().should().haveModifier(JavaModifier.NATIVE).check(MAIN);
    }

    /// Slots, grant entries and the store's messages are read from copies; a view of a guest's
    /// pages as a buffer would be a second way to them.
    @Test
    void h005_backendsMakeNoBufferViewsOfGuestMemory() {
        noClasses()
                .that()
                .resideInAnyPackage(
                        "org.splitring.blkback..",
                        "org.splitring.netback..",
                        "org.splitring.console..",
                        "org.splitring.p9..",
                        "org.splitring.xenbus..",
                        "org.splitring.ring..",
                        "org.splitring.wire..")
                .should()
                .callMethod(MemorySegment.class, "asByteBuffer")
                .check(MAIN);
    }

    private static String moduleOf(JavaClass type) {
        String rest = type.getPackageName().substring("org.splitring.".length());
        int dot = rest.indexOf('.');
        String root = dot < 0 ? rest : rest.substring(0, dot);
        String module = MODULE_OF_PACKAGE.get(root);
        if (module == null) {
            throw new AssertionError("package of no known module: " + type.getName());
        }
        return module;
    }
}
