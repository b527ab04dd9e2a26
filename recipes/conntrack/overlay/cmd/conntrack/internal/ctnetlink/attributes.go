package ctnetlink

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// decoder remembers the first thing that is wrong with a message.
type decoder struct{ err error }

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("the kernel's message cannot be read: "+format, args...)
	}
}

// each calls f for every attribute in b. The library's own walk over them
// panics where the padding of the last one is missing.
func (d *decoder) each(b []byte, f func(kind uint16, value []byte)) {
	order := nl.NativeEndian()
	for len(b) >= unix.SizeofRtAttr {
		length := int(order.Uint16(b))
		if length < unix.SizeofRtAttr || length > len(b) {
			d.fail("an attribute of %d bytes where there are %d", length, len(b))
			return
		}
		f(order.Uint16(b[2:])&nl.NLA_TYPE_MASK, b[unix.SizeofRtAttr:length])
		padded := (length + unix.RTA_ALIGNTO - 1) &^ (unix.RTA_ALIGNTO - 1)
		b = b[min(padded, len(b)):]
	}
}

// number reads the first size bytes as a number in network order.
func (d *decoder) number(value []byte, size int) uint64 {
	if len(value) < size {
		d.fail("a number of %d bytes, not %d", len(value), size)
		return 0
	}
	wide := make([]byte, 8)
	copy(wide[8-size:], value)
	return binary.BigEndian.Uint64(wide)
}

func (d *decoder) u8(value []byte) uint8   { return uint8(d.number(value, 1)) }
func (d *decoder) u16(value []byte) uint16 { return uint16(d.number(value, 2)) }
func (d *decoder) u32(value []byte) uint32 { return uint32(d.number(value, 4)) }
func (d *decoder) u64(value []byte) uint64 { return d.number(value, 8) }

func (d *decoder) address(value []byte) netip.Addr {
	address, ok := netip.AddrFromSlice(value)
	if !ok {
		d.fail("an address of %d bytes", len(value))
	}
	return address
}

func (d *decoder) text(b []byte, wanted uint16) string {
	var text string
	d.each(b, func(kind uint16, value []byte) {
		if kind == wanted {
			text = strings.TrimRight(string(value), "\x00")
		}
	})
	return text
}
