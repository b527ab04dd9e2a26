package ctnetlink

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// nest is an attribute that holds others.
func nest(kind int, inner ...[]byte) []byte {
	var all []byte
	for _, b := range inner {
		all = append(all, b...)
	}
	return attr(kind|unix.NLA_F_NESTED, all...)
}

func attr(kind int, value ...byte) []byte { return nl.NewRtAttr(kind, value).Serialize() }

func num16(kind int, n uint16) []byte { return attr(kind, nl.BEUint16Attr(n)...) }
func num32(kind int, n uint32) []byte { return attr(kind, nl.BEUint32Attr(n)...) }
func num64(kind int, n uint64) []byte { return attr(kind, nl.BEUint64Attr(n)...) }

func message(family byte, attrs ...[]byte) []byte {
	all := []byte{family, 0, 0, 0}
	for _, a := range attrs {
		all = append(all, a...)
	}
	return all
}

// tcpMessage is an entry with everything that the kernel may send.
func tcpMessage() []byte {
	return message(unix.AF_INET,
		nest(1, nest(1, attr(1, 10, 0, 0, 1), attr(2, 10, 0, 0, 2)),
			nest(2, attr(1, 6), num16(2, 4000), num16(3, 80)), num16(3, 9)),
		nest(2, nest(1, attr(1, 10, 0, 0, 2), attr(2, 10, 0, 0, 1)),
			nest(2, attr(1, 6), num16(2, 80), num16(3, 4000))),
		num32(3, 0x18e), num32(7, 431999), num32(8, 0x123), num32(11, 2), num32(12, 0xfedcba98),
		nest(4, nest(1, attr(1, 3), attr(2, 7))),
		nest(9, num64(1, 5), num64(2, 1<<40)), nest(10, num64(1, 4), num64(2, 300)),
		nest(5, attr(1, []byte("ftp\x00")...)), nest(19, attr(1, []byte("system_u\x00")...)),
		num16(18, 7), nest(20, num64(1, 1_000_000_000), num64(2, 3_000_000_000)),
		attr(22, append(native(1<<8), native(1)...)...))
}

func native(word uint32) []byte {
	b := make([]byte, 4)
	nl.NativeEndian().PutUint32(b, word)
	return b
}

func TestDecodeAll(t *testing.T) {
	f, err := decode(tcpMessage())
	if err != nil {
		t.Fatal(err)
	}
	near, far := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	want := &Flow{
		Family: unix.AF_INET,
		Orig: Tuple{
			Src: near, Dst: far, Proto: 6, SrcPort: 4000, DstPort: 80,
			Zone: 9, HasZone: true, Counters: Counters{5, 1 << 40},
		},
		Reply: Tuple{
			Src: far, Dst: near, Proto: 6, SrcPort: 80, DstPort: 4000, Counters: Counters{4, 300},
		},
		Status: 0x18e, State: "ESTABLISHED", Timeout: 431999, Mark: 0x123, Use: 2, ID: 0xfedcba98,
		Zone: 7, Helper: "ftp", Secctx: "system_u", Start: 1_000_000_000, Stop: 3_000_000_000,
		Labels: []uint32{1 << 8, 1}, Sent: f.Sent, key: f.key,
	}
	if !reflect.DeepEqual(f, want) {
		t.Errorf("got\n%+v\nwant\n%+v", f, want)
	}
	for a := Attr(0); a < 32; a++ {
		sent := strings.Contains(" 1 2 3 4 5 7 8 9 10 11 12 18 19 20 22 ", fmt.Sprintf(" %d ", a))
		if f.Has(a) != sent {
			t.Errorf("attribute %d: %v", a, f.Has(a))
		}
	}
	for bit := range 200 {
		if f.Label(bit) != (bit == 8 || bit == 32) {
			t.Errorf("label %d: %v", bit, f.Label(bit))
		}
	}
}

func TestDecodeICMPv6(t *testing.T) {
	address := netip.MustParseAddr("fd00::1").AsSlice()
	f, err := decode(message(unix.AF_INET6, nest(1, nest(1, attr(3, address...), attr(4, address...)),
		nest(2, attr(1, 58), num16(7, 77), attr(8, 128), attr(9, 1)))))
	if err != nil {
		t.Fatal(err)
	}
	if o := f.Orig; o.Src.String() != "fd00::1" || o.ICMPID != 77 || o.ICMPType != 128 || o.ICMPCode != 1 {
		t.Errorf("%+v", o)
	}
	if f.Has(AttrTimeout) || f.Has(AttrMark) {
		t.Error("it has what was not sent")
	}
}

// The key names an entry to the kernel: its addresses, its number, its zone, and nothing else.
func TestKey(t *testing.T) {
	f, err := decode(tcpMessage())
	if err != nil {
		t.Fatal(err)
	}
	attrs, err := nl.ParseRouteAttr(f.key)
	if err != nil {
		t.Fatal(err)
	}
	var kinds []uint16
	for _, a := range attrs {
		kinds = append(kinds, a.Attr.Type)
	}
	if want := []uint16{1 | unix.NLA_F_NESTED, 12, 18}; !reflect.DeepEqual(kinds, want) {
		t.Errorf("%v, want %v", kinds, want)
	}
	if id := binary.BigEndian.Uint32(attrs[1].Value); id != 0xfedcba98 {
		t.Errorf("%#x", id)
	}
}

// Wherever a message is cut or damaged, the answer is an error or a flow, never a crash.
func TestDamage(t *testing.T) {
	whole := tcpMessage()
	for length := range whole {
		_, _ = decode(whole[:length])
		for _, bad := range []byte{0, 1, 3, 5, 0x80, 0xff} {
			damaged := append([]byte{}, whole...)
			damaged[length] = bad
			_, _ = decode(damaged)
		}
	}
	for name, cut := range map[string][]byte{
		"no header":     {2, 0},
		"short number":  message(2, attr(3, 1, 2)),
		"short address": message(2, nest(1, nest(1, attr(1, 10, 0, 0)))),
		"long length":   {2, 0, 0, 0, 200, 0, 3, 0, 1, 1, 1, 1},
	} {
		if _, err := decode(cut); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestStateNames(t *testing.T) {
	for _, c := range []struct {
		attr  uint16
		state uint8
		want  string
	}{
		{1, 1, "SYN_SENT"}, {1, 9, "SYN_SENT2"}, {1, 77, "77"}, {2, 4, "OPEN"},
		{3, 9, "HEARTBEAT_ACKED"}, {9, 1, "1"},
	} {
		if got := stateName(c.attr, c.state); got != c.want {
			t.Errorf("%d of %d: %q, want %q", c.state, c.attr, got, c.want)
		}
	}
}
