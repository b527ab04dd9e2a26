package main

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/vishvananda/netlink/cmd/conntrack/internal/ctnetlink"
	"golang.org/x/sys/unix"
)

// format is what -o asks for.
type format struct {
	extended   bool    // the family in front
	id         bool    // the kernel's number of the flow
	received   bool    // when the event came, in front
	timestamps bool    // when the flow began and ended
	labels     []label // names of the labels to show
}

func parseFormat(text string) (format, error) {
	var f format
	known := []string{"xml", "extended", "timestamp", "id", "ktimestamp", "labels", "userspace", "save"}
	asked, err := parseWords(text, known, known)
	for _, word := range asked {
		switch word {
		case "extended":
			f.extended = true
		case "id":
			f.id = true
		case "timestamp":
			f.received = true
		case "ktimestamp":
			f.timestamps = true
		case "labels":
			// Without the file no label has a name, and lines show names only.
			if f.labels, err = readLabels(labelsFile); errors.Is(err, fs.ErrNotExist) {
				err = nil
			}
		default:
			return f, badUsage("the output `%s' is not in this program", word)
		}
	}
	return f, err
}

// line shows a flow.
func (o format) line(f *ctnetlink.Flow) string {
	words := make([]string, 0, 16)
	add := func(shown bool, format string, args ...any) {
		if shown {
			words = append(words, fmt.Sprintf(format, args...))
		}
	}
	add(o.extended, "%-8s %d", familyName(f.Family), f.Family)
	add(true, "%-8s %d", protoName(f.Orig.Proto), f.Orig.Proto)
	add(f.Has(ctnetlink.AttrTimeout), "%d", f.Timeout)
	add(f.State != "", "%s", f.State)
	add(true, "%s", direction(&f.Orig, "zone-orig", f.Has(ctnetlink.AttrCountersOrig)))
	add(f.Has(ctnetlink.AttrStatus) && !f.Is(ctnetlink.StatusSeenReply), "[UNREPLIED]")
	add(true, "%s", direction(&f.Reply, "zone-reply", f.Has(ctnetlink.AttrCountersReply)))
	add(statusWord(f) != "", "[%s]", statusWord(f))
	add(f.Has(ctnetlink.AttrMark), "mark=%d", f.Mark)
	add(f.Has(ctnetlink.AttrSecctx), "secctx=%s", f.Secctx)
	add(f.Has(ctnetlink.AttrZone), "zone=%d", f.Zone)
	add(f.Start != 0, "delta-time=%d", age(f, time.Now()))
	add(o.timestamps && f.Start != 0, "[start=%s]", date(f.Start))
	add(o.timestamps && f.Stop != 0, "[stop=%s]", date(f.Stop))
	add(f.Has(ctnetlink.AttrHelper), "helper=%s", f.Helper)
	add(f.Has(ctnetlink.AttrUse), "use=%d", f.Use)
	add(o.id, "id=%d", f.ID)
	names := o.labelNames(f)
	add(names != "", "labels=%s", names)
	return strings.Join(words, " ")
}

// direction shows one tuple with what is its own.
func direction(t *ctnetlink.Tuple, zone string, counted bool) string {
	text := fmt.Sprintf("src=%s dst=%s", t.Src, t.Dst)
	switch {
	case ctnetlink.HasPorts(t.Proto):
		text += fmt.Sprintf(" sport=%d dport=%d", t.SrcPort, t.DstPort)
	case t.Proto == ctnetlink.ProtoGRE:
		text += fmt.Sprintf(" srckey=0x%x dstkey=0x%x", t.SrcPort, t.DstPort)
	case t.Proto == ctnetlink.ProtoICMP, t.Proto == ctnetlink.ProtoICMPv6:
		text += fmt.Sprintf(" type=%d code=%d id=%d", t.ICMPType, t.ICMPCode, t.ICMPID)
	}
	if t.HasZone {
		text += fmt.Sprintf(" %s=%d", zone, t.Zone)
	}
	if counted {
		text += fmt.Sprintf(" packets=%d bytes=%d", t.Counters.Packets, t.Counters.Bytes)
	}
	return text
}

// statusWord is the most that was done for the flow.
func statusWord(f *ctnetlink.Flow) string {
	switch {
	case f.Is(ctnetlink.StatusHWOffload):
		return "HW_OFFLOAD"
	case f.Is(ctnetlink.StatusOffload):
		return "OFFLOAD"
	case f.Is(ctnetlink.StatusAssured):
		return "ASSURED"
	}
	return ""
}

func (o format) labelNames(f *ctnetlink.Flow) string {
	var names []string
	for _, l := range o.labels {
		if f.Label(l.bit) {
			names = append(names, l.name)
		}
	}
	return strings.Join(names, ",")
}

// age is how many seconds the flow lives or lived.
func age(f *ctnetlink.Flow, now time.Time) int64 {
	end := f.Stop
	if end == 0 {
		end = uint64(now.UnixNano())
	}
	return int64(end/1e9) - int64(f.Start/1e9)
}

// date is a time as ctime(3) writes it.
func date(nanoseconds uint64) string {
	return time.Unix(0, int64(nanoseconds)).Format(time.ANSIC)
}

func familyName(family uint8) string {
	switch family {
	case unix.AF_INET:
		return "ipv4"
	case unix.AF_INET6:
		return "ipv6"
	}
	return "unknown"
}

func protoName(proto uint8) string {
	if name, known := ctnetlink.ProtoNames[proto]; known {
		return name
	}
	return "unknown"
}
