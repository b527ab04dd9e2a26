# What the steps about archives of images are written with.
# shellcheck shell=sh

# archives TEXT: k3s runs and has written that of each archive since it was started last.
archives() {
    text=$1
    set -- /var/lib/rancher/k3s/agent/images/*.tar.zst
    written=$(tail -c "+$(cat /run/k3s.begin)" "$LOG" | grep -c -F -e "$text")
    echo "$written of $#"
    running && [ "$written" -ge $# ]
}

# pinned: kubelet may collect no image; names that it may. Those by an id are containerd's own.
pinned() {
    k3s ctr images ls | awk '
        NR > 1 && !/^sha256:/ {
            names++
            if (!/cri-containerd.pinned=pinned/) { print $1; bad = 1 }
        }
        END { exit bad || !names }'
}
