#!/bin/sh
# Installs this build of k3s on a machine with systemd or OpenRC; run it again to upgrade.
#
#   curl -sfL PLACE/download/TAG/install.sh | GITHUB_URL=PLACE sh -s - server --disable=traefik
#   sh FOLDER/install.sh                   # without a network, from what `invoke download` made
#
# PLACE is what has download/<tag>/ below it, such as https://github.com/OWNER/REPOSITORY/releases.
# Nothing on the machine changes before the new executable was received as a whole, has the size and
# the sha256 of the release, is made for this machine, and was started once. The one before stays as
# k3s-previous; k3s-rollback.sh takes it back.
#
# Ours:        INSTALL_K3S_FROM  where from: the address of a place, or a folder
#              ARCH              what `uname -m` would say, where it does not say it
# Upstream's:  GITHUB_URL, INSTALL_K3S_ARTIFACT_URL (PLACE/download)
#              INSTALL_K3S_{VERSION,CHANNEL,CHANNEL_URL,EXEC,NAME,TYPE,SYMLINK,BIN_DIR,SYSTEMD_DIR}
#              INSTALL_K3S_{SKIP_DOWNLOAD,SKIP_ENABLE,SKIP_START,FORCE_RESTART,BIN_DIR_READ_ONLY}
#              K3S_*, CONTAINERD_* and proxies of the environment go to the service
# docs/install.md explains them, and has a table of the exit codes.
set -eu
set -f
export LC_ALL=C

unknown_name=11 fetch_failed=12 disk_full=17 corrupt=18 wrong_machine=20 start_failed=22
missing_tool=23 not_writable=25

say() {
    printf 'install: %s\n' "$1"
}

warn() {
    printf 'warning: %s\n' "$1" >&2
}

# $1: exit code, $2: what failed, $3: the likely cause, $4: the next action.
fail() {
    printf 'error: %s\n' "$2" >&2
    [ -z "$3" ] || printf 'cause: %s\n' "$3" >&2
    printf 'next: %s\n' "$4" >&2
    exit "$1"
}

has() {
    command -v "$1" >/dev/null 2>&1
}

# Each argument as a word of a shell.
quoted() {
    for word; do
        printf "'%s' " "$(printf '%s' "$word" | sed "s/'/'\\\\''/g")"
    done
}

# ---- what was asked for ----

# The words of INSTALL_K3S_EXEC, then the script's own: one on a line. Quotes group, nothing expands.
asked_words() {
    if [ -n "${INSTALL_K3S_EXEC:-}" ]; then
        printf '%s\n' "$INSTALL_K3S_EXEC" | xargs printf '%s\n' ||
            fail $unknown_name "INSTALL_K3S_EXEC cannot be read: $INSTALL_K3S_EXEC" \
                "a quote that is not closed" "close it"
    fi
    [ $# = 0 ] || printf '%s\n' "$@"
}

# The command that the service runs, in $command, and what follows it, in $arguments, by lines.
choose_command() {
    case ${K3S_URL:-https://} in
    https://*) ;;
    *) fail $unknown_name "K3S_URL is $K3S_URL" "" "give it as https://SERVER:6443" ;;
    esac
    arguments=$(asked_words "$@")
    case $arguments in
    '' | -*)
        command=server
        [ -z "${K3S_URL:-}" ] || command=agent
        case "$command ${K3S_TOKEN:-}${K3S_TOKEN_FILE:-}$arguments" in
        *--token*) ;;
        'agent ' | 'agent -'*) fail $unknown_name "there is a K3S_URL, but no K3S_TOKEN" \
            "an agent needs the token of its server" \
            "give it: the server has it in /var/lib/rancher/k3s/server/node-token" ;;
        esac
        ;;
    *)
        command=$(printf '%s\n' "$arguments" | sed 1q)
        arguments=$(printf '%s\n' "$arguments" | sed 1d)
        ;;
    esac
}

choose_service() {
    service=k3s
    [ "$command" = server ] || service=k3s-$command
    [ -z "${INSTALL_K3S_NAME:-}" ] || service=k3s-$INSTALL_K3S_NAME
    case $service in
    *[!A-Za-z0-9_.@:-]*) fail $unknown_name "no service can be called $service" "" \
        "use letters, digits and _ . @ : - in INSTALL_K3S_NAME" ;;
    esac
    data=${K3S_DATA_DIR:-/var/lib/rancher/k3s}
    if has openrc-run || [ -x /sbin/openrc-run ]; then
        init=openrc units=/etc/init.d unit=/etc/init.d/$service
        environment=/etc/rancher/k3s/$service.env
    elif has systemctl; then
        init=systemd units=${INSTALL_K3S_SYSTEMD_DIR:-/etc/systemd/system}
        unit=$units/$service.service environment=$unit.env
    else
        fail $missing_tool "this machine has neither systemd nor OpenRC" "" \
            "copy the executable by hand, and start \`k3s server\` as this machine starts services"
    fi
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
    demand_writable "$(dirname "$environment")"
}

# A test for -w is true for root on a disk that is read-only.
can_write() {
    mkdir -p "$1" 2>/dev/null && (: >"$1/.k3s-write-test") 2>/dev/null && rm -f "$1/.k3s-write-test"
}

demand_writable() {
    can_write "$1" || fail $not_writable "$1 cannot be written" \
        "this is user $(id -u), or the disk is full or mounted read-only" \
        "run it as root (curl … | sudo GITHUB_URL=… sh -), or choose INSTALL_K3S_BIN_DIR"
}

# The place, an address or a folder, in $place; "" where $flat is a folder of one release.
choose_place() {
    flat="" place=${INSTALL_K3S_FROM:-}
    if [ -z "$place" ] && [ -n "${INSTALL_K3S_ARTIFACT_URL:-}" ]; then
        place=${INSTALL_K3S_ARTIFACT_URL%/}
        place=${place%/download}
    fi
    place=${place:-${GITHUB_URL:-}}
    place=${place%/}
    here=$(dirname "$0")
    if [ -z "$place" ] && [ -f "$0" ] && [ -f "$here/release.json" ]; then
        place=$here
    fi
    case $place in
    '') fail $unknown_name "nobody said where from" "" \
        "set GITHUB_URL to the place of the releases, or INSTALL_K3S_FROM to that or to a folder" ;;
    https://*) ;;
    http://*) warn "$place is plain http: whoever is on the way can change what comes" ;;
    *://*) fail $unknown_name "nothing can be received from $place" "" \
        "give an address that begins with https://, or a folder" ;;
    *)
        [ -d "$place" ] || fail $unknown_name "there is no folder $place" "" "look at its name"
        if [ -f "$place/release.json" ]; then
            flat=$place place=""
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

# Receive what lies at $1 behind what the file $2 holds. What the tool said is in $work/words.
transfer() {
    case $1 in
    https://*) onward='=https' ;;
    http://*) onward='=http,https' ;;
    *)
        onward=""
        cp "$1" "$2" 2>"$work/words"
        return
        ;;
    esac
    if has curl; then
        curl -fsSL --proto-redir "$onward" --connect-timeout 20 --speed-limit 1 --speed-time 60 \
            -C - -o "$2" "$1" 2>"$work/words"
    elif wget --version 2>/dev/null | grep -q GNU; then
        wget -c -S --tries=1 --timeout=60 -O "$2" "$1" 2>"$work/words"
    else
        wget -c -S -T 60 -O "$2" "$1" 2>"$work/words"
    fi
}

# What became of the transfer that ended with the status $1: right, or what went wrong.
judged() {
    words() {
        grep -q "$@" "$work/words"
    }
    if words -e 'certificate validation not implemented'; then
        echo unverified
    elif [ "$onward" = =https ] && words -i -e '^ *location: *http://' \
        -e 'protocol.*http.*disabled' -e 'protocol.*http.*not supported'; then
        echo redirected
    elif [ "$1" = 0 ]; then
        echo right
    elif words -i -e 'no space left' -e '^curl: (23)' -e 'cannot write'; then
        echo full
    elif words -e '^curl: (33)' -e 'error: 416' -e 'HTTP/[0-9.]* 416'; then
        echo unresumed
    elif words -e 'error: 40[0-79]' -e 'HTTP/[0-9.]* 40[0-79]' -e 'error: 410' -e 'HTTP/[0-9.]* 410' \
        -e 'No such file'; then
        echo missing
    else
        echo broken
    fi
}

# Say why nothing came from $1, and end; $2 is what `judged` said, $3 the folder that it was for.
explain() {
    case $2 in
    unverified) fail $missing_tool "this wget does not check who it talks to" \
        "it cannot verify certificates" "install curl, or receive the files elsewhere" ;;
    redirected) fail $fetch_failed "$1 redirects to plain http" \
        "the server, or somebody on the way, leads away from https" "mend it, or use another place" ;;
    full) no_room "$1" "$3" ;;
    missing) fail $fetch_failed "there is no $1" "$(last_words)" \
        "look at the version and the place; INSTALL_K3S_FROM, GITHUB_URL or INSTALL_K3S_ARTIFACT_URL" ;;
    *) fail $fetch_failed "the connection broke while receiving $1" "$(last_words)" \
        "run the same again: it goes on where it stopped" ;;
    esac
}

no_room() {
    fail $disk_full "no space left in $2 for $1" "" "free some, then run the same again"
}

last_words() {
    grep . "$work/words" | tail -n 1 || true
}

# Receive a small file: $1 address, $2 file.
get() {
    for pause in 2 4 0; do
        rm -f "$2"
        status=0
        transfer "$1" "$2" || status=$?
        outcome=$(judged $status)
        [ "$outcome" != broken ] || [ $pause = 0 ] || sleep $pause
        [ "$outcome" = broken ] || break
    done
    [ "$outcome" = right ] || explain "$1" "$outcome" "$work"
    if is_page "$2"; then
        fail $fetch_failed "$1 is a web page" \
            "a portal that wants a login, or a place of another kind" "open it in a browser and look"
    fi
}

# Receive a file: $1 address, $2 file, $3 size in bytes, $4 sha256. What came before the connection
# broke is kept, for this and the next run: the name of the file says which content it is a part of.
bring() {
    into=$(dirname "$2")
    for pause in 2 4 6 0; do
        had=$(size_of "$2")
        status=0
        if [ "$had" -gt "$3" ]; then
            rm -f "$2"
            had=0
        fi
        if [ "$had" -lt "$3" ]; then
            room "$into" $(($3 - had)) || no_room "$1" "$into"
            transfer "$1" "$2" || status=$?
            outcome=$(judged $status)
            case $outcome in
            right | broken) ;;
            unresumed)
                rm -f "$2"
                continue
                ;;
            full)
                # A part that fills the disk helps nobody.
                rm -f "$2"
                explain "$1" full "$into"
                ;;
            redirected | unverified)
                rm -f "$2"
                explain "$1" "$outcome" "$into"
                ;;
            *) explain "$1" "$outcome" "$into" ;;
            esac
        else
            outcome=right
        fi
        if [ "$(size_of "$2")" = "$3" ] && [ "$(sha256_of "$2")" = "$4" ]; then
            return 0
        fi
        if [ "$outcome" = broken ] && [ "$(size_of "$2")" -lt "$3" ]; then
            [ $pause = 0 ] || sleep $pause
            continue
        fi
        mismatch "$1" "$2" "$3" "$4"
        # What was there before may have been wrong: once more, from the beginning.
        rm -f "$2"
        [ "$had" -gt 0 ] || explain_mismatch
    done
    [ "$outcome" = right ] || explain "$1" "$outcome" "$into"
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

# Whether $2 bytes fit into the folder $1, and a little more.
room() {
    free=$(df -Pk "$1" 2>/dev/null | awk 'NR == 2 { print $4 }')
    case $free in
    '' | *[!0-9]*) return 0 ;;
    esac
    [ "$free" -ge $(($2 / 1024 + 256)) ]
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
    [ -n "$tag" ] || tag=$(tag_of_channel "${INSTALL_K3S_CHANNEL:-stable}")
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
    found=$(awk -F '\t' -v wanted="$1" '
        $1 ~ /\/name$/ { name = $2 }
        $1 ~ /\/latest$/ && name == wanted { print $2; exit }' "$work/channels")
    known=$(awk -F '\t' '$1 ~ /\/name$/ { printf "%s%s", sep, $2; sep = ", " }' "$work/channels")
    [ -n "$found" ] || fail $unknown_name "$place has no channel $1" "" \
        "it has: $known; or give INSTALL_K3S_VERSION"
    echo "$found"
}

# As upstream's channel server answers: the last part of the address that it redirects to.
redirected_to() {
    if has curl; then
        to=$(curl -sSL -o /dev/null -w '%{url_effective}' "$1" 2>"$work/words") ||
            explain "$1" broken "$work"
    else
        to=$(wget -S -O /dev/null "$1" 2>&1 | sed -n 's/^ *[Ll]ocation: *\([^ ]*\).*/\1/p' | tail -n 1)
    fi
    to=$(printf '%s' "${to##*/}" | sed 's/%2[Bb]/+/g')
    case $to in
    v[0-9]*) echo "$to" ;;
    *) fail $unknown_name "$1 redirects to no version" "" "give INSTALL_K3S_VERSION" ;;
    esac
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
    case $machine in
    arm64 | aarch64)
        [ "$(userland_bits)" = 64 ] || echo armv7l armv6l
        echo aarch64
        ;;
    amd64 | x86_64)
        [ "$(userland_bits)" = 64 ] || echo i686
        echo x86_64
        ;;
    i?86 | 386) echo i686 ;;
    armv8l) echo armv7l armv6l ;;
    armv7*)
        # With a lesser floating-point unit than that of the Cortex-A it is an ARMv6 to us.
        if cpu_has vfpv3; then echo armv7l; fi
        if cpu_has vfp; then echo armv6l; fi
        ;;
    armv6l | arm) if cpu_has vfp; then echo armv6l; fi ;;
    *) echo "$machine" ;;
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
    chmod 755 "$1"
    status=0
    said=$("$1" --version 2>&1 </dev/null) || status=$?
    case "$status $said" in
    "0 "*"k3s version $(value k3s) "*) ;;
    *)
        rm -f "$1"
        fail $wrong_machine "$name of $tag does not start here (exit code $status)" \
            "$(printf '%s' "${said:-it said nothing}" | tr -c ' -~\n' '?' | tail -n 1)" \
            "look at the cause; $bin/k3s is as it was"
        ;;
    esac
}

# ---- changing the machine ----

changed=false

install_executable() {
    case ${INSTALL_K3S_SKIP_DOWNLOAD:-} in
    true | binary) skipped=true ;;
    *) skipped=$read_only ;;
    esac
    if [ "$skipped" = true ]; then
        [ -x "$bin/k3s" ] || fail $fetch_failed "there is no $bin/k3s" \
            "nothing was to be downloaded" "put it there, or unset INSTALL_K3S_SKIP_DOWNLOAD"
        say "$bin/k3s stays as it is"
        return
    fi
    choose_place
    choose_version
    read_release
    choose_target
    say "$tag for $target, from $flat"
    place_images
    if [ -f "$bin/k3s" ] && [ "$(sha256_of "$bin/k3s")" = "$sum" ]; then
        say "$bin/k3s is that already"
        return
    fi
    part=$bin/.k3s-$(printf '%.16s' "$sum").part
    bring "$flat/$name" "$part" "$size" "$sum"
    try_executable "$part"
    replace "$part"
}

# Images that lie beside the executable in a folder: a machine without a network needs them all.
place_images() {
    archive=k3s-airgap-images-$target.tar.zst
    [ -f "$flat/$archive" ] || return 0
    folder=$data/agent/images
    demand_writable "$folder"
    if [ -f "$folder/$archive" ] && [ "$(sha256_of "$folder/$archive")" = "$(sum_of "$archive")" ]; then
        return 0
    fi
    bring "$flat/$archive" "$folder/.$archive.part" "$(value "files/$archive/size")" "$(sum_of "$archive")"
    mv -f "$folder/.$archive.part" "$folder/$archive"
    say "images are in $folder"
}

# Make $1 the executable; the one before becomes k3s-previous. At no moment there is none.
replace() {
    sync
    if [ -f "$bin/k3s" ]; then
        rm -f "$bin/.k3s-previous"
        ln "$bin/k3s" "$bin/.k3s-previous" 2>/dev/null || cp -p "$bin/k3s" "$bin/.k3s-previous" ||
            fail $disk_full "$bin/k3s cannot be kept for a rollback" "" "free space in $bin"
        mv -f "$bin/.k3s-previous" "$bin/k3s-previous"
        say "the one before is $bin/k3s-previous; $rollback takes it back"
    fi
    mv -f "$1" "$bin/k3s"
    sync
    set +f
    rm -f "$bin"/.k3s-*.part
    set -f
    changed=true
    say "$bin/k3s is $tag"
}

make_links() {
    [ "${INSTALL_K3S_SYMLINK:-}" != skip ] && [ "$read_only" != true ] || return 0
    for link in kubectl crictl ctr; do
        if [ "${INSTALL_K3S_SYMLINK:-}" = force ]; then
            ln -sf k3s "$bin/$link"
        elif [ ! -e "$bin/$link" ] && [ ! -L "$bin/$link" ] && ! has $link; then
            ln -s k3s "$bin/$link"
        fi
    done
}

# Make the content of $1 that of $2, with the mode $3, by a rename, unless it is that already.
write() {
    if [ -f "$2" ] && [ "$(sha256_of "$1")" = "$(sha256_of "$2")" ]; then
        chmod "$3" "$2"
        return 0
    fi
    if ! (umask 077 && cp "$1" "$2.new" && chmod "$3" "$2.new" && mv -f "$2.new" "$2"); then
        rm -f "$2.new"
        fail $disk_full "$2 cannot be written" "" "free space, then run the same again"
    fi
    changed=true
}

# Environment variables that are the service's, one NAME="value" on a line, as systemd and sh read it.
service_environment() {
    env | sed -n 's/^\([A-Za-z_][A-Za-z0-9_]*\)=.*/\1/p' | sort -u |
        grep -E -e '^(K3S|CONTAINERD)_' -e '^([Nn][Oo]|[Hh][Tt][Tt][Pp][Ss]?)_[Pp][Rr][Oo][Xx][Yy]$' |
        while read -r variable; do
            eval "content=\${$variable-}"
            # shellcheck disable=SC2154  # eval sets it
            printf '%s="%s"\n' "$variable" "$(printf '%s' "$content" | sed 's/[\\"`$]/\\&/g')"
        done
}

# The arguments as words of a unit of systemd.
systemd_words() {
    printf '%s\n' "$@" | sed -e 's/[\\"]/\\&/g' -e 's/[%$]/&&/g' -e 's/.*/ "&"/' | tr -d '\n'
}

write_environment() {
    service_environment >"$work/environment" || true
    # Run again without variables, for an upgrade: what it was told before holds.
    if [ -s "$work/environment" ] || [ ! -f "$environment" ]; then
        write "$work/environment" "$environment" 600
    fi
}

write_service() {
    IFS='
'
    # shellcheck disable=SC2086  # lines are the words
    set -- "$command" $arguments
    unset IFS
    if [ $init = systemd ]; then
        systemd_unit "$@" >"$work/unit"
        write "$work/unit" "$unit" 644
    else
        openrc_script "$@" >"$work/unit"
        write "$work/unit" "$unit" 755
    fi
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

openrc_script() {
    cat <<EOF
#!/sbin/openrc-run
description="k3s $command"
supervisor=supervise-daemon
command=$(quoted "$bin/k3s")
command_args=$(quoted "$(quoted "$@")")
pidfile=/run/$service.pid
output_log=/var/log/$service.log
error_log=/var/log/$service.log
respawn_delay=5
respawn_max=0
rc_ulimit="-n 1048576"

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
environment=$(quoted "$environment")
killer=$(quoted "$killer")
data=\${K3S_DATA_DIR:-/var/lib/rancher/k3s}
EOF
    cat <<'EOF'
if [ "$(id -u)" != 0 ]; then
    echo "error: only root may do this; next: sudo $0" >&2
    exit 25
fi

services() {
    if [ $init = systemd ]; then
        ls "$units" | sed -n 's/^\(k3s.*\)\.service$/\1/p'
    else
        ls "$units" | sed -n '/^k3s/p'
    fi
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

killall_script() {
    script_head "Stops k3s and every pod on this machine, with their networks. Data stays."
    cat <<'EOF'
PATH=$PATH:$data/data/current/bin:$data/data/current/bin/aux

for one in $(services); do
    control stop "$one"
done

# The shims of containers, and all that descends from them.
pods() {
    for folder in /proc/[0-9]*; do
        shim=0
        case $(readlink "$folder/exe" 2>/dev/null) in
        "$data"/data/*/bin/containerd-shim*) shim=1 ;;
        esac
        sed -n "s/^\([0-9]*\) (.*) [A-Za-z] \([0-9]*\) .*/\1 \2 $shim/p" "$folder/stat" 2>/dev/null
    done | awk '
        { parent[$1] = $2; doomed[$1] = $3 }
        END {
            do {
                more = 0
                for (pid in parent)
                    if (!doomed[pid] && doomed[parent[pid]] == 1) doomed[pid] = more = 1
            } while (more)
            for (pid in doomed) if (doomed[pid] == 1) print pid
        }'
}
for pid in $(pods); do
    kill -9 "$pid" 2>/dev/null
done

awk '{ print $2 }' /proc/mounts | sort -r | while read -r path; do
    case $path in
    /run/k3s/* | /var/lib/kubelet/pods/* | /var/lib/kubelet/plugins/* | /run/netns/cni-*)
        umount "$path" 2>/dev/null || umount -l "$path"
        ;;
    esac
done

if command -v ip >/dev/null; then
    ip netns list 2>/dev/null | sed -n 's/^\(cni-[^ ]*\).*/\1/p' | while read -r one; do
        ip netns delete "$one"
    done
    ip -o link show master cni0 2>/dev/null | sed 's/^[0-9]*: \([^:@]*\).*/\1/' | while read -r one; do
        ip link delete "$one"
    done
    for one in cni0 flannel.1 flannel-v6.1 flannel-wg flannel-wg-v6 kube-ipvs0; do
        ip link delete "$one" 2>/dev/null
    done
fi

for tables in iptables ip6tables; do
    rules=$($tables-save 2>/dev/null) || continue
    case $rules in
    *KUBE-* | *CNI-* | *FLANNEL-*)
        printf '%s\n' "$rules" | grep -v -e KUBE- -e CNI- -e FLANNEL- -e flannel | $tables-restore
        ;;
    esac
done
exit 0
EOF
}

uninstall_script() {
    script_head "Removes k3s: its service, and with the last of them executables and all data."
    cat <<'EOF'
if [ -x "$killer" ]; then
    "$killer"
fi
if [ $init = systemd ]; then
    systemctl disable "$service"
    rm -f "$unit" "$environment"
    systemctl daemon-reload
else
    rc-update delete "$service" default
    rm -f "$unit" "$environment" "/var/log/$service.log"
fi
if [ -n "$(services)" ]; then
    echo "executable and data stay: there are other services: $(services | tr '\n' ' ')"
    rm -f "$0"
    exit 0
fi
# Without what is mounted in there.
for folder in "$data" /etc/rancher/k3s /var/lib/kubelet /var/lib/cni /run/k3s /run/flannel; do
    [ ! -e "$folder" ] || find "$folder" -xdev -depth ! -type d -exec rm -f {} +
    [ ! -e "$folder" ] || find "$folder" -xdev -depth -type d -exec rmdir {} + 2>/dev/null
done
rmdir /etc/rancher /var/lib/rancher 2>/dev/null
for link in kubectl crictl ctr; do
    [ "$(readlink "$bin/$link")" != k3s ] || rm -f "$bin/$link"
done
rm -f "$bin/k3s" "$bin/k3s-previous" "$bin"/.k3s-*.part "$bin/k3s-rollback.sh" "$killer" "$0"
EOF
}

rollback_script() {
    script_head "Exchanges k3s and k3s-previous, and restarts the services; once more undoes it."
    cat <<'EOF'
set -e
if [ ! -x "$bin/k3s-previous" ]; then
    echo "error: there is no $bin/k3s-previous; next: install the version that is wanted" >&2
    exit 26
fi
ln -f "$bin/k3s" "$bin/.k3s-aside" 2>/dev/null || cp -p "$bin/k3s" "$bin/.k3s-aside"
mv -f "$bin/k3s-previous" "$bin/k3s"
mv -f "$bin/.k3s-aside" "$bin/k3s-previous"
"$bin/k3s" --version
for one in $(services); do
    control restart "$one"
done
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

start_service() {
    [ "${INSTALL_K3S_SKIP_ENABLE:-}" != true ] || return 0
    if [ $init = systemd ]; then
        systemctl daemon-reload
        systemctl enable "$service" >/dev/null 2>&1
    else
        rc-update add "$service" default >/dev/null
    fi
    [ "${INSTALL_K3S_SKIP_START:-}" != true ] || return 0
    if [ $changed = false ] && [ "${INSTALL_K3S_FORCE_RESTART:-}" != true ]; then
        say "nothing changed: $service is not restarted"
        return 0
    fi
    say "starting $service"
    if [ $init = systemd ]; then
        systemctl restart "$service" || not_started "journalctl -u $service"
    else
        rc-service "$service" restart || not_started "/var/log/$service.log"
    fi
}

not_started() {
    back=""
    [ ! -x "$bin/k3s-previous" ] || back="; $rollback takes back the version before"
    fail $start_failed "$service did not start" "" "look at $1$back"
}

main() {
    umask 022
    choose_command "$@"
    choose_service
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    choose_folder
    onward=""
    install_executable
    make_links
    write_scripts
    write_environment
    write_service
    look_at_memory
    start_service
    say "done; $uninstaller removes it all"
}

# The last line: of a script that was cut on its way nothing is run.
main "$@"
