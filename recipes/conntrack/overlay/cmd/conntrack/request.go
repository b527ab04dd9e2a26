package main

import (
	"slices"
	"strings"

	"github.com/vishvananda/netlink/cmd/conntrack/internal/ctnetlink"
)

// request is what the command line asks for.
type request struct {
	command *command
	table   ctnetlink.Table
	family  uint8 // 0 for all
	filter  filter
	format  format
	events  ctnetlink.Kind
	buffer  int // bytes; 0 leaves the kernel's own
}

// tables are the words after a command that name what it goes over.
var tables = map[string]ctnetlink.Table{
	"conntrack":   ctnetlink.Tracked,
	"dying":       ctnetlink.Dying,
	"unconfirmed": ctnetlink.Unconfirmed,
}

func parse(args []string) (*request, error) {
	s, err := scan(allOptions(), args)
	if err != nil {
		return nil, err
	}
	r := &request{table: ctnetlink.Tracked}
	values, err := r.sort(s.found)
	if err != nil {
		return nil, err
	}
	if err := r.setTable(s.others); err != nil {
		return nil, err
	}
	if err := r.setShown(values); err != nil {
		return nil, err
	}
	if r.family, r.filter, err = newFilter(values); err != nil {
		return nil, err
	}
	return r, r.check(values)
}

// values are the arguments of the options by their names. The last one wins,
// where an option is no list.
type values map[string]string

func (v values) add(o *option, value string) {
	name := o.name()
	switch name {
	case "output", "status", "label", "event-mask":
		if before, again := v[name]; again {
			value = before + "," + value
		}
	}
	v[name] = value
}

func (v values) has(name string) bool { _, set := v[name]; return set }

// sort finds the command and keeps the options that it takes.
func (r *request) sort(all []found) (values, error) {
	kept := values{}
	for _, f := range all {
		at := slices.IndexFunc(commands, func(c *command) bool { return &c.option == f.option })
		switch {
		case slices.Contains(lacking, f.option):
			return nil, badUsage("`--%s' is not in this program, which lists, counts, deletes and watches", f.option.name())
		case at >= 0 && r.command != nil:
			return nil, badUsage("Invalid commands combination")
		case at >= 0:
			r.command = commands[at]
		default:
			kept.add(f.option, f.value)
		}
	}
	if r.command == nil {
		r.command = commands[len(commands)-1] // help
	}
	for _, f := range all {
		if kept.has(f.option.name()) && !strings.ContainsRune(f.option.commands, rune(r.command.short)) {
			return nil, badUsage("Illegal option `--%s' with this command", f.option.name())
		}
	}
	return kept, nil
}

func (r *request) setTable(words []string) error {
	if len(words) == 0 {
		return nil
	}
	table, known := tables[words[0]]
	switch {
	case words[0] == "expect":
		return badUsage("the table `expect' is not in this program")
	case !known:
		return badUsage("unknown type `%s'", words[0])
	case len(words) > 1:
		return badUsage("Bad parameter `%s'", words[1])
	case table != ctnetlink.Tracked && r.command.short != 'L':
		return badUsage("Can't do that command with tables `dying' and `unconfirmed'")
	}
	r.table = table
	return nil
}

// setShown reads the options that say how flows are shown.
func (r *request) setShown(v values) error {
	var err error
	if v.has("zero") {
		if r.table != ctnetlink.Tracked {
			return badUsage("Can't use --zero with tables `dying' and `unconfirmed'")
		}
		r.table = ctnetlink.Zeroing
	}
	if text, set := v["output"]; set {
		if r.format, err = parseFormat(text); err != nil {
			return err
		}
	}
	if v.has("label") && r.format.labels == nil {
		r.format.labels, _ = readLabels(labelsFile) // the filter says what is wrong with it
	}
	if text, set := v["buffer-size"]; set {
		size, err := parseNumber("buffer-size", text, 31)
		if err != nil {
			return err
		}
		r.buffer = int(size)
	}
	r.events = ctnetlink.Every
	if text, set := v["event-mask"]; set {
		r.events, err = parseEvents(text)
	}
	return err
}

// check refuses what the command cannot do with these options.
func (r *request) check(v values) error {
	ends := v.has("src") && v.has("dst") || v.has("reply-src") && v.has("reply-dst")
	switch {
	case r.table == ctnetlink.Zeroing && len(r.filter) > 0:
		return badUsage("Can't use -z with filtering parameters") // the kernel zeroes all
	case r.command.short == 'G' && !v.has("protonum"):
		return badUsage("You need to supply the `--protonum' option for this command")
	case r.command.short == 'G' && !ends:
		return badUsage("you have to specify `--src' and `--dst'")
	}
	return nil
}
