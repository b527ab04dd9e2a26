package ctnetlink

import (
	"errors"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Messages of the conntrack subsystem.
const (
	msgNew = iota
	msgGet
	msgDelete
	msgGetZero
	msgGetStatsCPU
	msgGetStats
	msgGetDying
	msgGetUnconfirmed
)

// Table is what a dump goes over.
type Table int

// The tables. Zeroing sets the counters of all flows back while it lists them.
const (
	Tracked     Table = msgGet
	Zeroing     Table = msgGetZero
	Dying       Table = msgGetDying
	Unconfirmed Table = msgGetUnconfirmed
)

// request starts a message. The family 0 stands for all.
func request(message, flags int, header nl.Nfgenmsg) *nl.NetlinkRequest {
	req := nl.NewNetlinkRequest(unix.NFNL_SUBSYS_CTNETLINK<<8|message, flags)
	req.AddData(&header)
	return req
}

// Dump calls f for every flow of the family, 0 for all, until f fails. A table
// that changes meanwhile is no error: that of a busy node always does.
func Dump(table Table, family uint8, f func(*Flow) error) error {
	req := request(int(table), unix.NLM_F_DUMP, nl.Nfgenmsg{NfgenFamily: family})
	var failed error
	err := req.ExecuteIter(unix.NETLINK_NETFILTER, 0, func(message []byte) bool {
		var flow *Flow
		if flow, failed = decode(message); failed == nil {
			failed = f(flow)
		}
		return failed == nil
	})
	if failed != nil {
		return failed
	}
	if errors.Is(err, nl.ErrDumpInterrupted) {
		return nil
	}
	return err
}

// Delete removes a flow that Dump gave. It is named by its addresses, its zone
// and its number, so that a new flow of the same addresses is left alone.
// The error is ENOENT if it is gone already.
func Delete(flow *Flow) error {
	req := request(msgDelete, unix.NLM_F_ACK, nl.Nfgenmsg{NfgenFamily: flow.Family})
	req.AddRawData(flow.key)
	_, err := req.Execute(unix.NETLINK_NETFILTER, 0)
	return err
}

// Flush empties the table of one family, or of all with 0.
func Flush(family uint8) error {
	header := nl.Nfgenmsg{NfgenFamily: family}
	if family != unix.AF_UNSPEC {
		header.Version = 1 // in version 0 the kernel ignores the family and empties all
	}
	_, err := request(msgDelete, unix.NLM_F_ACK, header).Execute(unix.NETLINK_NETFILTER, 0)
	return err
}

// Count is how many entries the table has.
func Count() (uint32, error) {
	const globalEntries = 1
	var count uint32
	d := &decoder{}
	// The answer is marked as one of many, and nothing but the acknowledgement ends it.
	req := request(msgGetStats, unix.NLM_F_ACK, nl.Nfgenmsg{})
	err := req.ExecuteIter(unix.NETLINK_NETFILTER, 0, func(message []byte) bool {
		d.each(message[nl.SizeofNfgenmsg:], func(kind uint16, value []byte) {
			if kind == globalEntries {
				count = d.u32(value)
			}
		})
		return true
	})
	if err == nil {
		err = d.err
	}
	return count, err
}
