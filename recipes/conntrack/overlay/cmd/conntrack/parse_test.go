package main

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/vishvananda/netlink/cmd/conntrack/internal/ctnetlink"
	"golang.org/x/sys/unix"
)

func TestWrongCommandLines(t *testing.T) {
	for line, want := range map[string]string{
		"--foo":                            "unknown option `--foo'",
		"-x":                               "unknown option `-x'",
		"-Lx":                              "unknown option `-x'",
		"--re 10.0.0.1":                    "unknown option `--re'",
		"--dump=all":                       "unknown option `--dump'",
		"-p":                               "option `-p' requires an argument",
		"-L --src":                         "option `--src' requires an argument",
		"-L -F":                            "Invalid commands combination",
		"-s 10.0.0.1":                      "Illegal option `--src' with this command",
		"-C -f ipv4":                       "Illegal option `--family' with this command",
		"-D -z":                            "Illegal option `--zero' with this command",
		"-L nothing":                       "unknown type `nothing'",
		"-L conntrack more":                "Bad parameter `more'",
		"-L expect":                        "the table `expect' is not in this program",
		"-D dying":                         "Can't do that command with tables `dying' and `unconfirmed'",
		"-U -m 1":                          "`--update' is not in this program, which lists, counts, deletes and watches",
		"-L -o xml":                        "the output `xml' is not in this program",
		"-L -o id,":                        "Bad parameter `'",
		"-L -u BAD":                        "Bad parameter `BAD'",
		"-E -e NEW,BAD":                    "Bad parameter `BAD'",
		"-L -f inet":                       "`inet' unsupported protocol",
		"-L -p 256":                        "`256' unsupported protocol",
		"-L -p nonsense":                   "`nonsense' unsupported protocol",
		"-L -s nowhere":                    "Invalid IP address `nowhere'",
		"-L -s fe80::1%eth0":               "Invalid IP address `fe80::1%eth0'",
		"-L -s 10.0.0.0/33":                "Invalid netmask",
		"-L -s 10.0.0.1 -d fd00::1":        "mismatched address family",
		"-L -f ipv6 -r 10.0.0.1":           "mismatched address family",
		"-L -s 10.0.0.1 --mask-src ffff::": "mismatched address family",
		"-L --mask-dst 255.0.0.0":          "Can't use --mask-dst without --dst",
		"-L -n -j":                         "cannot specify `--src-nat' or `--dst-nat' with `--any-nat'",
		"-L -g 10.0.0.0/8":                 "CIDR notation unavailable for `--dst-nat'",
		"-L -g 10.0.0.1:x":                 "`x' is no number that `--dst-nat' takes",
		"-L -m x":                          "`x' is no number that `--mark' takes",
		"-L -m 1/x":                        "`x' is no number that `--mark' takes",
		"-L -w 65536":                      "`65536' is no number that `--zone' takes",
		"-L --dport 53":                    "unknown option `--dport'",
		"-L -p icmp --dport 53":            "unknown option `--dport'",
		"-L -p udp --state ESTABLISHED":    "unknown option `--state'",
		"-L -p udp --dport 65536":          "`65536' is no number that `--dport' takes",
		"-L -p tcp --state NEW":            "unknown TCP state `NEW'",
		"-L -z -p udp":                     "Can't use -z with filtering parameters",
		"-L dying -z":                      "Can't use --zero with tables `dying' and `unconfirmed'",
		"-G":                               "You need to supply the `--protonum' option for this command",
		"-G -p tcp -s 10.0.0.1":            "you have to specify `--src' and `--dst'",
	} {
		var out, err bytes.Buffer
		code := run(strings.Fields(line), &out, &err)
		first, rest, _ := strings.Cut(err.String(), "\n")
		if code != exitUsage || first != title+": "+want || !strings.HasPrefix(rest, "Try `conntrack -h'") || out.Len() > 0 {
			t.Errorf("%s: %d, %q%q", line, code, out.String(), err.String())
		}
	}
}

func TestRequests(t *testing.T) {
	for line, want := range map[string]request{
		"-L":                               {table: ctnetlink.Tracked},
		"-L conntrack":                     {table: ctnetlink.Tracked},
		"--dump dying":                     {table: ctnetlink.Dying},
		"unconfirmed -L":                   {table: ctnetlink.Unconfirmed},
		"-L -z":                            {table: ctnetlink.Zeroing},
		"-Lz -fipv6":                       {table: ctnetlink.Zeroing, family: unix.AF_INET6},
		"--dump --family=ipv4":             {table: ctnetlink.Tracked, family: unix.AF_INET},
		"--du --fam ipv4":                  {table: ctnetlink.Tracked, family: unix.AF_INET},
		"-L -o id -o extended":             {table: ctnetlink.Tracked, format: format{id: true, extended: true}},
		"-L -o ID,ext,timestamp,ktime":     {table: ctnetlink.Tracked, format: format{true, true, true, true, nil}},
		"-L -f ipv4 -f ipv6":               {table: ctnetlink.Tracked, family: unix.AF_INET6},
		"-L -- conntrack":                  {table: ctnetlink.Tracked},
		"-E -e new -e DESTROY -b 0x100000": {table: ctnetlink.Tracked, events: ctnetlink.New | ctnetlink.Destroy, buffer: 1 << 20},
	} {
		r, err := parse(strings.Fields(line))
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		if want.events == 0 {
			want.events = ctnetlink.Every
		}
		r.command, r.filter = nil, nil
		if !reflect.DeepEqual(*r, want) {
			t.Errorf("%s: %+v, want %+v", line, *r, want)
		}
	}
}

func TestProtocolsOfTheHost(t *testing.T) {
	path := filepath.Join(t.TempDir(), "protocols")
	text := "# names\nesp\t50\tESP\t\t# security\nipv6-icmp 58 IPv6-ICMP\nbad many\nlone\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int{
		"esp": 50, "ESP": 50, "ipv6-icmp": 58, "50": -1, "bad": -1, "lone": -1, "security": -1,
	} {
		number, known := lookUpProtocol(path, name)
		if known != (want >= 0) || known && int(number) != want {
			t.Errorf("%s: %d %v", name, number, known)
		}
	}
	if _, known := lookUpProtocol(path+"x", "esp"); known {
		t.Error("found in a file that is not there")
	}
}

func TestLabelNames(t *testing.T) {
	path := filepath.Join(t.TempDir(), "connlabel.conf")
	text := "# 3 comment\n0 zero\n127\tlast more\n128 beyond\nx no\n5\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := readLabels(path)
	if want := []label{{0, "zero"}, {127, "last"}}; err != nil || !reflect.DeepEqual(got, want) {
		t.Error(got, err)
	}
}

func TestVersionAndHelp(t *testing.T) {
	for _, c := range []struct{ line, begin string }{
		{"-V", title + "\n"}, {"--version", title + "\n"}, {"-h", "conntrack 1.4.7"}, {"", "conntrack 1.4.7"},
	} {
		var out, err bytes.Buffer
		if code := run(strings.Fields(c.line), &out, &err); code != 0 || err.Len() > 0 || !strings.HasPrefix(out.String(), c.begin) {
			t.Errorf("%s: %d %q %q", c.line, code, out.String(), err.String())
		}
	}
	for _, o := range allOptions() {
		if !strings.Contains(help, "--"+o.name()) && o.commands != "" {
			t.Errorf("the help is silent about --%s", o.name())
		}
	}
}
