package org.splitring.xenbus.device;

import java.io.IOException;
import java.net.MalformedURLException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Deque;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.ServiceConfigurationError;
import java.util.ServiceLoader;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.Function;
import java.util.zip.ZipFile;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.xenbus.DevicePaths;

/// The classes of devices that this process knows: those on its class path, and those in a folder
/// of plug-in jars, each jar with a class loader of its own.
///
/// A jar that is broken, a class that misses its other half, and a name that is taken already are
/// one line each in [#problems]; everything else is there.
public final class DeviceClasses implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(DeviceClasses.class);

    /// Both halves of one class of devices.
    ///
    /// @param place where it was found, for people
    public record DeviceClass(
            String name, BackendDriver backend, FrontendDriver frontend, String place) {}

    /// A driver, and where it was found.
    private record Found<D>(D driver, String place) {}

    private final Map<String, Found<BackendDriver>> backends = new TreeMap<>();
    private final Map<String, Found<FrontendDriver>> frontends = new TreeMap<>();
    private final Map<String, DeviceClass> classes = new TreeMap<>();
    private final List<String> problems = new ArrayList<>();
    private final Deque<URLClassLoader> loaders = new ArrayDeque<>();

    private DeviceClasses() {}

    /// Finds what is on the class path, and then what is in the jars of a folder, in the order of
    /// their names.
    ///
    /// @param plugins a folder; one that is not there has no jars in it
    public static DeviceClasses find(Optional<Path> plugins) {
        DeviceClasses found = new DeviceClasses();
        ClassLoader own = DeviceClasses.class.getClassLoader();
        found.take(own, "the class path", driver -> true);
        plugins.ifPresent(folder -> found.takeJars(folder, own));
        found.join();
        return found;
    }

    /// Two drivers that are there already, for programs that need no search.
    public static DeviceClasses of(BackendDriver backend, FrontendDriver frontend) {
        DeviceClasses given = new DeviceClasses();
        String place = backend.getClass().getName();
        given.take(given.backends, backend, BackendDriver::deviceClass, "backend", place);
        given.take(given.frontends, frontend, FrontendDriver::deviceClass, "frontend", place);
        given.join();
        if (given.classes.isEmpty()) {
            throw new IllegalArgumentException(String.join("; ", given.problems));
        }
        return given;
    }

    /// The class of that name.
    public Optional<DeviceClass> get(String name) {
        return Optional.ofNullable(classes.get(name));
    }

    /// Names in alphabetical order.
    public Set<String> names() {
        return Collections.unmodifiableSet(classes.keySet());
    }

    /// What could not be used: a line each, with the place and the reason.
    public List<String> problems() {
        return List.copyOf(problems);
    }

    private void takeJars(Path folder, ClassLoader own) {
        if (!Files.exists(folder)) {
            return;
        }
        List<Path> jars = new ArrayList<>();
        try (DirectoryStream<Path> entries = Files.newDirectoryStream(folder, "*.jar")) {
            entries.forEach(jars::add);
        } catch (IOException | DirectoryIteratorException e) {
            problems.add("plug-in folder " + folder + ": cannot be read: " + oneLine(e));
            return;
        }
        Collections.sort(jars);
        for (Path jar : jars) {
            takeJar(jar, own);
        }
    }

    private void takeJar(Path jar, ClassLoader own) {
        String place = "plug-in " + jar;
        URL url;
        try (ZipFile zip = new ZipFile(jar.toFile())) {
            if (zip.size() == 0) {
                problems.add(place + ": is an empty jar");
                return;
            }
            url = jar.toUri().toURL();
        } catch (MalformedURLException e) {
            throw new IllegalStateException(e);
        } catch (IOException e) {
            problems.add(place + ": is not a jar: " + oneLine(e));
            return;
        }
        URLClassLoader loader =
                new URLClassLoader("plug-in " + jar.getFileName(), new URL[] {url}, own);
        loaders.push(loader);
        int before = backends.size() + frontends.size();
        int problemsBefore = problems.size();
        take(loader, place, driver -> loader.equals(driver.getClassLoader()));
        if (backends.size() + frontends.size() == before && problems.size() == problemsBefore) {
            problems.add(
                    place
                            + ": names no driver in META-INF/services/"
                            + BackendDriver.class.getName()
                            + " or "
                            + FrontendDriver.class.getName());
        }
    }

    private interface Own {
        boolean test(Class<?> driver);
    }

    private void take(ClassLoader loader, String place, Own own) {
        for (BackendDriver driver : load(BackendDriver.class, loader, place, own)) {
            take(backends, driver, BackendDriver::deviceClass, "backend", place);
        }
        for (FrontendDriver driver : load(FrontendDriver.class, loader, place, own)) {
            take(frontends, driver, FrontendDriver::deviceClass, "frontend", place);
        }
    }

    /// Whatever a jar does wrong ends as a line: it is code of somebody else.
    private <D> List<D> load(Class<D> type, ClassLoader loader, String place, Own own) {
        List<D> drivers = new ArrayList<>();
        Iterator<ServiceLoader.Provider<D>> providers =
                ServiceLoader.load(type, loader).stream().iterator();
        // A file that cannot be read gives the same error again and again; a class that cannot be
        // loaded only once.
        for (int failures = 0; failures < 16; ) {
            try {
                if (!providers.hasNext()) {
                    return drivers;
                }
                ServiceLoader.Provider<D> provider = providers.next();
                if (own.test(provider.type())) {
                    drivers.add(provider.get());
                }
            } catch (ServiceConfigurationError | LinkageError | RuntimeException e) {
                failures++;
                String problem = place + ": " + oneLine(e);
                if (!problems.contains(problem)) {
                    problems.add(problem);
                }
            }
        }
        return drivers;
    }

    private <D> void take(
            Map<String, Found<D>> known,
            D driver,
            Function<D, String> nameOf,
            String side,
            String place) {
        String type = driver.getClass().getName();
        String name;
        try {
            name = nameOf.apply(driver);
        } catch (LinkageError | RuntimeException e) {
            problems.add(place + ": " + side + " driver " + type + ": " + oneLine(e));
            return;
        }
        if (name == null || !DevicePaths.isName(name)) {
            problems.add(
                    place
                            + ": "
                            + side
                            + " driver "
                            + type
                            + ": \""
                            + name
                            + "\" is no name of a device class: 1 to 64 letters, digits, - and _");
            return;
        }
        Found<D> first = known.putIfAbsent(name, new Found<>(driver, place));
        if (first != null) {
            refuse(place, name, type, first.place());
        }
    }

    /// One line for a name that is taken, also when both halves of it come again.
    private void refuse(String place, String name, String type, String firstPlace) {
        String start =
                "%s: device class \"%s\" is there already, from %s: left out is "
                        .formatted(place, name, firstPlace);
        for (int i = 0; i < problems.size(); i++) {
            if (problems.get(i).startsWith(start)) {
                problems.set(i, problems.get(i) + " and " + type);
                return;
            }
        }
        problems.add(start + type);
    }

    private void join() {
        Set<String> names = new TreeSet<>(backends.keySet());
        names.addAll(frontends.keySet());
        for (String name : names) {
            Found<BackendDriver> backend = backends.get(name);
            Found<FrontendDriver> frontend = frontends.get(name);
            if (backend != null && frontend != null) {
                classes.put(
                        name,
                        new DeviceClass(
                                name, backend.driver(), frontend.driver(), backend.place()));
            } else {
                problems.add(missingHalf(name, backend, frontend));
            }
        }
    }

    private static String missingHalf(
            String name,
            @Nullable Found<BackendDriver> backend,
            @Nullable Found<FrontendDriver> frontend) {
        String place =
                backend != null ? backend.place() : frontend != null ? frontend.place() : "nowhere";
        return "%s: device class \"%s\" has a %s driver and no %s driver: it is left out"
                .formatted(
                        place,
                        name,
                        backend != null ? "backend" : "frontend",
                        backend != null ? "frontend" : "backend");
    }

    private static String oneLine(Throwable problem) {
        String text = String.valueOf(problem.getMessage());
        Throwable cause = problem.getCause();
        if (cause != null) {
            text += ": " + cause;
        }
        String line = text.lines().findFirst().orElse("");
        return problem instanceof ServiceConfigurationError || problem instanceof IOException
                ? line
                : problem.getClass().getSimpleName() + ": " + line;
    }

    /// Closes the jars: devices of their classes are closed before.
    @Override
    public void close() {
        while (!loaders.isEmpty()) {
            URLClassLoader loader = loaders.pop();
            try {
                loader.close();
            } catch (IOException e) {
                LOG.warn("{}: {}", loader.getName(), e.getMessage());
            }
        }
    }
}
