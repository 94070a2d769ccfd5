package org.splitring.benchmarks.stress;

import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.CompletableFuture;
import org.jspecify.annotations.Nullable;
import org.splitring.benchmarks.stress.Mix.Kind;
import org.splitring.blkfront.Completion;
import org.splitring.blkfront.GuestBuffer;
import org.splitring.blkfront.VbdFrontend;

/// Requests to one disk of a guest, up to a depth, and what becomes of them. State is that of the
/// disk's loop.
final class DiskLoad implements LoopPacer.Stream {
    /// Choices that all disks of a load share.
    ///
    /// @param depth requests under way at most
    /// @param sequential whether places come in order
    /// @param verify whether what is read is checked
    record Settings(int sizeBytes, int depth, Mix mix, boolean sequential, boolean verify) {}

    private final String name;
    private final VbdFrontend disk;
    private final Settings settings;
    private final PlaceTable places;
    private final BlockPattern pattern;
    private final LoopPacer pacer;
    private final List<KindLog> logs;
    private final @Nullable Arrivals arrivals;
    private final SplittableRandom random;
    private final Slot[] free; // a stack
    private int freeCount;
    private RunEnd end = new RunEnd();
    private boolean asking;
    private boolean filling;
    private int toFill;
    private long checked;
    private long answered;
    private long unsent;
    private CompletableFuture<Void> idle = new CompletableFuture<>();

    /// Takes the buffers. On the loop.
    ///
    /// @param name for messages
    /// @param logs one of each kind of the mix
    /// @param arrivals `null` for a closed loop
    DiskLoad(
            String name,
            VbdFrontend disk,
            Settings settings,
            PlaceTable places,
            BlockPattern pattern,
            LoopPacer pacer,
            List<KindLog> logs,
            @Nullable Arrivals arrivals,
            long seed) {
        this.name = name;
        this.disk = disk;
        this.settings = settings;
        this.places = places;
        this.pattern = pattern;
        this.pacer = pacer;
        this.logs = logs;
        this.arrivals = arrivals;
        random = new SplittableRandom(seed);
        free = new Slot[settings.depth()];
        for (int i = 0; i < free.length; i++) {
            GuestBuffer buffer = disk.acquire(settings.sizeBytes());
            if (buffer == null) {
                throw new IllegalStateException(name + ": no buffer " + i);
            }
            free[i] = new Slot(buffer);
        }
        freeCount = free.length;
    }

    /// Writes every place once.
    ///
    /// @return completes when all is written, or something failed
    CompletableFuture<Void> fill(RunEnd newEnd) {
        begin(newEnd);
        filling = true;
        toFill = places.size();
        places.rewind();
        while (freeCount > 0 && toFill > 0) {
            take().fill();
        }
        return idle;
    }

    /// Begins to ask.
    ///
    /// @param nanoTime the same for all disks of a load
    void start(RunEnd newEnd, long nanoTime) {
        begin(newEnd);
        asking = true;
        Arrivals times = arrivals;
        if (times == null) {
            while (freeCount > 0) {
                take().startNow();
            }
        } else {
            times.begin(nanoTime);
            pacer.wakeAt(times.next());
        }
    }

    private void begin(RunEnd newEnd) {
        end = newEnd;
        checked = 0;
        answered = 0;
        unsent = 0;
        idle = new CompletableFuture<>();
    }

    /// Asks for nothing more.
    ///
    /// @return completes when everything is answered
    CompletableFuture<Void> stop() {
        if (asking && arrivals != null) {
            unsent = arrivals.countDue(System.nanoTime());
        }
        asking = false;
        if (freeCount == free.length) {
            idle.complete(null);
        }
        return idle;
    }

    /// Gives the buffers back; nothing is under way. On the loop.
    void release() {
        for (Slot slot : free) {
            disk.release(slot.buffer);
        }
    }

    /// Reads that were checked since the start.
    long checked() {
        return checked;
    }

    long answered() {
        return answered;
    }

    /// Requests that were due at the end and waited for others to be answered.
    long unsent() {
        return unsent;
    }

    int underWay() {
        return free.length - freeCount;
    }

    private Slot take() {
        freeCount--;
        return free[freeCount];
    }

    @Override
    public void pump() {
        Arrivals times = arrivals;
        if (!asking || times == null || freeCount == 0) {
            return;
        }
        long now = System.nanoTime();
        while (freeCount > 0 && times.next() - now <= 0) {
            long intended = times.next();
            times.advance();
            take().start(intended, now);
        }
    }

    @Override
    public long nextDue() {
        return asking && arrivals != null && freeCount > 0 ? arrivals.next() : Long.MAX_VALUE;
    }

    private void answered(Slot slot) {
        answered++;
        free[freeCount] = slot;
        freeCount++;
        if (filling) {
            if (toFill > 0 && !end.isEnded()) {
                take().fill();
                return;
            }
            filling = freeCount < free.length;
        } else if (asking && arrivals == null) {
            take().startNow();
            return;
        } else if (asking) {
            pump();
            long next = nextDue();
            if (next != Long.MAX_VALUE) {
                pacer.wakeAt(next);
            }
        }
        if (!asking && freeCount == free.length) {
            idle.complete(null);
        }
    }

    /// One of the requests that may be under way, with its buffer.
    private final class Slot implements Completion {
        private final GuestBuffer buffer;
        private Kind kind = Kind.WRITE;
        private int log;
        private int place;
        private int generation;
        private long intended;
        private long sent;

        Slot(GuestBuffer buffer) {
            this.buffer = buffer;
        }

        void fill() {
            toFill--;
            kind = Kind.WRITE;
            place = places.takeNext();
            write();
        }

        void startNow() {
            long now = System.nanoTime();
            start(now, now);
        }

        void start(long intendedNanos, long now) {
            intended = intendedNanos;
            log = settings.mix().pick(random);
            kind = settings.mix().kind(log);
            sent = now;
            if (kind == Kind.FLUSH) {
                disk.flush(this);
                return;
            }
            place = settings.sequential() ? places.takeNext() : places.takeAny(random);
            switch (kind) {
                case READ -> disk.read(offset(), buffer, settings.sizeBytes(), this);
                case WRITE -> write();
                case DISCARD -> disk.discard(offset(), settings.sizeBytes(), this);
                case FLUSH -> throw new IllegalStateException("a flush has no place");
            }
        }

        private void write() {
            generation = places.nextGeneration(place);
            if (settings.verify()) {
                pattern.stamp(buffer.segment(), buffer.bytes(), offset(), generation);
            }
            disk.write(offset(), buffer, settings.sizeBytes(), this);
        }

        private long offset() {
            return (long) place * settings.sizeBytes();
        }

        @Override
        public void done(int status) {
            if (status != 0) {
                asking = false;
                end.fail(
                        "%s: %s%s failed with status %d"
                                .formatted(
                                        name,
                                        kind.label(),
                                        kind == Kind.FLUSH ? "" : " at byte " + offset(),
                                        status));
            } else {
                ended();
            }
            if (kind != Kind.FLUSH) {
                places.giveBack(place);
            }
            DiskLoad.this.answered(this);
        }

        private void ended() {
            if (!filling) {
                logs.get(log).record(intended, sent, System.nanoTime());
            }
            switch (kind) {
                case READ -> check();
                case WRITE -> places.written(place, generation);
                case DISCARD ->
                        places.written(
                                place, disk.geometry().discard().zeroes() ? 0 : PlaceTable.UNKNOWN);
                case FLUSH -> {
                    // there is nothing to see
                }
            }
        }

        private void check() {
            int wanted = places.generation(place);
            if (!settings.verify() || wanted == PlaceTable.UNKNOWN) {
                return;
            }
            checked++;
            if (!pattern.matches(buffer.segment(), buffer.bytes(), offset(), wanted)) {
                end.fail(
                        "%s: read of %d bytes at byte %d %s"
                                .formatted(
                                        name,
                                        settings.sizeBytes(),
                                        offset(),
                                        pattern.describe(
                                                buffer.segment(),
                                                buffer.bytes(),
                                                offset(),
                                                wanted)));
            }
        }
    }
}
