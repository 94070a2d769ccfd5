package org.splitring.ring;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noMethods;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.tngtech.archunit.ArchConfiguration;
import com.tngtech.archunit.base.DescribedPredicate;
import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.domain.JavaModifier;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import java.lang.foreign.MemorySegment;
import org.junit.jupiter.api.Test;

/// What the packages of this module may and may not know.
class RingBuffersArchitectureTest {
    private static final JavaClasses MAIN = importMain();

    private static JavaClasses importMain() {
        // Names are enough for these rules, and reading the JDK as well takes seconds.
        ArchConfiguration.get().setResolveMissingDependenciesFromClassPath(false);
        return new ClassFileImporter()
                .withImportOption(new ImportOption.DoNotIncludeTests())
                .importPackages("org.splitring");
    }

    private static final DescribedPredicate<JavaClass> BUFFERS =
            DescribedPredicate.describe(
                    "a ByteBuf or ByteBuffer",
                    type ->
                            type.getName()
                                    .matches("java\\.nio\\..*Buffer|io\\.netty\\.buffer\\..*"));

    @Test
    void thereIsSomethingToCheck() {
        assertTrue(MAIN.contain(FrontRing.class), "FrontRing");
        assertTrue(MAIN.size() > 40, MAIN.size() + " classes");
        // And a rule can fail: the platform calls native functions.
        assertThrows(
                AssertionError.class,
                () ->
                        noClasses()
                                .should()
                                .dependOnClassesThat()
                                .haveFullyQualifiedName("java.lang.foreign.Linker")
                                .check(MAIN));
    }

    @Test
    void noNettyInRingsAndLayouts() {
        noClasses()
                .that()
                .resideInAnyPackage("org.splitring.ring..", "org.splitring.wire..")
                .should()
                .dependOnClassesThat()
                .resideInAnyPackage("io.netty..")
                .check(MAIN);
    }

    @Test
    void ringsKnowOnlyLayoutsAndLayoutsKnowNothing() {
        classes()
                .that()
                .resideInAPackage("org.splitring.wire..")
                .should()
                .onlyDependOnClassesThat()
                .resideInAnyPackage("org.splitring.wire..", "java..", "org.jspecify..")
                .check(MAIN);
        classes()
                .that()
                .resideInAPackage("org.splitring.ring..")
                .should()
                .onlyDependOnClassesThat()
                .resideInAnyPackage(
                        "org.splitring.ring..", "org.splitring.wire..", "java..", "org.jspecify..")
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

    @Test
    void nobodyUsesUnsafe() {
        noClasses()
                .should()
                .dependOnClassesThat()
                .resideInAnyPackage("sun.misc..", "jdk.internal..")
                .check(MAIN);
    }

    /// A view of shared memory in a buffer is memory that changes while it is parsed.
    @Test
    void h005_parsersTakeNoBuffersAndNobodyMakesViewsOfSharedMemory() {
        noMethods()
                .that()
                .areDeclaredInClassesThat()
                .resideInAnyPackage("org.splitring.ring..", "org.splitring.wire..")
                .should()
                .haveRawParameterTypes(
                        DescribedPredicate.describe(
                                "with " + BUFFERS.getDescription(),
                                types -> types.stream().anyMatch(BUFFERS)))
                .orShould()
                .haveRawReturnType(BUFFERS)
                .check(MAIN);
        noClasses()
                .that()
                .resideInAnyPackage(
                        "org.splitring.ring..",
                        "org.splitring.wire..",
                        "org.splitring.hypervisor",
                        "org.splitring.hypervisor.local..")
                .should()
                .callMethod(MemorySegment.class, "asByteBuffer")
                .check(MAIN);
    }
}
