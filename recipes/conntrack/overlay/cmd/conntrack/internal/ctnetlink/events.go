package ctnetlink

import (
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Kind is what happened to a flow. Kinds may be combined to a mask.
type Kind uint

// The kinds of events.
const (
	New Kind = 1 << iota
	Update
	Destroy

	Every = New | Update | Destroy
)

// Event is something that happened to a flow.
type Event struct {
	Kind   Kind
	Flow   *Flow
	PortID uint32 // the netlink socket of the program that did it; 0: the kernel itself
}

// Listener receives events.
type Listener struct{ socket *nl.NetlinkSocket }

// Listen subscribes to the kinds of events in the mask.
func Listen(kinds Kind) (*Listener, error) {
	groups := map[Kind]uint{New: 1, Update: 2, Destroy: 3} // NFNLGRP_CONNTRACK_…
	var wanted []uint
	for kind, group := range groups {
		if kinds&kind != 0 {
			wanted = append(wanted, group)
		}
	}
	socket, err := nl.Subscribe(unix.NETLINK_NETFILTER, wanted...)
	if err != nil {
		return nil, err
	}
	return &Listener{socket}, nil
}

// Close ends a Receive that waits.
func (l *Listener) Close() { l.socket.Close() }

// SetBuffer asks for a receive buffer and returns its size; the kernel doubles what it is asked.
func (l *Listener) SetBuffer(size int) (int, error) {
	if err := l.socket.SetReceiveBufferSize(size, true); err != nil {
		return 0, err
	}
	return unix.GetsockoptInt(l.socket.GetFd(), unix.SOL_SOCKET, unix.SO_RCVBUF)
}

// Receive waits for events. The error is ENOBUFS if some were lost; it may be called again then.
func (l *Listener) Receive() ([]Event, error) {
	messages, _, err := l.socket.Receive()
	if err != nil {
		return nil, err
	}
	var events []Event
	for _, m := range messages {
		if m.Header.Type>>8 != unix.NFNL_SUBSYS_CTNETLINK {
			continue
		}
		flow, err := decode(m.Data)
		if err != nil {
			return events, err
		}
		events = append(events, Event{kindOf(m.Header), flow, m.Header.Pid})
	}
	return events, nil
}

func kindOf(header syscall.NlMsghdr) Kind {
	switch {
	case header.Type&0xff == msgDelete:
		return Destroy
	case header.Flags&(unix.NLM_F_CREATE|unix.NLM_F_EXCL) != 0:
		return New
	}
	return Update
}
