package org.splitring.blkback.image;

/// Hears how far a long piece of work has come. Called often, on the thread that works.
public interface Progress {
    /// Says how far it is.
    ///
    /// @param done of `all`, in any unit
    void at(long done, long all);

    /// Hears nothing.
    static Progress none() {
        return (done, all) -> {};
    }
}
