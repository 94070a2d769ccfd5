# Sourced after start.sh by what builds the program: makes the caches for a quick start in $caches.

# What a lab and its guest load is written down, and made into a cache for each of the two. Where a lab cannot have an
# interface it has none; where none starts at all, everything works as well, and starts more slowly. No machine code is
# kept: Java 25 does not check that the processor which meets it later has the instructions of this one.
learn() {
  mkdir -p "$caches"
  (
    dir=$(mktemp -d)
    trap 'rm -rf "$dir"' EXIT
    cd "$dir"
    truncate -s 16M disk.img
    printf '[domains.learn%s]\nmemory = 64\ndisk = ["format=raw, vdev=xvda, access=rw, target=disk.img"]\n' "$$" >disk.toml
    cp disk.toml net.toml
    printf 'vif = ["bridge=lan"]\n[networks.lan]\nsubnet = "10.20.0.0/24"\n' >>net.toml
    record net.toml || record disk.toml || exit 1
    for kind in driver guest; do
      start -XX:AOTMode=create -XX:AOTConfiguration="$kind.aotconf" -XX:AOTCache="$kind.aot" \
        -XX:+UnlockDiagnosticVMOptions -XX:-AOTAdapterCaching &
    done
    wait
    [ -f driver.aot ] && [ -f guest.aot ] && mv driver.aot guest.aot "$caches/"
  ) || echo "splitring: no caches for a quick start"
}

record() {
  rm -f ./*.aotconf up.out
  start -XX:AOTMode=record -XX:AOTConfiguration=driver.aotconf -Dsplitring.aot.record="$dir" \
    org.splitring.driverdomain.Splitring up "$1" --run-dir="$dir/run" >up.out 2>&1 &
  lab=$!
  while kill -0 "$lab" 2>/dev/null && ! grep -q 'stop it with' up.out; do sleep 0.1; done
  # What comes in the first second after it is up belongs to a start as well: consoles, and the first command.
  if kill -0 "$lab" 2>/dev/null; then
    (start -XX:TieredStopAtLevel=1 org.splitring.driverdomain.Splitring list --run-dir="$dir/run") >>up.out 2>&1 || :
    sleep 0.5
  fi
  kill "$lab" 2>/dev/null || :
  wait "$lab" || :
  cat up.out
  [ -f driver.aotconf ] && [ -f guest.aotconf ]
}
