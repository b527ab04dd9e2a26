#!/bin/sh
# Installs this build of k3s on a machine with systemd or OpenRC; run it again to upgrade.
# `sh install.sh --help` says how; docs/install.md explains it, and has a table of the exit codes.
#
# Nothing on the machine changes before the new executable was received as a whole, has the size and
# the sha256 of the release, is made for this machine, and was started once. The one before stays as
# k3s-previous; k3s-rollback.sh takes it back.
set -eu
set -f
export LC_ALL=C

unknown_name=11 fetch_failed=12 command_failed=16 disk_full=17 corrupt=18 wrong_machine=20
start_failed=22 missing_tool=23 not_writable=25

say() {
    printf 'install: %s\n' "$1"
}

warn() {
    printf 'warning: %s\n' "$1" >&2
}

usage() {
    cat <<'EOF'
usage: sh install.sh [--from PLACE] [server|agent] [FLAGS…]

Installs k3s as a service, or upgrades it. Without a command: what is installed here, else an agent
where K3S_URL is set, else a server. FLAGS are those of `k3s server` or `k3s agent`.

  curl --proto '=https' -sfL PLACE/download/TAG/install.sh | sudo GITHUB_URL=PLACE sh -s - server
  sudo sh FOLDER/install.sh               the folder that `invoke download` made
  sudo K3S_URL=https://SERVER:6443 K3S_TOKEN=… sh install.sh --from artifacts agent
                                          the folder of a build: k3s-<target>, k3s-<target>.json

Ours:       --from, INSTALL_K3S_FROM  an address that has download/<tag>/ below it, or a folder
            ARCH                      the machine to choose for: armv6l, aarch64, x86_64 …
Upstream's: GITHUB_URL, INSTALL_K3S_ARTIFACT_URL (PLACE/download)
            INSTALL_K3S_{VERSION,CHANNEL,CHANNEL_URL,EXEC,NAME,TYPE,SYMLINK,BIN_DIR,SYSTEMD_DIR}
            INSTALL_K3S_{SKIP_DOWNLOAD,SKIP_ENABLE,SKIP_START,FORCE_RESTART,BIN_DIR_READ_ONLY}
            K3S_*, CONTAINERD_* and proxies go to the service; an empty one is taken from it
EOF
}

explained="" work="" doing="reading what was asked for"

# $1: exit code, $2: what failed, $3: the likely cause, $4: the next action. Never in a subshell.
fail() {
    explained=yes
    printf 'error: %s\n' "$2" >&2
    [ -z "$3" ] || printf 'cause: %s\n' "$3" >&2
    printf 'next: %s\n' "$4" >&2
    exit "$1"
}

# The end of every run, $1 its status. The last net: a command that nobody thought could fail.
ended() {
    [ -z "$work" ] || rm -rf "$work"
    case $1 in
    0 | 129 | 130 | 141 | 143) exit "$1" ;;
    esac
    [ -z "$explained" ] || exit "$1"
    fail $command_failed "a command failed (exit code $1) while $doing" "what it said is above" \
        "see to that, then run the same again: nothing that was complete is lost"
}

# Run $3… whose result goes below the folder $1; where it fails, $2 says what could not be done.
attempt() {
    into=$1 what=$2
    shift 2
    "$@" 2>"$work/words" || unwritten "$into" "$what"
}

unwritten() {
    ! is_full "$1" || no_room "$2" "$1"
    fail $not_writable "$2" "$(last_words)" "look at $1 and its rights, then run the same again"
}

no_room() {
    fail $disk_full "no space left in $2: $1" "" "free some, then run the same again"
}

# Whether there is no room in the folder $1, by what was said, by what df says, or because a file can
# be made there and not be filled: wget names another cause of a full disk.
is_full() {
    grep -v '^[<>*{} ]' "$work/words" 2>/dev/null |
        grep -qi -e 'no space left' -e 'quota exceeded' || ! room "$1" 0 || ! takes "$1"
}

takes() {
    can_write "$1" || return 0
    filled=true
    printf '%65536s' ' ' 2>/dev/null >"$1/.k3s-write-test" || filled=false
    rm -f "$1/.k3s-write-test"
    $filled
}

# Whether $2 bytes fit into the folder $1, and a little more.
room() {
    free=$(df -Pk "$1" 2>/dev/null | awk 'NR == 2 { print $4 }')
    case $free in
    '' | *[!0-9]*) return 0 ;;
    esac
    [ "$free" -ge $(($2 / 1024 + 256)) ]
}

last_words() {
    grep . "$work/words" 2>/dev/null | tail -n 1
}

has() {
    command -v "$1" >/dev/null 2>&1
}

# $1 with each $2 in it replaced by $3, in $swapped: no command substitution, which drops line ends.
swap() {
    swapped="" rest=$1
    while :; do
        case $rest in
        *"$2"*) swapped=$swapped${rest%%"$2"*}$3 rest=${rest#*"$2"} ;;
        *) break ;;
        esac
    done
    swapped=$swapped$rest
}

# Each argument as a word of a shell.
quoted() {
    for word; do
        swap "$word" "'" "'\\''"
        printf "'%s' " "$swapped"
    done
}

# ---- what was asked for ----

# The words of INSTALL_K3S_EXEC, quoted. Quotes group as in a shell, nothing expands. Fails for a
# quote that is not closed.
exec_words() {
    awk '
        function add(c) { begun = 1; word = word (c == "\047" ? "\047\\\047\047" : c) }
        function end() { if (begun) printf "\047%s\047 ", word; word = ""; begun = 0 }
        BEGIN {
            text = ENVIRON["INSTALL_K3S_EXEC"]
            for (i = 1; i <= length(text); i++) {
                c = substr(text, i, 1)
                after = substr(text, i + 1, 1)
                if (quote == "" && (c == "\"" || c == "\047")) { quote = c; begun = 1 }
                else if (quote == "" && index(" \t\n", c)) end()
                else if (c == quote) quote = ""
                else if (c == "\\" && after != "" &&
                    (quote == "" || (quote == "\"" && index("\"\\$`", after)))) { add(after); i++ }
                else add(c)
            }
            end()
            exit quote != ""
        }'
}

# Which init system starts services here, and whether it runs: in an image that is being built, in a
# chroot or under WSL none does. An installed one is not a running one.
choose_init() {
    running=true
    if [ -d /run/systemd/system ]; then
        init=systemd
    elif [ -e /run/openrc/softlevel ]; then
        init=openrc
    elif has systemctl && { ! has_openrc || leads_to_systemd; }; then
        init=systemd running=false
    elif has_openrc; then
        init=openrc running=false
    else
        fail $missing_tool "this machine has neither systemd nor OpenRC" "" \
            "copy the executable by hand, and start \`k3s server\` as this machine starts services"
    fi
    units=/etc/init.d
    [ $init = openrc ] || units=${INSTALL_K3S_SYSTEMD_DIR:-/etc/systemd/system}
    for folder in "$units" "${INSTALL_K3S_BIN_DIR:-/}"; do
        case $folder in
        /*) ;;
        *) fail $unknown_name "$folder is no absolute path" "" "give it with a slash at its beginning" ;;
        esac
    done
}

has_openrc() {
    has openrc-run || [ -x /sbin/openrc-run ]
}

leads_to_systemd() {
    case $(readlink /sbin/init 2>/dev/null) in
    *systemd*) return 0 ;;
    esac
    return 1
}

# The services of k3s that are here, one on a line.
services_here() {
    ending=""
    [ $init = openrc ] || ending='\.service'
    # shellcheck disable=SC2012  # names of our own pattern
    ls "$units" 2>/dev/null | sed -n "s/^\(k3s\(-[A-Za-z0-9_.@:-]*\)\{0,1\}\)$ending\$/\1/p"
}

is_here() {
    printf '%s\n' "$there" | grep -qxF -e "$1"
}

start_of() {
    echo "/etc/rancher/k3s/$1.start"
}

environment_of() {
    if [ $init = systemd ]; then
        echo "$units/$1.service.env"
    else
        echo "/etc/rancher/k3s/$1.env"
    fi
}

# The words that a service was installed with, quoted, its command first. In a subshell.
kept_words() {
    # shellcheck disable=SC1090  # ours, see write_start
    . "$1"
    quoted "$@"
}

# The service in $service, its command in $command, and what follows it, quoted, in $words.
choose_command() {
    case ${K3S_URL:-https://} in
    https://*) ;;
    *) fail $unknown_name "K3S_URL is $K3S_URL" "" "give it as https://SERVER:6443" ;;
    esac
    asked=$(exec_words) || fail $unknown_name "INSTALL_K3S_EXEC cannot be read: $INSTALL_K3S_EXEC" \
        "a quote that is not closed" "close it"
    eval "set -- $asked$(quoted "$@")"
    there=$(services_here)
    choose_name
    said=$#
    case ${1:--} in
    -*)
        [ -n "$service" ] || choose_one_that_is_here
        if [ -n "$service" ] && is_here "$service"; then
            # shellcheck disable=SC2119
            take_what_holds
        else
            command=server
            [ -z "${K3S_URL:-}" ] || command=agent
            words=""
        fi
        [ $said = 0 ] || words=$(quoted "$@")
        ;;
    *)
        command=$1
        shift
        words=$(quoted "$@")
        ;;
    esac
    if [ -z "$service" ]; then
        service=k3s
        [ "$command" = server ] || service=k3s-$command
    fi
    case $service in
    *[!A-Za-z0-9_.@:-]*) fail $unknown_name "no service can be called $service" "" \
        "use letters, digits and _ . @ : - in INSTALL_K3S_NAME" ;;
    esac
    [ -z "$there" ] || is_here "$service" ||
        warn "$service comes beside what is installed here: $(echo "$there" | tr '\n' ' ')"
}

# INSTALL_K3S_NAME as upstream means it, or the whole name of a service that is here.
choose_name() {
    service=""
    [ -n "${INSTALL_K3S_NAME:-}" ] || return 0
    service=k3s-$INSTALL_K3S_NAME
    if is_here "$INSTALL_K3S_NAME" && ! is_here "$service"; then
        service=$INSTALL_K3S_NAME
    fi
}

# No command was given: the service that is here goes on, unless K3S_URL asks for an agent.
choose_one_that_is_here() {
    if [ -n "${K3S_URL:-}" ]; then
        if is_here k3s-agent; then
            service=k3s-agent
        elif [ -n "$there" ] && grep -q '^K3S_URL=' "$(environment_of "$there")" 2>/dev/null; then
            service=$there
        fi
        return 0
    fi
    case $there in
    *'
'*) fail $unknown_name "there are several services: $(echo "$there" | tr '\n' ' ')" "" \
        "say which: INSTALL_K3S_NAME=$(echo "$there" | sed 1q), or its command and arguments" ;;
    esac
    service=$there
}

# What the service was told when it was installed.
# shellcheck disable=SC2120  # eval sets the arguments, in subshells
take_what_holds() {
    start=$(start_of "$service")
    if [ -f "$start" ]; then
        words=$(kept_words "$start") || fail $corrupt "$start cannot be read" "it was edited" \
            "remove it, and give command and arguments"
        command=$(eval "set -- $words" && printf '%s' "$1")
        words=$(eval "set -- $words" && shift && quoted "$@")
        return 0
    fi
    words="" command=server
    [ "$service" = k3s ] || command=${service#k3s-}
    [ $said -gt 0 ] || fail $unknown_name "nobody knows what $service is started with" \
        "it was installed by another script" \
        "give its command and arguments, as in: sh -s - $command --flag"
}

choose_files() {
    start=$(start_of "$service") environment=$(environment_of "$service")
    due=/etc/rancher/k3s/$service.due
    unit=$units/$service
    [ $init = openrc ] || unit=$unit.service
}

choose_folder() {
    read_only=${INSTALL_K3S_BIN_DIR_READ_ONLY:-false}
    bin=${INSTALL_K3S_BIN_DIR:-/usr/local/bin}
    if [ -z "${INSTALL_K3S_BIN_DIR:-}" ] && [ "$read_only" != true ] && ! can_write "$bin" &&
        [ -d /opt/bin ]; then
        bin=/opt/bin
    fi
    uninstaller=${UNINSTALL_K3S_SH:-$bin/$service-uninstall.sh}
    killer=${KILLALL_K3S_SH:-$bin/k3s-killall.sh}
    rollback=$bin/k3s-rollback.sh
    [ "$read_only" = true ] || demand_writable "$bin"
    demand_writable "$units"
    demand_writable /etc/rancher/k3s
}

# Whether a file can be made in $1, or in what exists of it: a test for -w is true for root on a disk
# that is read-only.
can_write() {
    existing=$1
    until [ -d "$existing" ]; do
        existing=${existing%/*}
        existing=${existing:-/}
    done
    (: >"$existing/.k3s-write-test") 2>"$work/words" && rm -f "$existing/.k3s-write-test"
}

demand_writable() {
    can_write "$1" && return 0
    ! is_full "$existing" || no_room "$1 cannot be written" "$existing"
    fail $not_writable "$1 cannot be written" \
        "this is user $(id -u), or the disk is mounted read-only: $(last_words)" \
        "run it as root (curl … | sudo GITHUB_URL=… sh -), or choose INSTALL_K3S_BIN_DIR"
}

# What the script works in, and what killed runs left of the same kind.
make_work() {
    temporary=${TMPDIR:-/tmp}
    set +f
    for left in "$temporary"/k3s-install.*.??????; do
        process=${left##*/k3s-install.} process=${process%.*}
        case $process in
        *[!0-9]*) continue ;;
        esac
        if [ -O "$left" ] && [ ! -L "$left" ] && { [ "$process" = $$ ] || ! kill -0 "$process"; }; then
            rm -rf "$left"
        fi
    done 2>/dev/null
    set -f
    work=$(mktemp -d "$temporary/k3s-install.$$.XXXXXX") || {
        work=""
        fail $not_writable "no folder can be made in $temporary" "mktemp said so above" \
            "free space there, or set TMPDIR to a folder that exists and can be written"
    }
    : >"$work/words"
    : >"$work/wgetrc"
}

# The place, an address or a folder, in $place; "" where $flat is a folder of one release or, where
# $built is yes, of builds.
choose_place() {
    flat="" built="" place=${from:-${INSTALL_K3S_FROM:-}}
    if [ -z "$place" ] && [ -n "${INSTALL_K3S_ARTIFACT_URL:-}" ]; then
        place=${INSTALL_K3S_ARTIFACT_URL%/}
        place=${place%/download}
    fi
    place=${place:-${GITHUB_URL:-}}
    [ "$place" = / ] || place=${place%/}
    # From a pipe $0 is the shell's name: a file that is called so in the working folder is nobody's.
    case $0 in
    */* | install.sh)
        here=$(dirname "$0")
        if [ -z "$place" ] && [ -f "$0" ] && { [ -f "$here/release.json" ] || [ -n "$(builds_in "$here")" ]; }; then
            place=$here
        fi
        ;;
    esac
    case $place in
    '') fail $unknown_name "nobody said where from" "" \
        "set GITHUB_URL to the place of the releases, or give --from with that or with a folder" ;;
    https://*) ;;
    http://*) warn "$place is plain http: whoever is on the way can change what comes" ;;
    *://*) fail $unknown_name "nothing can be received from $place" "" \
        "give an address that begins with https://, or a folder" ;;
    *)
        [ -d "$place" ] || fail $unknown_name "there is no folder $place" "" "look at its name"
        if [ -f "$place/release.json" ]; then
            flat=$place place=""
        elif [ -n "$(builds_in "$place")" ]; then
            flat=$place place="" built=yes
        fi
        ;;
    esac
    case $place$flat in
    http*://*) has curl || has wget ||
        fail $missing_tool "there is neither curl nor wget" "" "install one of them" ;;
    esac
    for tool in awk df od sed sha256sum; do
        has $tool || fail $missing_tool "there is no $tool" "" "install it"
    done
}

# The targets whose executable and record lie in the folder $1, one on a line.
builds_in() {
    # shellcheck disable=SC2012  # names of our own pattern
    ls "$1" | sed -n 's/^k3s-\([a-z0-9]*\)\.json$/\1/p' | while read -r one; do
        [ ! -f "$1/k3s-$one" ] || echo "$one"
    done
}

# ---- receiving ----

size_of() {
    if [ -f "$1" ]; then wc -c <"$1" | tr -d ' '; else echo 0; fi
}

sha256_of() {
    sha256sum <"$1" | sed 's/ .*//'
}

# Whether $1 begins as a web page does.
is_page() {
    head -c 512 "$1" 2>/dev/null | tr '[:upper:]' '[:lower:]' | grep -q -e '<html' -e '<!doctype'
}

# Receive what lies at $1 behind what the file $2 holds: $tool, its exit code in $status, what it said
# and the headers that came in $work/words; $written is no where the file could not be written.
# Nobody's own settings count (~/.curlrc, ~/.wgetrc); proxies of the environment do.
transfer() {
    : >"$work/words"
    status=0 written=yes onward='=https'
    case $1 in
    https://*) ;;
    http://*) onward='=http,https' ;;
    *)
        tool=cp onward=""
        cp "$1" "$2" 2>"$work/words" || status=$?
        return 0
        ;;
    esac
    if has curl; then
        tool=curl
        rm -f "$work/status"
        # Through a pipe: a curl that is confined (snap) may not write to folders of ours.
        {
            curl -q -fsSLv --proto-redir "$onward" --connect-timeout 20 --speed-limit 1 \
                --speed-time 60 -C "$(size_of "$2")" "$1" 2>"$work/words" || status=$?
            echo $status >"$work/status"
        } | { cat >>"$2"; } 2>"$work/cat" || written=no
        status=$(cat "$work/status" 2>/dev/null) || status=23
        [ $written = yes ] || cp "$work/cat" "$work/words"
    elif wget --version 2>/dev/null | grep -q GNU; then
        tool=wget
        WGETRC=$work/wgetrc wget -c -S --tries=1 --timeout=60 -O "$2" "$1" 2>"$work/words" || status=$?
    else
        tool=busybox
        wget -c -S -T 60 -O "$2" "$1" 2>"$work/words" || status=$?
    fi
}

# The headers that came, of proxies and redirects too: curl shows them behind "< ", wget indented.
heads() {
    tr -d '\r' <"$work/words" | sed -n -e 's/^[< ] *//p' -e 's/^wget: server returned error: //p'
}

# The last header of the name $1, in lower case.
header() {
    heads | awk -v name="$1:" 'tolower($1) == name { $1 = ""; print substr($0, 2) }' | tail -n 1
}

# What the tool itself said was wrong.
why() {
    case $tool in
    curl) sed -n 's/^curl: //p' "$work/words" | sed 1q ;;
    wget)
        # What is wrong with a certificate stands on the line below, indented.
        sed -n -e '/^To connect/d' -e '/^Loaded/d' -e 's/^ *\(.*[Cc]ertificate.*\)/\1/p' \
            -e 's/^ *\(.*issuer.*\)/\1/p' "$work/words" | tr '\n' ' ' | grep . ||
            grep -v '^ ' "$work/words" | sed -e '/^-*[0-9][0-9-]* [0-9:]* *-*  *http/d' \
                -e '/^Giving up/d' | grep -i -e error -e fail -e unable -e refused -e 'timed out' \
                -e cannot -e unsupported -e invalid -e unrecognized | tail -n 1 | grep . || last_words
        ;;
    *) last_words ;;
    esac
}

says() {
    grep -q "$@" "$work/words"
}

# What became of the transfer, in $outcome; $http is the last status that a server or proxy answered.
judge() {
    http=$(heads | sed -n 's/^HTTP\/[0-9.]* \([0-9][0-9][0-9]\).*/\1/p' | tail -n 1)
    if says -e 'certificate validation not implemented'; then
        outcome=unverified
    elif [ "$onward" = '=https' ] && heads | grep -qi '^location: *http://'; then
        outcome=redirected
    elif [ $written = no ]; then
        outcome=unwritten
    elif [ "$status" = 0 ]; then
        outcome=right
    elif says -i 'proxy tunneling failed: proxy auth'; then
        outcome=407
    else
        case $http in
        408 | 425 | 429 | 5??) outcome=busy ;;
        4??) outcome=$http ;;
        *) outcome=$(judge_$tool "$status") ;;
        esac
    fi
}

judge_cp() {
    if says 'No such file'; then echo 404; else echo unwritten; fi
}

# By the exit codes of curl(1). What only other protocols have stays `other`, in curl's own words.
judge_curl() {
    case $1 in
    1 | 2 | 4 | 41 | 43 | 45 | 48 | 53 | 54 | 58 | 59 | 64 | 66 | 98 | 126 | 127) echo unfit ;;
    3) echo address ;;
    5) echo proxy_name ;;
    6) echo name ;;
    7) echo nobody ;;
    8 | 16 | 18 | 28 | 52 | 55 | 56 | 61 | 80 | 81 | 89 | 92 | 95 | 96 | 99) echo broken ;;
    22) echo answer ;;
    23) echo unwritten ;;
    27) echo memory ;;
    33 | 36) echo 416 ;;
    35) echo handshake ;;
    47) echo circle ;;
    51 | 60 | 83 | 90 | 91) echo trust ;;
    67 | 94) echo 401 ;;
    77 | 82) echo authorities ;;
    97) echo proxy ;;
    *) if [ "$1" -gt 128 ]; then echo ended; else echo other; fi ;;
    esac
}

# By the exit codes of GNU wget (its manual, Exit Status).
judge_wget() {
    case $1 in
    2 | 126 | 127) echo unfit ;;
    3) echo unwritten ;;
    4)
        if says 'unable to resolve'; then
            echo name
        elif says -e '[Cc]onnecting to .* failed' -e '^failed: '; then
            echo nobody
        else
            echo broken
        fi
        ;;
    5) echo trust ;;
    6) echo 401 ;;
    7) echo broken ;;
    8) echo answer ;;
    *) if [ "$1" -gt 128 ]; then echo ended; else echo other; fi ;;
    esac
}

# busybox's wget has one exit code.
judge_busybox() {
    if [ "$1" -gt 128 ]; then
        echo ended
    elif says -e 'bad address'; then
        echo name
    elif says -e "can't connect"; then
        echo nobody
    elif says -i -e 'no space left' -e 'write error' -e "can't open" -e "can't create"; then
        echo unwritten
    elif says -i -e 'closed' -e 'short read' -e 'timed out' -e 'error getting response' -e 'reset'; then
        echo broken
    elif says -i -e 'tls' -e 'ssl'; then
        echo handshake
    elif says -e 'too many redirections'; then
        echo circle
    elif says -e 'invalid option' -e 'unrecognized option' -e 'not an http'; then
        echo unfit
    else
        echo other
    fi
}

# Whether another try may help.
may_come() {
    case $outcome in
    broken | busy | name | proxy_name | nobody | handshake) return 0 ;;
    esac
    return 1
}

# Wait $1 seconds, or as long as the server says (Retry-After). Fails where that is too long.
pause() {
    seconds=$1
    later=$(header retry-after)
    case $later in
    '' | *[!0-9]*) ;;
    ?????*) return 1 ;;
    *)
        [ "$later" -le 120 ] || return 1
        [ "$later" -le "$seconds" ] || seconds=$later
        ;;
    esac
    [ "$seconds" = 0 ] || sleep "$seconds"
}

# Say why nothing came from $1, and end; $2 is the folder that it was for.
explain() {
    cause=$(why) || cause=""
    again="run the same again: it goes on where it stopped"
    whose="the server"
    # What was asked last, as curl shows it.
    case $(sed -n 's/^> \([A-Z]*\) .* HTTP\/.*/\1/p' "$work/words" | tail -n 1) in
    CONNECT) whose="the proxy" ;;
    esac
    case $outcome in
    unverified) fail $missing_tool "this wget does not check who it talks to" \
        "it cannot verify certificates" "install curl, or receive the files elsewhere" ;;
    redirected) fail $fetch_failed "$1 redirects to plain http" \
        "the server, or somebody on the way, leads away from https" "use another place" ;;
    unwritten)
        ! is_full "$2" || no_room "$1 does not fit" "$2"
        fail $not_writable "$tool cannot write into $2 what comes from $1" \
            "${cause:-$(last_words)}; there is room, so it is confined (a snap?) or has no rights" \
            "install the $tool of this system's own packages, or run as root"
        ;;
    404 | 410) fail $fetch_failed "there is no $1" "${cause:-$(last_words)}" \
        "look at the version and the place; --from, GITHUB_URL or INSTALL_K3S_ARTIFACT_URL" ;;
    401) fail $fetch_failed "$1 is for those who log in (401)" "$cause" \
        "use a place that everybody may read, or receive the files elsewhere and give their folder" ;;
    407) fail $fetch_failed "the proxy wants a login before it asks for $1 (407)" "$cause" \
        "give it in https_proxy and http_proxy: http://NAME:PASSWORD@HOST:PORT" ;;
    busy) explain_busy "$1" ;;
    name) fail $fetch_failed "nobody knows the name of the server of $1" "$cause" \
        "look at the address, and at this machine's network and DNS" ;;
    proxy_name) fail $fetch_failed "nobody knows the name of the proxy for $1" "$cause" \
        "look at https_proxy and http_proxy" ;;
    proxy) fail $fetch_failed "the proxy does not let us through to $1" "$cause" \
        "look at https_proxy, http_proxy and all_proxy" ;;
    nobody) fail $fetch_failed "nobody answers at $1" "$cause" \
        "look at the address, the network, firewalls and proxies, then run the same again" ;;
    handshake) fail $fetch_failed "no encrypted connection comes about to $1" "$cause" \
        "look whether a proxy or portal stands between, and at the clock: it says $(date)" ;;
    trust | authorities) explain_trust "$1" ;;
    circle) fail $fetch_failed "$1 redirects in a circle" "$cause" "use another place" ;;
    address) fail $unknown_name "$1 is no address" "$cause" "look at how it is written" ;;
    memory) fail $fetch_failed "$tool has not enough memory to receive $1" "$cause" \
        "stop other programs, then $again" ;;
    ended) fail $fetch_failed "$tool was ended by signal $((status - 128)) while receiving $1" \
        "somebody did it, or the kernel for want of memory (dmesg says so)" "$again" ;;
    unfit) fail $missing_tool "this $tool is not fit to receive $1 (exit code $status)" "$cause" \
        "install a newer $tool of this system's own packages, or the other of curl and wget" ;;
    broken) fail $fetch_failed "the connection broke while receiving $1" "$cause" "$again" ;;
    [0-9]* | answer) fail $fetch_failed "$whose refuses $1 (${http:-$tool names no status})" "$cause" \
        "ask whose it is; a filter, a limit or a private place answers so; or use another place" ;;
    *) fail $fetch_failed "$tool failed while receiving $1 (exit code $status)" "$cause" \
        "see to what it says, or use another place" ;;
    esac
}

explain_busy() {
    later=$(header retry-after)
    case $later in
    '') later="run the same again later: it goes on where it stopped" ;;
    *[!0-9]*) later="run the same again after $later" ;;
    *) later="run the same again in $later seconds" ;;
    esac
    if [ "$http" = 429 ]; then
        fail $fetch_failed "$whose takes no more requests for now (429): $1" "$cause" "$later"
    fi
    fail $fetch_failed "$whose fails to give $1 ($http)" "$cause" "$later"
}

explain_trust() {
    clock="this machine's clock says $(date)"
    own="for an authority of your own, or a proxy that signs, name its certificate: CURL_CA_BUNDLE for"
    own="$own curl, ca_certificate in /etc/wgetrc for wget"
    case $outcome$cause in
    authorities*) next="install this system's ca-certificates; $own" ;;
    *'not yet valid'* | *'not yet'*activated*) next="set the clock: $clock" ;;
    *expired*) next="set the clock if it is wrong, else use another place: $clock" ;;
    *) next="install this system's ca-certificates; $own; $clock" ;;
    esac
    fail $fetch_failed "no trust in who answers at $1" "$cause" "$next"
}

# Receive a small file: $1 address, $2 file.
get() {
    for wait in 2 4 0; do
        rm -f "$2"
        transfer "$1" "$2"
        judge
        if ! may_come || [ "$wait" = 0 ] || ! pause "$wait"; then break; fi
    done
    [ "$outcome" = right ] || explain "$1" "$work"
    # A tool that received nothing may have made no file.
    : >>"$2"
    if is_page "$2"; then
        fail $fetch_failed "$1 is a web page" \
            "a portal that wants a login, or a place of another kind" "open it in a browser and look"
    fi
}

# Receive a file: $1 address, $2 file, $3 size in bytes, $4 sha256. What came before the connection
# broke is kept, for this and the next run: the name of the file says which content it is a part of.
bring() {
    into=$(dirname "$2")
    for wait in 2 4 6 0; do
        had=$(size_of "$2")
        if [ "$had" -gt "$3" ]; then
            rm -f "$2"
            had=0
        fi
        outcome=right
        if [ "$had" -lt "$3" ]; then
            room "$into" $(($3 - had)) || no_room "$1 does not fit" "$into"
            transfer "$1" "$2"
            judge
            case $outcome in
            right) ;;
            416)
                rm -f "$2"
                continue
                ;;
            unwritten | redirected | unverified)
                # A part that fills the disk, or that nobody vouches for, helps nobody.
                ! is_full "$into" || [ "$outcome" != unwritten ] || outcome=full
                rm -f "$2"
                [ "$outcome" != full ] || no_room "$1 does not fit" "$into"
                explain "$1" "$into"
                ;;
            *) may_come || explain "$1" "$into" ;;
            esac
        fi
        if [ "$(size_of "$2")" = "$3" ] && [ "$(sha256_of "$2")" = "$4" ]; then
            return 0
        fi
        if [ "$outcome" != right ] && [ "$(size_of "$2")" -lt "$3" ]; then
            if [ "$wait" != 0 ] && pause "$wait"; then continue; fi
            break
        fi
        mismatch "$1" "$2" "$3" "$4"
        # What was there before may have been wrong: once more, from the beginning.
        rm -f "$2"
        outcome=right
        [ "$had" -gt 0 ] || explain_mismatch
    done
    [ "$outcome" = right ] || explain "$1" "$into"
    explain_mismatch
}

# Put into words how the file $2 is not what the release says; for `explain_mismatch`.
mismatch() {
    wrong="$1 is not what the release says" why="it changed at its origin or on the way"
    if is_page "$2"; then
        wrong="$1 is a web page" why="a portal that wants a login, or a place of another kind"
    elif [ "$(size_of "$2")" != "$3" ]; then
        wrong="$wrong: $(size_of "$2") bytes came, $3 are right"
    else
        wrong="$wrong: it has the sha256 $(sha256_of "$2"), $4 is right"
    fi
}

explain_mismatch() {
    fail $corrupt "$wrong" "$why" "run the same again; if it stays, use another place"
}

# ---- the release ----

# JSON as lines: path, tab, value. Fails for what is not JSON as a whole.
flattened() {
    awk '
        function path(    i, text) {
            for (i = 1; i <= depth; i++) text = text (i > 1 ? "/" : "") name[i]
            return text
        }
        {
            line = $0
            while (match(line, /"([^"\\]|\\.)*"|[][{}:,]|[^][{}:," \t\r]+/)) {
                token = substr(line, RSTART, RLENGTH)
                line = substr(line, RSTART + RLENGTH)
                if (!begun++ && token != "{") exit
                if (token == "{" || token == "[") {
                    kind[++depth] = token
                    name[depth] = token == "[" ? 0 : ""
                    key = token == "{"
                } else if (token == "}" || token == "]") {
                    depth--
                    key = 0
                } else if (token == ":") {
                    key = 0
                } else if (token == ",") {
                    key = kind[depth] == "{"
                    if (!key) name[depth]++
                } else {
                    gsub(/^"|"$/, "", token)
                    if (key) name[depth] = token
                    else print path() "\t" token
                }
            }
        }
        END { exit !(begun > 1 && depth == 0) }' "$1"
}

# The value at the path $1 of the release's record; nothing where there is none.
value() {
    awk -F '\t' -v path="$1" '$1 == path { print $2; exit }' "$work/record"
}

# The first lines of tab-separated paths that match the pattern $1, with their values.
values() {
    awk -F '\t' -v pattern="$1" '$1 ~ pattern { print $1 "\t" $2 }' "$work/record"
}

choose_version() {
    tag=${INSTALL_K3S_VERSION:-}
    for other in "${INSTALL_K3S_COMMIT:-}" "${INSTALL_K3S_PR:-}"; do
        [ -z "$other" ] || fail $unknown_name "there are no builds of a commit or a pull request" "" \
            "unset INSTALL_K3S_COMMIT and INSTALL_K3S_PR; INSTALL_K3S_VERSION names a release"
    done
    [ -z "$flat" ] || return 0
    [ -n "$tag" ] || tag_of_channel "${INSTALL_K3S_CHANNEL:-stable}"
    case $tag in
    '' | *[!A-Za-z0-9.+-]*) fail $unknown_name "$tag is no version" "" \
        "give one as v1.35.0+k3s-04e8f1b5.1, or a channel: INSTALL_K3S_CHANNEL=latest" ;;
    esac
    flat=$place/download/$tag
    # On S3 a bare plus is a space.
    case $place in
    http*://*) flat=$place/download/$(printf '%s' "$tag" | sed 's/+/%2B/g') ;;
    esac
}

tag_of_channel() {
    if [ -n "${INSTALL_K3S_CHANNEL_URL:-}" ]; then
        redirected_to "${INSTALL_K3S_CHANNEL_URL%/}/$1"
        return
    fi
    get "$place/latest/download/channels.json" "$work/channels.json"
    flattened "$work/channels.json" >"$work/channels" ||
        fail $corrupt "the channels file of $place cannot be read" "it came in part" "run the same again"
    tag=$(awk -F '\t' -v wanted="$1" '
        $1 ~ /\/name$/ { name = $2 }
        $1 ~ /\/latest$/ && name == wanted { print $2; exit }' "$work/channels")
    known=$(awk -F '\t' '$1 ~ /\/name$/ { printf "%s%s", sep, $2; sep = ", " }' "$work/channels")
    [ -n "$tag" ] || fail $unknown_name "$place has no channel $1" "" \
        "it has: $known; or give INSTALL_K3S_VERSION"
}

# As upstream's channel server answers: the last part of the address that it redirects to.
redirected_to() {
    rm -f "$work/page"
    transfer "$1" "$work/page"
    judge
    tag=$(header location)
    tag=$(printf '%s' "${tag##*/}" | sed 's/%2[Bb]/+/g')
    case $outcome:$tag in
    redirected:* | unverified:*) explain "$1" "$work" ;;
    *:v[0-9]*) return 0 ;;
    right:*) fail $unknown_name "$1 redirects to no version" "" "give INSTALL_K3S_VERSION" ;;
    esac
    explain "$1" "$work"
}

# Receive the sums and the record of the release, and hold them together: the record names every file
# that is summed but itself.
read_release() {
    get "$flat/sha256sums.txt" "$work/sums"
    get "$flat/release.json" "$work/release.json"
    flattened "$work/release.json" >"$work/record" || not_whole release.json "it is not JSON to its end"
    if [ ! -s "$work/sums" ] || [ -n "$(tail -c 1 "$work/sums" | tr -d '\n')" ] ||
        grep -qv '^[0-9a-f]\{64\}  [^/ ][^/ ]*$' "$work/sums"; then
        not_whole sha256sums.txt "it came in part, or is no list of sums"
    fi
    listed=$(values '^files/[^/]*/sha256$' | wc -l)
    [ "$(wc -l <"$work/sums")" -eq $((listed + 1)) ] ||
        not_whole sha256sums.txt "it does not name the files that release.json names"
    [ "$(sha256_of "$work/release.json")" = "$(sum_of release.json)" ] ||
        not_whole release.json "its sha256 is not the one in sha256sums.txt"
    [ "${tag:-$(value tag)}" = "$(value tag)" ] || fail $unknown_name \
        "$flat is $(value tag), not $tag" "" "leave out INSTALL_K3S_VERSION, or use another place"
    tag=$(value tag)
}

# A record and sums as of a release, from k3s-<target>.json of each build in the folder.
read_builds() {
    tag="the build in $flat"
    : >"$work/record"
    : >"$work/sums"
    for one in $(builds_in "$flat"); do
        flattened "$flat/k3s-$one.json" >"$work/build" ||
            not_whole "k3s-$one.json" "it is not JSON to its end"
        awk -F '\t' -v target="$one" -v uname="$(uname_of "$one")" '
            function say(path, text) { print path "\t" text }
            $1 == "version" { say("targets/" target "/version", $2) }
            $1 == "sha256" { say("targets/" target "/sha256", $2) }
            $1 ~ /^files\/[^\/]*\/(size|sha256)$/ { say($1, $2) }
            END {
                say("targets/" target "/uname/0", uname)
                say("targets/" target "/executable", "k3s-" target)
                platform = target
                if (target ~ /^armv/) platform = "arm/" substr(target, 4)
                say("targets/" target "/platform", "linux/" platform)
            }' "$work/build" >>"$work/record"
        awk -F '[/\t]' '$1 == "files" && $3 == "sha256" { print $4 "  " $2 }' "$work/build" >>"$work/sums"
    done
}

# What `uname -m` says on machines of a target of ours.
uname_of() {
    case $1 in
    armv6 | armv7) echo "$1l" ;;
    arm64) echo aarch64 ;;
    amd64) echo x86_64 ;;
    386) echo i686 ;;
    *) echo "$1" ;;
    esac
}

not_whole() {
    fail $corrupt "$flat/$1 is not whole: $2" "it came in part, or changed on the way" \
        "run the same again; if it stays, use another place"
}

sum_of() {
    awk -v name="$1" '$2 == name { print $1 }' "$work/sums"
}

# ---- the machine ----

# 32 or 64: for what the programs of this system are made, whatever its kernel is.
userland_bits() {
    bits=$(getconf LONG_BIT 2>/dev/null) || bits=""
    if [ -z "$bits" ]; then
        # The class in the ELF header of the program that reads it.
        case $(od -An -tu1 -j4 -N1 /proc/self/exe 2>/dev/null | tr -d ' ') in
        1) bits=32 ;;
        *) bits=64 ;;
        esac
    fi
    echo "$bits"
}

# Whether the CPU says that it has the feature $1; also where it says nothing about features.
cpu_has() {
    features=$(sed -n 's/^Features[^:]*://p' /proc/cpuinfo 2>/dev/null | sed 1q)
    case " $features " in
    '  ' | *" $1 "*) return 0 ;;
    esac
    return 1
}

# What `uname -m` says on the machines whose executables run here, the best first. A kernel of 64 bits
# also runs what is made for it, but a system of 32 bits wants pods and tools of its own kind.
suitable() {
    if [ -n "${ARCH:-}" ]; then
        suitable_by_word
        return
    fi
    case $machine in
    arm64 | aarch64)
        [ "$(userland_bits)" = 64 ] || echo armv7l armv6l
        echo aarch64
        ;;
    amd64 | x86_64)
        [ "$(userland_bits)" = 64 ] || echo i686
        echo x86_64
        ;;
    i?86) echo i686 ;;
    armv8l) echo armv7l armv6l ;;
    armv7*)
        # With a lesser floating-point unit than that of the Cortex-A it is an ARMv6 to us.
        if cpu_has vfpv3; then echo armv7l; fi
        if cpu_has vfp; then echo armv6l; fi
        ;;
    armv6l) if cpu_has vfp; then echo armv6l; fi ;;
    *) echo "$machine" ;;
    esac
}

# ARCH is believed, whatever this machine is: a word of uname, of upstream's script (its `arm` is
# armhf, which is ARMv7), or the name of a target. What runs on ARMv6 runs on ARMv7.
suitable_by_word() {
    case $ARCH in
    arm64 | aarch64) echo aarch64 ;;
    amd64 | x86_64) echo x86_64 ;;
    i?86 | 386) echo i686 ;;
    arm | armhf | armv7* | armv8l) echo armv7l armv6l ;;
    armv6*) echo armv6l ;;
    *) echo "$ARCH" ;;
    esac
}

choose_target() {
    machine=${ARCH:-$(uname -m)} target=""
    for one in $(suitable); do
        target=$(values '^targets/[^/]*/uname/' |
            awk -F '[/\t]' -v one="$one" '$5 == one { print $2; exit }')
        [ -z "$target" ] || break
    done
    if [ -z "$target" ]; then
        there=$(values '^targets/[^/]*/uname/' |
            awk -F '[/\t]' '{ printf "%s%s for %s", sep, $2, $5; sep = ", " }')
        fail $wrong_machine "no k3s of $tag runs on this machine: $machine" \
            "its CPU is older than any that it was made for, or of another kind; there is: $there" \
            "build it for that: \`invoke build --arch …\`"
    fi
    name=$(value "targets/$target/executable")
    size=$(value "files/$name/size")
    sum=$(value "files/$name/sha256")
    if [ -z "$size" ] || [ "$sum" != "$(sum_of "$name")" ] ||
        [ "$sum" != "$(value "targets/$target/sha256")" ]; then
        fail $corrupt "release.json and sha256sums.txt of $tag disagree on $name" \
            "the release was not made as a whole" "use another version"
    fi
    version=$(value k3s)
    [ -z "$built" ] || choose_build
}

choose_build() {
    version=$(value "targets/$target/version")
    [ "${INSTALL_K3S_VERSION:-$version}" = "$version" ] || fail $unknown_name \
        "$flat/$name is $version, not $INSTALL_K3S_VERSION" "" "leave out INSTALL_K3S_VERSION"
    tag=$version
}

# The number in ELF headers (e_machine) of an image platform.
elf_number() {
    case $1 in
    linux/386) echo 3 ;;
    linux/ppc64le) echo 21 ;;
    linux/s390x) echo 22 ;;
    linux/arm/*) echo 40 ;;
    linux/amd64) echo 62 ;;
    linux/arm64*) echo 183 ;;
    linux/riscv64) echo 243 ;;
    esac
}

# Demand that $1 is a program for this machine and that it starts.
try_executable() {
    # Either byte order: none of the numbers needs two bytes.
    header=$(od -An -tu1 -N20 "$1" | tr '\n' ' ' | awk '{ print $1, $2, $3, $4, $19 + $20 }')
    wanted=$(elf_number "$(value "targets/$target/platform")")
    if [ "$header" != "127 69 76 70 ${wanted:-0}" ]; then
        rm -f "$1"
        fail $wrong_machine "$name of $tag is no program for $target" \
            "the machine in its ELF header is ${header##* }, and ${wanted:-none} is right" \
            "use another version, and tell those who made this one"
    fi
    attempt "$bin" "$1 cannot be made executable" chmod 755 "$1"
    status=0
    said=$("$1" --version 2>&1 </dev/null) || status=$?
    case "$status $said" in
    "0 "*"k3s version $version "*) ;;
    *)
        rm -f "$1"
        fail $wrong_machine "$name of $tag does not start here (exit code $status)" \
            "$(printf '%s' "${said:-it said nothing}" | tr -c ' -~\n' '?' | tail -n 1)" \
            "look at the cause; $bin/k3s is as it was"
        ;;
    esac
}

# ---- where its data are ----

# The data directory in $data and the folder of images in $images, as the executable $1 says them for
# the service: it knows flags, configuration, environment and links as a start does.
ask_paths() {
    if ! can_say_paths "$1"; then
        guess_paths "$1"
        return 0
    fi
    status=0
    (
        program=$1
        cd /
        set -a
        # shellcheck disable=SC1091
        . "$work/environment"
        eval "set -- $(quoted "$command") $words"
        exec "$program" --show-paths "$@"
    ) >"$work/paths" 2>"$work/words" </dev/null || status=$?
    data=$(awk -F '\t' '$1 == "data-dir" { print $2 }' "$work/paths")
    images=$(awk -F '\t' '$1 == "images-dir" { print $2 }' "$work/paths")
    if [ $status != 0 ] || [ -z "$data" ] || [ -z "$images" ]; then
        fail $unknown_name "k3s cannot tell where $service keeps its data (exit code $status)" \
            "$(last_words)" "see to that first; $bin/k3s is as it was"
    fi
}

# The launcher lies at the beginning of the file. One that does not know the flag would unpack itself.
can_say_paths() {
    [ "$(head -c 4194304 "$1" | grep -c -e show-paths)" != 0 ]
}

# Of an older executable: the flag, the variable, the default.
guess_paths() {
    # shellcheck disable=SC1091
    data=$(. "$work/environment" >/dev/null 2>&1 && printf '%s' "${K3S_DATA_DIR:-}") || data=""
    data=${data:-/var/lib/rancher/k3s}
    flag=$(eval "set -- $words" && data_flag "$@")
    data=${flag:-$data} images=${flag:-$data}/agent/images
    warn "this k3s cannot say where its data are; by flag and variable they are in $data"
}

data_flag() {
    while [ $# -gt 0 ]; do
        case $1 in
        --data-dir=* | -d=*) printf '%s' "${1#*=}" ;;
        --data-dir | -d) printf '%s' "${2-}" ;;
        *) shift && continue ;;
        esac
        return 0
    done
}

# ---- changing the machine ----

changed=false

# What the service is started from is about to change. The mark outlives a run that is killed, or whose
# start failed, and the next one restarts the service.
change() {
    changed=true
    attempt /etc/rancher/k3s "/etc/rancher/k3s cannot be made" mkdir -p /etc/rancher/k3s
    attempt /etc/rancher/k3s "$due cannot be written" touch "$due"
}

install_executable() {
    case ${INSTALL_K3S_SKIP_DOWNLOAD:-} in
    true | binary) skipped=true ;;
    *) skipped=$read_only ;;
    esac
    if [ "$skipped" = true ]; then
        [ -x "$bin/k3s" ] || fail $fetch_failed "there is no $bin/k3s" \
            "nothing was to be downloaded" "put it there, or unset INSTALL_K3S_SKIP_DOWNLOAD"
        say "$bin/k3s stays as it is"
        ask_paths "$bin/k3s"
        return
    fi
    choose_place
    choose_version
    if [ -n "$built" ]; then read_builds; else read_release; fi
    choose_target
    say "$tag for $target, from $flat"
    attempt "$bin" "$bin cannot be made" mkdir -p "$bin"
    if [ -f "$bin/k3s" ] && [ "$(sha256_of "$bin/k3s")" = "$sum" ]; then
        say "$bin/k3s is that already"
        ask_paths "$bin/k3s"
        place_images
        sweep
        return
    fi
    part=$bin/.k3s-$(printf '%.16s' "$sum").part
    bring "$flat/$name" "$part" "$size" "$sum"
    doing="trying the executable"
    try_executable "$part"
    ask_paths "$part"
    place_images
    doing="installing the executable"
    replace "$part"
    sweep
}

# Images that lie beside the executable in a folder: a machine without a network needs them all.
place_images() {
    archive=k3s-airgap-images-$target.tar.zst
    [ -f "$flat/$archive" ] || return 0
    right=$(sum_of "$archive")
    if [ -z "$right" ] || { [ -n "$built" ] && [ "$(sha256_of "$flat/$archive")" != "$right" ]; }; then
        warn "$flat/$archive is not of this k3s: it is left out"
        return 0
    fi
    make_images_folder
    if [ -f "$images/$archive" ] && [ "$(sha256_of "$images/$archive")" = "$right" ]; then
        rm -f "$images/.$archive.part"
        return 0
    fi
    bring "$flat/$archive" "$images/.$archive.part" "$(value "files/$archive/size")" "$right"
    attempt "$images" "$images/$archive cannot be written" \
        mv -f "$images/.$archive.part" "$images/$archive"
    say "images are in $images"
}

# k3s makes agent/ for its user alone, and so must we: registries' passwords will be in it.
make_images_folder() {
    attempt "$(dirname "$data")" "$data cannot be made" mkdir -p "$data"
    for folder in "$data/agent" "$images"; do
        [ -d "$folder" ] || attempt "$data" "$folder cannot be made" mkdir -m 700 "$folder"
    done
}

# Make $1 the executable; the one before becomes k3s-previous. At no moment there is none.
replace() {
    sync || true
    change
    if [ -f "$bin/k3s" ]; then
        rm -f "$bin/.k3s-previous"
        ln "$bin/k3s" "$bin/.k3s-previous" 2>/dev/null ||
            attempt "$bin" "$bin/k3s cannot be kept for a rollback" cp -p "$bin/k3s" "$bin/.k3s-previous"
        attempt "$bin" "$bin/k3s-previous cannot be written" \
            mv -f "$bin/.k3s-previous" "$bin/k3s-previous"
        say "the one before is $bin/k3s-previous; $rollback takes it back"
    fi
    attempt "$bin" "$bin/k3s cannot be replaced" mv -f "$1" "$bin/k3s"
    sync || true
    say "$bin/k3s is $tag"
}

# What runs that were killed have left. A rename between two names of one file leaves both.
sweep() {
    set +f
    rm -f "$bin"/.k3s-*.part "$bin/.k3s-previous"
    set -f
}

make_links() {
    [ "${INSTALL_K3S_SYMLINK:-}" != skip ] && [ "$read_only" != true ] || return 0
    for link in kubectl crictl ctr; do
        if [ "${INSTALL_K3S_SYMLINK:-}" = force ]; then
            attempt "$bin" "$bin/$link cannot be made" ln -sf k3s "$bin/$link"
        elif [ ! -e "$bin/$link" ] && [ ! -L "$bin/$link" ] && ! has $link; then
            attempt "$bin" "$bin/$link cannot be made" ln -s k3s "$bin/$link"
        fi
    done
}

is_same() {
    [ -f "$2" ] && [ "$(sha256_of "$1")" = "$(sha256_of "$2")" ]
}

# Make the content of $1 that of $2, with the mode $3, by a rename, unless it is that already.
write() {
    if is_same "$1" "$2"; then
        rm -f "$2.new"
        attempt "$(dirname "$2")" "$2 cannot be given its mode" chmod "$3" "$2"
        return 0
    fi
    (umask 077 && mkdir -p "$(dirname "$2")" && cp "$1" "$2.new" && chmod "$3" "$2.new" &&
        mv -f "$2.new" "$2") 2>"$work/words" || {
        rm -f "$2.new"
        unwritten "$(dirname "$2")" "$2 cannot be written"
    }
}

# As `write`, of what the service is started from.
write_of_service() {
    is_same "$1" "$2" || change
    write "$@"
}

# The environment of the service, one NAME="value" after the other, as systemd and sh read it: what it
# was told before, and each variable of ours that is given now in its place. A given one that is empty
# goes. $work/names has the names, $work/refused those of values that no such file can hold.
merge_environment() {
    before=$environment
    [ -f "$before" ] || before=/dev/null
    : >"$work/names"
    awk -v names="$work/names" -v refused="$work/refused" '
        function ours(name) {
            return name ~ /^(K3S|CONTAINERD)_[A-Za-z0-9_]+$/ || tolower(name) ~ /^(no|https?)_proxy$/
        }
        function line(name,    text, out, i, c) {
            text = ENVIRON[name]
            for (i = 1; i <= length(text); i++) {
                c = substr(text, i, 1)
                if (index(control, c)) print name >refused
                out = out (index("\\\"`$", c) ? "\\" : "") c
            }
            return name "=\"" out "\""
        }
        function put(name) {
            if (ENVIRON[name] != "" && !(name in done)) { print line(name); print name >names }
            done[name] = 1
        }
        function flush() {
            if (name in given) put(name)
            else { printf "%s", entry; print name >names }
            entry = ""
        }
        # Whether the entry goes on in the next line.
        function open(text,    i, c) {
            for (i = 1; i <= length(text); i++) {
                c = substr(text, i, 1)
                if (c == "\\" && quote != "\047") { if (++i > length(text)) return 1 }
                else if (quote != "") { if (c == quote) quote = "" }
                else if (c == "\"" || c == "\047") quote = c
            }
            return quote != ""
        }
        BEGIN {
            for (i = 1; i < 32; i++) if (i != 9 && i != 10) control = control sprintf("%c", i)
            control = control sprintf("%c", 127)
            for (name in ENVIRON) if (ours(name)) given[name] = 1
        }
        entry == "" && !/^[ \t]*(export[ \t]+)?[A-Za-z_][A-Za-z0-9_]*=/ { print; next }
        {
            text = $0
            if (entry == "") {
                sub(/^[ \t]*(export[ \t]+)?/, "", text)
                name = substr(text, 1, index(text, "=") - 1)
                text = substr(text, index(text, "=") + 1)
                quote = ""
            }
            entry = entry $0 "\n"
            if (!open(text)) flush()
        }
        END {
            if (entry != "") flush()
            for (one in given) left[++count] = one
            for (i = 1; i <= count; i++)
                for (j = i + 1; j <= count; j++)
                    if (left[j] < left[i]) { one = left[i]; left[i] = left[j]; left[j] = one }
            for (i = 1; i <= count; i++) put(left[i])
        }' "$before" >"$work/environment"
    [ ! -s "$work/refused" ] || fail $unknown_name \
        "the value of $(sed 1q "$work/refused") cannot be given to a service" \
        "it holds a control character" "take that out; line breaks and tabs may stay"
}

has_variable() {
    grep -qxF -e "$1" "$work/names"
}

# An agent needs the token of its server, now or from an earlier run.
demand_token() {
    [ "$command" = agent ] && has_variable K3S_URL || return 0
    ! has_variable K3S_TOKEN && ! has_variable K3S_TOKEN_FILE || return 0
    case " $words" in
    *" '--token"* | *" '-t"*) return 0 ;;
    esac
    fail $unknown_name "there is a K3S_URL, but no K3S_TOKEN" \
        "an agent needs the token of its server" \
        "give it: the server has it in /var/lib/rancher/k3s/server/node-token"
}

# What killall and uninstall ask the executable with, and what holds at the next run without arguments.
write_start() {
    {
        printf 'environment=%s\n' "$(quoted "$environment")"
        printf 'recorded_data_dir=%s\n' "$(quoted "$data")"
        printf 'set -- %s\n' "$(quoted "$command")$words"
    } >"$work/start"
    write_of_service "$work/start" "$start" 600
}

# shellcheck disable=SC2120  # eval sets the arguments
write_service() {
    eval "set -- $(quoted "$command") $words"
    if [ $init = systemd ]; then
        systemd_unit "$@" >"$work/unit"
        write_of_service "$work/unit" "$unit" 644
    else
        openrc_script "$@" >"$work/unit"
        write_of_service "$work/unit" "$unit" 755
    fi
}

# The arguments as words of a unit of systemd: C's escapes in quotes, its own signs doubled.
systemd_words() {
    for word; do
        # shellcheck disable=SC1003  # backslashes
        swap "$word" '\' '\\'
        swap "$swapped" '"' '\"'
        swap "$swapped" '%' '%%'
        swap "$swapped" '$' '$$'
        swap "$swapped" "$(printf '\t')" '\t'
        swap "$swapped" '
' '\n'
        printf ' "%s"' "$swapped"
    done
}

# Pods outlive a restart of k3s (KillMode, Delegate); a Pi Zero takes minutes until it is ready.
systemd_unit() {
    cat <<EOF
[Unit]
Description=k3s $command
Documentation=https://docs.k3s.io
After=network-online.target
Wants=network-online.target

[Service]
Type=${INSTALL_K3S_TYPE:-notify}
EnvironmentFile=-/etc/default/%N
EnvironmentFile=-/etc/sysconfig/%N
EnvironmentFile=-$environment
ExecStartPre=-/sbin/modprobe -a br_netfilter overlay
ExecStart="$bin/k3s"$(systemd_words "$@")
Restart=always
RestartSec=5
TimeoutStartSec=infinity
Delegate=yes
KillMode=process
LimitNOFILE=1048576
LimitNPROC=infinity
LimitCORE=infinity
TasksMax=infinity

[Install]
WantedBy=multi-user.target
EOF
}

# OpenRC evaluates `eval supervise-daemon … $command -- $command_args`: what is in there is split and
# globbed before its quotes count. So the words are variables, which the eval puts in as they are.
openrc_script() {
    cat <<EOF
#!/sbin/openrc-run
description="k3s $command"
supervisor=supervise-daemon
pidfile=/run/$service.pid
output_log=/var/log/$service.log
error_log=/var/log/$service.log
respawn_delay=5
respawn_max=0
rc_ulimit="-n 1048576"

k3s_program=$(quoted "$bin/k3s")
command='"\$k3s_program"'
EOF
    count=0 all=""
    for word; do
        count=$((count + 1))
        all="$all \"\$k3s_word_$count\""
        printf 'k3s_word_%s=%s\n' $count "$(quoted "$word")"
    done
    printf "command_args='%s'\n" "${all# }"
    cat <<EOF

depend() {
    want cgroups
    after network-online firewall
}

start_pre() {
    modprobe -a br_netfilter overlay 2>/dev/null
    return 0
}

set -a
[ ! -f $(quoted "$environment") ] || . $(quoted "$environment")
set +a
EOF
}

# ---- the scripts beside it ----

# What all of them begin with: where things are.
script_head() {
    cat <<EOF
#!/bin/sh
# $1
init=$init
bin=$(quoted "$bin")
units=$(quoted "$units")
service=$(quoted "$service")
unit=$(quoted "$unit")
env_file=$(quoted "$environment")
killer=$(quoted "$killer")
EOF
    cat <<'EOF'
export LC_ALL=C
config=/etc/rancher/k3s
status=0

warn() {
    printf 'warning: %s\n' "$1" >&2
}

# $1: exit code, $2: what failed, $3: the likely cause, $4: the next action. The script goes on, and
# ends with the code of the first failure.
trouble() {
    printf 'error: %s\n' "$2" >&2
    [ -z "$3" ] || printf 'cause: %s\n' "$3" >&2
    printf 'next: %s\n' "$4" >&2
    [ "$status" != 0 ] || status=$1
}

fail() {
    trouble "$@"
    exit "$1"
}

[ "$(id -u)" = 0 ] || fail 25 "only root may do this" "this is user $(id -u)" "sudo $0"

# Units that start this k3s: a name alone makes no service of ours.
services() {
    for one in "$units"/k3s*; do
        name=${one##*/}
        [ $init != systemd ] || case $name in *.service) ;; *) continue ;; esac
        name=${name%.service}
        if [ -f "$config/$name.start" ] || grep -qF -e "$bin/k3s" "$one" 2>/dev/null; then
            printf '%s\n' "$name"
        fi
    done
}

# $1: start, stop or restart; $2: the service.
control() {
    if [ $init = systemd ]; then
        systemctl "$1" "$2"
    else
        rc-service "$2" "$1"
    fi
}
EOF
}

# Where a service keeps its data, and which processes are those of its pods.
script_library() {
    cat <<'EOF'

real_path() {
    (cd -P "$1" 2>/dev/null && pwd -P) || readlink -f "$1" || printf '%s\n' "$1"
}

# What the service $1 uses, as lines NAME<TAB>PATH: k3s itself is asked, with the arguments and in
# the environment of its start.
paths_of() (
    name=$1 program=$bin/k3s recorded_data_dir=""
    if [ -f "$config/$name.start" ]; then
        unset K3S_DATA_DIR K3S_CONFIG_FILE
        # shellcheck disable=SC1090  # install.sh wrote it
        . "$config/$name.start"
    else
        [ $init != systemd ] || environment=$units/$name.service.env
        [ $init = systemd ] || environment=$config/$name.env
        set -- server
    fi
    if [ -f "$environment" ]; then
        set -a
        # shellcheck disable=SC1090  # that of the service
        . "$environment"
        set +a
    fi
    if answer=$("$program" --show-paths "$@" 2>/dev/null </dev/null); then
        case $answer in
        *data-dir'	'/*)
            printf '%s\n' "$answer"
            return
            ;;
        esac
    fi
    found=${recorded_data_dir:-${K3S_DATA_DIR:-/var/lib/rancher/k3s}}
    warn "$program does not say where $name has its data; taken for it: $found"
    real=$(real_path "$found")
    printf 'data-dir\t%s\nreal-data-dir\t%s\nreal-unpack-dir\t%s\n' "$found" "$real" "$real"
)

# The value of $1 in such lines, $2.
path_in() {
    printf '%s\n' "$2" | sed -n "s/^$1	\//\//p" | sed 1q
}

# The directories with data/<hash> of such lines, $1: data, and what was unpacked elsewhere.
roots_in() {
    printf '%s\n' "$1" | sed -n 's/^real-[a-z]*-dir	\//\//p' | sort -u
}

is_hash() {
    case $1 in *[!0-9a-f]*) return 1 ;; esac
    [ ${#1} = 64 ]
}

# Whether $1, what a process runs, is the shim of a container, below one of the lines of $roots.
is_shim() {
    case $1 in */data/*/bin/containerd-shim*) ;; *) return 1 ;; esac
    root=${1%/data/*/bin/containerd-shim*}
    hash=${1#"$root/data/"}
    case "
$roots
" in *"
${root:-/}
"*) is_hash "${hash%%/*}" ;; *) return 1 ;; esac
}

# Set $state, $parent and $began (in ticks since boot) of the process $1. What it calls itself may
# hold anything, line breaks and brackets too; the last bracket is the kernel's.
look_at() {
    text=""
    while IFS= read -r line; do
        text="$text $line"
    done 2>/dev/null <"/proc/$1/stat" || return 1
    # shellcheck disable=SC2086  # numbers, and the letter of the state
    set -- ${text##*") "}
    [ $# -ge 20 ] || return 1
    state=$1 parent=$2
    shift 19
    began=$1
}

# Lines of PID and start for the shims ($1 = 1), or for what descends from them ($1 = 0).
pods() {
    for folder in /proc/[0-9]*; do
        pid=${folder##*/} shim=0
        look_at "$pid" || continue
        [ "$state" != Z ] || continue
        ! is_shim "$(readlink "$folder/exe" 2>/dev/null)" || shim=1
        printf '%s %s %s %s\n' "$pid" "$parent" "$shim" "$began"
    done | awk -v want="$1" '
        { parent[$1] = $2; shim[$1] = $3; ours[$1] = $3; began[$1] = $4 }
        END {
            do {
                more = 0
                for (pid in parent)
                    if (!ours[pid] && (parent[pid] in parent) && ours[parent[pid]])
                        ours[pid] = more = 1
            } while (more)
            for (pid in parent) if (ours[pid] && shim[pid] == want) print pid, began[pid]
        }'
}

# Kill what `pods` gave, in the lines $1, unless the number is another process by now.
kill_lines() {
    printf '%s\n' "$1" | while read -r pid since; do
        ! look_at "$pid" || [ "$began" != "$since" ] || kill -9 "$pid" 2>/dev/null
    done
}

# End the pods whose shims run from below $roots. The shims come last: while they live, what a dying
# container leaves becomes a child of theirs.
end_pods() {
    for kind in 0 1; do
        for second in 0 1 2 3 4 5; do
            list=$(pods $kind)
            [ -n "$list" ] || break
            kill_lines "$list"
            [ $second = 0 ] || sleep 1
        done
        [ -z "$list" ] || trouble 22 "processes of pods do not end:
$(printf '%s\n' "$list" | sed 's/ .*//' | tr '\n' ' ')" \
            "they wait for a disk or a server that does not answer" "reboot, then run $0 again"
    done
}

# Mount points, from the kernel's table with its escapes decoded, the last first, each behind a
# slash and before one: //a//b//. No path has two slashes in it, so whatever a name holds,
# "/PATH//" is in there for a mount point and "/PATH/" for what has one below it.
# $1: all of them, those of pods, or those of pods that a server elsewhere has to answer for.
mount_points() {
    awk -F '[ ]' -v want="$1" '
        function decoded(text,    out, at) {
            while (at = index(text, "\\")) {
                out = out substr(text, 1, at - 1) byte[substr(text, at, 4)]
                text = substr(text, at + 4)
            }
            return out text
        }
        function below(path, folder) {
            return substr(path, 1, length(folder) + 1) == folder "/"
        }
        function of_pods(path) {
            if (index(path, "/run/netns/cni-") == 1)
                return index(ENVIRON["living"], $4 "\n") == 0
            return below(path, "/run/k3s") || below(path, ENVIRON["kubelet"] "/pods") ||
                below(path, ENVIRON["kubelet"] "/plugins")
        }
        BEGIN { for (i = 1; i < 256; i++) byte[sprintf("\\%03o", i)] = sprintf("%c", i) }
        {
            path = decoded($5)
            for (i = 7; $i != "-" && i < NF; i++);
            elsewhere = $(i + 1) ~ /^(fuse|nfs|cifs|smb|ceph|9p|afs|lustre|gfs|ocfs|beegfs|glusterfs|orangefs|coda|virtiofs)/
            if (path == "/" || (want != "all" && !of_pods(path)) || (want == "elsewhere" && !elsewhere))
                next
            found[++n] = path
        }
        END {
            printf "/"
            for (i = n; i; i--) printf "%s/", found[i]
            printf "/"
        }' /proc/self/mountinfo
}
EOF
}

killall_script() {
    script_head "Stops k3s and every pod on this machine, with their networks. Data stays."
    script_library
    cat <<'EOF'

roots=""
for one in $(services); do
    roots="$roots
$(roots_in "$(paths_of "$one")")"
done
[ -n "$roots" ] || roots=$(roots_in "$(paths_of "$service")")
for one in $(services); do
    control stop "$one" || trouble 22 "$one does not stop" "" "look at what runs: ps -ef | grep k3s"
done

# The programs that k3s brings: this machine may have none of its own. Blanks in names stay.
while IFS= read -r root; do
    [ -z "$root" ] || PATH=$PATH:$root/data/current/bin:$root/data/current/bin/aux
done <<END
$roots
END

# Of the pods of this k3s, for what other networks of containers may also have.
sandboxes=$(
    printf '%s\n' "$roots" | while IFS= read -r root; do
        [ -z "$root" ] || ls "$root/agent/containerd/io.containerd.grpc.v1.cri/sandboxes" 2>/dev/null
    done
    ls /run/k3s/containerd/io.containerd.runtime.v2.task/k8s.io 2>/dev/null
)
end_pods

# Network namespaces that something runs in: no pod of ours does.
living=$(ls -l /proc/[0-9]*/ns/net 2>/dev/null | sed -n 's/.* -> //p' | sort -u)
living="$living
"
kubelet=$(real_path /var/lib/kubelet)
export living kubelet sandboxes

# Take away the mounts of the list $2: lazily and each by itself ($1 = -l), or in turn.
unmount() {
    rest=${2#/}
    while [ "$rest" != / ]; do
        path=${rest%%//*}
        rest=/${rest#*//}
        if [ "$1" = -l ]; then
            umount -l "$path" 2>/dev/null &
        else
            umount "$path" 2>/dev/null || umount -l "$path" 2>/dev/null
        fi
    done
}

# What a server elsewhere answers for goes first, and without asking it: nothing below such a mount
# can be found while the server is away. No command is waited for; the kernel's table is, for seconds.
unmount_pods() {
    for which in elsewhere pods; do
        list=$(mount_points $which)
        [ "$list" != // ] || continue
        if [ $which = elsewhere ]; then unmount -l "$list" & else unmount "" "$list" & fi
        for second in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
            list=$(mount_points $which)
            [ "$list" != // ] || break
            sleep 1
        done
    done
    rest=${list#/}
    while [ "$rest" != / ]; do
        trouble 22 "${rest%%//*} stays mounted" "what it comes from does not answer" \
            "umount -l it, or reboot"
        rest=/${rest#*//}
    done
}
unmount_pods

if command -v ip >/dev/null; then
    ip netns list 2>/dev/null | sed -n 's/^\(cni-[^ ]*\).*/\1/p' | while read -r one; do
        case $(mount_points all) in
        *"/run/netns/$one//"*) ;;
        *) ip netns delete "$one" ;;
        esac
    done
    ip -o link show master cni0 2>/dev/null | sed 's/^[0-9]*: \([^:@]*\).*/\1/' | while read -r one; do
        ip link delete "$one"
    done
    for one in cni0 flannel.1 flannel-v6.1 flannel-wg flannel-wg-v6 kube-ipvs0; do
        ip link delete "$one" 2>/dev/null
    done
fi

# From what iptables-save says to what iptables-restore --noflush takes away: the chains that k3s's
# parts make, and the jumps to them. What a comment says makes no rule ours; that a CNI chain is
# another network's is known from it, for plugins write it, and nothing else tells.
removal() {
    awk '
        function hashed(chain, prefix, size) {
            return index(chain, prefix) == 1 && length(chain) == length(prefix) + size &&
                substr(chain, length(prefix) + 1) !~ /[^A-Za-z0-9]/
        }
        function of_cni(chain) {
            return chain ~ /^CNI-HOSTPORT-(DNAT|SETMARK|MASQ|SNAT)$/ || hashed(chain, "CNI-", 24) ||
                hashed(chain, "CNI-DN-", 21) || hashed(chain, "CNI-SN-", 21)
        }
        function of_kubernetes(chain) {
            return chain ~ /^KUBE-(SERVICES|EXTERNAL-SERVICES|NODEPORTS?|NODE-PORT|POSTROUTING|FORWARD|FIREWALL)$/ ||
                chain ~ /^KUBE-(MARK-MASQ|MARK-DROP|PROXY-FIREWALL|PROXY-CANARY|KUBELET-CANARY)$/ ||
                chain ~ /^KUBE-(IPTABLES-HINT|LOAD-BALANCER|SOURCE-RANGES-FIREWALL|IPVS-FILTER)$/ ||
                chain ~ /^KUBE-(IPVS-OUT-FILTER|NWPLCY-DEFAULT|NWPLCY-COMMON)$/ ||
                chain ~ /^KUBE-ROUTER-(INPUT|FORWARD|OUTPUT|SERVICES)$/ ||
                hashed(chain, "KUBE-SVC-", 16) || hashed(chain, "KUBE-SEP-", 16) ||
                hashed(chain, "KUBE-SVL-", 16) || hashed(chain, "KUBE-EXT-", 16) ||
                hashed(chain, "KUBE-FW-", 16) || hashed(chain, "KUBE-XLB-", 16) ||
                hashed(chain, "KUBE-POD-FW-", 16) || hashed(chain, "KUBE-NWPLCY-", 16)
        }
        function ours(chain) {
            if (of_cni(chain)) return !(chain in foreign) && !(shared && chain ~ /^CNI-HOSTPORT-/)
            return chain ~ /^FLANNEL-(POSTRTG|FWD)$/ || of_kubernetes(chain)
        }
        function target(rule,    word, n, i) {
            gsub(/"([^"\\]|\\.)*"/, "\"\"", rule)
            n = split(rule, word, " ")
            for (i = 3; i < n; i++) {
                if (word[i] == "--comment") i++
                else if (word[i] == "-j" || word[i] == "-g") return word[i + 1]
            }
            return ""
        }
        # As CNI plugins write it: name: \"NETWORK\" id: \"SANDBOX\".
        function of_others(rule,    part) {
            if (!match(rule, /name: \\"[^"\\]*\\" id: \\"[^"\\]*\\"/)) return 0
            split(substr(rule, RSTART, RLENGTH), part, /\\"/)
            return part[2] != "cbr0" && index("\n" ENVIRON["sandboxes"] "\n", "\n" part[4] "\n") == 0
        }
        # The only rule of a part of k3s that jumps to no chain of its own.
        function of_kube_router(rule) {
            return rule ~ /^-A (INPUT|FORWARD|OUTPUT) -m comment --comment "KUBE-ROUTER rule to explicitly ACCEPT traffic that comply to network policies" -m mark --mark 0x20000\/0x20000 -j ACCEPT$/
        }
        function finish(    i, word, flush, drop, gone) {
            for (i = 1; i <= rules; i++)
                if (of_cni(target(rule[i])) && of_others(rule[i])) foreign[target(rule[i])] = shared = 1
            for (i = 1; i <= chains; i++)
                if (ours(chain[i])) {
                    flush = flush ":" chain[i] " - [0:0]\n"
                    gone = gone "-X " chain[i] "\n"
                }
            for (i = 1; i <= rules; i++) {
                split(rule[i], word, " ")
                if (!ours(word[2]) && (ours(target(rule[i])) || of_kube_router(rule[i])))
                    drop = drop "-D" substr(rule[i], 3) "\n"
            }
            if (flush drop) printf "%s\n%s%s%sCOMMIT\n", table, flush, drop, gone
        }
        /^\*/ { table = $1; rules = chains = shared = 0; split("", foreign) }
        /^:/ { chain[++chains] = substr($1, 2) }
        /^-A / { rule[++rules] = $0 }
        /^COMMIT/ { finish() }'
}

# Each table changes as a whole or not at all; rules of others, and what they have counted, stay.
for tables in iptables ip6tables; do
    for backend in "" -legacy -nft; do
        command -v "$tables$backend-save" >/dev/null || continue
        for try in 1 2 3; do
            changes=$("$tables$backend-save" 2>/dev/null | removal)
            [ -n "$changes" ] || break
            words=$(printf '%s\n' "$changes" | "$tables$backend-restore" --noflush 2>&1) && changes=""
        done
        [ -z "$changes" ] || trouble 22 "rules of k3s stay in $tables$backend" "$words" "run $0 again"
    done
done

# Sets of addresses that kube-router and kube-proxy made, which no rule names any more.
if command -v ipset >/dev/null; then
    ipset list -n 2>/dev/null | sed -n -e '/^\(inet6:\)\{0,1\}KUBE-\(SRC\|DST\)-[A-Z2-7]\{16\}$/p' \
        -e '/^KUBE-\(6-\)\{0,1\}\(LOOP-BACK\|CLUSTER-IP\|EXTERNAL-IP\|LOAD-BALANCER\|NODE-PORT\|HEALTH-CHECK\|IPVS\)/p' |
        while read -r one; do
            ipset destroy "$one" || warn "the set $one is still in use"
        done
fi
exit "$status"
EOF
}

uninstall_script() {
    script_head "Removes k3s: its service, and with the last of them executables and all data."
    script_library
    cat <<'EOF'

# ---- removing folders ----

# Which names are k3s's own in a folder of the kind $1: whether $2 is, in the working directory. $next
# is the kind of what is below it. Everything else there is somebody's, and stays.
own() {
    next=all
    case $1/$2 in
    all/*) ;;
    top/agent | top/data | top/server | top/storage)
        next=$2
        [ -d "./$2" ] && [ ! -L "./$2" ] && (cd -P "./$2" 2>/dev/null && has_own "$2")
        ;;
    data/cni) next=cni ;;
    data/current | data/previous | data/.lock | data/.k3s-link-tmp) ;;
    data/*)
        hash=${2%-tmp}
        is_hash "${hash%-old}"
        ;;
    # A user's own plugins lie there too.
    cni/*) [ -L "./$2" ] && case $(readlink "./$2") in */bin/cni | bin/cni) ;; *) return 1 ;; esac ;;
    server/cred | server/db | server/etc | server/manifests | server/static | server/tls) ;;
    server/tls-[0-9]* | server/.rotate-ca-tmp-* | server/kubeconfig-k3s.yaml) ;;
    server/token | server/agent-token | server/node-token | server/kine.sock*) ;;
    agent/containerd | agent/cri-dockerd | agent/etc | agent/images | agent/kubelet) ;;
    agent/pod-manifests | agent/node-password.txt | agent/*.kubeconfig) ;;
    agent/client-*.crt | agent/client-*.key | agent/serving-kubelet.* | agent/server-ca.crt) ;;
    storage/pvc-*_*_*) ;;
    config/config.yaml | config/config.yaml.d | config/registries.yaml | config/k3s.yaml) ;;
    config/"$service".env | config/"$service".start) ;;
    kubelet/pods | kubelet/plugins | kubelet/plugins_registry | kubelet/pod-resources) ;;
    kubelet/plugin-containers | kubelet/device-plugins | kubelet/checkpoints) ;;
    kubelet/image_manager | kubelet/*_state) ;;
    var-cni/networks) next=networks ;;
    var-cni/results) next=results ;;
    var-cni/flannel) ;;
    networks/cbr0 | results/cbr0-*) ;;
    results/*) of_sandbox "$2" ;;
    flannel/subnet.env) ;;
    *) return 1 ;;
    esac
}

# Whether the working directory holds anything of the kind $1, or nothing at all. A server has one of
# these; etc or static may be names of anybody's.
has_own() {
    nothing=true
    for one in ./* ./.[!.]* ./..?*; do
        case $mounts in
        *"/${here%/}/$1/${one#./}//"*)
            nothing=false
            [ "$1" = server ] || return 0
            continue
            ;;
        esac
        [ -e "$one" ] || [ -L "$one" ] || continue
        nothing=false
        case $1/${one#./} in
        server/tls | server/token | server/*-token) return 0 ;;
        server/db)
            [ ! -e ./db/state.db ] && [ ! -d ./db/etcd ] || return 0
            continue
            ;;
        server/*) continue ;;
        esac
        ! own "$1" "${one#./}" || return 0
    done
    $nothing
}

# Whether $1, NETWORK-SANDBOX-INTERFACE, is of a pod of this k3s.
of_sandbox() {
    sandbox=${1%-*}
    case "
$sandboxes
" in *"
${sandbox##*-}
"*) ;; *) return 1 ;; esac
}

stays() {
    printf 'stays: %s (%s)\n' "$1" "$2"
}

# Run a command that removes; what it says is the cause.
remove() {
    words=$("$@" 2>&1) && return 0
    printf 'error: in %s not everything could be removed\ncause: %s\n' "$(readlink /proc/self/cwd)" "$words" >&2
    return 1
}

# Whether the kernel says that the working directory is $1: it is not where a link led to that
# somebody put in a folder's place.
is_here() {
    [ "$(readlink /proc/self/cwd; echo .)" = "$1
." ]
}

# Remove what is in the working directory, $1, and of the kind $2. Nothing is removed by a name with a
# slash inside, which another process could lead elsewhere; nothing is looked at that is mounted.
# Returns 0 if nothing is left, 1 if only what has to stay, 2 if something could not be removed.
empty() {
    here=$1 kind=$2 result=0
    set --
    for one in ./* ./.[!.]* ./..?*; do
        path=${here%/}/${one#./}
        case $mounts in
        *"/$path//"*)
            stays "$path" "mounted"
            result=$((result | 1))
            continue
            ;;
        esac
        [ -e "$one" ] || [ -L "$one" ] || continue
        # By these the next run knows what is left beside them.
        case $kind/$one in server/./tls | server/./token) [ $result -lt 2 ] || continue ;; esac
        if ! own "$kind" "${one#./}"; then
            stays "$path" "not k3s's own"
            result=$((result | 1))
        elif [ ! -d "$one" ] || [ -L "$one" ]; then
            set -- "$@" "$one"
        else
            drop_folder "$one" "$path" "$next" || result=$((result | $?))
        fi
        # Names of 255 bytes each: far below what a command takes.
        if [ $# -ge 200 ]; then
            remove rm -f "$@" || result=$((result | 2))
            set --
        fi
    done
    [ $# = 0 ] || remove rm -f "$@" || result=$((result | 2))
    return $((result > 1 ? 2 : result))
}

# Remove the folder $1 of the working directory, $2, of the kind $3. GNU's rm goes from folder to
# folder by handles as this script does, and faster; that of busybox goes by paths.
drop_folder() {
    if $gnu && [ "$3" = all ]; then
        case $mounts in
        *"/$2/"*) ;;
        *)
            remove rm -rf --one-file-system "$1" || return 2
            return 0
            ;;
        esac
    fi
    (
        if ! cd -P "$1" 2>/dev/null || ! is_here "$2"; then
            printf 'error: %s was exchanged while it was removed\n' "$2" >&2
            exit 2
        fi
        empty "$2" "$3"
    ) || return $?
    remove rmdir "$1" || return 2
}

# Remove what is k3s's own in the folder $1, of the kind $2, and the folder if nothing is left. If $1
# is a link, that goes with what it leads to.
clear_folder() {
    if [ ! -d "$1" ]; then
        [ ! -L "$1" ] || rm -f "$1"
        return 0
    fi
    (
        cd -P "$1" || exit 2
        folder=$(readlink /proc/self/cwd)
        is_here "$folder" || exit 2
        empty "$folder" "$2" || exit $?
        case $mounts in *"/$folder//"*)
            stays "$folder" "mounted; it is empty"
            exit 1
            ;;
        esac
        cd -P .. && remove rmdir "./${folder##*/}" || exit 2
    )
    case $? in
    0) ;;
    1) return 0 ;;
    *)
        trouble 25 "$1 is not removed as a whole" "it is said above" "look at that, then run $0 again"
        return 0
        ;;
    esac
    [ ! -L "$1" ] || rm -f "$1"
}

# ---- what is whose ----

others=$(services | grep -vxF -e "$service" || true)

# Whether a service that stays has its data in $1, below or above it.
is_shared() {
    for one in $others; do
        roots_in "$(paths_of "$one")" | while IFS= read -r root; do
            case $root/ in "$1"/*) exit 1 ;; esac
            case $1/ in "$root"/*) exit 1 ;; esac
        done || return 0
    done
    return 1
}

# Another kubelet's folders have the same names: kubeadm and RKE2 leave these traces.
another_kubelet() {
    for one in /var/lib/kubelet/config.yaml /var/lib/kubelet/kubeadm-flags.env /etc/kubernetes/kubelet.conf \
        /var/lib/rancher/rke2; do
        [ ! -e "$one" ] || return 0
    done
    grep -qx kubelet /proc/[0-9]*/comm 2>/dev/null
}

gnu=false
case $(rm --version 2>/dev/null) in *"GNU coreutils"*) gnu=true ;; esac

# A run that was cut has removed the data before the unit, and both before what says where they were.
paths="" roots="" named=""
if [ -f "$config/$service.start" ] || [ -f "$unit" ]; then
    paths=$(paths_of "$service")
    roots=$(roots_in "$paths")
    named=$(path_in data-dir "$paths")
fi
sandboxes=$(printf '%s\n' "$roots" | while IFS= read -r root; do
    [ -z "$root" ] || ls "$root/agent/containerd/io.containerd.grpc.v1.cri/sandboxes" 2>/dev/null
done)

# ---- stopping ----

again="look at that, then run $0 again"
if [ -n "$others" ]; then
    echo "executable stays: there are other services: $(printf '%s' "$others" | tr '\n' ' ')"
    [ ! -f "$unit" ] || control stop "$service" || trouble 22 "$service does not stop" "" "$again"
    all=$roots roots=""
    while IFS= read -r root; do
        [ -z "$root" ] || is_shared "$root" || roots="$roots
$root"
    done <<END
$all
END
    end_pods
    roots=$all
elif [ -x "$killer" ]; then
    "$killer" || trouble $? "not everything of k3s ended" "it is said above" "$again"
fi
if [ ! -f "$unit" ]; then
    :
elif [ $init = systemd ]; then
    systemctl disable "$service" || warn "$service could not be disabled; its unit is removed"
else
    rc-update delete "$service" default || warn "$service could not be disabled; its script is removed"
fi

# ---- data ----

mounts=$(mount_points all)
if [ -z "$others" ]; then
    clear_folder /run/k3s all
    if another_kubelet; then
        for folder in /var/lib/kubelet /var/lib/cni /run/flannel; do
            [ ! -d "$folder" ] || stays "$folder" "another kubelet has it too"
        done
    else
        clear_folder /var/lib/kubelet kubelet
        clear_folder /var/lib/cni var-cni
        clear_folder /run/flannel flannel
    fi
fi
while IFS= read -r root; do
    if [ -z "$root" ]; then
        :
    elif is_shared "$root"; then
        stays "$root" "another service has its data there"
    else
        clear_folder "$root" top
    fi
done <<END
$roots
END
# The link by which the data were named, now that it leads nowhere.
[ ! -L "$named" ] || [ -e "$named" ] || rm -f "$named"
rmdir /var/lib/rancher 2>/dev/null
[ "$status" = 0 ] || exit "$status"

# ---- the rest; what a second run has to know goes last ----

rm -f "$unit" || fail 25 "$unit cannot be removed" "" "$again"
if [ $init = systemd ]; then
    rm -f "$units/multi-user.target.wants/$service.service"
    systemctl daemon-reload || warn "systemd has not read its units again"
else
    rm -f "/var/log/$service.log"
fi
rm -f "$env_file" || fail 25 "$env_file cannot be removed" "" "$again"
if [ -n "$others" ]; then
    rm -f "$config/$service.start" "$0" || fail 25 "$0 cannot be removed" "" "remove it by hand"
    exit 0
fi
clear_folder "$config" config
[ "$status" = 0 ] || exit "$status"
rmdir /etc/rancher 2>/dev/null
for link in kubectl crictl ctr; do
    [ "$(readlink "$bin/$link")" != k3s ] || rm -f "$bin/$link"
done
rm -f "$bin/k3s" "$bin/k3s-previous" "$bin/.k3s-aside" "$bin"/.k3s-*.part "$bin/k3s-rollback.sh" "$killer" ||
    fail 25 "not everything in $bin can be removed" "it is said above" "$again"
rm -f "$0" || fail 25 "$0 cannot be removed" "it is said above" "remove it by hand"
EOF
}

rollback_script() {
    script_head "Exchanges k3s and k3s-previous, and restarts the services; once more undoes it."
    cat <<'EOF'

previous=$bin/k3s-previous
aside=$bin/.k3s-aside

# At each moment both are there, under two of three names; a run that was cut is brought to its end.
exchange() {
    if [ ! -f "$previous" ] && [ -f "$aside" ]; then
        mv -f "$aside" "$previous" || fail 25 "$aside cannot become $previous" "it is said above" \
            "look at $bin, then run $0 again"
        return
    fi
    [ -x "$previous" ] || fail 26 "there is no $previous" "this is the first version, or it was removed" \
        "install the version that is wanted"
    words=$("$previous" --version 2>&1 </dev/null) || fail 20 "$previous does not start" "$words" \
        "install the version that is wanted; $bin/k3s is as it was"
    rm -f "$aside"
    ln "$bin/k3s" "$aside" 2>/dev/null || cp -p "$bin/k3s" "$aside" || {
        rm -f "$aside"
        fail 25 "$bin/k3s cannot be kept" "it is said above" "look at $bin; $bin/k3s is as it was"
    }
    sync
    mv -f "$previous" "$bin/k3s" || {
        rm -f "$aside"
        fail 25 "$previous cannot become $bin/k3s" "it is said above" "look at $bin; $bin/k3s is as it was"
    }
    mv -f "$aside" "$previous" || fail 25 "$aside cannot become $previous" "it is said above" \
        "look at $bin, then run $0 again: the exchange goes on"
    sync
}

exchange
"$bin/k3s" --version
for one in $(services); do
    control restart "$one" || trouble 22 "$one did not start" "" \
        "look at its log; $0 once more takes back the other version"
done
exit "$status"
EOF
}

write_scripts() {
    [ "$read_only" != true ] || return 0
    before=$changed
    killall_script >"$work/script"
    write "$work/script" "$killer" 755
    uninstall_script >"$work/script"
    write "$work/script" "$uninstaller" 755
    rollback_script >"$work/script"
    write "$work/script" "$rollback" 755
    # They are no reason to restart.
    changed=$before
}

# ---- starting ----

look_at_memory() {
    if [ -f /sys/fs/cgroup/cgroup.controllers ] &&
        ! grep -qw memory /sys/fs/cgroup/cgroup.controllers; then
        warn "the kernel keeps no account of memory, and k3s will not start: add
cgroup_enable=memory to the line in /boot/firmware/cmdline.txt, then reboot"
    fi
    if has getenforce && [ "$(getenforce)" = Enforcing ]; then
        warn "SELinux is enforcing, and this build comes without a policy for it"
    fi
}

# Run a command of the init system. What it says is shown where it fails.
told() {
    status=0
    "$@" >"$work/words" 2>&1 || status=$?
    [ $status = 0 ] || fail $start_failed "$service is installed, but \`$*\` failed (exit code $status)" \
        "$(last_words)" "see to that, then run the same again; k3s itself is in $bin"
}

start_service() {
    [ "${INSTALL_K3S_SKIP_ENABLE:-}" != true ] || return 0
    if [ $init = systemd ]; then
        [ $running = false ] || told systemctl daemon-reload
        told systemctl enable "$service"
    else
        told rc-update add "$service" default
    fi
    if [ $running = false ]; then
        say "$init does not run here: $service is enabled, and starts with the machine"
        rm -f "$due"
        return 0
    fi
    [ "${INSTALL_K3S_SKIP_START:-}" != true ] || return 0
    if [ $changed = false ] && [ ! -f "$due" ] && [ "${INSTALL_K3S_FORCE_RESTART:-}" != true ]; then
        say "nothing changed: $service is not restarted"
        return 0
    fi
    say "starting $service"
    if [ $init = systemd ]; then
        systemctl restart "$service" || not_started "journalctl -u $service"
    else
        rc-service "$service" restart || not_started "/var/log/$service.log"
    fi
    rm -f "$due"
}

not_started() {
    back=""
    [ ! -x "$bin/k3s-previous" ] || back="; $rollback takes back the version before"
    fail $start_failed "$service did not start" "" "look at $1$back"
}

main() {
    umask 022
    from=""
    trap 'ended $?' EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
    case ${1-} in
    --help)
        usage
        return 0
        ;;
    --from=*)
        from=${1#*=}
        shift
        ;;
    --from)
        from=${2-}
        shift
        [ $# = 0 ] || shift
        ;;
    *) from=none ;;
    esac
    [ -n "$from" ] || fail $unknown_name "--from names no place" "" "give an address or a folder behind it"
    [ "$from" != none ] || from=""
    make_work
    choose_init
    choose_command "$@"
    choose_files
    choose_folder
    merge_environment
    demand_token
    doing="receiving and installing the executable"
    install_executable
    doing="making links and scripts"
    make_links
    write_scripts
    doing="writing the service"
    write_of_service "$work/environment" "$environment" 600
    write_start
    # shellcheck disable=SC2119
    write_service
    look_at_memory
    doing="starting the service"
    start_service
    say "done; $uninstaller removes it all"
}

# The last line: of a script that was cut on its way nothing is run.
main "$@"
