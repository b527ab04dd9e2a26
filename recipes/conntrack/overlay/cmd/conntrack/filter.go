package main

import (
	"github.com/vishvananda/netlink/cmd/conntrack/internal/ctnetlink"
	"golang.org/x/sys/unix"
)

// condition is what one option demands of a flow.
type condition func(*ctnetlink.Flow) bool

// filter is all conditions; an empty one takes every flow.
type filter []condition

func (f filter) matches(flow *ctnetlink.Flow) bool {
	for _, holds := range f {
		if !holds(flow) {
			return false
		}
	}
	return true
}

// builder collects the conditions of a command line.
type builder struct {
	values values
	family uint8
	filter filter
	err    error
}

func newFilter(v values) (uint8, filter, error) {
	b := &builder{values: v}
	b.setFamily()
	b.addresses()
	b.nat()
	b.numbers()
	b.status()
	b.labels()
	b.protocol()
	return b.family, b.filter, b.err
}

// with calls f with the option's argument if the option is there and nothing failed yet.
func (b *builder) with(name string, f func(text string) (condition, error)) {
	text, set := b.values[name]
	if !set || b.err != nil {
		return
	}
	c, err := f(text)
	b.err = err
	if c != nil {
		b.filter = append(b.filter, c)
	}
}

// demand adds a condition on a number of so many bits, decimal or with 0x.
func (b *builder) demand(name string, bits int, holds func(f *ctnetlink.Flow, number uint64) bool) {
	b.with(name, func(text string) (condition, error) {
		number, err := parseNumber(name, text, bits)
		return func(f *ctnetlink.Flow) bool { return holds(f, number) }, err
	})
}

// The kernel sends only flows of the family; the condition is for events.
func (b *builder) setFamily() {
	b.with("family", func(text string) (condition, error) {
		family, err := parseFamily(text)
		b.family = family
		return nil, err
	})
}

// agree notes the family of an address; all must be of one.
func (b *builder) agree(bytes int) error {
	family := uint8(unix.AF_INET)
	if bytes > 4 {
		family = unix.AF_INET6
	}
	if b.family != unix.AF_UNSPEC && b.family != family {
		return errFamily
	}
	b.family = family
	return nil
}

func (b *builder) numbers() {
	b.demand("zone", 16, func(f *ctnetlink.Flow, n uint64) bool { return uint64(f.Zone) == n })
	b.demand("orig-zone", 16, func(f *ctnetlink.Flow, n uint64) bool { return uint64(f.Orig.Zone) == n })
	b.demand("reply-zone", 16, func(f *ctnetlink.Flow, n uint64) bool { return uint64(f.Reply.Zone) == n })
	b.with("mark", parseMark)
}

func (b *builder) status() {
	b.with("status", func(text string) (condition, error) {
		known := []string{
			"ASSURED", "SEEN_REPLY", "UNREPLIED", "EXPECTED",
			"SRC_NAT", "DST_NAT", "FIXED_TIMEOUT", "OFFLOAD", "HW_OFFLOAD",
		}
		all, err := parseWords(text, known, []filter{
			{is(ctnetlink.StatusAssured)},
			{is(ctnetlink.StatusSeenReply)},
			{func(f *ctnetlink.Flow) bool { return !f.Is(ctnetlink.StatusSeenReply) }},
			{is(ctnetlink.StatusExpected)},
			{is(ctnetlink.StatusSrcNAT)},
			{is(ctnetlink.StatusDstNAT)},
			{is(ctnetlink.StatusFixedTimeout)},
			{is(ctnetlink.StatusOffload)},
			{is(ctnetlink.StatusHWOffload)},
		})
		var every filter
		for _, one := range all {
			every = append(every, one...)
		}
		return every.matches, err
	})
}

func is(status uint32) condition {
	return func(f *ctnetlink.Flow) bool { return f.Is(status) }
}
