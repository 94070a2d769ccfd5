/// Platform between processes: sealed memfd, descriptors over a Unix socket, Netty event loops.
@NullMarked
package org.splitring.hypervisor.attached;

import org.jspecify.annotations.NullMarked;
