# What the steps of parts.toml are written with.
# shellcheck shell=sh
K3S=/var/lib/rancher/k3s
SOCKET=/run/k3s/containerd/containerd.sock

# says TEXT: waits until k3s has written that; ends where k3s has ended, whose last words were shown.
says() {
    until logged "$1"; do
        running >/dev/null 2>&1 || return 1
        sleep 2
    done
}

# runtime: the bundled containerd as k3s would start it, but alone.
runtime() {
    PATH=$K3S/data/current/bin:$PATH setsid containerd --address $SOCKET \
        --root $K3S/agent/containerd >/var/log/containerd.log 2>&1 </dev/null &
    until k3s ctr version; do
        kill -0 $! || { tail -n 15 /var/log/containerd.log && return 1; }
        sleep 2
    done
}

# archive: that of pause alone where it was embedded and placed, or that of all images.
archive() {
    for path in "$K3S"/agent/images/k3s-pause.tar.zst "$K3S"/agent/images/k3s-airgap-images-*; do
        if [ -f "$path" ]; then
            echo "$path"
            return
        fi
    done
}

# holds IMAGE: a container of it runs and goes on running; otherwise, ends with its exit code.
holds() {
    k3s ctr run "$1" holder &
    until k3s ctr task ls | grep '^holder .*RUNNING'; do
        kill -0 $! || break
        sleep 1
    done
    sleep 5
    kill -0 $! || wait $!
}
