# What the steps of upgrade.toml are written with; docs/upgrade.md says the same to people.
# shellcheck shell=sh
DATA=/var/lib/rancher/k3s/data

# version LINK: the version that data/LINK leads to.
version() {
    basename "$(readlink $DATA/"$1")"
}

# runs VERSION: k3s runs, and it is that version's program.
runs() {
    running && program=$(readlink "/proc/$(cat /run/k3s.pid)/exe") && echo "$program" &&
        [ "$program" = "$DATA/$1/bin/k3s" ]
}

# back: from here on k3s is the program that the version before has left.
back() {
    PATH=$DATA/cni:$DATA/previous/bin:$PATH:$DATA/previous/bin/aux
}
