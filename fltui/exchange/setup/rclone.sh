#!/bin/sh
# Carries an exchange of fltui by rclone. Each file has one writer: the server's machine sends exchange.json and tasks,
# the machine of a site sends results, status.json and logs. It runs until INT, TERM or HUP, sits out errors, and says
# nothing as long as all is well. Any option of rclone can be set by its variable, as in RCLONE_BWLIMIT=10M.

SIDE=server
SITES=
LOCAL=
REMOTE=

EVERY=${EVERY:-0.3}       # seconds of rest between two passes
THOROUGH=${THOROUGH:-60}  # seconds between two passes that compare all, and content where a listing tells too little
LONGEST_REST=10           # seconds of rest after errors, at most

set -u
# No digests after a copy: readers have their own, and over sftp each is a command at the other side.
export RCLONE_IGNORE_CHECKSUM="${RCLONE_IGNORE_CHECKSUM:-true}" RCLONE_LOG_LEVEL="${RCLONE_LOG_LEVEL:-ERROR}"
export RCLONE_RETRIES="${RCLONE_RETRIES:-1}" RCLONE_LOW_LEVEL_RETRIES="${RCLONE_LOW_LEVEL_RETRIES:-2}"
export RCLONE_CONTIMEOUT="${RCLONE_CONTIMEOUT:-10s}" RCLONE_TIMEOUT="${RCLONE_TIMEOUT:-20s}"
parent=$$ child='' loops=''
stamps=$LOCAL/.syncthing.fltui.rclone
work=$(mktemp -d "${TMPDIR:-/tmp}/fltui-rclone.XXXXXX") || exit 1
own=$work errors=$work/errors
: >"$errors"

say() { echo "rclone.sh: $*" >&2; }

# Both run in the background, so that a signal is heeded at once.
pause() {
  sleep "$1" &
  child=$!
  wait "$child"
}

call() {
  rclone "$@" 2>"$errors" &
  child=$!
  wait "$child"
}

# Make the second exchange like the first in some parts, deletions included. Where there is no source (3) there is
# nothing yet, and rclone deletes nothing.
mirror() {
  call sync "$1" "$2" --filter-from "$work/$3" --local-no-check-updated "$compare" || [ $? = 3 ]
}

# Logs only grow.
grown() {
  logs_at=$((now + 5))
  call copy "$1" "$2" --filter-from "$work/logs" --local-no-check-updated --size-only || [ $? = 3 ]
}

# Over sftp a listing tells times to a second, so content is compared from time to time, too. That of a bucket tells
# digests, and no times.
choose() {
  call backend features "$REMOTE" >"$work/features" || return 1
  quick=--modify-window=1s thorough=--ignore-times bucket=no
  if grep -q '"SlowModTime": true' "$work/features"; then
    quick=--checksum thorough=--checksum bucket=yes
  elif grep -Eq '"(md5|sha1)"' "$work/features"; then
    thorough=--checksum
  fi
}

# What is gone at the source is removed at the destination. An exchange that is away must not count as an empty one.
is_here() {
  [ -f "$LOCAL/exchange.json" ] && return
  echo "$LOCAL has no exchange.json: is its disk mounted?" >"$errors"
  return 1
}

is_there() {
  call cat "$REMOTE/exchange.json" >"$own/about" || return 1
  [ -s "$own/about" ] && return
  echo "$REMOTE has no exchange.json yet" >"$errors"
  return 1
}

# Of a folder that is gone, sftp says so; a bucket has none, and shows one without files as empty.
is_safe() { [ $bucket = no ] || is_there; }

send_about() {
  is_there && cmp -s "$own/about" "$LOCAL/exchange.json" && return
  call copyto --ignore-times "$LOCAL/exchange.json" "$REMOTE/exchange.json"
}

take_about() {
  is_there || return 1
  cmp -s "$own/about" "$LOCAL/exchange.json" && return
  cp "$own/about" "$LOCAL/.syncthing.fltui.about" && mv "$LOCAL/.syncthing.fltui.about" "$LOCAL/exchange.json"
}

# Send a part of all sites if anything in it may have changed since the pass before the last: what changed in the moment
# of the last is seen once more.
send_part() {
  mkdir -p "$stamps" 2>"$errors" && touch "$stamps/now" 2>"$errors" || return 1
  if [ $full = no ] && [ -f "$stamps/before" ]; then
    for name in $SITES; do find "$LOCAL/$name/$1" -newer "$stamps/before"; done >"$own/changed" 2>/dev/null
    [ -s "$own/changed" ] || return 0
  fi
  mirror "$LOCAL" "$REMOTE" "$1" || return 1
  [ ! -f "$stamps/last" ] || mv "$stamps/last" "$stamps/before" 2>"$errors"
  mv "$stamps/now" "$stamps/last" 2>"$errors"
}

take_part() { is_safe && mirror "$REMOTE" "$LOCAL" "$1"; }

send_tasks() { send_part tasks; }

take_tasks() { take_part tasks; }

# A status must not be there before the results and the log that it speaks of. So it is taken first and put last.
is_last() { grep -Eq '"(finished|failed)"' "$1"; }

send_results() {
  [ $full = no ] || rm -f "$own/sent"
  cp "$LOCAL/$SIDE/status.json" "$own/status" 2>/dev/null
  send_part results || return 1
  if [ ! -s "$own/status" ] || cmp -s "$own/status" "$own/sent"; then return 0; fi
  if [ "$now" -ge "$logs_at" ] || is_last "$own/status"; then grown "$LOCAL" "$REMOTE" || return 1; fi
  call copyto --ignore-times "$own/status" "$REMOTE/$SIDE/status.json" && cp "$own/status" "$own/sent"
}

take_results() {
  if [ "$now" -ge "$status_at" ]; then
    call copy --ignore-times "$REMOTE" "$own/taken" --filter-from "$work/status.json" || [ $? = 3 ] || return 1
    status_at=$((now + 1))
  fi
  take_part results || return 1
  news='' ended=no
  for name in $SITES; do
    status=$own/taken/$name/status.json
    if [ ! -s "$status" ] || cmp -s "$status" "$LOCAL/$name/status.json"; then continue; fi
    news="$news $name"
    ! is_last "$status" || ended=yes
  done
  if [ "$now" -ge "$logs_at" ] || [ $ended = yes ]; then grown "$REMOTE" "$LOCAL" || return 1; fi
  for name in $news; do
    staged=$LOCAL/$name/.syncthing.fltui.server/status.json.taken
    cp "$own/taken/$name/status.json" "$staged" && mv "$staged" "$LOCAL/$name/status.json"
  done
}

# Rest after errors in a row, twice as long each time. One alone is none: a file may go while it is to be copied.
fail() {
  failed=$((failed + 1))
  [ $failed != 2 ] || say "$1: $(tail -n 1 "$errors"); trying again"
  [ $failed -gt 1 ] || rest=1
  pause $rest
  rest=$((rest * 2))
  [ $rest -lt $LONGEST_REST ] || rest=$LONGEST_REST
}

works() {
  [ $failed -lt 2 ] || say "$1: works again"
  failed=0
}

# Do one thing over and over. It ends with the script, also when that is killed.
loop() {
  trap 'kill "$child" 2>/dev/null; exit 0' TERM
  own=$work/$1 errors=$work/$1/errors failed=0 status_at=0 logs_at=0 full_at=0
  mkdir "$own"
  while kill -0 $parent 2>/dev/null; do
    now=$(date +%s) compare=$quick full=no
    [ "$now" -lt $full_at ] || compare=$thorough full=yes
    if is_here && "$1"; then
      works "$1"
      [ $full = no ] || full_at=$((now + THOROUGH))
      pause "$EVERY"
    else
      fail "$1"
    fi
  done
}

stop() {
  trap '' INT TERM HUP
  # shellcheck disable=SC2086 # one word each
  kill $loops $child 2>/dev/null
  wait
  rm -rf "$work" "$stamps"
  exit 0
}
trap stop INT TERM HUP

if [ "$SIDE" = server ]; then
  first=send_about taken=results loops_of='send_tasks take_results'
else
  first=take_about taken=tasks loops_of='take_tasks send_results'
fi

# A filter for each part, that lets nothing else pass.
for part in tasks results logs status.json; do
  {
    cat "$LOCAL/rclone.filter"
    for name in $SITES; do
      if [ $part = status.json ]; then echo "+ /$name/$part"; else echo "+ /$name/$part/**"; fi
    done
    echo '- **'
  } >"$work/$part" || exit 1
done

# The server's machine has an exchange. That of a site gets its exchange.json here, once, its folder being there.
is_made() {
  if [ "$SIDE" = server ]; then
    is_here
    return
  fi
  [ -d "$LOCAL/$SIDE" ] && return
  echo "$LOCAL has no folder $SIDE: is its disk mounted?" >"$errors"
  return 1
}

failed=0 rest=1
until is_made && choose && $first; do
  fail "$SIDE"
done
works "$SIDE"

rm -rf "$stamps"
# No empty folders are sent, and a bucket has none. What is taken over must not go for that: this file is never carried.
for name in $SITES; do
  for part in $taken logs; do mkdir -p "$LOCAL/$name/$part" && : >"$LOCAL/$name/$part/.syncthing.fltui.keep"; done
done
for name in $loops_of; do
  loop "$name" &
  loops="$loops $!"
done

while :; do
  pause 30
  is_here && $first
done
