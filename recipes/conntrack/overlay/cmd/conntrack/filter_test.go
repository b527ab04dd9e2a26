package main

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink/cmd/conntrack/internal/ctnetlink"
	"golang.org/x/sys/unix"
)

// sent is the mask of attributes.
func sent(attrs ...ctnetlink.Attr) uint32 {
	var mask uint32
	for _, a := range attrs {
		mask |= 1 << a
	}
	return mask
}

func ip(text string) netip.Addr { return netip.MustParseAddr(text) }

// Flows of the tests, by the names that the tables below use.
var flows = map[string]*ctnetlink.Flow{
	"web": { // a Service: 10.43.0.1:80 became the pod 10.42.0.5:8080
		Family: unix.AF_INET,
		Orig:   ctnetlink.Tuple{Src: ip("10.0.0.1"), Dst: ip("10.43.0.1"), Proto: 6, SrcPort: 4000, DstPort: 80},
		Reply:  ctnetlink.Tuple{Src: ip("10.42.0.5"), Dst: ip("10.0.0.1"), Proto: 6, SrcPort: 8080, DstPort: 4000},
		Status: ctnetlink.StatusSeenReply | ctnetlink.StatusAssured | ctnetlink.StatusDstNAT,
		State:  "ESTABLISHED", Timeout: 431999, Mark: 0x4123, Use: 1, ID: 99,
		Labels: []uint32{1 << 3},
		Sent:   sent(ctnetlink.AttrStatus, ctnetlink.AttrTimeout, ctnetlink.AttrMark, ctnetlink.AttrUse),
	},
	"dns": { // masqueraded: only the port changed
		Family: unix.AF_INET,
		Orig:   ctnetlink.Tuple{Src: ip("10.0.0.1"), Dst: ip("1.1.1.1"), Proto: 17, SrcPort: 5000, DstPort: 53, Zone: 8, HasZone: true},
		Reply:  ctnetlink.Tuple{Src: ip("1.1.1.1"), Dst: ip("10.0.0.1"), Proto: 17, SrcPort: 53, DstPort: 6000},
		Status: ctnetlink.StatusSrcNAT, Timeout: 30, Zone: 7,
		Sent: sent(ctnetlink.AttrStatus, ctnetlink.AttrTimeout, ctnetlink.AttrZone),
	},
	"ping": {
		Family: unix.AF_INET6,
		Orig:   ctnetlink.Tuple{Src: ip("fd00::1"), Dst: ip("fd00::2"), Proto: 58, ICMPType: 128, ICMPID: 77, Counters: ctnetlink.Counters{Packets: 2, Bytes: 96}},
		Reply:  ctnetlink.Tuple{Src: ip("fd00::2"), Dst: ip("fd00::1"), Proto: 58, ICMPType: 129, ICMPID: 77},
		Status: ctnetlink.StatusSeenReply,
		Sent:   sent(ctnetlink.AttrStatus, ctnetlink.AttrCountersOrig, ctnetlink.AttrCountersReply),
	},
	"tunnel": {
		Family: unix.AF_INET,
		Orig:   ctnetlink.Tuple{Src: ip("10.0.0.1"), Dst: ip("10.0.0.2"), Proto: 47, SrcPort: 0xab, DstPort: 0},
		Reply:  ctnetlink.Tuple{Src: ip("10.0.0.2"), Dst: ip("10.0.0.1"), Proto: 47, DstPort: 0xab},
		Status: ctnetlink.StatusSeenReply | ctnetlink.StatusAssured | ctnetlink.StatusOffload,
		Sent:   sent(ctnetlink.AttrStatus),
	},
}

func TestFilters(t *testing.T) {
	for line, want := range map[string]string{
		"":                                   "dns ping tunnel web",
		"-p tcp":                             "web",
		"-p 17":                              "dns",
		"-p IPV6-ICMP":                       "",
		"-s 10.0.0.1":                        "dns tunnel web",
		"-s 10.0.0.99/24":                    "dns tunnel web",
		"-s 10.0.0.1 -d 10.43.0.0/16":        "web",
		"-s 0.0.0.0/0":                       "dns tunnel web",
		"-s ::/0":                            "ping",
		"-s 10.9.9.1 --mask-src 255.0.0.255": "dns tunnel web",
		"-d fd00::/64":                       "ping",
		"-r 10.42.0.5":                       "web",
		"-q 10.0.0.1":                        "dns tunnel web",
		"-r 1.0.0.0/8":                       "dns",
		"-n":                                 "dns",
		"-n 10.0.0.1":                        "",
		"-n10.0.0.1:6000":                    "dns",
		"-n 10.0.0.1:6001":                   "",
		"-g":                                 "web",
		"-g 10.42.0.5":                       "web",
		"--dst-nat=10.42.0.5:8080":           "web",
		"-g 10.42.0.6":                       "",
		"-j":                                 "dns web",
		"-j 10.42.0.5":                       "web",
		"-n -g":                              "",
		"-m 0x4123":                          "web",
		"-m 0x4000/0x4000":                   "web",
		"-m 0/0x4000":                        "dns ping tunnel",
		"-w 7":                               "dns",
		"--orig-zone 8":                      "dns",
		"--reply-zone 8":                     "",
		"-u ASSURED":                         "tunnel web",
		"-u unreplied":                       "dns",
		"-u ASSURED -u OFFLOAD":              "tunnel",
		"-u DST_NAT,ASSURED":                 "web",
		"-p tcp --dport 80":                  "web",
		"-p udp --orig-port-src 5000":        "dns",
		"--dport 53 -p udp":                  "dns",
		"-p tcp --reply-port-src 8080":       "web",
		"-p udp --reply-port-dst 6000":       "dns",
		"-p tcp --state ESTABLISHED":         "web",
		"-p tcp --state LISTEN":              "",
		"-p icmpv6 --icmpv6-type 128":        "ping",
		"-p icmpv6 --icmp-id 78":             "",
		"-p gre --srckey 0xab":               "tunnel",
		"-p gre --reply-key-dst 171":         "tunnel",
	} {
		r, err := parse(append([]string{"-L"}, strings.Fields(line)...))
		if line == "-p IPV6-ICMP" && err != nil {
			continue // the host's file of protocols has no such name
		}
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		var got []string
		for _, name := range []string{"dns", "ping", "tunnel", "web"} {
			if r.filter.matches(flows[name]) {
				got = append(got, name)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q takes %v, not %q", line, got, want)
		}
	}
}

func TestLabelsOfAFlow(t *testing.T) {
	if !hasAll(flows["web"], []int{3}) || hasAll(flows["web"], []int{3, 4}) || hasAll(flows["dns"], []int{3}) {
		t.Error("a flow must carry all the labels")
	}
}

func TestLines(t *testing.T) {
	named := format{labels: []label{{3, "three"}, {4, "four"}}}
	for _, c := range []struct {
		flow   string
		format format
		want   string
	}{
		{"web", format{}, "tcp      6 431999 ESTABLISHED src=10.0.0.1 dst=10.43.0.1 sport=4000 dport=80 " +
			"src=10.42.0.5 dst=10.0.0.1 sport=8080 dport=4000 [ASSURED] mark=16675 use=1"},
		{"web", named, "tcp      6 431999 ESTABLISHED src=10.0.0.1 dst=10.43.0.1 sport=4000 dport=80 " +
			"src=10.42.0.5 dst=10.0.0.1 sport=8080 dport=4000 [ASSURED] mark=16675 use=1 labels=three"},
		{"dns", format{extended: true, id: true}, "ipv4     2 udp      17 30 src=10.0.0.1 dst=1.1.1.1 sport=5000 dport=53 " +
			"zone-orig=8 [UNREPLIED] src=1.1.1.1 dst=10.0.0.1 sport=53 dport=6000 zone=7 id=0"},
		{"ping", format{extended: true}, "ipv6     10 icmpv6   58 src=fd00::1 dst=fd00::2 type=128 code=0 id=77 packets=2 bytes=96 " +
			"src=fd00::2 dst=fd00::1 type=129 code=0 id=77 packets=0 bytes=0"},
		{"tunnel", format{}, "gre      47 src=10.0.0.1 dst=10.0.0.2 srckey=0xab dstkey=0x0 " +
			"src=10.0.0.2 dst=10.0.0.1 srckey=0x0 dstkey=0xab [OFFLOAD]"},
	} {
		if got := c.format.line(flows[c.flow]); got != c.want {
			t.Errorf("%s:\n%s\n%s", c.flow, got, c.want)
		}
	}
}

func TestAgeAndDate(t *testing.T) {
	now := time.Unix(100, 0)
	if got := age(&ctnetlink.Flow{Start: 10e9}, now); got != 90 {
		t.Error(got)
	}
	if got := age(&ctnetlink.Flow{Start: 10e9, Stop: 12e9}, now); got != 2 {
		t.Error(got)
	}
	local := time.Local
	defer func() { time.Local = local }()
	time.Local = time.UTC
	if got := date(1e9); got != "Thu Jan  1 00:00:01 1970" {
		t.Error(got)
	}
}
