#!/bin/sh
# The main job, on real commands, in a temporary home: every line that starts with $ is run.
set -eu

QUEUECTL_HOME=$(mktemp -d "${TMPDIR:-/tmp}/queuectl-demo.XXXXXX")
export QUEUECTL_HOME
unset QUEUECTL_DB
cd "$QUEUECTL_HOME"
trap 'queuectl worker stop --now >/dev/null 2>&1 || true; rm -rf "$QUEUECTL_HOME"' EXIT
trap 'exit 130' INT TERM

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
show() {
    printf '$ queuectl'
    for word; do
        case $word in
            *[!A-Za-z0-9_./=,:+-]*) printf " '%s'" "$word" ;;
            *) printf ' %s' "$word" ;;
        esac
    done
    printf '\n'
    queuectl "$@"
}
fail() { echo "demo: $*" >&2; exit 1; }

say '1. Settings: quick retries, so that you need not wait'
show config set backoff-base 0.5

say '2. Jobs of all kinds, before anybody runs them'
show enqueue '{"id":"hello","command":"echo Hello World"}'
show enqueue --id report --max-retries 2 'wc -l measurements.txt'
show enqueue --id slow --timeout 1 --max-retries 1 'sleep 30'
show enqueue --id low --priority 3 'echo low priority'
show enqueue --id high --priority 10 'echo high priority'
show enqueue --id later --delay 3s 'date'
show status

say '3. Two workers in the background'
show worker start --count 2 --detach
show wait hello high low --timeout 20
show logs hello

say '4. What failed was run again after its backoff, and then buried'
queuectl wait report --timeout 20 && fail 'report should have died'
queuectl wait slow --timeout 20 && fail 'slow should have timed out'
show dlq list
show show report

say '5. The cause is mended: out of the dead letter queue, and run again'
printf '%s\n' '$ seq 3 > measurements.txt'
seq 3 >measurements.txt
show dlq retry report
show wait report --timeout 20
show logs report

say '6. The scheduled job ran when it was due'
show wait later --timeout 20
show logs later

say '7. How things stand'
show list
show status
show metrics

say '8. Goodbye'
show worker stop
queuectl wait hello report low high later --timeout 0 || fail 'five jobs should have completed'
echo
echo 'All of it was real. Now yours: queuectl enqueue "…" and queuectl worker start'
