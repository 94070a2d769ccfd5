package org.splitring.benchmarks;

/// A program of others, and where Debian has it.
record Needed(String program, String debianPackage) {
    boolean isInstalled() {
        return ToolProgram.isInstalled(program);
    }

    String isMissing() {
        return program + " is not installed (package " + debianPackage + ")";
    }
}
