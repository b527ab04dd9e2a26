package ctnetlink

import (
	"encoding/binary"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// statNames are the counters of a CPU by the number of their attribute.
var statNames = []string{
	1: "searched", 2: "found", 3: "new", 4: "invalid", 5: "ignore", 6: "delete",
	7: "delete_list", 8: "insert", 9: "insert_failed", 10: "drop", 11: "early_drop",
	12: "error", 13: "search_restart", 14: "clash_resolve", 15: "chaintoolong",
}

// Stat is one counter.
type Stat struct {
	Name  string
	Value uint32
}

// CPUStats calls f for every CPU with its counters, in the kernel's order.
func CPUStats(f func(cpu int, stats []Stat)) error {
	d := &decoder{}
	req := request(msgGetStatsCPU, unix.NLM_F_DUMP, nl.Nfgenmsg{})
	err := req.ExecuteIter(unix.NETLINK_NETFILTER, 0, func(message []byte) bool {
		var stats []Stat
		d.each(message[nl.SizeofNfgenmsg:], func(kind uint16, value []byte) {
			if int(kind) < len(statNames) && statNames[kind] != "" {
				stats = append(stats, Stat{statNames[kind], d.u32(value)})
			}
		})
		f(int(binary.BigEndian.Uint16(message[2:])), stats)
		return true
	})
	if err == nil {
		err = d.err
	}
	return err
}
