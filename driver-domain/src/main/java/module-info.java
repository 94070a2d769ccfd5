module org.splitring.driverdomain {
    requires org.splitring.blkfront;
    requires org.splitring.blkback;
    requires org.slf4j;
}
