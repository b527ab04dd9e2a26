package ctnetlink

import (
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Attributes below those of a flow.
const (
	tupleIP, tupleProto, tupleZone = 1, 2, 3

	ip4Src, ip4Dst, ip6Src, ip6Dst = 1, 2, 3, 4

	protoNum, protoSrcPort, protoDstPort    = 1, 2, 3
	protoICMPID, protoICMPType              = 4, 5
	protoICMPCode                           = 6
	protoICMP6ID, protoICMP6Type            = 7, 8
	protoICMP6Code                          = 9
	countersPackets, countersBytes          = 1, 2
	timestampStart, timestampStop           = 1, 2
	stateOfProtocol, helperName, secctxName = 1, 1, 1
)

// decode reads one entry: the netfilter header, then the attributes.
func decode(message []byte) (*Flow, error) {
	if len(message) < nl.SizeofNfgenmsg {
		return nil, fmt.Errorf("the kernel's message cannot be read: %d bytes", len(message))
	}
	d := &decoder{}
	f := &Flow{Family: nl.DeserializeNfgenmsg(message).NfgenFamily}
	d.each(message[nl.SizeofNfgenmsg:], func(kind uint16, value []byte) {
		if kind < 32 {
			f.Sent |= 1 << kind
		}
		d.attribute(f, Attr(kind), value)
	})
	return f, d.err
}

func (d *decoder) attribute(f *Flow, kind Attr, value []byte) {
	switch kind {
	case AttrOrig:
		d.tuple(&f.Orig, value)
		f.keep(kind, value)
	case AttrReply:
		d.tuple(&f.Reply, value)
	case AttrCountersOrig:
		d.counters(&f.Orig.Counters, value)
	case AttrCountersReply:
		d.counters(&f.Reply.Counters, value)
	case AttrProtoinfo:
		d.protoinfo(f, value)
	case AttrTimestamp:
		d.timestamp(f, value)
	case AttrHelper:
		f.Helper = d.text(value, helperName)
	case AttrSecctx:
		f.Secctx = d.text(value, secctxName)
	case AttrLabels:
		for ; len(value) >= 4; value = value[4:] {
			f.Labels = append(f.Labels, nl.NativeEndian().Uint32(value))
		}
	default:
		d.plain(f, kind, value)
	}
}

// plain reads the attributes that are one number.
func (d *decoder) plain(f *Flow, kind Attr, value []byte) {
	switch kind {
	case AttrStatus:
		f.Status = d.u32(value)
	case AttrTimeout:
		f.Timeout = d.u32(value)
	case AttrMark:
		f.Mark = d.u32(value)
	case AttrUse:
		f.Use = d.u32(value)
	case AttrID:
		f.ID = d.u32(value)
		f.keep(kind, value)
	case AttrZone:
		f.Zone = d.u16(value)
		f.keep(kind, value)
	}
}

// keep remembers an attribute that Delete names the entry by.
func (f *Flow) keep(kind Attr, value []byte) {
	number := int(kind)
	if kind == AttrOrig {
		number |= unix.NLA_F_NESTED
	}
	f.key = append(f.key, nl.NewRtAttr(number, value).Serialize()...)
}

func (d *decoder) tuple(t *Tuple, b []byte) {
	d.each(b, func(kind uint16, value []byte) {
		switch kind {
		case tupleIP:
			d.each(value, func(kind uint16, value []byte) {
				switch kind {
				case ip4Src, ip6Src:
					t.Src = d.address(value)
				case ip4Dst, ip6Dst:
					t.Dst = d.address(value)
				}
			})
		case tupleProto:
			d.each(value, func(kind uint16, value []byte) { d.proto(t, kind, value) })
		case tupleZone:
			t.Zone, t.HasZone = d.u16(value), true
		}
	})
}

func (d *decoder) proto(t *Tuple, kind uint16, value []byte) {
	switch kind {
	case protoNum:
		t.Proto = d.u8(value)
	case protoSrcPort:
		t.SrcPort = d.u16(value)
	case protoDstPort:
		t.DstPort = d.u16(value)
	case protoICMPID, protoICMP6ID:
		t.ICMPID = d.u16(value)
	case protoICMPType, protoICMP6Type:
		t.ICMPType = d.u8(value)
	case protoICMPCode, protoICMP6Code:
		t.ICMPCode = d.u8(value)
	}
}

func (d *decoder) counters(c *Counters, b []byte) {
	d.each(b, func(kind uint16, value []byte) {
		switch kind {
		case countersPackets:
			c.Packets = d.u64(value)
		case countersBytes:
			c.Bytes = d.u64(value)
		}
	})
}

func (d *decoder) timestamp(f *Flow, b []byte) {
	d.each(b, func(kind uint16, value []byte) {
		switch kind {
		case timestampStart:
			f.Start = d.u64(value)
		case timestampStop:
			f.Stop = d.u64(value)
		}
	})
}

func (d *decoder) protoinfo(f *Flow, b []byte) {
	d.each(b, func(protocol uint16, value []byte) {
		d.each(value, func(kind uint16, value []byte) {
			if kind == stateOfProtocol {
				f.State = stateName(protocol, d.u8(value))
			}
		})
	})
}
