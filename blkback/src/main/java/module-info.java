/// Block backend: serves one vbd per frontend from a disk.
module org.splitring.blkback {
    requires transitive org.splitring.xenbus;
    requires org.slf4j;

    exports org.splitring.blkback;
}
