package org.splitring.driverdomain;

import ch.qos.logback.classic.Level;
import ch.qos.logback.classic.LoggerContext;
import ch.qos.logback.classic.PatternLayout;
import ch.qos.logback.classic.spi.Configurator;
import ch.qos.logback.classic.spi.ConfiguratorRank;
import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.core.ConsoleAppender;
import ch.qos.logback.core.LayoutBase;
import ch.qos.logback.core.encoder.LayoutWrappingEncoder;
import ch.qos.logback.core.spi.ContextAwareBase;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;

/// How the program logs: warnings to standard error, as one line each, for what a command has to
/// say it prints itself. `SPLITRING_LOG` in the environment is another level. Logback finds it as a
/// service; the same in XML is a sixth of what a guest's start has to do.
///
/// With `-Dlogback.configurationFile=FILE` logback reads that file, as in any program.
@ConfiguratorRank(ConfiguratorRank.CUSTOM_NORMAL_PRIORITY)
public final class WarningsToStderr extends ContextAwareBase implements Configurator {
    @Override
    public ExecutionStatus configure(LoggerContext logging) {
        if (System.getProperty("logback.configurationFile") != null) {
            return ExecutionStatus.INVOKE_NEXT_IF_ANY;
        }
        OneLine layout = new OneLine();
        layout.setContext(logging);
        layout.start();
        LayoutWrappingEncoder<ILoggingEvent> encoder = new LayoutWrappingEncoder<>();
        encoder.setContext(logging);
        encoder.setLayout(layout);
        encoder.start();
        ConsoleAppender<ILoggingEvent> stderr = new ConsoleAppender<>();
        stderr.setContext(logging);
        stderr.setName("stderr");
        stderr.setTarget("System.err");
        stderr.setEncoder(encoder);
        stderr.start();
        ch.qos.logback.classic.Logger root = logging.getLogger(Logger.ROOT_LOGGER_NAME);
        root.addAppender(stderr);
        root.setLevel(Level.toLevel(System.getenv("SPLITRING_LOG"), Level.WARN));
        return ExecutionStatus.DO_NOT_INVOKE_NEXT_IF_ANY;
    }

    /// The pattern is read at the first warning: most processes have none.
    private static final class OneLine extends LayoutBase<ILoggingEvent> {
        private static final String PATTERN = "%d{HH:mm:ss} %-5level %logger{0}: %msg%n%ex{1}";

        private @Nullable PatternLayout layout;

        @Override
        public synchronized String doLayout(ILoggingEvent event) {
            if (layout == null) {
                layout = new PatternLayout();
                layout.setContext(getContext());
                layout.setPattern(PATTERN);
                layout.start();
            }
            return layout.doLayout(event);
        }
    }
}
