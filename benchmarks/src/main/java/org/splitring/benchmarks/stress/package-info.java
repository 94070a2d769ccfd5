/// Load for a time: rings, disks and networks with chosen sizes, depths, guests and pacing,
/// while everything that comes back is checked.
///
/// A command (`Stress*Command`) builds a [org.splitring.benchmarks.stress.Load] and hands it to
/// [org.splitring.benchmarks.stress.StressSession], which warms it up, lets it run, takes the
/// times that its threads have recorded once in each interval, and makes a
/// [org.splitring.benchmarks.stress.StressResult]: that is the JSON, and table, page and
/// comparison are made from it. Start reading there. A load with a rate asks at times that were
/// fixed before ([org.splitring.benchmarks.stress.Arrivals]), and latency counts from those.
@NullMarked
package org.splitring.benchmarks.stress;

import org.jspecify.annotations.NullMarked;
