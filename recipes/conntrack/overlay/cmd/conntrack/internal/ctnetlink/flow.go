// Package ctnetlink reads and changes the kernel's connection tracking table
// over netlink. It decodes every attribute that conntrack's lines show;
// ConntrackFlow of the library has no status, no state but TCP's and no zones
// of a direction.
package ctnetlink

import "net/netip"

// Attr is an attribute of a flow, as linux/netfilter/nfnetlink_conntrack.h numbers it.
type Attr uint16

// The attributes of a flow that this package reads.
const (
	AttrOrig          Attr = 1
	AttrReply         Attr = 2
	AttrStatus        Attr = 3
	AttrProtoinfo     Attr = 4
	AttrHelper        Attr = 5
	AttrTimeout       Attr = 7
	AttrMark          Attr = 8
	AttrCountersOrig  Attr = 9
	AttrCountersReply Attr = 10
	AttrUse           Attr = 11
	AttrID            Attr = 12
	AttrZone          Attr = 18
	AttrSecctx        Attr = 19
	AttrTimestamp     Attr = 20
	AttrLabels        Attr = 22
)

// Bits of a flow's status, as linux/netfilter/nf_conntrack_common.h numbers them.
const (
	StatusExpected     uint32 = 1 << 0
	StatusSeenReply    uint32 = 1 << 1
	StatusAssured      uint32 = 1 << 2
	StatusSrcNAT       uint32 = 1 << 4
	StatusDstNAT       uint32 = 1 << 5
	StatusFixedTimeout uint32 = 1 << 10
	StatusOffload      uint32 = 1 << 14
	StatusHWOffload    uint32 = 1 << 15
)

// Counters is the traffic of one direction; the kernel reports it if nf_conntrack_acct is on.
type Counters struct {
	Packets, Bytes uint64
}

// Tuple is one direction of a flow. Which of the numbers mean something, Proto says.
type Tuple struct {
	Src, Dst           netip.Addr
	Proto              uint8
	SrcPort, DstPort   uint16 // of GRE: the keys
	ICMPType, ICMPCode uint8
	ICMPID             uint16
	Zone               uint16
	HasZone            bool // it is in a zone that the other direction is not in
	Counters           Counters
}

// Flow is one entry of the table. What the kernel left out is zero; Has tells.
type Flow struct {
	Family      uint8 // AF_INET or AF_INET6
	Orig, Reply Tuple
	Status      uint32
	State       string // of TCP, SCTP and DCCP: the connection's state
	Timeout     uint32 // seconds left
	Mark        uint32
	Use         uint32 // references to the entry
	ID          uint32
	Zone        uint16
	Helper      string
	Secctx      string
	Start, Stop uint64   // nanoseconds since the epoch; needs nf_conntrack_timestamp
	Labels      []uint32 // bit n of the labels is bit n%32 of word n/32
	Sent        uint32   // bit n: the kernel sent attribute n

	key []byte // attributes that name this entry to the kernel
}

// Has says whether the kernel sent the attribute.
func (f *Flow) Has(a Attr) bool { return f.Sent&(1<<a) != 0 }

// Is says whether all bits of the mask are set in the flow's status.
func (f *Flow) Is(status uint32) bool { return f.Status&status == status }

// Label says whether the flow carries the label with this number.
func (f *Flow) Label(bit int) bool {
	word := bit / 32
	return word < len(f.Labels) && f.Labels[word]&(1<<(bit%32)) != 0
}
