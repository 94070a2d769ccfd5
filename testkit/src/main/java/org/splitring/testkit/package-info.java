/// Doubles and tools for tests of devices.
@NullMarked
package org.splitring.testkit;

import org.jspecify.annotations.NullMarked;
