// conntrack lists, counts, deletes and watches the entries of the kernel's
// connection tracking table. Options, lines, messages and exit codes are those
// of conntrack-tools 1.4.7, so that programs and people that know that one can
// use this one. What it leaves out, it refuses by name.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// interfaceVersion is the release of conntrack-tools whose interface this is.
const interfaceVersion = "1.4.7"

// netlinkVersion is that of the library; the recipe sets it.
var netlinkVersion = "unknown"

// title begins every message on standard error.
const title = "conntrack v" + interfaceVersion + " (conntrack-tools)"

// Exit codes.
const (
	exitFailed = 1 // the kernel refused, or there was nothing to delete
	exitUsage  = 2 // the command line is wrong
)

// usageError is a mistake on the command line.
type usageError string

func (e usageError) Error() string { return string(e) }

func badUsage(format string, args ...any) error {
	return usageError(fmt.Sprintf(format, args...))
}

// errNothing is a delete that matched nothing: its message is out already.
var errNothing = errors.New("nothing was deleted")

// streams are where a command writes. Lines are buffered: a table is large.
type streams struct {
	out *bufio.Writer
	err io.Writer
}

// say writes one message on standard error, after all lines before it.
func (s *streams) say(format string, args ...any) error {
	if err := s.out.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(s.err, title+": "+format+"\n", args...)
	return err
}

// run does what the command line says and returns the exit code.
func run(args []string, stdout, stderr io.Writer) int {
	s := &streams{bufio.NewWriter(stdout), stderr}
	err := execute(args, s)
	if flushed := s.out.Flush(); err == nil && flushed != nil {
		err = failure(flushed)
	}
	return report(err, stderr)
}

func execute(args []string, s *streams) error {
	r, err := parse(args)
	if err != nil {
		return err
	}
	err = r.command.do(r, s)
	var usage usageError
	if err == nil || errors.Is(err, errNothing) || errors.As(err, &usage) {
		return err
	}
	return failure(err)
}

// failure puts the kernel's refusal into words.
func failure(err error) error {
	switch {
	case errors.Is(err, unix.EPERM):
		return errors.New("Operation failed: sorry, you must be root or get CAP_NET_ADMIN capability to do this")
	case errors.Is(err, unix.EPROTONOSUPPORT), errors.Is(err, unix.EINVAL):
		return fmt.Errorf("Operation failed: %w; the kernel needs nf_conntrack_netlink for this", err)
	}
	return fmt.Errorf("Operation failed: %w", err)
}

func report(err error, stderr io.Writer) int {
	if err == nil {
		return 0
	}
	if !errors.Is(err, errNothing) {
		fmt.Fprintf(stderr, "%s: %v\n", title, err)
	}
	var usage usageError
	if errors.As(err, &usage) {
		fmt.Fprintln(stderr, "Try `conntrack -h' or 'conntrack --help' for more information.")
		return exitUsage
	}
	return exitFailed
}

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}
