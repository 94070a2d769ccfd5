# Read by the launchers, with the words of a command as "$@": what its JVM is given, in $memory and $compilers.
memory="-Xms32m -Xmx512m"
# Load has hundreds of guests in this JVM: their memory is outside the heap, and by default as limited as the heap.
[ "${1-}" != stress ] || memory="-Xms256m -Xmx1g -XX:MaxDirectMemorySize=64g"
# A command that asks a lab for something has ended before the optimising compiler would pay.
compilers=-XX:TieredStopAtLevel=1
case ${1-} in
  backend | bench | capture | disk | frontend | guest | stress) compilers= ;;
  up) case " $* " in *" --detach "*) ;; *) compilers= ;; esac ;; # the driver domain itself
esac
