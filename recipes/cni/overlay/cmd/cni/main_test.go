package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/containernetworking/plugins/pkg/ns"
	"github.com/containernetworking/plugins/pkg/testutils"
)

// The test program is the multi-call program itself when called as a plugin.
func TestMain(m *testing.M) {
	if _, plugin := plugins[choose(os.Args[:1])]; plugin {
		os.Exit(run(os.Args, os.Stderr))
	}
	os.Exit(m.Run())
}

func TestChoose(t *testing.T) {
	for want, args := range map[string][]string{
		"bridge":     {"/opt/cni/bin/bridge"},
		"flannel":    {"cni", "flannel"},
		"host-local": {"bin/host-local", "bridge"},
		"cni":        {"cni"},
		"":           {},
	} {
		if got := choose(args); got != want {
			t.Errorf("%v: %q, want %q", args, got, want)
		}
	}
	var text bytes.Buffer
	if code := run([]string{"cni", "nothing"}, &text); code != 1 {
		t.Error(code)
	}
	want := "bandwidth bridge firewall flannel host-local loopback portmap\n"
	if !strings.HasSuffix(text.String(), want) {
		t.Error(text.String())
	}
}

// pod is a network namespace and the plugins, called as a runtime would.
type pod struct {
	t       *testing.T
	bin     string
	host, c ns.NetNS
}

func newPod(t *testing.T) *pod {
	p := &pod{t: t, bin: t.TempDir()}
	self, err := os.Executable()
	must(t, err)
	for name := range plugins {
		must(t, os.Symlink(self, filepath.Join(p.bin, name)))
	}
	for _, place := range []*ns.NetNS{&p.host, &p.c} {
		if *place, err = testutils.NewNS(); err != nil {
			t.Skip("needs to make network namespaces: ", err)
		}
		t.Cleanup(func() { (*place).Close(); testutils.UnmountNS(*place) })
	}
	return p
}

func (p *pod) call(command, plugin, conf string) (string, error) {
	var out bytes.Buffer
	err := p.host.Do(func(ns.NetNS) error {
		cmd := exec.Command(filepath.Join(p.bin, plugin))
		cmd.Env = []string{
			"CNI_COMMAND=" + command, "CNI_CONTAINERID=pod1", "CNI_IFNAME=eth0",
			"CNI_NETNS=" + p.c.Path(), "CNI_PATH=" + p.bin, "PATH=" + os.Getenv("PATH"),
		}
		cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(conf), &out, os.Stderr
		return cmd.Run()
	})
	if err != nil {
		err = fmt.Errorf("%s %s: %w: %s", command, plugin, err, out.String())
	}
	return out.String(), err
}

func (p *pod) must(command, plugin, conf string) string {
	p.t.Helper()
	out, err := p.call(command, plugin, conf)
	must(p.t, err)
	return out
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func with(conf string, keys ...string) string {
	return strings.TrimSuffix(conf, "}") + "," + strings.Join(keys, ",") + "}"
}

func TestDualStackPodForReal(t *testing.T) {
	p := newPod(t)
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "subnet.env"), []byte(`FLANNEL_NETWORK=10.42.0.0/16
FLANNEL_SUBNET=10.42.3.1/24
FLANNEL_IPV6_NETWORK=fd42:42::/56
FLANNEL_IPV6_SUBNET=fd42:42:0:3::1/64
FLANNEL_MTU=1450
FLANNEL_IPMASQ=true
`), 0o600))
	conf := fmt.Sprintf(`{"cniVersion":"1.0.0","name":"cbr0","type":"flannel",
		"subnetFile":%q,"dataDir":%q,"ipam":{"dataDir":%q},
		"delegate":{"hairpinMode":true,"forceAddress":true,"isDefaultGateway":true}}`,
		dir+"/subnet.env", dir+"/flannel", dir+"/networks")

	p.must("ADD", "loopback", `{"cniVersion":"1.0.0","name":"lo","type":"loopback"}`)
	out := p.must("ADD", "flannel", conf)
	var result struct {
		IPs []struct{ Address, Gateway string }
	}
	must(t, json.Unmarshal([]byte(out), &result))
	if len(result.IPs) != 2 || result.IPs[0].Address != "10.42.3.2/24" || result.IPs[1].Address != "fd42:42:0:3::2/64" {
		t.Fatal(out)
	}

	must(t, p.c.Do(func(ns.NetNS) error {
		link, err := netlink.LinkByName("eth0")
		must(t, err)
		if mtu := link.Attrs().MTU; mtu != 1450 {
			t.Errorf("mtu %d", mtu)
		}
		for family, want := range map[int][]string{
			netlink.FAMILY_V4: {"default via 10.42.3.1", "10.42.0.0/16 via 10.42.3.1"},
			netlink.FAMILY_V6: {"default via fd42:42:0:3::1", "fd42:42::/56 via fd42:42:0:3::1"},
		} {
			routes, err := netlink.RouteList(link, family)
			must(t, err)
			var have []string
			for _, r := range routes {
				to := "default"
				if r.Dst != nil && !r.Dst.IP.IsUnspecified() {
					to = r.Dst.String()
				}
				have = append(have, to+" via "+r.Gw.String())
			}
			for _, line := range want {
				if !strings.Contains(strings.Join(have, "\n")+"\n", line+"\n") {
					t.Errorf("no route %q in %q", line, have)
				}
			}
		}
		return nil
	}))
	must(t, p.host.Do(func(ns.NetNS) error {
		bridge, err := netlink.LinkByName("cni0")
		must(t, err)
		addrs, err := netlink.AddrList(bridge, netlink.FAMILY_V4)
		must(t, err)
		if len(addrs) != 1 || addrs[0].IPNet.String() != "10.42.3.1/24" {
			t.Error(addrs)
		}
		return nil
	}))

	// The rest of k3s's list, without a rate or a port to map.
	rest := `{"cniVersion":"1.0.0","name":"cbr0","type":"x"}`
	for _, plugin := range []string{"portmap", "bandwidth"} {
		p.must("ADD", plugin, with(rest, `"prevResult":`+out))
	}
	p.must("CHECK", "flannel", with(conf, `"prevResult":`+out))
	wrong := strings.Replace(out, "10.42.3.2/24", "10.42.3.77/24", 1)
	if _, err := p.call("CHECK", "flannel", with(conf, `"prevResult":`+wrong)); err == nil {
		t.Error("CHECK is content with an address that is not there")
	}

	for range 2 { // the second finds nothing to undo
		p.must("DEL", "flannel", with(conf, `"prevResult":`+out))
	}
	must(t, p.c.Do(func(ns.NetNS) error {
		if _, err := netlink.LinkByName("eth0"); err == nil {
			t.Error("eth0 is still there")
		}
		return nil
	}))
	for _, left := range []string{"networks/cbr0/10.42.3.2", "networks/cbr0/fd42:42:0:3::2", "flannel/pod1"} {
		if _, err := os.Stat(filepath.Join(dir, left)); err == nil {
			t.Error(left, " is still there")
		}
	}
}
