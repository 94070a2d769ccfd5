package org.splitring.testkit.compare;

/// A step and its place in the sequence that it was made for, by which later ones name the
/// transaction
/// that it begins. It stays when others are left out.
record Numbered(int number, Step step) {
    @Override
    public String toString() {
        return number + " " + step;
    }
}
