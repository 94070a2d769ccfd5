# Sourced by the launchers, which say where they have Java ($java), the jars ($lib), and caches for a quick start ($caches).

# Becomes the program, with the words of a command as "$@".
splitring() {
  memory="-Xms32m -Xmx512m"
  # Load has hundreds of guests in this JVM: their memory is outside the heap, and by default as limited as the heap.
  [ "${1-}" != stress ] || memory="-Xms256m -Xmx1g -XX:MaxDirectMemorySize=64g"
  # A command that asks a lab for something has ended before the optimising compiler would pay.
  compilers=-XX:TieredStopAtLevel=1
  case ${1-} in
    backend | bench | capture | disk | frontend | guest | stress) compilers= ;;
    up) case " $* " in *" --detach "*) ;; *) compilers= ;; esac ;; # the driver domain itself
  esac
  cache=
  [ ! -f "$caches/driver.aot" ] || cache=-XX:AOTCache=$caches/driver.aot
  # Java's warnings are no part of what a command says; a cache that does not fit this Java is no news.
  start $memory $compilers -Xlog:disable "-Xlog:all=warning,aot*=off,cds*=off:stderr" ${cache:+"$cache"} -Dsplitring.aot="$caches" \
    org.splitring.driverdomain.Splitring "$@"
}

# Becomes a JVM with the program in its class path: in the same order with every locale, for a cache fits one order, and
# with nothing after the last colon, which would stand for the current folder, whoever has put classes there. Netty notes
# where one buffer in 128 was made, which is for finding mistakes: the tests do. Its way to the memory of buffers is the
# one of old, for the new one is slow to start (JavaCommand).
start() {
  jars=$(LC_ALL=C && printf '%s:' "$lib"/*.jar)
  exec "$java" --enable-native-access=ALL-UNNAMED -XX:+UseSerialGC -Dio.netty.leakDetection.level=disabled \
    -Dio.netty.jfr.enabled=false -Dio.netty.noUnsafe=false -Dsun.misc.unsafe.memory.access=allow -cp "${jars%:}" "$@"
}
