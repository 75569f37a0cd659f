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
stamps=$LOCAL/.syncthing.fltui.rclone.$$ # there, as another machine's disk may have a clock of its own
begun=$LOCAL/.syncthing.fltui.hub        # where the server's machine has put its exchange.json before
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

# Make the second exchange like the first in some parts, deletions included. An unmounted disk is an empty folder and
# must not go everywhere: so the first try may delete nothing (7, after all is copied), and before another may, both
# exchanges are seen to be there. That is two calls more, so deletions wait for each other some seconds.
# Where there is no source (3) rclone deletes nothing.
mirror() {
  call sync "$1" "$2" --filter-from "$work/$3" --local-no-check-updated "$compare" --max-delete 0
  case $? in
    0) return 0 ;;
    3) is_here && is_there && return ;;
    7)
      if [ $full = no ] && [ "$now" -lt $deleted_until ] && grep -q max-delete "$errors"; then return 0; fi
      is_here && is_there || return 1
      call sync "$1" "$2" --filter-from "$work/$3" --local-no-check-updated "$compare" || return 1
      deleted_until=$((now + 10))
      return
      ;;
  esac
  return 1
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
  quick=--modify-window=1s thorough=--ignore-times
  if grep -q '"SlowModTime": true' "$work/features"; then
    quick=--checksum thorough=--checksum
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

# 1: it has none; 2: nobody can tell.
is_there() {
  there_until=0
  call cat "$REMOTE/exchange.json" >"$own/about"
  case $? in
    0 | 3 | 4) ;;
    *) return 2 ;;
  esac
  if [ -s "$own/about" ]; then
    there_until=$((now + 10))
    return
  fi
  echo "$REMOTE has no exchange.json: the server's side has not begun, or the disk there is not mounted" >"$errors"
  return 1
}

# Nothing is sent to a place that is no exchange. What was one some seconds ago is still taken for one.
may_send() { [ "$now" -lt "$there_until" ] || is_there; }

# A place that had an exchange.json before gets none again: its disk may be away.
send_about() {
  is_there
  case $? in
    0) cmp -s "$own/about" "$LOCAL/exchange.json" || put_about || return 1 ;;
    1)
      if has_begun; then
        echo "$REMOTE has no exchange.json any more: is its disk mounted? To begin anew there, remove $begun" >"$errors"
        return 1
      fi
      put_about || return 1
      ;;
    *) return 1 ;;
  esac
  has_begun || echo "$REMOTE" >"$begun"
}

has_begun() { [ -f "$begun" ] && [ "$(cat "$begun")" = "$REMOTE" ]; }

put_about() { call copyto --ignore-times "$LOCAL/exchange.json" "$REMOTE/exchange.json"; }

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
  { may_send && mirror "$LOCAL" "$REMOTE" "$1"; } || return 1
  [ ! -f "$stamps/last" ] || mv "$stamps/last" "$stamps/before" 2>"$errors"
  mv "$stamps/now" "$stamps/last" 2>"$errors"
}

send_tasks() { send_part tasks; }

take_tasks() { mirror "$REMOTE" "$LOCAL" tasks; }

# A status must not be there before the results and the log that it speaks of. So it is taken first and put last.
is_last() { grep -Eq '"(finished|failed)"' "$1"; }

send_results() {
  [ $full = no ] || rm -f "$own/sent"
  cp "$LOCAL/$SIDE/status.json" "$own/status" 2>/dev/null
  send_part results || return 1
  if [ ! -s "$own/status" ] || cmp -s "$own/status" "$own/sent"; then return 0; fi
  may_send || return 1
  if [ "$now" -ge "$logs_at" ] || is_last "$own/status"; then grown "$LOCAL" "$REMOTE" || return 1; fi
  call copyto --ignore-times "$own/status" "$REMOTE/$SIDE/status.json" && cp "$own/status" "$own/sent"
}

take_results() {
  if [ "$now" -ge "$status_at" ]; then
    call copy --ignore-times "$REMOTE" "$own/taken" --filter-from "$work/status.json" || [ $? = 3 ] || return 1
    status_at=$((now + 1))
  fi
  mirror "$REMOTE" "$LOCAL" results || return 1
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

# Rest after errors in a row, twice as long each time. One alone is none: a file may go while it is to be copied. After
# more, all is compared: what was sent to a folder whose disk was away is sent again.
fail() {
  failed=$((failed + 1))
  [ $failed -lt 2 ] || full_at=0
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
  own=$work/$1 errors=$work/$1/errors failed=0 status_at=0 logs_at=0 full_at=0 there_until=0 deleted_until=0
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
  jobs -p >"$work/jobs" # also one that was started just now
  # shellcheck disable=SC2046 # one word each
  kill $(cat "$work/jobs") 2>/dev/null
  wait
  rm -rf "$work" "$stamps"
  exit "${1:-0}"
}
trap 'stop 0' INT TERM HUP

if [ "$SIDE" = server ]; then
  first=send_about taken=results loops_of='send_tasks take_results'
else
  first=take_about taken=tasks loops_of='take_tasks send_results'
fi

# A filter for each part, that lets nothing else pass.
write_filters() {
  for part in tasks results logs status.json; do
    {
      cat "$LOCAL/rclone.filter" 2>"$errors" || return 1
      for name in $SITES; do
        if [ $part = status.json ]; then echo "+ /$name/$part"; else echo "+ /$name/$part/**"; fi
      done
      echo '- **'
    } >"$work/$part"
  done
}

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

failed=0 rest=1 there_until=0 now=0
until is_made && write_filters && choose && $first; do
  fail "$SIDE"
done
works "$SIDE"

# What scripts that were killed have left.
for path in "$LOCAL"/.syncthing.fltui.rclone.*; do
  kill -0 "${path##*.}" 2>/dev/null || rm -rf "$path"
done
# No empty folders are sent, and a bucket has none. What is taken over must not go for that: this file is never carried.
for name in $SITES; do
  for part in $taken logs; do mkdir -p "$LOCAL/$name/$part" && : >"$LOCAL/$name/$part/.syncthing.fltui.keep"; done
done
for name in $loops_of; do
  loop "$name" &
  loops="$loops $!"
done

at=0
while :; do
  pause 5
  for pid in $loops; do
    kill -0 "$pid" 2>/dev/null && continue
    say "a part of this script has ended: start it again"
    stop 1
  done
  at=$(((at + 1) % 6))
  [ $at != 0 ] || { is_here && $first; }
done
