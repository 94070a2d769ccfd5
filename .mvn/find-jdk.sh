# Sourced by ./mvnw and ./splitring: sets JAVA_HOME to a JDK of at least 25, or ends with one line that says what to do.
# The first `java` on the path is often older; so JAVA_HOME, the path, and the usual places are looked at in turn.
[ -n "${HOME-}" ] || { HOME=$(getent passwd "$(id -u)" | cut -d: -f6) || :; export HOME; } # a service of systemd has none
find_jdk() {
  on_path=$(command -v java || :)
  [ -z "$on_path" ] || on_path=$(dirname "$(dirname "$(readlink -f "$on_path")")")
  set +f
  # SPLITRING_JDKS stands for the usual places when it is set; a test looks for nothing in none of them.
  for d in "${JAVA_HOME:-}" "$on_path" ${SPLITRING_JDKS-/usr/lib/jvm/* /usr/java/* /opt/*jdk* /opt/java/* \
    "$HOME"/.sdkman/candidates/java/* "$HOME"/.jdks/* /Library/Java/JavaVirtualMachines/*/Contents/Home}; do
    [ -n "$d" ] && [ -r "$d/release" ] && [ -x "$d/bin/javac" ] || continue
    v=$(sed -n 's/^JAVA_VERSION="\([0-9]*\).*/\1/p' "$d/release")
    [ "${v:-0}" -ge 25 ] && { JAVA_HOME=$d; export JAVA_HOME; return 0; }
  done
  echo "splitring: no JDK 25 or newer found; install one (Debian: temurin-25-jdk or openjdk-25-jdk) or set JAVA_HOME to it" >&2
  return 1
}
find_jdk || exit 1
