package main

import (
	"slices"
	"strings"

	"github.com/vishvananda/netlink/cmd/conntrack/internal/ctnetlink"
)

// protocol reads --protonum and the options that only some protocols have.
func (b *builder) protocol() {
	var proto uint8
	b.with("protonum", func(text string) (condition, error) {
		var err error
		proto, err = parseProtocol(text)
		return func(f *ctnetlink.Flow) bool { return f.Orig.Proto == proto }, err
	})
	b.refuseOthers(proto)
	b.ports("sport", "dport", "reply-port-src", "reply-port-dst", 16)
	b.ports("srckey", "dstkey", "reply-key-src", "reply-key-dst", 16)
	b.demand("icmp-type", 8, func(f *ctnetlink.Flow, n uint64) bool { return uint64(f.Orig.ICMPType) == n })
	b.demand("icmp-code", 8, func(f *ctnetlink.Flow, n uint64) bool { return uint64(f.Orig.ICMPCode) == n })
	b.demand("icmp-id", 16, func(f *ctnetlink.Flow, n uint64) bool { return uint64(f.Orig.ICMPID) == n })
	b.with("state", func(text string) (condition, error) { return parseState(proto, text) })
}

// refuseOthers refuses options of other protocols, or of any if none was named.
func (b *builder) refuseOthers(proto uint8) {
	named := b.values.has("protonum")
	for _, o := range protocolOptions {
		if b.values.has(o.name()) && b.err == nil && !(named && takes(proto, o.name())) {
			b.err = badUsage("unknown option `--%s'", o.name())
		}
	}
}

func takes(proto uint8, name string) bool {
	switch {
	case name == "state":
		return ctnetlink.States(proto) != nil
	case strings.HasPrefix(name, "icmp-"):
		return proto == ctnetlink.ProtoICMP || proto == ctnetlink.ProtoICMPv6
	case strings.Contains(name, "key"):
		return proto == ctnetlink.ProtoGRE
	}
	return ctnetlink.HasPorts(proto)
}

// ports reads the ports of both directions, or GRE's keys, which lie in the same place.
func (b *builder) ports(src, dst, replySrc, replyDst string, bits int) {
	b.demand(src, bits, func(f *ctnetlink.Flow, n uint64) bool { return uint64(f.Orig.SrcPort) == n })
	b.demand(dst, bits, func(f *ctnetlink.Flow, n uint64) bool { return uint64(f.Orig.DstPort) == n })
	b.demand(replySrc, bits, func(f *ctnetlink.Flow, n uint64) bool { return uint64(f.Reply.SrcPort) == n })
	b.demand(replyDst, bits, func(f *ctnetlink.Flow, n uint64) bool { return uint64(f.Reply.DstPort) == n })
}

func parseState(proto uint8, text string) (condition, error) {
	if proto == ctnetlink.ProtoTCP && text == "LISTEN" {
		text = "SYN_SENT2" // they share a number; LISTEN is the older name
	}
	if !slices.Contains(ctnetlink.States(proto), text) {
		name := strings.ToUpper(ctnetlink.ProtoNames[proto])
		return nil, badUsage("unknown %s state `%s'", name, text)
	}
	return func(f *ctnetlink.Flow) bool { return f.State == text }, nil
}

// parseMark reads VALUE or VALUE/MASK.
func parseMark(text string) (condition, error) {
	value, mask, masked := strings.Cut(text, "/")
	if !masked {
		mask = "0xffffffff"
	}
	wanted, err := parseNumber("mark", value, 32)
	if err != nil {
		return nil, err
	}
	bits, err := parseNumber("mark", mask, 32)
	return func(f *ctnetlink.Flow) bool { return uint64(f.Mark)&bits == wanted }, err
}
