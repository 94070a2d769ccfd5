package org.splitring.driverdomain;

import java.io.PrintWriter;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import org.splitring.xenbus.store.StoreError;
import org.splitring.xenbus.store.StoreException;
import org.splitring.xenbus.store.Watch;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/// `splitring store`: the store of a running lab, as the tools of Xen's show it, for those who have
/// not installed them.
@Command(
        name = "store",
        description = {
            "Look at the store of a running lab, and change it, with the rights of domain 0.",
            "Xen's own tools work too: XENSTORED_PATH=DIR/xenstored/socket xenstore-ls."
        },
        mixinStandardHelpOptions = true,
        synopsisSubcommandLabel = "COMMAND",
        footer = {
            "",
            "For example: ./splitring store ls /local/domain/1",
            "             ./splitring store watch /local/domain/0/backend"
        })
final class StoreCommand {
    @Spec
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private CommandSpec spec;

    private interface Action {
        void run(RunningStore running)
                throws StoreException, CommandException, InterruptedException;
    }

    private int perform(RunDirectoryOption runDirectory, Action action)
            throws CommandException, InterruptedException {
        try (RunningStore running = RunningStore.connect(runDirectory.path())) {
            action.run(running);
            return 0;
        } catch (StoreException e) {
            throw new CommandException("store: " + e.getMessage(), e);
        }
    }

    private PrintWriter out() {
        return spec.commandLine().getOut();
    }

    @Command(
            name = "ls",
            description = "List a node and everything below it.",
            mixinStandardHelpOptions = true)
    int list(
            @Mixin RunDirectoryOption runDirectory,
            @Option(names = "-f", description = "Whole paths.") boolean whole,
            @Parameters(
                            paramLabel = "PATH",
                            defaultValue = "/",
                            description = "The node (default: ${DEFAULT-VALUE}).")
                    String path)
            throws CommandException, InterruptedException {
        return perform(
                runDirectory,
                running -> {
                    String top = path.equals("/") ? "" : path;
                    if (!top.isEmpty() && running.store().read(top).isEmpty()) {
                        throw new StoreException(StoreError.ENOENT, path + ": no such node");
                    }
                    tree(running, top, whole ? top : "", whole, 0);
                });
    }

    private void tree(RunningStore running, String path, String prefix, boolean whole, int depth)
            throws StoreException {
        for (String name : running.store().list(path.isEmpty() ? "/" : path)) {
            String node = path + "/" + name;
            String value = running.store().read(node).orElse("");
            out().println(
                            (whole ? prefix + "/" : " ".repeat(depth))
                                    + name
                                    + " = \""
                                    + value
                                    + "\"");
            tree(running, node, prefix + "/" + name, whole, depth + 1);
        }
    }

    @Command(
            name = "read",
            description = "Print the values of nodes, a line each.",
            mixinStandardHelpOptions = true)
    int read(
            @Mixin RunDirectoryOption runDirectory,
            @Parameters(arity = "1..*", paramLabel = "PATH", description = "The nodes.")
                    List<String> paths)
            throws CommandException, InterruptedException {
        return perform(
                runDirectory,
                running -> {
                    for (String path : paths) {
                        Optional<String> value = running.store().read(path);
                        out().println(
                                        value.orElseThrow(
                                                () ->
                                                        new StoreException(
                                                                StoreError.ENOENT,
                                                                path + ": no such node")));
                    }
                });
    }

    @Command(
            name = "write",
            description = "Set the value of a node, which is made when it is missing.",
            mixinStandardHelpOptions = true)
    int write(
            @Mixin RunDirectoryOption runDirectory,
            @Parameters(index = "0", paramLabel = "PATH", description = "The node.") String path,
            @Parameters(index = "1", paramLabel = "VALUE", description = "Its value.") String value)
            throws CommandException, InterruptedException {
        return perform(runDirectory, running -> running.store().write(path, value));
    }

    @Command(
            name = "rm",
            description = "Remove a node with everything below it.",
            mixinStandardHelpOptions = true)
    int remove(
            @Mixin RunDirectoryOption runDirectory,
            @Parameters(paramLabel = "PATH", description = "The node.") String path)
            throws CommandException, InterruptedException {
        return perform(runDirectory, running -> running.store().remove(path));
    }

    @Command(
            name = "watch",
            description = "Print the path of each node that changes at or below a node.",
            mixinStandardHelpOptions = true)
    int watch(
            @Mixin RunDirectoryOption runDirectory,
            @Option(
                            names = "-n",
                            paramLabel = "NUMBER",
                            description = "End after so many (default: never).")
                    Optional<Integer> count,
            @Parameters(paramLabel = "PATH", description = "The node.") String path)
            throws CommandException, InterruptedException {
        return perform(
                runDirectory,
                running -> {
                    CountDownLatch left = new CountDownLatch(count.orElse(Integer.MAX_VALUE));
                    running.store().onLost(() -> drain(left));
                    Watch watch =
                            running.store()
                                    .watch(
                                            path,
                                            changed -> {
                                                out().println(changed);
                                                out().flush();
                                                left.countDown();
                                            });
                    left.await();
                    watch.close();
                });
    }

    private static void drain(CountDownLatch left) {
        while (left.getCount() > 0) {
            left.countDown();
        }
    }
}
