package org.splitring.blkback;

import java.util.ArrayDeque;

/// Work of several disks, taken in turns: while several have some, each gets bytes in proportion to
/// its weight (deficit round robin).
///
/// Adding and taking allocates nothing: what waits stands in an array that grows to the most there
/// ever was. Not for several threads: whoever has it guards it.
///
/// @param <W> kind of work
final class FairTurns<W extends Runnable> {
    /// What a piece of work counts that says no size, or a smaller one, in bytes.
    static final long LEAST_COST = 16 << 10;

    /// What a disk of weight 1 gets in each turn. A weight of 100 gets 1 MiB.
    private static final long TURN_BYTES = (1 << 20) / WorkShares.DEFAULT_WEIGHT;

    private final ArrayDeque<Line> turns = new ArrayDeque<>(); // of those that have work
    private int size;

    /// What waits of one disk.
    final class Line {
        private final ArrayDeque<W> queue = new ArrayDeque<>(64);
        private int weight;
        private long credit;

        /// @param weight checked
        Line(int weight) {
            this.weight = weight;
        }

        void weigh(int newWeight) {
            weight = newWeight;
        }

        void add(W work) {
            if (queue.isEmpty()) {
                credit = 0; // nothing is saved up while there is nothing to do
                turns.add(this);
            }
            queue.add(work);
            size++;
        }
    }

    int size() {
        return size;
    }

    /// The work whose turn it is. There is some.
    W take() {
        while (true) {
            Line line = turns.getFirst();
            W work = line.queue.getFirst();
            long cost = LEAST_COST;
            if (work instanceof DiskWork sized) {
                cost = Math.max(cost, sized.costBytes());
            }
            if (line.credit >= cost || turns.size() == 1) {
                line.credit = Math.max(0, line.credit - cost); // alone, it needs none
                line.queue.removeFirst();
                size--;
                if (line.queue.isEmpty()) {
                    turns.removeFirst();
                }
                return work;
            }
            line.credit += line.weight * TURN_BYTES;
            turns.removeFirst();
            turns.addLast(line);
        }
    }
}
