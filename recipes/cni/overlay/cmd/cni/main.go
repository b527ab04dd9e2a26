// cni is all the CNI plugins that k3s needs in one program: it acts as the
// plugin it is called as. Called as cni, the first argument names the plugin.
package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	hostlocal "github.com/containernetworking/plugins/plugins/ipam/host-local"
	"github.com/containernetworking/plugins/plugins/main/bridge"
	"github.com/containernetworking/plugins/plugins/main/loopback"
	"github.com/containernetworking/plugins/plugins/meta/bandwidth"
	"github.com/containernetworking/plugins/plugins/meta/firewall"
	"github.com/containernetworking/plugins/plugins/meta/flannel"
	"github.com/containernetworking/plugins/plugins/meta/portmap"
)

var plugins = map[string]func(){
	"bandwidth":  bandwidth.Main,
	"bridge":     bridge.Main,
	"firewall":   firewall.Main,
	"flannel":    flannel.Main,
	"host-local": hostlocal.Main,
	"loopback":   loopback.Main,
	"portmap":    portmap.Main,
}

// choose returns the name of the plugin that a command line asks for.
func choose(args []string) string {
	if len(args) == 0 {
		return ""
	}
	name := filepath.Base(args[0])
	if _, known := plugins[name]; !known && len(args) > 1 {
		name = args[1]
	}
	return name
}

func run(args []string, stderr io.Writer) int {
	plugin, known := plugins[choose(args)]
	if !known {
		names := slices.Sorted(maps.Keys(plugins))
		fmt.Fprintf(stderr, "cni: call it by the name of a plugin, or name one: %s\n", strings.Join(names, " "))
		return 1
	}
	plugin()
	return 0
}

func main() {
	os.Exit(run(os.Args, os.Stderr))
}
