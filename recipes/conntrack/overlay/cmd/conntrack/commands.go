package main

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink/cmd/conntrack/internal/ctnetlink"
	"golang.org/x/sys/unix"
)

func list(r *request, s *streams) error {
	shown, err := showAll(r, s)
	if err != nil {
		return err
	}
	return s.say("%d flow entries have been shown.", shown)
}

// get shows the flow that the options describe; that there is none is a failure.
func get(r *request, s *streams) error {
	shown, err := showAll(r, s)
	if err == nil && shown == 0 {
		err = errors.New("such conntrack doesn't exist")
	}
	if err != nil {
		return err
	}
	return s.say("%d flow entries have been shown.", shown)
}

// showAll writes the flows that match and returns how many they are.
func showAll(r *request, s *streams) (int, error) {
	shown := 0
	err := ctnetlink.Dump(r.table, r.family, func(f *ctnetlink.Flow) error {
		if !r.filter.matches(f) {
			return nil
		}
		shown++
		_, err := fmt.Fprintln(s.out, r.format.line(f))
		return err
	})
	return shown, err
}

// remove deletes after the whole table was read: a dump that entries vanish
// from may pass others over.
func remove(r *request, s *streams) error {
	var matched []*ctnetlink.Flow
	err := ctnetlink.Dump(ctnetlink.Tracked, r.family, func(f *ctnetlink.Flow) error {
		if r.filter.matches(f) {
			matched = append(matched, f)
		}
		return nil
	})
	if err != nil {
		return err
	}
	deleted := 0
	for _, f := range matched {
		err := ctnetlink.Delete(f)
		if errors.Is(err, unix.ENOENT) {
			continue // it ended by itself
		}
		if err != nil {
			return err
		}
		deleted++
		if _, err := fmt.Fprintln(s.out, r.format.line(f)); err != nil {
			return err
		}
	}
	if err := s.say("%d flow entries have been deleted.", deleted); err != nil {
		return err
	}
	if deleted == 0 {
		return errNothing
	}
	return nil
}

func flush(r *request, s *streams) error {
	if err := ctnetlink.Flush(r.family); err != nil {
		return err
	}
	return s.say("connection tracking table has been emptied.")
}

func count(_ *request, s *streams) error {
	number, err := ctnetlink.Count()
	if err == nil {
		_, err = fmt.Fprintln(s.out, number)
	}
	return err
}

func showStats(_ *request, s *streams) error {
	return ctnetlink.CPUStats(func(cpu int, stats []ctnetlink.Stat) {
		fmt.Fprintf(s.out, "cpu=%-4d\t", cpu)
		for _, stat := range stats {
			fmt.Fprintf(s.out, "%s=%d ", stat.Name, stat.Value)
		}
		fmt.Fprintln(s.out)
	})
}

func showVersion(_ *request, s *streams) error {
	_, err := fmt.Fprintf(s.out, "%s\nThe same interface on github.com/vishvananda/netlink %s; not conntrack-tools itself.\n",
		title, netlinkVersion)
	return err
}

func showHelp(_ *request, s *streams) error {
	_, err := s.out.WriteString(help)
	return err
}
