/// The virtual switch: frames and ports, no rings.
module org.splitring.bridge {
    requires org.jspecify;

    exports org.splitring.bridge;
}
