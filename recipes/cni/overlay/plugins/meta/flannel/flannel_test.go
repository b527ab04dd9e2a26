package flannel

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"
)

const (
	ipv4Lease = "FLANNEL_NETWORK=10.42.0.0/16\nFLANNEL_SUBNET=10.42.3.1/24\n"
	ipv6Lease = "FLANNEL_IPV6_NETWORK=2001:cafe:42::/56\nFLANNEL_IPV6_SUBNET=2001:cafe:42:3::1/64\n"
	leaseTail = "FLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n"
	k3sConf   = `"delegate":{"hairpinMode":true,"forceAddress":true,"isDefaultGateway":true}`
)

// node is a folder with a lease and a fake plugin "bridge" that records its
// calls and fails on demand.
type node struct {
	t   *testing.T
	dir string
}

func newNode(t *testing.T, lease string) *node {
	n := &node{t: t, dir: t.TempDir()}
	if lease != "" {
		n.write("subnet.env", lease)
	}
	script := `#!/bin/sh
printf '%s %s\n' "$CNI_COMMAND" "$(basename "$0")" >>"$RECORD/calls"
cat >"$RECORD/stdin"
if [ -e "$RECORD/fail" ]; then echo '{"cniVersion":"1.0.0","code":11,"msg":"told to fail"}'; exit 1; fi
if [ "$CNI_COMMAND" = ADD ]; then echo '{"cniVersion":"1.0.0","ips":[]}'; fi
`
	for _, name := range []string{"bridge", "ptp"} {
		n.write(name, script)
		if err := os.Chmod(filepath.Join(n.dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("RECORD", n.dir)
	t.Setenv("CNI_PATH", n.dir)
	t.Setenv("CNI_CONTAINERID", "abc")
	t.Setenv("CNI_NETNS", "/none")
	t.Setenv("CNI_IFNAME", "eth0")
	return n
}

func (n *node) write(name, text string) {
	n.t.Helper()
	if err := os.WriteFile(filepath.Join(n.dir, name), []byte(text), 0o600); err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) read(name string) string {
	text, err := os.ReadFile(filepath.Join(n.dir, name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		n.t.Fatal(err)
	}
	return string(text)
}

func (n *node) stdin() dict {
	n.t.Helper()
	var conf dict
	if err := json.Unmarshal([]byte(n.read("stdin")), &conf); err != nil {
		n.t.Fatal(err)
	}
	return conf
}

func (n *node) args(keys ...string) *skel.CmdArgs {
	conf := []string{
		`"cniVersion":"1.0.0"`, `"name":"cbr0"`, `"type":"flannel"`,
		`"subnetFile":"` + n.dir + `/subnet.env"`, `"dataDir":"` + n.dir + `/data"`,
	}
	text := "{" + strings.Join(append(conf, keys...), ",") + "}"
	return &skel.CmdArgs{ContainerID: "abc", IfName: "eth0", StdinData: []byte(text)}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantError(t *testing.T, err error, text string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), text) {
		t.Fatalf("error %v, want one with %q", err, text)
	}
}

func wantJSON(t *testing.T, got any, want string) {
	t.Helper()
	var wanted any
	must(t, json.Unmarshal([]byte(want), &wanted))
	text, err := json.Marshal(got)
	must(t, err)
	var have any
	must(t, json.Unmarshal(text, &have))
	if !reflect.DeepEqual(have, wanted) {
		t.Fatalf("got  %s\nwant %s", text, want)
	}
}

func TestAddRendersWhatK3sNeeds(t *testing.T) {
	ipam := func(ranges, routes string) string {
		return `"ipam":{"type":"host-local","ranges":[` + ranges + `],"routes":[` + routes + `]}`
	}
	v4, v6 := `[{"subnet":"10.42.3.0/24"}]`, `[{"subnet":"2001:cafe:42:3::/64"}]`
	r4, r6 := `{"dst":"10.42.0.0/16"}`, `{"dst":"2001:cafe:42::/56"}`
	for name, c := range map[string]struct{ lease, ipam string }{
		"ipv4": {ipv4Lease, ipam(v4, r4)},
		"ipv6": {ipv6Lease, ipam(v6, r6)},
		"dual": {ipv4Lease + ipv6Lease, ipam(v4+","+v6, r4+","+r6)},
		"two networks": {
			"FLANNEL_NETWORK=10.42.0.0/16,10.44.0.0/16\nFLANNEL_SUBNET=10.42.3.1/24\n",
			ipam(v4, r4+`,{"dst":"10.44.0.0/16"}`),
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, c.lease+leaseTail)
			must(t, add(n.args(k3sConf)))
			wantJSON(t, n.stdin(), `{"cniVersion":"1.0.0","name":"cbr0","type":"bridge","hairpinMode":true,
				"forceAddress":true,"isDefaultGateway":true,"isGateway":true,"ipMasq":false,"mtu":1450,`+c.ipam+`}`)
			if got := n.read("data/abc"); got != n.read("stdin") {
				t.Fatalf("saved %s", got)
			}
			if got := n.read("calls"); got != "ADD bridge\n" {
				t.Fatal(got)
			}
		})
	}
}

func TestWhatTheDelegateSaysWins(t *testing.T) {
	n := newNode(t, ipv4Lease+"FLANNEL_MTU=1450\nFLANNEL_IPMASQ=false\n")
	must(t, add(n.args(
		`"delegate":{"type":"ptp","mtu":1300}`,
		`"runtimeConfig":{"mac":"c2:11:22:33:44:55"}`,
		`"ipam":{"type":"static","dataDir":"/x","routes":[{"dst":"10.0.0.0/8","gw":"10.42.3.9"}]}`,
	)))
	wantJSON(t, n.stdin(), `{"cniVersion":"1.0.0","name":"cbr0","type":"ptp","ipMasq":true,"mtu":1300,
		"runtimeConfig":{"mac":"c2:11:22:33:44:55"},
		"ipam":{"type":"static","dataDir":"/x","ranges":[[{"subnet":"10.42.3.0/24"}]],
		"routes":[{"dst":"10.0.0.0/8","gw":"10.42.3.9"},{"dst":"10.42.0.0/16"}]}}`)
	if got := n.read("calls"); got != "ADD ptp\n" {
		t.Fatal(got)
	}
}

func TestConfigurationsThatAreRefused(t *testing.T) {
	n := newNode(t, ipv4Lease+leaseTail)
	for key, text := range map[string]string{
		`"delegate":{"name":"x"}`:  "must not set name",
		`"delegate":{"ipam":{}}`:   "must not set ipam",
		`"delegate":{"type":7}`:    "must be a string",
		`"delegate":{"type":""}`:   "must be a string",
		`"delegate":7`:             "network configuration",
		`"ipam":{"routes":"none"}`: "must be a list",
	} {
		wantError(t, add(n.args(key)), text)
	}
	if n.read("calls")+n.read("data/abc") != "" {
		t.Fatal("a refused configuration reached the delegate")
	}
}

func TestLeasesThatAreRefused(t *testing.T) {
	for lease, text := range map[string]string{
		"":        "no such file",
		leaseTail: "neither FLANNEL_SUBNET nor FLANNEL_IPV6_SUBNET",
		"FLANNEL_NETWORK=10.42.0.0/16\n" + ipv6Lease + leaseTail: "belong together",
		"FLANNEL_IPV6_SUBNET=fd00::1/64\n" + leaseTail:           "belong together",
		ipv4Lease + "FLANNEL_MTU=1450\n":                         "FLANNEL_IPMASQ",
		ipv4Lease + "FLANNEL_IPMASQ=true\n":                      "FLANNEL_MTU",
		"FLANNEL_NETWORK=10.42\n" + leaseTail:                    "FLANNEL_NETWORK",
		ipv4Lease + "FLANNEL_MTU=-1\nFLANNEL_IPMASQ=true\n":      "FLANNEL_MTU",
	} {
		n := newNode(t, lease)
		wantError(t, add(n.args(k3sConf)), text)
		err := status(n.args(k3sConf))
		var coded *types.Error
		if !errors.As(err, &coded) || coded.Code != errPluginNotAvailable {
			t.Fatalf("STATUS said %v", err)
		}
	}
}

func TestDelUndoesWhatAddDid(t *testing.T) {
	n := newNode(t, ipv4Lease+leaseTail)
	must(t, add(n.args(k3sConf)))
	added := n.read("stdin")
	n.write("subnet.env", strings.ReplaceAll(ipv4Lease, "10.42.3", "10.42.9")+leaseTail)

	n.write("fail", "")
	wantError(t, del(n.args(k3sConf)), "told to fail")
	if n.read("data/abc") == "" {
		t.Fatal("a DEL that failed forgot the configuration")
	}
	must(t, os.Remove(filepath.Join(n.dir, "fail")))
	must(t, del(n.args(k3sConf)))
	if got := n.read("stdin"); got != added {
		t.Fatalf("DEL was given %s", got)
	}
	if n.read("data/abc") != "" {
		t.Fatal("configuration still there")
	}
}

func TestDelWithoutASavedConfiguration(t *testing.T) {
	n := newNode(t, ipv4Lease+leaseTail)
	must(t, del(n.args(k3sConf))) // never added, or added by someone else
	if got := n.read("calls"); got != "DEL bridge\n" {
		t.Fatal(got)
	}
	n.write("data", "") // not even a folder
	wantError(t, add(n.args(k3sConf)), "saving the delegate's configuration")

	n = newNode(t, ipv4Lease+leaseTail)
	must(t, os.Mkdir(filepath.Join(n.dir, "data"), 0o700))
	n.write("data/abc", `{"type":"bri`) // cut short by a power loss
	must(t, del(n.args(k3sConf)))
	if n.read("calls") != "DEL bridge\n" || n.read("data/abc") != "" {
		t.Fatal(n.read("calls"), n.read("data/abc"))
	}

	n = newNode(t, "") // after a reboot: no lease, nothing saved
	must(t, del(n.args(k3sConf)))
	if n.read("calls") != "" {
		t.Fatal(n.read("calls"))
	}
}

func TestCheck(t *testing.T) {
	n := newNode(t, ipv4Lease+leaseTail)
	wantError(t, check(n.args(k3sConf)), "needs prevResult")
	must(t, add(n.args(k3sConf)))
	must(t, check(n.args(k3sConf, `"prevResult":{"ips":[]}`)))
	if got := n.read("calls"); got != "ADD bridge\nCHECK bridge\n" {
		t.Fatal(got)
	}
	wantJSON(t, n.stdin()["prevResult"], `{"ips":[]}`)
	n.write("fail", "")
	wantError(t, check(n.args(k3sConf, `"prevResult":{"ips":[]}`)), "told to fail")

	n = newNode(t, "")
	wantError(t, check(n.args(k3sConf, `"prevResult":{}`)), "never added")
}

func TestStatusAsksTheDelegate(t *testing.T) {
	n := newNode(t, ipv4Lease+leaseTail)
	must(t, status(n.args(k3sConf)))
	n.write("fail", "")
	wantError(t, status(n.args(k3sConf)), "told to fail")
	if got := n.read("calls"); got != "STATUS bridge\nSTATUS bridge\n" {
		t.Fatal(got)
	}
}

func TestGCForgetsOnlyThisNetworksStaleContainers(t *testing.T) {
	n := newNode(t, ipv4Lease+leaseTail)
	must(t, os.Mkdir(filepath.Join(n.dir, "data"), 0o700))
	for name, network := range map[string]string{"live": "cbr0", "stale": "cbr0", "other": "cbr1"} {
		n.write("data/"+name, `{"type":"bridge","name":"`+network+`"}`)
	}
	n.write("data/torn", `{"type"`)
	valid := `"cni.dev/valid-attachments":[{"containerID":"live","ifname":"eth0"}]`
	must(t, gc(n.args(k3sConf, valid)))
	for name, kept := range map[string]bool{"live": true, "stale": false, "other": true, "torn": true} {
		if (n.read("data/"+name) != "") != kept {
			t.Errorf("%s kept: %v", name, !kept)
		}
	}
	wantJSON(t, n.stdin()["cni.dev/valid-attachments"], `[{"containerID":"live","ifname":"eth0"}]`)
}
