package main

import (
	"bufio"
	"os"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink/cmd/conntrack/internal/ctnetlink"
)

// labelsFile gives the labels names; iptables' connlabel match reads it as well.
const labelsFile = "/etc/xtables/connlabel.conf"

// label is a bit of a flow's labels and its name.
type label struct {
	bit  int
	name string
}

// readLabels reads lines of a number and a name.
func readLabels(path string) ([]label, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	all := []label{}
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) < 2 {
			continue
		}
		if bit, err := strconv.ParseUint(words[0], 0, 7); err == nil {
			all = append(all, label{int(bit), words[1]})
		}
	}
	return all, lines.Err()
}

// labels reads names with commas between them; a flow must carry all of them.
func (b *builder) labels() {
	b.with("label", func(text string) (condition, error) {
		known, err := readLabels(labelsFile)
		if err != nil {
			return nil, badUsage("labels have no names here: %v", err)
		}
		var wanted []int
		for _, name := range strings.Split(text, ",") {
			bit, found := findLabel(known, name)
			if !found {
				return nil, badUsage("unknown label '%s'", name)
			}
			wanted = append(wanted, bit)
		}
		return func(f *ctnetlink.Flow) bool { return hasAll(f, wanted) }, nil
	})
}

func findLabel(known []label, name string) (int, bool) {
	for _, l := range known {
		if l.name == name {
			return l.bit, true
		}
	}
	return 0, false
}

func hasAll(f *ctnetlink.Flow, bits []int) bool {
	for _, bit := range bits {
		if !f.Label(bit) {
			return false
		}
	}
	return true
}
