package org.splitring.blkback.image;

import java.util.Arrays;

/// Numbers in order, without an object for each.
final class LongList {
    private long[] numbers = {};
    private int size;

    int size() {
        return size;
    }

    long get(int index) {
        if (index >= size) {
            throw new IndexOutOfBoundsException("index " + index + " of " + size);
        }
        return numbers[index];
    }

    void add(long number) {
        if (size == numbers.length) {
            numbers = Arrays.copyOf(numbers, Math.max(8, size * 2));
        }
        numbers[size++] = number;
    }

    void addAll(LongList others) {
        for (int i = 0; i < others.size; i++) {
            add(others.numbers[i]);
        }
    }
}
