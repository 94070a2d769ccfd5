package org.splitring.benchmarks.stress;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/// How busy each processor was between two looks, by `/proc/stat`: of everything that ran
/// there, not only of us.
///
/// @param busy hundredths of a second (`USER_HZ`) since the machine started, one of each
///     processor
/// @param all busy or idle
record CoreUse(List<Long> busy, List<Long> all) {
    CoreUse {
        busy = List.copyOf(busy);
        all = List.copyOf(all);
    }

    static CoreUse now() throws IOException {
        return parse(Files.readAllLines(Path.of("/proc/stat")));
    }

    /// `cpuN user nice system idle iowait irq softirq steal ...`; guest times are in user and
    /// nice.
    static CoreUse parse(List<String> lines) {
        List<Long> busy = new ArrayList<>();
        List<Long> all = new ArrayList<>();
        for (String line : lines) {
            if (!line.matches("cpu[0-9]+ .*")) {
                continue;
            }
            String[] words = line.split(" ", -1);
            long sum = 0;
            for (int i = 1; i <= 8; i++) {
                sum += Long.parseLong(words[i]);
            }
            all.add(sum);
            busy.add(sum - Long.parseLong(words[4]) - Long.parseLong(words[5]));
        }
        return new CoreUse(busy, all);
    }

    /// Percent of its time that each processor was busy since an earlier look; of none when so
    /// little time has passed that nothing was counted.
    List<Double> percentSince(CoreUse earlier) {
        List<Double> percent = new ArrayList<>();
        for (int i = 0; i < Math.min(all.size(), earlier.all.size()); i++) {
            long time = all.get(i) - earlier.all.get(i);
            long used = busy.get(i) - earlier.busy.get(i);
            percent.add(time == 0 ? 0.0 : Math.round(1000.0 * used / time) / 10.0);
        }
        return percent;
    }
}
