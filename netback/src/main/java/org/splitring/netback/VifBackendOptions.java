package org.splitring.netback;

/// Choices of a network backend.
///
/// @param maxQueues most queues that are offered to a guest, 1 to 8
/// @param budget frames and pages taken from one guest before others of the loop have their turn
/// @param timeouts of frames that wait for the guest
public record VifBackendOptions(int maxQueues, int budget, VifTimeouts timeouts) {
    /// Two queues, 64 frames at a time as Linux has it, Linux's timeouts.
    public static final VifBackendOptions DEFAULT =
            new VifBackendOptions(2, 64, VifTimeouts.DEFAULT);

    static final int MAX_QUEUES = 8;

    public VifBackendOptions {
        if (maxQueues < 1 || maxQueues > MAX_QUEUES) {
            throw new IllegalArgumentException("maxQueues not in 1..8: " + maxQueues);
        }
        if (budget < 1) {
            throw new IllegalArgumentException("budget: " + budget);
        }
    }

    public VifBackendOptions withTimeouts(VifTimeouts limits) {
        return new VifBackendOptions(maxQueues, budget, limits);
    }

    public VifBackendOptions withMaxQueues(int count) {
        return new VifBackendOptions(count, budget, timeouts);
    }
}
