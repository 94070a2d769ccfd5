/// Ring benchmarks and comparisons.
@NullMarked
package org.splitring.benchmarks;

import org.jspecify.annotations.NullMarked;
