# The bundled host utilities against the board's own kernel: two namespaces, left and right, joined
# by a bridge.
# shellcheck shell=sh
bin=/var/lib/rancher/k3s/data/current/bin
PATH=$bin:$bin/aux:$PATH

joined() {
    ip link add bridge0 type bridge
    ip link set bridge0 up
    number=0
    for side in left right; do
        number=$((number + 1))
        ip netns add $side
        ip link add $side type veth peer name eth0 netns $side
        ip link set $side up master bridge0
        ip -n $side address add 10.1.0.$number/24 dev eth0
        ip -n $side link set eth0 up
        ip -n $side link set lo up
    done
    # A bridge waits before a new port forwards.
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        if passes; then return 0; fi
    done
    return 1
}

passes() {
    ip netns exec left ping -c 1 -W 2 10.1.0.2 >/dev/null
}

blocked() {
    ! passes
}

# lists TEXT COMMAND…: the command prints a line with that in it.
lists() {
    text=$1
    shift
    "$@" | grep -F -- "$text"
}
