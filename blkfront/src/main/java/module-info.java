/// Block frontend: one virtual block device inside a guest.
module org.splitring.blkfront {
    requires transitive org.splitring.xenbus;
    requires org.slf4j;

    exports org.splitring.blkfront;
}
