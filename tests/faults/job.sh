# One run of a job in the arena: KIND [ARGUMENT]. Says in the witness file when it starts
# and ends, and prints it too; holds a lock that all it starts inherit, so that two runs can't miss each other.
say() {
    read -r up _ < /proc/uptime
    printf '%s %s %s %s %s %s %s\n' "$1" "$QUEUECTL_JOB_ID" "$QUEUECTL_TOKEN" $$ "$up" "$2" \
        "${ARENA_HOST:-here}" >> "$ARENA/witness"
}
end() {
    echo "ends $1"
    say stop "$1"
    exit "$1"
}
exec 8>> "$ARENA/locks/$QUEUECTL_JOB_ID"
flock -n 8 || say overlap
say start "$QUEUECTL_ATTEMPT"
echo begins
case $1 in
    quick) end 0 ;;
    nap) sleep "$2"; end 0 ;;
    first) if [ "$QUEUECTL_ATTEMPT" = 1 ]; then sleep "$2"; fi; end 0 ;;
    gate) while [ ! -e "$ARENA/gate" ]; do sleep 0.05; done; end 0 ;;
    deaf) trap '' TERM; if [ "$QUEUECTL_ATTEMPT" = 1 ]; then sleep "$2"; fi; end 0 ;;
    fail) end "$2" ;;
    flaky) if [ "$QUEUECTL_ATTEMPT" -le "$2" ]; then end 1; fi; end 0 ;;
    signal) kill -s "$2" $$ ;;
    oom) kill -s KILL 0 ;;
    forks) sleep 300 & sleep 301 & (trap '' TERM; sleep 302) & end 0 ;;
    leaves) setsid sleep 303 & end 0 ;;
    talks) head -c 400000 /dev/zero | tr '\0' x; head -c 200000 /dev/zero >&2; end 0 ;;
    late) trap 'say term; exit 143' TERM; sleep 304 & wait; end 0 ;;
    stubborn) trap '' TERM; setsid sh -c 'sleep 305' & sleep 306; sleep 307; end 0 ;;
    hydra) trap '' TERM; while :; do setsid sleep 308 & sleep 0.02; done ;;
    *) end 99 ;;
esac
