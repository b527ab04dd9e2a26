package main

import (
	"net/netip"
	"strings"

	"github.com/vishvananda/netlink/cmd/conntrack/internal/ctnetlink"
)

// network is an address and a mask of the same length; the mask may have gaps.
type network struct{ address, mask []byte }

func (n network) contains(address netip.Addr) bool {
	have := address.AsSlice()
	if len(have) != len(n.address) {
		return false
	}
	for i, mask := range n.mask {
		if have[i]&mask != n.address[i]&mask {
			return false
		}
	}
	return true
}

// addresses reads the four ends of a flow and the masks of the original ones.
func (b *builder) addresses() {
	ends := []struct {
		name, mask string
		of         func(*ctnetlink.Flow) netip.Addr
	}{
		{"src", "mask-src", func(f *ctnetlink.Flow) netip.Addr { return f.Orig.Src }},
		{"dst", "mask-dst", func(f *ctnetlink.Flow) netip.Addr { return f.Orig.Dst }},
		{"reply-src", "", func(f *ctnetlink.Flow) netip.Addr { return f.Reply.Src }},
		{"reply-dst", "", func(f *ctnetlink.Flow) netip.Addr { return f.Reply.Dst }},
	}
	for _, end := range ends {
		b.with(end.name, func(text string) (condition, error) {
			wanted, err := parseNetwork(text, b.values[end.mask])
			if err == nil {
				err = b.agree(len(wanted.address))
			}
			return func(f *ctnetlink.Flow) bool { return wanted.contains(end.of(f)) }, err
		})
		if b.values.has(end.mask) && !b.values.has(end.name) && b.err == nil {
			b.err = badUsage("Can't use --%s without --%s", end.mask, end.name)
		}
	}
}

// nat reads --src-nat and --dst-nat, which must both hold, or --any-nat.
func (b *builder) nat() {
	one := b.values.has("src-nat") || b.values.has("dst-nat")
	if one && b.values.has("any-nat") && b.err == nil {
		b.err = badUsage("cannot specify `--src-nat' or `--dst-nat' with `--any-nat'")
	}
	b.with("src-nat", func(text string) (condition, error) { return parseNAT("src-nat", text, sourceNAT) })
	b.with("dst-nat", func(text string) (condition, error) { return parseNAT("dst-nat", text, destinationNAT) })
	b.with("any-nat", func(text string) (condition, error) {
		source, err := parseNAT("any-nat", text, sourceNAT)
		if err != nil {
			return nil, err
		}
		destination, err := parseNAT("any-nat", text, destinationNAT)
		return func(f *ctnetlink.Flow) bool { return source(f) || destination(f) }, err
	})
}

// end is an address with its port.
type end struct {
	address netip.Addr
	port    uint16
}

// translation says whether a flow is translated, what one of its ends was and what it became.
type translation func(*ctnetlink.Flow) (translated bool, before, after end)

func sourceNAT(f *ctnetlink.Flow) (bool, end, end) {
	return f.Is(ctnetlink.StatusSrcNAT), end{f.Orig.Src, f.Orig.SrcPort}, end{f.Reply.Dst, f.Reply.DstPort}
}

func destinationNAT(f *ctnetlink.Flow) (bool, end, end) {
	return f.Is(ctnetlink.StatusDstNAT), end{f.Orig.Dst, f.Orig.DstPort}, end{f.Reply.Src, f.Reply.SrcPort}
}

// parseNAT reads nothing, ADDRESS, ADDRESS:PORT or [ADDRESS]:PORT. An address
// alone must be new to the flow: one whose port alone was changed is left out.
func parseNAT(name, text string, ends translation) (condition, error) {
	if text == "" {
		return func(f *ctnetlink.Flow) bool { translated, _, _ := ends(f); return translated }, nil
	}
	if strings.Contains(text, "/") {
		return nil, badUsage("CIDR notation unavailable for `--%s'", name)
	}
	if address, port, both := cutPort(text); both {
		wanted, err := parseEnd(name, address, port)
		return func(f *ctnetlink.Flow) bool {
			translated, _, after := ends(f)
			return translated && after == wanted
		}, err
	}
	wanted, err := parseAddress(text)
	return func(f *ctnetlink.Flow) bool {
		translated, before, after := ends(f)
		return translated && after.address == wanted && before.address != wanted
	}, err
}

func cutPort(text string) (address, port string, both bool) {
	if strings.HasPrefix(text, "[") {
		return strings.Cut(text[1:], "]:")
	}
	if strings.Count(text, ":") == 1 {
		return strings.Cut(text, ":")
	}
	return text, "", false
}

func parseEnd(name, address, port string) (end, error) {
	parsed, err := parseAddress(address)
	if err != nil {
		return end{}, err
	}
	number, err := parseNumber(name, port, 16)
	return end{parsed, uint16(number)}, err
}
