/// Platform inside one JVM: memory is an off-heap segment, an event is a task on the peer's loop.
@NullMarked
package org.splitring.hypervisor.local;

import org.jspecify.annotations.NullMarked;
