package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/vishvananda/netlink/cmd/conntrack/internal/ctnetlink"
	"golang.org/x/sys/unix"
)

var kindNames = map[ctnetlink.Kind]string{
	ctnetlink.New:     "[NEW]",
	ctnetlink.Update:  "[UPDATE]",
	ctnetlink.Destroy: "[DESTROY]",
}

// watch shows events until SIGINT or SIGTERM.
func watch(r *request, s *streams) error {
	listener, err := ctnetlink.Listen(r.events)
	if err != nil {
		return err
	}
	defer listener.Close()
	if r.buffer != 0 {
		size, err := listener.SetBuffer(r.buffer)
		if err != nil {
			return err
		}
		fmt.Fprintf(s.err, "NOTICE: Netlink socket buffer size has been set to %d bytes.\n", size)
	}
	stopped := closeOnSignal(listener)
	shown := 0
	for {
		events, err := listener.Receive()
		switch {
		case stopped.Load():
			return s.say("%d flow events have been shown.", shown)
		case errors.Is(err, unix.ENOBUFS):
			fmt.Fprintln(s.err, "WARNING: events were lost, they came faster than they were read; a larger --buffer-size helps.")
		case err != nil:
			return err
		}
		for _, event := range events {
			shown += r.show(event, s)
		}
		if err := s.out.Flush(); err != nil {
			return err
		}
	}
}

// show writes an event that matches and returns how many lines that were.
func (r *request) show(event ctnetlink.Event, s *streams) int {
	if r.family != unix.AF_UNSPEC && event.Flow.Family != r.family || !r.filter.matches(event.Flow) {
		return 0
	}
	if r.format.received {
		now := time.Now()
		fmt.Fprintf(s.out, "[%d.%06d]\t", now.Unix(), now.Nanosecond()/1000)
	}
	fmt.Fprintf(s.out, "%9s %s%s\n", kindNames[event.Kind], r.format.line(event.Flow), origin(event.PortID))
	return 1
}

// origin names the program behind an event. The first netlink socket of a
// process has the number of the process; of others only the number is known.
func origin(port uint32) string {
	if port == 0 {
		return ""
	}
	text := fmt.Sprintf(" [USERSPACE] portid=%d", port)
	if name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", port)); err == nil {
		text += " progname=" + strings.TrimSpace(string(name))
	}
	return text
}

// closeOnSignal ends the listener's waiting on SIGINT or SIGTERM.
func closeOnSignal(listener *ctnetlink.Listener) *atomic.Bool {
	stopped := &atomic.Bool{}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		<-signals
		stopped.Store(true)
		listener.Close()
	}()
	return stopped
}
