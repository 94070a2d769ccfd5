package org.splitring.driverdomain;

import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.CountDownLatch;
import org.splitring.benchmarks.BenchCommand;
import org.splitring.benchmarks.StressCommand;
import org.splitring.driverdomain.lab.LabException;
import org.splitring.hypervisor.xen.XenUnavailableException;
import picocli.AutoComplete.GenerateCompletion;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.IParameterExceptionHandler;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ParseResult;

/// The main class.
@Command(
        name = "splitring",
        description = "Guests with virtual disks in processes of their own, over Xen's rings.",
        mixinStandardHelpOptions = true,
        version = "splitring " + Splitring.VERSION,
        synopsisSubcommandLabel = "COMMAND",
        footer = {
            "",
            "For example: ./splitring up examples/disk.toml",
            "'./splitring COMMAND --help' has each command's options."
        })
public final class Splitring {
    static final String VERSION = "0.1.0";

    /// Falls when the command has returned: a shutdown hook that told it to stop waits for that.
    static final CountDownLatch COMMAND_ENDED = new CountDownLatch(1);

    /// Apart, for a guest needs none of them, and has to load what is named here.
    private static final class Commands {
        static final List<Class<?>> ALL =
                List.of(
                        UpCommand.class,
                        BackendCommand.class,
                        FrontendCommand.class,
                        ValidateCommand.class,
                        DownCommand.class,
                        BootCommand.class,
                        CreateCommand.class,
                        StartCommand.class,
                        StopCommand.class,
                        DestroyCommand.class,
                        SaveCommand.class,
                        RestoreCommand.class,
                        SuspendCommand.class,
                        ResumeCommand.class,
                        ListCommand.class,
                        TopCommand.class,
                        DoctorCommand.class,
                        ConsoleCommand.class,
                        ReplaceCommand.class,
                        ReloadCommand.class,
                        AttachCommand.class,
                        DetachCommand.class,
                        BlockAttachCommand.class,
                        BlockDetachCommand.class,
                        BlockListCommand.class,
                        BlockLimitCommand.class,
                        BlockPauseCommand.class,
                        BlockResizeCommand.class,
                        BlockUnpauseCommand.class,
                        NetworkAttachCommand.class,
                        NetworkDetachCommand.class,
                        NetworkLimitCommand.class,
                        NetworkListCommand.class,
                        NetworkCommand.class,
                        ExecCommand.class,
                        CaptureCommand.class,
                        DiskCommand.class,
                        DeviceCommand.class,
                        StoreCommand.class,
                        BenchCommand.class,
                        StressCommand.class,
                        GenerateCompletion.class);

        private Commands() {}
    }

    private Splitring() {}

    public static void main(String[] args) throws InterruptedException {
        int code = run(List.of(args));
        COMMAND_ENDED.countDown();
        System.exit(code);
    }

    private static int run(List<String> words) throws InterruptedException {
        if (!words.isEmpty() && words.getFirst().equals(GuestCommand.NAME)) {
            return GuestCommand.run(words.subList(1, words.size()));
        }
        if (BackgroundLab.isTold(words)) {
            return runBackgroundLab(words);
        }
        String[] args = words.toArray(String[]::new);
        return commandLine(args).execute(args);
    }

    private static int runBackgroundLab(List<String> words) {
        try {
            return BackgroundLab.run(words);
        } catch (Exception e) {
            return report(e, new PrintWriter(System.err, true, StandardCharsets.UTF_8));
        }
    }

    /// As [#commandLine()], but only the command that is named first is known to it, if there is
    /// one: looking at the options of all takes longer than a guest's whole start.
    private static CommandLine commandLine(String[] args) {
        for (Class<?> command : Commands.ALL) {
            boolean all = command == GenerateCompletion.class; // which looks at all of them
            if (args.length > 0 && !all && name(command).equals(args[0])) {
                return commandLine(List.of(command));
            }
        }
        return commandLine();
    }

    private static String name(Class<?> command) {
        return Objects.requireNonNull(command.getAnnotation(Command.class)).name();
    }

    static CommandLine commandLine() {
        return commandLine(Commands.ALL);
    }

    private static CommandLine commandLine(List<Class<?>> commands) {
        CommandLine line = new CommandLine(new Splitring());
        commands.forEach(line::addSubcommand);
        line.setUsageHelpAutoWidth(true).setExecutionExceptionHandler(Splitring::report);
        IParameterExceptionHandler usual = line.getParameterExceptionHandler();
        return line.setParameterExceptionHandler(
                (e, args) -> isOfStress(e) ? misuse(e) : usual.handleParseException(e, args));
    }

    private static boolean isOfStress(ParameterException e) {
        CommandLine parent = e.getCommandLine().getParent();
        while (parent != null && !(parent.getCommand() instanceof StressCommand)) {
            parent = parent.getParent();
        }
        return parent != null;
    }

    /// One line, which a page of options would push out of sight.
    private static int misuse(ParameterException e) {
        CommandLine command = e.getCommandLine();
        String name = command.getCommandSpec().qualifiedName();
        command.getErr().println(name + ": " + e.getMessage());
        command.getErr().println("'./" + name + " --help' has the options.");
        return CommandLine.ExitCode.USAGE;
    }

    private static int report(Exception e, CommandLine command, ParseResult result) {
        return report(e, command.getErr());
    }

    /// One line for what the user can mend; a trace only for what must not happen.
    private static int report(Exception e, PrintWriter errors) {
        if (e instanceof LabException
                || e instanceof CommandException
                || e instanceof XenUnavailableException) {
            errors.println("splitring: " + e.getMessage());
        } else {
            errors.println("splitring: internal error");
            e.printStackTrace(errors);
        }
        return CommandLine.ExitCode.SOFTWARE;
    }
}
